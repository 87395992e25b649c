/**
 * DNS names and IP addresses in their one canonical form, and IP addresses as octets.
 */
import { isIPv4, isIPv6 } from "node:net";
import { domainToASCII, domainToUnicode } from "node:url";

/** The name or address is not acceptable. The message names the broken rule and quotes nothing. */
export class NameError extends Error {
  override readonly name = "NameError";
}

/**
 * The canonical form of a DNS name: lower-case LDH labels (RFC 5890 §2.3.1), A-labels for other scripts, no trailing dot.
 * Names of a single label are legal; names that a URL parser would take for an IPv4 address (a last label that is a number) are not.
 * `xn--` labels are checked as URLs are (UTS #46), which admits some symbols that IDNA 2008 does not.
 * @param options.wildcard whether the whole first label may be `*`
 * @throws {NameError}
 */
export function canonicalDnsName(value: string, options: { readonly wildcard: boolean }): string {
  if (value === "") throw new NameError("The DNS name is empty");
  if (value.length > 253) throw new NameError("The DNS name is longer than 253 octets");
  if (!/^[\x21-\x7e]+$/.test(value)) throw new NameError("The DNS name has a character outside of visible ASCII");
  if (value.endsWith(".")) throw new NameError("The DNS name ends in a dot");

  const name = value.toLowerCase();
  const labels = name.split(".");
  if (labels[0] === "*") {
    if (!options.wildcard) throw new NameError("A wildcard is not allowed here");
    if (labels.length === 1) throw new NameError("A wildcard has no label behind it");
    labels.shift();
  }
  for (const label of labels) requireLabel(label);
  // WHATWG URL, "ends in a number": 127.1 and 0x7f.1 reach 127.0.0.1 just as the dotted quad does.
  if (/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? ""))
    throw new NameError("The DNS name has the form of an IP address");
  return name;
}

function requireLabel(label: string): void {
  if (label === "") throw new NameError("The DNS name has an empty label");
  if (label.length > 63) throw new NameError("A label of the DNS name is longer than 63 octets");
  if (label.includes("*")) throw new NameError("A wildcard is only legal as the whole first label");
  if (!/^[a-z0-9-]+$/.test(label))
    throw new NameError("A label of the DNS name has a character that is not a letter, digit or hyphen");
  if (label.startsWith("-") || label.endsWith("-"))
    throw new NameError("A label of the DNS name begins or ends with a hyphen");
  if (label.startsWith("xn--") && !isALabel(label))
    throw new NameError("An xn-- label of the DNS name is not a valid A-label");
}

function isALabel(label: string): boolean {
  const unicode = domainToUnicode(label); // the label itself when it does not decode
  return unicode !== label && domainToASCII(unicode) === label;
}

/**
 * An IP address that is already in its canonical text (IPv4 dotted quad; IPv6 as RFC 5952 §4 writes it), unchanged.
 * @throws {NameError} for any other text: zones, IPv4-mapped IPv6, leading zeros, upper case …
 */
export function canonicalIp(value: string): string {
  ipToBytes(value);
  return value;
}

/** The 4 or 16 octets of an address in canonical text. @throws {NameError} as `canonicalIp` does */
export function ipToBytes(value: string): Buffer {
  const bytes = isIPv4(value)
    ? ipv4ToBytes(value)
    : isIPv6(value) && !value.includes("%")
      ? ipv6ToBytes(value)
      : undefined;
  if (bytes === undefined) throw new NameError("The value is not an IP address");
  if (bytesToIp(bytes) !== value) throw new NameError("The IP address is not in its canonical form");
  return bytes;
}

function ipv4ToBytes(value: string): Buffer {
  return Buffer.from(value.split(".").map(Number));
}

/** Only hexadecimal groups: with a dotted quad inside, the octets differ from the text and the way back shows it. */
function ipv6ToBytes(value: string): Buffer {
  const [head = "", tail] = value.split("::");
  const before = groupsOf(head);
  const after = groupsOf(tail ?? "");
  const bytes = Buffer.alloc(16);
  for (const [i, group] of before.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  for (const [i, group] of after.entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), 16 - (after.length - i) * 2);
  return bytes;
}

function groupsOf(part: string): string[] {
  return part === "" ? [] : part.split(":");
}

/**
 * Canonical text of an address of 4 or 16 octets.
 * @throws {NameError} for another number of octets, and for an IPv4 address in 16 (RFC 4291 §2.5.5.2)
 */
export function bytesToIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new NameError("An IP address has 4 or 16 octets");
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = Array.from({ length: 8 }, (_, i) => view.readUInt16BE(i * 2));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    throw new NameError("The IP address is an IPv4 address in 16 octets");
  }
  return rfc5952(groups);
}

/** RFC 5952 §4: no leading zeros, lower case, `::` for the longest run of two or more zero groups, the first of equals. */
function rfc5952(groups: readonly number[]): string {
  let start = 0;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > longest) [start, longest] = [i, end - i];
  }
  if (longest === 1) return hexGroups(groups);
  return `${hexGroups(groups.slice(0, start))}::${hexGroups(groups.slice(start + longest))}`;
}

function hexGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(":");
}
