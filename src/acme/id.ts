/** Ids of ACME objects: UUIDv7 (RFC 9562 §5.7), ordered by time for the index, with 74 random bits; access is checked besides. */
import { randomFillSync } from "node:crypto";

/** Randomness for many ids, asked for at once: each question costs the system as much as all of it. */
const pool = Buffer.alloc(4_000);
let used = pool.length;

function tenOctets(): Buffer {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  return pool.subarray(used, (used += 10));
}

/** An id made at `now` from ten random octets. */
export function newId(now: Date, random: Buffer = tenOctets()): string {
  const octets = Buffer.alloc(16);
  octets.writeUIntBE(now.getTime(), 0, 6);
  random.copy(octets, 6, 0, 10);
  octets[6] = ((octets[6] ?? 0) & 0x0f) | 0x70;
  octets[8] = ((octets[8] ?? 0) & 0x3f) | 0x80;
  const hex = octets.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The least id of a moment: every id made earlier sorts before it. */
export const firstIdOf = (moment: Date): string => newId(moment, Buffer.alloc(10));
