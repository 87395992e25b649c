/**
 * What a lint is: a rule that a certificate meets or does not. One file each in this directory, which quotes the standard it comes from
 * above it; all of them in `lintList.ts`, for people in docs/lints.md. All pure.
 */
import type { PreparedCertificate } from "../prepare.ts";
import type { CertificateReading } from "./certificateReading.ts";
import type { IssuerFacts } from "./issuerFacts.ts";

interface Rule {
  /** As findings, metrics and the documentation call it: the name of its file. */
  readonly name: string;
  /** Where the rule is from: the standard and its section, or "Mayfly" for our own. */
  readonly source: string;
}

/** A rule about the bytes and their issuer: it holds for every certificate of that issuer, whoever wants it. */
export interface CertificateLint extends Rule {
  readonly about: "certificate";
  /** True when the rule is met. What the rule is not about meets it. */
  readonly holds: (read: CertificateReading, issuer: IssuerFacts) => boolean;
}

/** A rule about the bytes and the decision they are to carry out. */
export interface DecisionLint extends Rule {
  readonly about: "decision";
  /** True when the rule is met. */
  readonly holds: (read: CertificateReading, prepared: PreparedCertificate, issuer: IssuerFacts) => boolean;
}

export type Lint = CertificateLint | DecisionLint;
