/**
 * A certificate of ours for another CA that has one already: another's root, or the one of ours that this root follows. Who trusts the CA
 * that signs can then follow to what is below the other.
 */
import { X509Certificate } from "node:crypto";

import type { CaRequest } from "../../x509/csr.ts";
import { readBasicConstraints, readSubjectAltName } from "../../x509/extensions.ts";
import { nameText } from "../../x509/name.ts";
import { oids } from "../../x509/oid.ts";
import { pemEncode } from "../../x509/pem.ts";
import { isTrustDomain } from "../../x509/spiffeId.ts";
import { keyIdentifierIn } from "../caCertificate.ts";
import { describeCertificate, describeConstraints } from "./describe.ts";
import { CeremonyStopped, type CeremonyGround, type Standing } from "./ground.ts";
import { requestOfText } from "./signIssuing.ts";
import { certificateInFile, certificatesOf, constraintsOf, signCa, signingCa, validityFor } from "./signing.ts";
import type { CrossSign } from "./steps.ts";

const lifetimeDaysDefault = 1095;

/** Whom the certificate is for. */
interface CrossSubject {
  readonly subject: Buffer;
  readonly spki: Buffer;
  readonly subjectKeyIdentifier: Buffer;
  readonly trustDomain: string | undefined;
}

export async function crossSign(step: CrossSign, ground: CeremonyGround): Promise<Standing> {
  const { subjectFile, issuerCertificateFile, certificateFile, lifetimeDays = lifetimeDaysDefault } = step;
  const text = await ground.files.read(subjectFile);
  if (text === undefined) return { is: "waiting", on: `the certificate or request of the other CA, ${subjectFile}` };
  const other = subjectIn(text, subjectFile);
  const ca = await signingCa(issuerCertificateFile, ground);
  if (ca === undefined) return { is: "waiting", on: `the certificate of the CA that signs, ${issuerCertificateFile}` };

  const there = await certificateInFile(certificateFile, ground);
  if (there !== undefined) {
    if (there.spki.equals(other.spki) && there.issuer.equals(ca.certificate.subject))
      return { is: "done", lines: describeCertificate(there.der) };
    throw new CeremonyStopped(
      `${certificateFile}: has another certificate than one for ${subjectFile}; name another file`,
    );
  }
  await ground.files.requireRoom(certificateFile);
  const nameConstraints = constraintsOf(step.nameConstraints);
  const validity = validityFor(lifetimeDays, ground.now(), ca.certificate);
  const pathLength = step.pathLength ?? roomBelow(ca.certificate.extensions);
  return {
    is: "ready",
    plan: [
      `signs, with the key ${ca.key.label} of ${nameText(ca.certificate.subject)}, one more certificate for ${nameText(other.subject)}`,
      `valid for ${lifetimeDays} days, until ${validity.notAfter.toISOString()}, path length ${pathLength ?? "any"}; whoever trusts the CA that signs then trusts what that one certifies`,
      ...describeConstraints(nameConstraints),
      `writes it to ${certificateFile}`,
    ],
    async act() {
      const der = await signCa(
        { issuer: ca.issuer, ...other, ...validity, pathLength, nameConstraints },
        ca.key,
        ground,
      );
      await ground.files.write(certificateFile, pemEncode("CERTIFICATE", der));
      return describeCertificate(der);
    },
  };
}

/** As long a path as the CA that signs allows below it. */
function roomBelow(extensions: readonly { oid: string; value: Buffer }[]): number | undefined {
  const value = extensions.find(({ oid }) => oid === oids.basicConstraints)?.value;
  const { pathLenConstraint } = value === undefined ? {} : readBasicConstraints(value, { lenient: true });
  return pathLenConstraint === undefined ? undefined : Math.max(0, pathLenConstraint - 1);
}

/** A request, which proves that its sender has the key; or certificates that lead from the CA to one that signed itself, which proves it too. */
function subjectIn(text: string, file: string): CrossSubject {
  if (text.includes("-----BEGIN CERTIFICATE REQUEST-----")) return ofRequest(requestOfText(text, file), file);
  const chain = certificatesOf(text, file);
  for (const [index, certificate] of chain.entries()) {
    const above = chain[index + 1] ?? certificate;
    const [parsed, issuer] = [new X509Certificate(certificate.der), new X509Certificate(above.der)];
    if (!parsed.ca) throw new CeremonyStopped(`${file}: certificate ${index + 1} is no CA's`);
    if (!certificate.issuer.equals(above.subject) || !parsed.verify(issuer.publicKey))
      throw new CeremonyStopped(
        `${file}: certificate ${index + 1} is not signed by ${above === certificate ? "itself: expected those above it, up to its root" : "the next one"}`,
      );
  }
  const [first] = chain;
  if (first === undefined) throw new CeremonyStopped(`${file}: expected a certificate`);
  const { subject, spki, names } = first;
  return { subject, spki, subjectKeyIdentifier: keyIdentifierIn(first), trustDomain: trustDomainOf(names.uri, file) };
}

function ofRequest({ subject, spki, extensions }: CaRequest, file: string): CrossSubject {
  const value = extensions.find(({ oid }) => oid === oids.subjectAltName)?.value;
  const names = value === undefined ? [] : readSubjectAltName(value).uri;
  const subjectKeyIdentifier = keyIdentifierIn({ extensions: [...extensions], spki });
  return { subject, spki, subjectKeyIdentifier, trustDomain: trustDomainOf(names, file) };
}

/** X.509-SVID §3.2: the other may be of another trust domain, and of one at most. */
function trustDomainOf(uris: readonly string[], file: string): string | undefined {
  const [uri, ...more] = uris;
  if (uri === undefined) return undefined;
  const [, trustDomain] = /^spiffe:\/\/([^/]+)$/.exec(uri) ?? [];
  if (more.length === 0 && trustDomain !== undefined && isTrustDomain(trustDomain)) return trustDomain;
  throw new CeremonyStopped(`${file}: names ${uris.join(", ")}: expected one trust domain without a path, or none`);
}
