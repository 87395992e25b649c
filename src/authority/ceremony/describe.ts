/** What was made, for people who compare it with what they see elsewhere: names, times, fingerprints. */
import { createHash, createPublicKey } from "node:crypto";

import { readCertificate, type Certificate } from "../../x509/certificate.ts";
import type { CaRequest } from "../../x509/csr.ts";
import { readBasicConstraints } from "../../x509/extensions.ts";
import { nameText } from "../../x509/name.ts";
import { oids } from "../../x509/oid.ts";
import type { NameConstraints } from "../../x509/nameConstraints.ts";

/** SHA-256 as `openssl x509 -fingerprint -sha256` prints it. */
export const fingerprint = (octets: Buffer): string =>
  createHash("sha256")
    .update(octets)
    .digest("hex")
    .toUpperCase()
    .replaceAll(/..(?=.)/g, "$&:");

const row = (what: string, value: string): string => `${what.padEnd(14)}${value}`;

/** A certificate of a CA, a line for each thing to compare. */
export function describeCertificate(der: Buffer): string[] {
  const certificate = readCertificate(der, { lenient: true });
  const { subject, issuer, serial, notBefore, notAfter, spki, names } = certificate;
  return [
    row("subject", nameText(subject)),
    row("issuer", subject.equals(issuer) ? "itself" : nameText(issuer)),
    row("serial", serial),
    row("from", notBefore.toISOString()),
    row("until", notAfter.toISOString()),
    row("path length", pathLengthText(certificate)),
    ...names.uri.map((uri) => row("SVID", uri)),
    row("key", keyText(spki)),
    row("SPKI SHA-256", fingerprint(spki)),
    row("SHA-256", fingerprint(der)),
  ];
}

/** A request of a CA. */
export function describeRequest({ subject, spki, der }: CaRequest): string[] {
  return [
    row("subject", nameText(subject)),
    row("key", keyText(spki)),
    row("SPKI SHA-256", fingerprint(spki)),
    row("SHA-256", `${fingerprint(der)} (of the request)`),
  ];
}

/** What an operator who constrains names must know (docs/ceremony.md#name-constraints). */
export function describeConstraints(constraints: NameConstraints | undefined): string[] {
  if (constraints === undefined) return [];
  const permitted = [...constraints.uri.map((uri) => `URI:${uri}`), ...constraints.dns, ...constraints.ip];
  return [
    row("permitted", permitted.join(", ")),
    "WARNING       several verifiers mishandle name constraints of URIs: some refuse every certificate below, some do not look at them",
  ];
}

function pathLengthText({ extensions }: Certificate): string {
  const value = extensions.find(({ oid }) => oid === oids.basicConstraints)?.value;
  const { pathLenConstraint } = value === undefined ? {} : readBasicConstraints(value, { lenient: true });
  return pathLenConstraint === undefined ? "any" : String(pathLenConstraint);
}

function keyText(spki: Buffer): string {
  const key = createPublicKey({ key: spki, type: "spki", format: "der" });
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  return [key.asymmetricKeyType, namedCurve ?? modulusLength].filter((part) => part !== undefined).join(" ");
}
