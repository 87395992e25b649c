/** Where revocation lists are (RFC 5280 §4.2.1.13): the same in certificates, and on the server. */
import { createHash } from "node:crypto";

/**
 * URL of an issuer's list of this number.
 * @param publicUrl without a slash at its end
 */
export const listUrl = (publicUrl: string, issuerId: string, shard: number): string =>
  `${publicUrl}/crl/${issuerId}/${shard}.crl`;

/** A root tells all that it revoked in one list. */
export const rootShards = 1;

/** URL of the list of a root. */
export const rootListUrl = (publicUrl: string, rootId: string): string => listUrl(publicUrl, rootId, 0);

/**
 * The id of a root that is brought in with its certificate: a UUID made from that (version 8, RFC 9562 §5.8), so that what the root signed
 * before could name its list.
 */
export function rootIdOf(certificate: Buffer): string {
  const octets = createHash("sha256").update(certificate).digest().subarray(0, 16);
  octets.writeUInt8((octets.readUInt8(6) & 0x0f) | 0x80, 6);
  octets.writeUInt8((octets.readUInt8(8) & 0x3f) | 0x80, 8);
  return octets.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
