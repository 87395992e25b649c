/**
 * Nonces (RFC 8555 §6.5): authenticated counters, so that making one costs no memory and checking one costs a bit. A nonce is
 * instance ‖ counter ‖ AES-256(key, instance ‖ counter): who issued it, which one it is, and the proof of both. The first two are one
 * block exactly, and AES of a single block is a MAC of it (CBC-MAC for one fixed length), at a third of the price of an HMAC.
 *
 * The key is the deployment's, so any of its processes tells a nonce from random text without asking. Whether a nonce is spent is known
 * to the process that issued it and to nobody else: it is asked (`noncePorts.ts`). After its end its nonces are worthless, the client
 * gets `badNonce` with a fresh one and repeats.
 */
import { createCipheriv, randomBytes, timingSafeEqual } from "node:crypto";

import { decodeBase64url } from "../encoding/base64url.ts";
import type { NonceIssuers } from "./noncePorts.ts";

/** Octets of the id that a process has at random, so that no two are the same. */
export const instanceOctets = 10;
const counterOctets = 6;
const blockOctets = instanceOctets + counterOctets;

export interface NonceSource {
  /** A fresh nonce: 43 characters of base64url. */
  issue(): string;
  /** True exactly once for a nonce that was issued here and is younger than its lifetime and the window; at once, or, where another process has to be asked, later. */
  spend(nonce: string): boolean | Promise<boolean>;
}

export interface LocalNonces {
  issue(): string;
  /** As above for what was issued here; for a nonce of another process, that process' id in hexadecimal. */
  spend(nonce: string): boolean | string;
}

export interface LocalNoncesOptions {
  readonly instance?: Buffer;
  /** 32 octets, the same in all processes of the deployment. */
  readonly key?: Buffer;
  /** How many nonces may be outstanding; older ones are refused. One bit of memory each. */
  readonly window?: number;
  /** Milliseconds of a clock that nobody sets. */
  readonly clock?: () => number;
}

/**
 * How long a nonce may be used. Evidence that comes with an order is bound to one, and is to be as fresh as what answers a challenge: without
 * an end a store of nonces would make evidence for weeks to come, of a platform that was in the wrong hands for a minute.
 */
export const nonceSeconds = 300;
/** What is issued within so many milliseconds ends together. */
const markMs = 1000;

/** The nonces of this process. */
export function createLocalNonces({
  instance = randomBytes(instanceOctets),
  key = randomBytes(32),
  window = 1 << 20,
  clock = () => performance.now(),
}: LocalNoncesOptions = {}): LocalNonces {
  const cipher = createCipheriv("aes-256-ecb", key, null).setAutoPadding(false); // Kept: blocks do not depend on each other.
  const spent = new Uint8Array(window / 8);
  let next = 0;

  const tag = (block: Buffer): Buffer => cipher.update(block);
  /** For each second in which some were issued: when it began, and the first of its nonces. All of them end with it. */
  const marks: { readonly at: number; readonly from: number }[] = [];
  const mark = (): void => {
    const now = clock();
    forget(now);
    const last = marks.at(-1);
    if (last === undefined || now - last.at >= markMs) marks.push({ at: now, from: next });
  };
  const forget = (now: number): void => {
    while (marks[0] !== undefined && now - marks[0].at > nonceSeconds * 1000) marks.shift();
  };
  const oldest = (): number => {
    forget(clock());
    return marks[0]?.from ?? next;
  };
  const isSpent = (slot: number): boolean => ((spent[slot >> 3] ?? 0) & (1 << (slot & 7))) !== 0;

  return {
    issue() {
      mark();
      const block = Buffer.allocUnsafe(blockOctets);
      instance.copy(block);
      block.writeUIntBE(next, instanceOctets, counterOctets);
      const slot = next % window;
      spent[slot >> 3] = (spent[slot >> 3] ?? 0) & ~(1 << (slot & 7)); // The slot's former nonce leaves the window now.
      next++;
      return Buffer.concat([block, tag(block)]).toString("base64url");
    },
    spend(nonce) {
      const octets = decodeBase64url(nonce);
      if (octets?.length !== 2 * blockOctets) return false;
      const block = octets.subarray(0, blockOctets);
      if (!timingSafeEqual(tag(block), octets.subarray(blockOctets))) return false;
      if (instance.compare(block, 0, instanceOctets) !== 0) return block.toString("hex", 0, instanceOctets);
      const value = block.readUIntBE(instanceOctets, counterOctets);
      const slot = value % window;
      if (value >= next || value < next - window || value < oldest() || isSpent(slot)) return false;
      spent[slot >> 3] = (spent[slot >> 3] ?? 0) | (1 << (slot & 7));
      return true;
    },
  };
}

/** Nonces of this process, and those of the others by asking them. */
export function createNonceSource(local: LocalNonces, issuers: NonceIssuers): NonceSource {
  const asked = new Set<string>();
  return {
    issue: () => local.issue(),
    spend(nonce) {
      const found = local.spend(nonce);
      if (typeof found === "boolean") return found;
      // The first question may spend it; a second one at the same time could only be told no.
      if (asked.has(nonce)) return false;
      asked.add(nonce);
      return issuers.spend(found, nonce).finally(() => asked.delete(nonce));
    },
  };
}
