/**
 * Name constraints (RFC 5280 §4.2.1.10), as far as Mayfly writes them: permitted hosts of URIs, DNS names and addresses. Nothing is excluded.
 */
import { contentOf, DerError, type DerElement, membersOf, readDer } from "./der.ts";
import { constructed, encodeDer, primitive, sequence } from "./derWriter.ts";
import type { Extension } from "./extensions.ts";
import { bytesToIp, ipToBytes, NameError } from "./names.ts";
import { oids } from "./oid.ts";

/** What certificates below may be about. A kind of name that is not listed is not constrained. */
export interface NameConstraints {
  /** Hosts of URIs, such as a trust domain; with a dot in front all below it, and not itself. */
  readonly uri: readonly string[];
  /** Each with all names below it. */
  readonly dns: readonly string[];
  /** Networks, such as 10.0.0.0/8. */
  readonly ip: readonly string[];
}

/** Tag numbers of GeneralName (RFC 5280 §4.2.1.6). */
const kinds = { dns: 2, uri: 6, ip: 7 } as const;

/** Critical, as §4.2.1.10 wants it. @throws {RangeError} without any name, which no CA may write · {NameError} for a network that is none */
export function nameConstraints({ uri, dns, ip }: NameConstraints): Extension {
  const names = [
    ...uri.map((host) => primitive(kinds.uri, Buffer.from(host, "latin1"))),
    ...dns.map((name) => primitive(kinds.dns, Buffer.from(name, "latin1"))),
    ...ip.map((network) => primitive(kinds.ip, networkOctets(network))),
  ];
  if (names.length === 0) throw new RangeError("NameConstraints has at least one name");
  // GeneralSubtree: minimum is zero, the default, and maximum absent.
  const permitted = constructed(0, ...names.map((name) => sequence(name)));
  return { oid: oids.nameConstraints, critical: true, value: encodeDer(sequence(permitted)) };
}

/** Address and mask, each four or sixteen octets. */
function networkOctets(network: string): Buffer {
  const [address = "", length = "", ...more] = network.split("/");
  const octets = ipToBytes(address);
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (more.length > 0 || !(bits <= octets.length * 8))
    throw new NameError("A network is an address, a slash and a length");
  const mask = Buffer.from(octets.map((_, index) => 0xff & (0xff00 >> Math.max(0, Math.min(8, bits - index * 8)))));
  if (octets.some((octet, index) => (octet & ~(mask[index] ?? 0)) !== 0))
    throw new NameError("A network's address has no bits beyond its length");
  return Buffer.concat([octets, mask]);
}

/** @throws {DerError} for what is malformed, or is not of the kinds that Mayfly writes */
export function readNameConstraints(value: Uint8Array): NameConstraints {
  const members = membersOf(readDer(value), 0x30, "NameConstraints");
  const [permitted, ...others] = members;
  if (others.length > 0) throw new DerError("NameConstraints has more than permitted subtrees");
  const read: { uri: string[]; dns: string[]; ip: string[] } = { uri: [], dns: [], ip: [] };
  for (const subtree of membersOf(permitted, 0xa0, "The permitted subtrees")) readSubtree(subtree, read);
  if (read.uri.length + read.dns.length + read.ip.length === 0) throw new DerError("NameConstraints is empty");
  return read;
}

function readSubtree(subtree: DerElement, read: { uri: string[]; dns: string[]; ip: string[] }): void {
  const [base, ...distances] = membersOf(subtree, 0x30, "A subtree");
  if (base === undefined || distances.length > 0) throw new DerError("A subtree has not exactly one member");
  const content = contentOf(base, base.tag, "The base of a subtree");
  if (base.tag === (0x80 | kinds.uri)) read.uri.push(content.toString("latin1"));
  else if (base.tag === (0x80 | kinds.dns)) read.dns.push(content.toString("latin1"));
  else if (base.tag === (0x80 | kinds.ip)) read.ip.push(networkIn(content));
  else throw new DerError("A subtree is of a kind that is not read");
}

function networkIn(content: Buffer): string {
  const half = content.length / 2;
  if (half !== 4 && half !== 16) throw new DerError("A network has neither eight nor 32 octets");
  const bits = [...content.subarray(half)].map((octet) => octet.toString(2).padStart(8, "0")).join("");
  const length = bits.indexOf("0") === -1 ? bits.length : bits.indexOf("0");
  if (bits.slice(length).includes("1")) throw new DerError("The mask of a network has a hole");
  if (content.subarray(0, half).some((octet, index) => (octet & ~(content[half + index] ?? 0)) !== 0))
    throw new DerError("The address of a network has bits beyond its mask");
  return `${addressOf(content.subarray(0, half))}/${length}`;
}

function addressOf(octets: Buffer): string {
  try {
    return bytesToIp(octets);
  } catch (error) {
    if (error instanceof NameError) throw new DerError(error.message, { cause: error });
    throw error;
  }
}
