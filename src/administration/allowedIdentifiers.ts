/** What an external account key allows, as an operator writes it: canonical, or refused with the reason. */
import { problem } from "../problem/problem.ts";
import { canonicalDnsName, ipToBytes, NameError } from "../x509/names.ts";
import {
  parsePermanentIdentifier,
  PermanentIdentifierError,
  permanentIdentifierText,
} from "../x509/permanentIdentifier.ts";
import { parseSpiffeId, SpiffeIdError } from "../x509/spiffeId.ts";
import type { AllowedIdentifiers } from "./externalAccountPorts.ts";

/** @throws {Problem} restInvalid naming the entry */
export function readAllowed(
  { dns, ip, spiffe, permanentIdentifiers: devices }: AllowedIdentifiers,
  trustDomain: string,
): AllowedIdentifiers {
  return {
    ...(dns && { dns: dns.map((name) => read("dns", name, (text) => canonicalDnsName(text, { wildcard: false }))) }),
    ...(ip && { ip: ip.map((range) => read("ip", range, readRange)) }),
    ...(spiffe && { spiffe: spiffe.map((prefix) => read("spiffe", prefix, (text) => readPrefix(text, trustDomain))) }),
    ...(devices && { permanentIdentifiers: devices.map((text) => read("permanentIdentifiers", text, whole)) }),
  };
}

function read(member: string, text: string, canonical: (text: string) => string): string {
  try {
    return canonical(text);
  } catch (error) {
    if (error instanceof NameError || error instanceof SpiffeIdError || error instanceof PermanentIdentifierError)
      throw problem("restInvalid", `identifiers.${member}: ${JSON.stringify(text.slice(0, 300))}: ${error.message}`);
    throw error;
  }
}

/** As it was ordered, to the octet. */
function whole(text: string): string {
  return permanentIdentifierText(parsePermanentIdentifier(text));
}

/** An address, or a range whose address has no bit behind its length. */
function readRange(text: string): string {
  const [first = "", length, ...more] = text.split("/");
  const octets = ipToBytes(first);
  if (length === undefined) return text;
  const bits = /^(0|[1-9][0-9]{0,2})$/.test(length) ? Number(length) : Number.NaN;
  if (more.length > 0 || !(bits <= octets.length * 8)) throw new NameError("The range has no valid prefix length");
  const behind = octets.some((octet, i) => (octet & (0xff >> Math.min(8, Math.max(0, bits - i * 8)))) !== 0);
  if (behind) throw new NameError("The address of the range has bits behind its prefix");
  return text;
}

/** The trust domain itself, or a SPIFFE ID of it with everything below. */
function readPrefix(text: string, trustDomain: string): string {
  const prefix = text.replace(/\/$/, "");
  const of = prefix === `spiffe://${trustDomain}` ? trustDomain : parseSpiffeId(prefix).trustDomain;
  if (of !== trustDomain) throw new SpiffeIdError(`The trust domain is not ${trustDomain}`);
  return prefix;
}
