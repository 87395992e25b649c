/**
 * Nonces (RFC 8555 §6.5): authenticated counters, so that making one costs no memory and checking one costs a bit. A nonce is
 * counter ‖ HMAC-SHA-256(key, counter)[0..15], with a key of this process: unpredictable, and worthless after a restart (the client
 * gets `badNonce` with a fresh one and repeats).
 */
import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from "node:crypto";

import { decodeBase64url } from "../encoding/base64url.ts";

const counterOctets = 6;
const tagOctets = 15;

export interface NonceSource {
  /** A fresh nonce: 28 characters of base64url. */
  issue(): string;
  /** True exactly once for a nonce that this source issued and that is not older than the window. */
  spend(nonce: string): boolean;
}

/**
 * @param window how many nonces may be outstanding; older ones are refused. One bit of memory each.
 */
export function createNonceSource(window = 1 << 20, secret: Buffer = randomBytes(32)): NonceSource {
  const key = createSecretKey(secret); // A KeyObject: a quarter of the cost of a Buffer at every HMAC.
  const spent = new Uint8Array(window / 8);
  let next = 0;

  const tag = (counter: Buffer): Buffer => createHmac("sha256", key).update(counter).digest().subarray(0, tagOctets);
  const isSpent = (slot: number): boolean => ((spent[slot >> 3] ?? 0) & (1 << (slot & 7))) !== 0;

  return {
    issue() {
      const counter = Buffer.alloc(counterOctets);
      counter.writeUIntBE(next, 0, counterOctets);
      const slot = next % window;
      spent[slot >> 3] = (spent[slot >> 3] ?? 0) & ~(1 << (slot & 7)); // The slot's former nonce leaves the window now.
      next++;
      return Buffer.concat([counter, tag(counter)]).toString("base64url");
    },
    spend(nonce) {
      const octets = decodeBase64url(nonce);
      if (octets?.length !== counterOctets + tagOctets) return false;
      const counter = octets.subarray(0, counterOctets);
      if (!timingSafeEqual(tag(counter), octets.subarray(counterOctets))) return false;
      const value = counter.readUIntBE(0, counterOctets);
      const slot = value % window;
      if (value >= next || value < next - window || isSpent(slot)) return false;
      spent[slot >> 3] = (spent[slot >> 3] ?? 0) | (1 << (slot & 7));
      return true;
    },
  };
}
