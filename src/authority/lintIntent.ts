/**
 * The lint of an intent: bytes that were linted and committed before, and are to be signed (again) by the job that settles what was left
 * unfinished. The decision behind them is in the database only, so what is held against the rules here is what can be read from the bytes:
 * that nobody changed them into something that we would never sign.
 */
import { readAuthorityKeyIdentifier, readBasicConstraints, readKeyUsage } from "../x509/extensions.ts";
import { assembleCertificate, readCertificate } from "../x509/certificate.ts";
import { oids } from "../x509/oid.ts";
import type { Issuer } from "./issuer.ts";
import { LintFailed } from "./lint.ts";
import type { OpenIntent } from "./ports.ts";

declare const linted: unique symbol;

/** Made by `lintIntent` alone; the brand cannot be written elsewhere. */
export type IntendedCertificate = Pick<OpenIntent, "serial" | "tbs"> & { readonly [linted]: true };

/** @throws {LintFailed} */
export function lintIntent(intent: OpenIntent, issuer: Issuer): IntendedCertificate {
  const findings = findingsOf(intent, issuer);
  if (findings.length > 0) throw new LintFailed(findings);
  return intent as OpenIntent & IntendedCertificate;
}

function findingsOf({ serial, tbs, notAfter }: OpenIntent, issuer: Issuer): string[] {
  try {
    const certificate = readCertificate(assembleCertificate(tbs, issuer.key.algorithm, Buffer.alloc(1)));
    const value = (oid: string): Buffer => {
      const found = certificate.extensions.find((extension) => extension.oid === oid);
      if (found === undefined) throw new Error(`the extension ${oid} is missing`);
      return found.value;
    };
    const usage = readKeyUsage(value(oids.keyUsage));
    const rules: readonly [string, boolean][] = [
      ["the serial number is the intent's", certificate.serialNumber.equals(serial)],
      ["the validity is the intent's", certificate.notAfter.getTime() === notAfter.getTime()],
      ["the issuer is ours", certificate.issuer.equals(issuer.subject)],
      ["the issuer outlives the leaf (RFC 5280 §6.1.3)", certificate.notAfter <= issuer.notAfter],
      ["a leaf is no CA (RFC 5280 §4.2.1.9)", !readBasicConstraints(value(oids.basicConstraints)).cA],
      [
        "a leaf signs no certificates (RFC 5280 §4.2.1.3)",
        !usage.includes("keyCertSign") && !usage.includes("cRLSign"),
      ],
      [
        "the authority key identifier is the issuer's (RFC 5280 §4.2.1.1)",
        readAuthorityKeyIdentifier(value(oids.authorityKeyIdentifier)).equals(issuer.subjectKeyIdentifier),
      ],
    ];
    return rules.flatMap(([name, holds]) => (holds ? [] : [name]));
  } catch (error) {
    return [`the bytes cannot be read: ${(error as Error).message}`];
  }
}
