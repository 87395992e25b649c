/** What a certificate above our leaves must be, whoever made it (RFC 5280 §4.2, §6.1): the rules for one, and for one below another. */
import { oids } from "../x509/oid.ts";
import type { Certificate, Extension } from "../x509/certificate.ts";
import { contentOf, DerError, membersOf, readDer, tags } from "../x509/der.ts";
import { readBasicConstraints, readExtendedKeyUsage, readKeyUsage } from "../x509/extensions.ts";
import { keyIdentifierIn } from "./caCertificate.ts";

/** What is found out, in sentences. */
export interface Findings {
  /** Each is a reason to refuse. */
  readonly faults: string[];
  readonly warnings: string[];
}

const extension = ({ extensions }: Certificate, oid: string): Extension | undefined =>
  extensions.find((one) => one.oid === oid);

/** The value of an extension; one that cannot be read is a fault. */
function valueOf<T>(
  certificate: Certificate,
  oid: string,
  read: (value: Buffer, reading: { lenient: boolean }) => T,
  which: string,
  { faults }: Findings,
): T | undefined {
  const found = extension(certificate, oid);
  try {
    return found && read(found.value, { lenient: true });
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    faults.push(`an extension of ${which} cannot be read (${error.message})`);
    return undefined;
  }
}

/** Extensions that are looked at here, or that cannot make anything invalid (RFC 5280 §4.2: others, where critical, are refused). */
const known: readonly string[] = [
  oids.basicConstraints,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.subjectAltName,
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
  oids.nameConstraints,
  oids.certificatePolicies,
];

/** Hashes that can be forged: nobody takes them (RFC 6194, RFC 6151), dotted OIDs of signature algorithms. */
const weakAlgorithms: ReadonlyMap<string, string> = new Map([
  ["06092a864886f70d010104", "MD5"],
  ["06092a864886f70d010105", "SHA-1"],
  ["06072a8648ce3d0401", "SHA-1"],
  ["06072a8648ce380403", "SHA-1"],
]);

/** RSASSA-PSS is SHA-1's wherever its parameters do not begin with another hash (RFC 4055 §3.1: it is the default). */
const pssOfSha1 = /06092a864886f70d01010a(?!30..a0)|06092a864886f70d01010a30..a0..30..06052b0e03021a/;

/** One certificate by itself. `below` is how many CAs of the chain are below it. */
export function caFaults(
  certificate: Certificate,
  { which, below, now }: { which: string; below: number; now: Date },
  findings: Findings,
): void {
  const { faults, warnings } = findings;
  const { notBefore, notAfter } = certificate;
  if (notBefore > now) faults.push(`${which} is not valid before ${notBefore.toISOString()}`);
  if (notAfter <= now) faults.push(`${which} expired on ${notAfter.toISOString()}`);
  const constraints = valueOf(certificate, oids.basicConstraints, readBasicConstraints, which, findings);
  if (constraints?.cA !== true) faults.push(`${which} is no CA's: its basic constraints do not say so`);
  else if (extension(certificate, oids.basicConstraints)?.critical !== true)
    warnings.push(`${which} has basic constraints that are not critical`);
  const { pathLenConstraint } = constraints ?? {};
  if (pathLenConstraint !== undefined && pathLenConstraint < below)
    faults.push(`${which} has the path length ${pathLenConstraint}, and ${below} of the CAs here are below it`);
  usageFaults(certificate, which, findings);
  const identifier = certificate.signatureIdentifier.toString("hex");
  for (const [oid, hash] of weakAlgorithms)
    if (identifier.includes(oid)) faults.push(`${which} is signed with ${hash}, which no verifier takes`);
  if (pssOfSha1.test(identifier)) faults.push(`${which} is signed with SHA-1, which no verifier takes`);
  for (const { oid, critical } of certificate.extensions)
    if (critical && !known.includes(oid))
      faults.push(`${which} has the critical extension ${oid}, which is not known here`);
  if (extension(certificate, oids.nameConstraints) !== undefined)
    warnings.push(
      `${which} has name constraints: several verifiers mishandle those of URIs, and some refuse every leaf below`,
    );
}

function usageFaults(certificate: Certificate, which: string, findings: Findings): void {
  const { faults, warnings } = findings;
  const usages = valueOf(certificate, oids.keyUsage, readKeyUsage, which, findings);
  if (usages === undefined) warnings.push(`${which} has no key usage`);
  else if (!usages.includes("keyCertSign")) faults.push(`${which} has a key usage without keyCertSign`);
  else if (!usages.includes("cRLSign")) {
    // RFC 5280 §6.3.3 (f): no verifier takes lists that such a CA signs.
    (which === "the certificate" ? faults : warnings).push(`${which} has a key usage without cRLSign`);
  }
  if (usages?.some((usage) => !["keyCertSign", "cRLSign"].includes(usage)))
    warnings.push(
      `${which} has the key usages ${usages.join(", ")}; X.509-SVID leaves all but keyCertSign and cRLSign to leaves`,
    );
  const purposes = valueOf(certificate, oids.extendedKeyUsage, readExtendedKeyUsage, which, findings);
  if (purposes === undefined) return;
  const able = ["serverAuth", "clientAuth"].every(
    (one) => purposes.includes(one) || purposes.includes(oids.anyExtendedKeyUsage),
  );
  if (!able) faults.push(`${which} has an extended key usage without serverAuth and clientAuth, which leaves have`);
  else warnings.push(`${which} has an extended key usage; verifiers differ in what that means for leaves`);
}

/** A certificate and the one above it (RFC 5280 §6.1.3 (a)(4), §4.2.1.1; a leaf never outlives its issuers). */
export function childFaults(certificate: Certificate, above: Certificate, which: string, findings: Findings): void {
  const { faults } = findings;
  if (!certificate.issuer.equals(above.subject)) faults.push(`${which} was issued by another name than the next one's`);
  if (certificate.notAfter > above.notAfter)
    faults.push(
      `${which} ends on ${certificate.notAfter.toISOString()}, after its issuer, which ends on ${above.notAfter.toISOString()}`,
    );
  const named = valueOf(certificate, oids.authorityKeyIdentifier, authorityKey, which, findings);
  if (named !== undefined && !named.equals(keyIdentifierIn(above)))
    faults.push(`${which} names another key of its issuer than the next one has: ${named.toString("hex")}`);
}

/** The members of an AuthorityKeyIdentifier (RFC 5280 §4.2.1.1): keyIdentifier, authorityCertIssuer, authorityCertSerialNumber. */
const authorityMembers: readonly number[] = [0x80, 0xa1, 0x82];

/** Undefined where the extension names the issuer in another way only. */
function authorityKey(value: Buffer): Buffer | undefined {
  const members = membersOf(readDer(value), tags.sequence, "AuthorityKeyIdentifier");
  const order = members.map(({ tag }) => authorityMembers.indexOf(tag));
  if (order.some((at, index) => at < 0 || at <= (order[index - 1] ?? -1)))
    throw new DerError("AuthorityKeyIdentifier has a member that it must not have");
  const [first] = members;
  return first?.tag === 0x80 ? contentOf(first, 0x80, "The keyIdentifier") : undefined;
}
