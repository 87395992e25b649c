/**
 * The lint of an intent: bytes that were linted and committed before, and are to be signed (again) by the job that settles what was left
 * unfinished. The decision behind them is in the database only, so what is held against the rules here is what can be read from the bytes:
 * that nobody changed them into something that we would never sign for anybody.
 */
import { readForLints } from "./lints/certificateReading.ts";
import { factsOf } from "./lints/issuerFacts.ts";
import type { Issuer } from "./issuer.ts";
import { findingsOf, LintFailed } from "./lint.ts";
import type { OpenIntent } from "./ports.ts";

declare const linted: unique symbol;

/** Made by `lintIntent` alone; the brand cannot be written elsewhere. */
export type IntendedCertificate = Pick<OpenIntent, "serial" | "tbs"> & { readonly [linted]: true };

/** @throws {LintFailed} */
export function lintIntent(intent: OpenIntent, issuer: Issuer): IntendedCertificate {
  const findings = findingsOf(intent.tbs, factsOf(issuer), undefined);
  if (findings.length === 0 && !isOfIntent(intent)) findings.push("recordIsTheCertificate (Mayfly)");
  if (findings.length > 0) throw new LintFailed(findings);
  return intent as OpenIntent & IntendedCertificate;
}

/** The inventory will say what the intent says, so that both must be of one certificate. */
function isOfIntent({ serial, tbs, notAfter }: OpenIntent): boolean {
  const read = readForLints(tbs);
  return read.serialNumber.equals(serial) && read.notAfter.date.getTime() === notAfter.getTime();
}
