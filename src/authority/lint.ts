/**
 * Lints: the prepared bytes, read back, against the rules they must meet. Pure. Only this file makes a `LintedCertificate`, and only
 * that can be signed. The rules are in `lints/`, one file each, with the paragraph they enforce.
 */
import { DerError } from "../x509/der.ts";
import { readForLints, type CertificateReading } from "./lints/certificateReading.ts";
import { factsOf, type IssuerFacts } from "./lints/issuerFacts.ts";
import type { CertificateLint, DecisionLint, Lint } from "./lints/lint.ts";
import { lintList } from "./lints/lintList.ts";
import type { PreparedCertificate } from "./prepare.ts";

declare const linted: unique symbol;

/** Made by `lint` alone; the brand cannot be written elsewhere. */
export type LintedCertificate = PreparedCertificate & { readonly [linted]: true };

/** A certificate of ours broke a rule: our own fault, never the client's. */
export class LintFailed extends Error {
  override readonly name = "LintFailed";
  /** Each the name of a lint, and its source in parentheses. */
  readonly findings: readonly string[];
  constructor(findings: readonly string[]) {
    super(`the certificate broke ${findings.length} lint${findings.length === 1 ? "" : "s"}: ${findings.join("; ")}`);
    this.findings = findings;
  }
}

/** The name of the lint in a finding. */
export const lintOf = (finding: string): string => finding.split(" ", 1)[0] ?? finding;

/** What stands before all lints: bytes of which nothing can be said. */
const unreadable =
  "tbsCertificate (RFC 5280 §4.1: “the data that is to be signed is encoded using the ASN.1 distinguished encoding rules”)";

const certificateLints = lintList.filter((one): one is CertificateLint => one.about === "certificate");
const decisionLints = lintList.filter((one): one is DecisionLint => one.about === "decision");

/**
 * Reads the bytes back and holds them against every rule.
 * @throws {LintFailed} with all findings
 */
export function lint(prepared: PreparedCertificate): LintedCertificate {
  const findings = findingsOf(prepared.tbs, factsOf(prepared.issuer), prepared);
  if (findings.length > 0) throw new LintFailed(findings);
  return prepared as LintedCertificate;
}

/**
 * What is wrong with these bytes, of this issuer and for this decision. Without a decision only what can be said of the bytes: of an
 * intent that another process wrote, the decision is not here.
 */
export function findingsOf(tbs: Buffer, issuer: IssuerFacts, prepared: PreparedCertificate | undefined): string[] {
  const read = readOrNothing(tbs);
  if (read === undefined) return [unreadable];
  const broken: Lint[] = certificateLints.filter((one) => !isMet(() => one.holds(read, issuer)));
  if (prepared !== undefined)
    broken.push(...decisionLints.filter((one) => !isMet(() => one.holds(read, prepared, issuer))));
  return broken.map(({ name, source }) => `${name} (${source})`);
}

function readOrNothing(tbs: Buffer): CertificateReading | undefined {
  try {
    return readForLints(tbs);
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** A value that a rule cannot even look at does not meet it. */
function isMet(holds: () => boolean): boolean {
  try {
    return holds();
  } catch {
    return false;
  }
}
