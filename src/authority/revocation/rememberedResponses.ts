/**
 * OCSP responses that were asked for lately, as one process remembers them: bounded in octets and in time, and only while the process hears of
 * revocations.
 */
import { createLru } from "../../cache/lru.ts";
import type { CertIdHash } from "../../x509/ocspRequest.ts";
import type { RecordedStatus, StoredResponse } from "../ocspPorts.ts";
import type { OcspAnswer } from "./ocspResponder.ts";

/** A certificate that is asked about, and the hash of the question. */
export interface ResponseKey {
  readonly serial: Buffer;
  readonly hash: CertIdHash;
}

export interface Remembered {
  readonly answer: OcspAnswer;
  readonly issuerId: string;
}

export interface RememberedResponses {
  /** Undefined where none counts at this time. */
  get(key: string, nowMs: number): Remembered | undefined;
  /** From `at` on. */
  keep(key: string, of: Omit<RecordedStatus, "response">, response: StoredResponse, at: Date): OcspAnswer;
  /** Forgets these; `all` where they are too many to say. What is left counts for a while from `atMs`, when they were looked up. */
  heard(revoked: readonly Buffer[] | "all", atMs: number): void;
  readonly size: () => number;
}

/** Nothing that is remembered counts any more where nothing was heard for so long: the database is away. */
const trustedMs = 30_000;
/** And no response counts longer than that without a look at the database: in case a revocation took longer than any is let. */
const rememberedMs = 300_000;
/** One that is due for another is looked up again soon: the other one may be there. */
const dueMs = 5_000;

/** So far a clock may be put back with nothing made anew: beyond that, what it said before is from the future. */
const putBackMs = 60_000;

const isBetween = (nowMs: number, sinceMs: number, untilMs: number): boolean =>
  nowMs >= sinceMs - putBackMs && nowMs < untilMs;

/** Octets of a remembered response beside its DER: keys, dates and the map's own. */
const overheadBytes = 400;

/** Of the map. */
export const keyOfResponse = ({ serial, hash }: ResponseKey): string => hash + serial.toString("latin1");

/**
 * @param cacheBytes octets of responses that are remembered
 * @param openedMs as if something was heard then
 */
export function createRememberedResponses(cacheBytes: number, openedMs: number): RememberedResponses {
  const memory = createLru<string, Remembered & { readonly sinceMs: number; readonly untilMs: number }>(
    cacheBytes,
    (kept) => kept.answer.der.length + overheadBytes,
  );
  let heardMs = openedMs;
  return {
    get(key, nowMs) {
      const known = memory.get(key);
      if (known === undefined || !isBetween(nowMs, known.sinceMs, known.untilMs)) return undefined;
      return isBetween(nowMs, heardMs, heardMs + trustedMs) ? known : undefined;
    },
    keep(key, { issuerId, notAfter, revocation }, response, at) {
      const { der, ...freshness } = response;
      const answer: OcspAnswer = { der, outcome: revocation === null ? "good" : "revoked", freshness };
      const atMs = at.getTime();
      // When another one is due all processes look for it at the same time, so that they go on saying the same.
      const dueAtMs = response.refreshAt > at ? response.refreshAt.getTime() : atMs + dueMs;
      const lastMs = Math.min(notAfter.getTime() + 1, response.nextUpdate.getTime());
      memory.set(key, { answer, issuerId, sinceMs: atMs, untilMs: Math.min(atMs + rememberedMs, dueAtMs, lastMs) });
      return answer;
    },
    heard(revoked, atMs) {
      if (revoked === "all") memory.clear();
      else
        for (const serial of revoked)
          for (const hash of ["sha1", "sha256"] as const) memory.delete(keyOfResponse({ serial, hash }));
      heardMs = atMs;
    },
    size: () => memory.size,
  };
}
