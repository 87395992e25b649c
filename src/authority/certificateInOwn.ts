/** What the certificate of a CA of ours must be besides: the answer to our request, and of our trust domain. */
import { createHash } from "node:crypto";

import type { Certificate } from "../x509/certificate.ts";
import { keyIdentifier, readBasicConstraints } from "../x509/extensions.ts";
import { nameText } from "../x509/name.ts";
import { readNameConstraints } from "../x509/nameConstraints.ts";
import { DerError } from "../x509/der.ts";
import { oids } from "../x509/oid.ts";
import { keyIdentifierIn } from "./caCertificate.ts";
import type { AwaitedCertificate } from "./certificateIn.ts";
import type { Findings } from "./certificateInRules.ts";

const sha256 = (octets: Buffer): string => createHash("sha256").update(octets).digest("hex");

/** Key, subject, path length and identifier, as they were asked for. */
export function requestFaults(
  certificate: Certificate,
  awaited: AwaitedCertificate,
  { faults, warnings }: Findings,
): void {
  if (!certificate.spki.equals(awaited.spki))
    faults.push(
      `the certificate is for the key ${sha256(certificate.spki)} (SHA-256), and not for the one that was asked for, ${sha256(awaited.spki)}`,
    );
  if (!certificate.subject.equals(awaited.subject)) {
    const [given, asked] = [nameText(certificate.subject), nameText(awaited.subject)];
    if (given === asked) warnings.push("the subject has the characters that were asked for in other string types");
    else if (awaited.anySubject) warnings.push(`the subject is ${given}, and ${asked} was asked for`);
    else faults.push(`the certificate is for the subject ${given}, and ${asked} was asked for`);
  }
  if (nameText(certificate.subject) === "(empty)") faults.push("the certificate has an empty subject");
  if (!keyIdentifierIn(certificate).equals(keyIdentifier(awaited.spki)))
    warnings.push("the certificate has another subject key identifier than was asked for; leaves will name that one");
  const constraints = certificate.extensions.find(({ oid }) => oid === oids.basicConstraints)?.value;
  const allowed = constraints === undefined ? undefined : pathLengthIn(constraints);
  if (awaited.pathLength !== undefined && (allowed === undefined || allowed > awaited.pathLength))
    warnings.push(
      `the certificate allows ${allowed ?? "any number of"} CAs below, and a path length of ${awaited.pathLength} was asked for`,
    );
}

function pathLengthIn(value: Buffer): number | undefined {
  try {
    return readBasicConstraints(value, { lenient: true }).pathLenConstraint;
  } catch (error) {
    if (error instanceof DerError) return undefined; // Told as a fault elsewhere.
    throw error;
  }
}

/** X.509-SVID §2, §3.2: one SPIFFE ID, without a path, of the trust domain of the leaves; §4.2: constraints that leave it in. */
export function trustDomainFaults(chain: readonly Certificate[], trustDomain: string, findings: Findings): void {
  const { faults, warnings } = findings;
  for (const [index, { names, extensions }] of chain.entries()) {
    const which =
      index === 0
        ? "the certificate"
        : index === chain.length - 1
          ? "the root"
          : `certificate ${index + 1} of the chain`;
    const spiffe = names.uri.filter((uri) => uri.startsWith("spiffe:"));
    if (spiffe.length > 0 && names.uri.length > 1)
      faults.push(`${which} has ${names.uri.length} URIs, and an SVID has one`);
    for (const uri of spiffe) {
      if (uri === `spiffe://${trustDomain}`) continue;
      const other = `${which} is an SVID of ${uri}, and the trust domain is spiffe://${trustDomain}`;
      // A CA above may sign CAs of several trust domains (§3.2); ours issues for one.
      if (index === 0 || uri.startsWith(`spiffe://${trustDomain}/`)) faults.push(other);
      else warnings.push(other);
    }
    if (spiffe.length === 0 && index === 0)
      warnings.push(`the certificate is no SVID: X.509-SVID §3.2 wants it to name spiffe://${trustDomain}`);
    const constraints = extensions.find(({ oid }) => oid === oids.nameConstraints)?.value;
    if (constraints !== undefined && excludes(constraints, trustDomain))
      faults.push(`${which} has name constraints that are not read here, or that leave out ${trustDomain}`);
  }
}

function excludes(constraints: Buffer, trustDomain: string): boolean {
  try {
    const { uri } = readNameConstraints(constraints);
    return (
      uri.length > 0 &&
      !uri.some((host) => host === trustDomain || (host.startsWith(".") && trustDomain.endsWith(host)))
    );
  } catch (error) {
    if (error instanceof DerError) return true;
    throw error;
  }
}
