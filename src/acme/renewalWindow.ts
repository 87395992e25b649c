/**
 * When a certificate should be renewed (RFC 9773 §4.2), in seconds and in proportion to how long it lives: a minute or a year. Pure.
 * Certificates that were issued in one moment get windows apart from each other, each always the same one.
 */
import { createHash } from "node:crypto";

import type { Renewal } from "./renewalPorts.ts";

export interface RenewalWindow {
  readonly start: Date;
  /** After `start`. */
  readonly end: Date;
}

/** Shares of the usable lifetime: the earliest start, how far a start may lie behind it, and how long a window is. */
const earliest = 0.6;
const spread = 0.1;
const length = 0.1;

/** How often a client should ask again, in shares of the lifetime, and the most and least of it; seconds. */
const askAgain = 0.05;
const askAgainMost = 21_600;
const askAgainLeast = 1;

/** Seconds that a window lies in the past where renewal cannot wait. */
const pastSeconds = 60;

/** What was revoked, or is under an incident, should be renewed at once: its window has passed already. */
export function suggestedWindow(renewal: Renewal): RenewalWindow {
  const { serial, revokedAt, incident } = renewal;
  const since = revokedAt ?? incident?.since;
  if (since !== undefined) return windowOf(secondsOf(since) - pastSeconds, secondsOf(since) - 1);
  const { from, to } = usable(renewal);
  const lifetime = to - from;
  const start = Math.round(from + lifetime * (earliest + spread * jitter(serial)));
  const end = Math.round(start + lifetime * length);
  return windowOf(Math.min(start, to - 1), Math.max(start + 1, Math.min(end, to)));
}

/** Seconds until the client should ask again (§4.3.2). */
export function retryAfterSecondsOf(renewal: Renewal): number {
  const { from, to } = usable(renewal);
  return Math.max(askAgainLeast, Math.min(askAgainMost, Math.round((to - from) * askAgain)));
}

/** A certificate is of use from when it was there: a backdated notBefore is not a part of its life. */
function usable({ notBefore, notAfter, issuedAt }: Renewal): { from: number; to: number } {
  const to = secondsOf(notAfter);
  return { from: Math.min(to - 2, Math.max(secondsOf(notBefore), secondsOf(issuedAt))), to };
}

/** Between 0 and 1, the same for a serial number whenever it is asked. */
const jitter = (serial: Buffer): number => createHash("sha256").update(serial).digest().readUInt32BE() / 2 ** 32;

const secondsOf = (date: Date): number => Math.floor(date.getTime() / 1000);
const windowOf = (start: number, end: number): RenewalWindow => ({
  start: new Date(start * 1000),
  end: new Date(end * 1000),
});
