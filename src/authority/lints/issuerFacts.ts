/** What lints need of an issuer, made once for each reading of it: its certificate does not change. */
import { readCertificate } from "../../x509/certificate.ts";
import { algorithmIdentifier } from "../../x509/signatureAlgorithm.ts";
import type { Issuer } from "../issuer.ts";

export interface IssuerFacts {
  /** DER Name. */
  readonly subject: Buffer;
  readonly subjectKeyIdentifier: Buffer;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /** DER AlgorithmIdentifier of the signatures it makes. */
  readonly signatureIdentifier: Buffer;
  readonly notAfter: Date;
  /** Of its SPIFFE ID (X.509-SVID §3.2); undefined where it has none. */
  readonly trustDomain: string | undefined;
  /** Where the list is that a certificate of this serial number would be in. */
  readonly crlUrl: (serialNumber: Buffer) => string;
  readonly ocspUrl: string;
}

const known = new WeakMap<Issuer, IssuerFacts>();

export function factsOf(issuer: Issuer): IssuerFacts {
  const facts = known.get(issuer) ?? makeFacts(issuer);
  known.set(issuer, facts);
  return facts;
}

function makeFacts(issuer: Issuer): IssuerFacts {
  const { names, spki } = readCertificate(issuer.certificate);
  const id = names.uri.find((uri) => uri.startsWith("spiffe://"));
  return {
    subject: issuer.subject,
    subjectKeyIdentifier: issuer.subjectKeyIdentifier,
    spki,
    signatureIdentifier: algorithmIdentifier(issuer.key.algorithm),
    notAfter: issuer.notAfter,
    trustDomain: id?.slice("spiffe://".length),
    crlUrl: issuer.crlUrl,
    ocspUrl: issuer.ocspUrl,
  };
}
