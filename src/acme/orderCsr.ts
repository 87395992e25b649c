/** The certification request of an order (RFC 8555 §7.4): read, and held against what was ordered. */
import type { KeyReuse } from "../authority/ports.ts";
import type { Profile } from "../authority/profile.ts";
import { decodeBase64url } from "../encoding/base64url.ts";
import type { JsonValue } from "../encoding/json.ts";
import { problem } from "../problem/problem.ts";
import { CsrError, readCsr, type CertificationRequest } from "../x509/csr.ts";
import { canonicalDnsName, NameError } from "../x509/names.ts";
import { parsePermanentIdentifier } from "../x509/permanentIdentifier.ts";
import { KeyRefused } from "../x509/publicKey.ts";
import type { Identifier } from "./ports.ts";

/** A CSR larger than this is refused before it is parsed; octets. */
const csrLimit = 16 * 1024;

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

/** The order's state comes before the CSR's faults (§7.4), though the CSR's key is needed to read the order. */
export function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    return { ok: false, error };
  }
}

/**
 * Reads the `csr` member of a finalize request.
 * @throws {Problem} malformed · badCSR
 */
export function readOrderCsr(csr: JsonValue | undefined): CertificationRequest {
  const der = typeof csr === "string" ? decodeBase64url(csr) : undefined;
  if (der === undefined) throw problem("malformed", "csr is not base64url");
  if (der.length > csrLimit) throw problem("badCSR", `the CSR is larger than ${csrLimit} octets`);
  try {
    return readCsr(der);
  } catch (error) {
    if (error instanceof CsrError || error instanceof KeyRefused) throw problem("badCSR", error.message);
    throw error;
  }
}

/**
 * §7.4: exactly the names of the order, where a permanent identifier may go unsaid (draft-ietf-acme-device-attest-09 §3.2). A CN must be
 * one of them, of a device its name with or without the assigner; what else a CSR asks for is ignored.
 * @throws {Problem} badCSR
 */
export function requireSameNames(
  { names, commonName }: CertificationRequest,
  identifiers: readonly Identifier[],
): void {
  if (names.other.length > 0)
    throw problem(
      "badCSR",
      `the CSR holds names of a kind that is not issued: ${names.other.join(", ").slice(0, 100)}`,
    );
  const asked = new Set<string>();
  for (const name of names.dns) asked.add(`dns ${canonical(name)}`);
  for (const address of names.ip) asked.add(`ip ${address}`);
  for (const uri of names.uri) asked.add(`uri ${uri}`);
  for (const identifier of names.permanentIdentifiers) asked.add(`permanent-identifier ${identifier}`);
  const { dns, ip, uri, permanentIdentifiers } = names;
  if (asked.size !== dns.length + ip.length + uri.length + permanentIdentifiers.length)
    throw problem("badCSR", "the CSR names something twice");
  const ordered = new Set(identifiers.map(({ type, value }) => `${type} ${value}`));
  if (permanentIdentifiers.length === 0)
    for (const { type, value } of identifiers) if (type === "permanent-identifier") asked.add(`${type} ${value}`);
  if (commonName !== undefined && !namesDevice(commonName, identifiers)) {
    const asDns = attempt(() => canonical(commonName));
    const match = [asDns.ok ? `dns ${asDns.value}` : "", `ip ${commonName}`].find((name) => ordered.has(name));
    if (match === undefined || (match.startsWith("ip ") && !asked.has(match))) {
      throw problem("badCSR", "the CSR's common name is not one of the order's names");
    }
    asked.add(match);
  }
  if (asked.size !== ordered.size || [...asked].some((name) => !ordered.has(name))) {
    throw problem("badCSR", "the CSR's names are not the order's names");
  }
}

const namesDevice = (commonName: string, identifiers: readonly Identifier[]): boolean =>
  identifiers.some(
    ({ type, value }) =>
      type === "permanent-identifier" &&
      (commonName === value || commonName === parsePermanentIdentifier(value).device),
  );

function canonical(name: string): string {
  try {
    return canonicalDnsName(name, { wildcard: true });
  } catch (error) {
    if (error instanceof NameError) throw problem("badCSR", `the CSR: ${error.message}`);
    throw error;
  }
}

/** §11.1: whoever has an account's key must not be taken for whoever has a certificate's. */
export const keyIsAccountKey = () => problem("badCSR", "the certificate's key is the key of an ACME account");

/** Nobody may have a certificate for a blocked key. */
export const keyIsBlocked = () => problem("badCSR", "the certificate's key is blocked");

/** A profile may want every identity to have keys of its own, or every certificate. */
export const keyIsUsed = (rule: KeyReuse) =>
  problem(
    "badCSR",
    rule === "never"
      ? "the certificate's key was certified before, and the profile wants a new one each time"
      : "the certificate's key was certified for another identity; make a new one",
  );

/** @throws {Problem} badCSR for a kind of key that the profile does not have */
export function requireAllowedKey({ publicKey }: CertificationRequest, profile: Profile): void {
  if (!profile.keyKinds.includes(publicKey.kind))
    throw problem("badCSR", `profile ${profile.name} does not allow ${publicKey.kind} keys`);
}
