/**
 * Requests of our own CAs: what another CA, one that is kept offline or somebody else's, is asked to certify. As with certificates, the bytes
 * are prepared, held against rules, and only then signed. Pure.
 */
import type { SignatureAlgorithm } from "../keys/signer.ts";
import { assembleCertificationRequest, encodeCertificationRequestInfo } from "../x509/certificationRequestInfo.ts";
import {
  basicConstraints,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
  type Extension,
} from "../x509/extensions.ts";
import { encodeName } from "../x509/name.ts";
import { nameConstraints, type NameConstraints } from "../x509/nameConstraints.ts";
import { isTrustDomain } from "../x509/spiffeId.ts";
import { LintFailed } from "./lint.ts";

/** What is asked for. How long it will be valid is the signer's to say: a request has no place for it (RFC 2986 §4.1). */
export interface CaRequestTemplate {
  /** DER Name. */
  readonly subject: Buffer;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /** Of the key, which signs the request itself. */
  readonly algorithm: SignatureAlgorithm;
  readonly pathLength: number | undefined;
  /** Undefined for a CA of a PKI without one. */
  readonly trustDomain: string | undefined;
  readonly nameConstraints?: NameConstraints | undefined;
}

/** A request without a signature, and without the lints' blessing. */
export interface PreparedCaRequest {
  readonly template: CaRequestTemplate;
  readonly algorithm: SignatureAlgorithm;
  /** DER CertificationRequestInfo. */
  readonly tbs: Buffer;
}

declare const linted: unique symbol;

/** Made by `lintCaRequest` alone; the brand cannot be written elsewhere. */
export type LintedCaRequest = PreparedCaRequest & { readonly [linted]: true };

/** The extensions that a CA's certificate is to have (RFC 5280 §4.2.1, X.509-SVID §3.2), as a request asks for them. */
export function wantedExtensions(template: Omit<CaRequestTemplate, "subject" | "algorithm">): Extension[] {
  const { spki, pathLength, trustDomain } = template;
  return [
    subjectKeyIdentifier(spki),
    basicConstraints({ cA: true, ...(pathLength !== undefined && { pathLenConstraint: pathLength }) }),
    keyUsage(["keyCertSign", "cRLSign"]),
    ...(trustDomain === undefined
      ? []
      : [subjectAltName({ dns: [], ip: [], uri: [`spiffe://${trustDomain}`] }, false)]),
    ...(template.nameConstraints === undefined ? [] : [nameConstraints(template.nameConstraints)]),
  ];
}

/** Builds the CertificationRequestInfo (RFC 2986 §4.1) with the wanted extensions (RFC 2985 §5.4.2). */
export function prepareCaRequest(template: CaRequestTemplate): PreparedCaRequest {
  const { subject, spki, algorithm } = template;
  const tbs = encodeCertificationRequestInfo({ subject, spki, extensions: wantedExtensions(template) });
  return { template, algorithm, tbs };
}

/**
 * A request that another CA could not, or must not, answer as it is, is not signed.
 * @throws {LintFailed}
 */
export function lintCaRequest(prepared: PreparedCaRequest): LintedCaRequest {
  const { template, tbs } = prepared;
  const findings: string[] = [];
  if (template.subject.equals(encodeName({}))) findings.push("subjectNotEmpty (RFC 5280 §4.1.2.6)");
  if (template.trustDomain !== undefined && !isTrustDomain(template.trustDomain))
    findings.push("svidOfTrustDomain (X.509-SVID §3.2)");
  // The bytes are the template's: nothing was put in that nobody asked for.
  if (!prepareCaRequest(template).tbs.equals(tbs)) findings.push("requestIsTheTemplate (our own)");
  if (findings.length > 0) throw new LintFailed(findings);
  return prepared as LintedCaRequest;
}

/** DER CertificationRequest of a request and its key's signature. */
export const requestOf = ({ tbs, algorithm }: LintedCaRequest, signature: Buffer): Buffer =>
  assembleCertificationRequest(tbs, algorithm, signature);
