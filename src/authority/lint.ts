/**
 * Lints: the prepared bytes, read back, against the rules they must meet. Pure. Only this file makes a `LintedCertificate`, and only
 * that can be signed. Each rule names the paragraph it enforces.
 */
import {
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectAltName,
} from "../x509/extensions.ts";
import { assembleCertificate, readCertificate, type Certificate } from "../x509/certificate.ts";
import { oids } from "../x509/oid.ts";
import { encodeName } from "../x509/name.ts";
import { parseSpiffeId } from "../x509/spiffeId.ts";
import type { PreparedCertificate } from "./prepare.ts";
import { commonNameFor } from "./subject.ts";

declare const linted: unique symbol;

/** Made by `lint` alone; the brand cannot be written elsewhere. */
export type LintedCertificate = PreparedCertificate & { readonly [linted]: true };

/** A certificate of ours broke a rule: our own fault, never the client's. */
export class LintFailed extends Error {
  override readonly name = "LintFailed";
  readonly findings: readonly string[];
  constructor(findings: readonly string[]) {
    super(`the certificate broke ${findings.length} lint${findings.length === 1 ? "" : "s"}: ${findings.join("; ")}`);
    this.findings = findings;
  }
}

interface Lint {
  readonly name: string;
  readonly source: string;
  /** True when the rule is met. */
  readonly holds: (certificate: Certificate, prepared: PreparedCertificate) => boolean;
}

const valueOf = (certificate: Certificate, oid: string): Buffer | undefined =>
  certificate.extensions.find((extension) => extension.oid === oid)?.value;
const isCritical = (certificate: Certificate, oid: string): boolean =>
  certificate.extensions.some((extension) => extension.oid === oid && extension.critical);
const sameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && [...a].sort().every((value, index) => value === [...b].sort()[index]);

const lints: readonly Lint[] = [
  {
    name: "serialEntropy",
    source: "RFC 5280 §4.1.2.2; BR §7.1",
    holds: ({ serialNumber }) =>
      serialNumber.length >= 9 && serialNumber.length <= 20 && (serialNumber[0] ?? 0x80) < 0x80,
  },
  {
    name: "recordIsTheCertificate",
    source: "our own: what the inventory will say is what is signed",
    holds: ({ serialNumber, notBefore, notAfter }, prepared) =>
      serialNumber.equals(prepared.serialNumber) &&
      notBefore.getTime() === prepared.notBefore.getTime() &&
      notAfter.getTime() === prepared.notAfter.getTime(),
  },
  {
    name: "issuerIsOurs",
    source: "RFC 5280 §4.1.2.4",
    holds: ({ issuer }, prepared) => issuer.equals(prepared.issuer.subject),
  },
  {
    name: "lifetimeWithinProfile",
    source: "our own: refused, never clamped",
    holds: ({ notBefore, notAfter }, { authorized: { profile } }) => {
      const seconds = (notAfter.getTime() - notBefore.getTime()) / 1000 + 1;
      return seconds >= profile.lifetimeMinSeconds && seconds <= profile.lifetimeMaxSeconds;
    },
  },
  {
    name: "issuerOutlivesLeaf",
    source: "RFC 5280 §6.1.3",
    holds: ({ notAfter }, { issuer }) => notAfter <= issuer.notAfter,
  },
  {
    name: "subjectOfProfile",
    source: "our profiles; X.509-SVID §3.1",
    holds: ({ subject }, { authorized: { names, profile } }) => {
      const commonName = commonNameFor(profile, names.dns);
      return subject.equals(commonName === undefined ? encodeName({}) : encodeName({ commonName }));
    },
  },
  {
    name: "sanCriticalWhenSubjectEmpty",
    source: "RFC 5280 §4.2.1.6",
    holds: (certificate) => isCritical(certificate, oids.subjectAltName) || !certificate.subject.equals(encodeName({})),
  },
  {
    name: "namesAreTheAuthorizedOnes",
    source: "RFC 8555 §7.4: never other contents than ordered",
    holds: (certificate, { authorized: { names } }) => {
      const value = valueOf(certificate, oids.subjectAltName);
      if (value === undefined) return false;
      const san = readSubjectAltName(value);
      return (
        san.other.length === 0 &&
        sameList(san.dns, names.dns) &&
        sameList(san.ip, names.ip) &&
        sameList(san.uri, names.uri) &&
        sameList(san.permanentIdentifiers, names.permanentIdentifiers)
      );
    },
  },
  {
    name: "svidHasOneSpiffeId",
    source: "X.509-SVID §2, §3.1",
    holds: (_, { authorized: { names, profile } }) => {
      if (!profile.identifiers.includes("uri")) return names.uri.length === 0;
      return names.uri.length === 1 && names.uri.every((uri) => parseSpiffeId(uri).segments.length > 0);
    },
  },
  {
    name: "leafIsNoCa",
    source: "X.509-SVID §4.1; RFC 5280 §4.2.1.9",
    holds: (certificate) => {
      const value = valueOf(certificate, oids.basicConstraints);
      return value !== undefined && !readBasicConstraints(value).cA;
    },
  },
  {
    name: "keyUsage",
    source: "X.509-SVID §4.3: critical, digitalSignature, never keyCertSign or cRLSign",
    holds: (certificate) => {
      const value = valueOf(certificate, oids.keyUsage);
      if (value === undefined || !isCritical(certificate, oids.keyUsage)) return false;
      const bits = readKeyUsage(value);
      return bits.includes("digitalSignature") && !bits.includes("keyCertSign") && !bits.includes("cRLSign");
    },
  },
  {
    name: "extendedKeyUsage",
    source: "X.509-SVID §4.4; RFC 5280 §4.2.1.12",
    holds: (certificate, { authorized: { profile } }) => {
      const value = valueOf(certificate, oids.extendedKeyUsage);
      return sameList(value === undefined ? [] : readExtendedKeyUsage(value), [...profile.extendedKeyUsage]);
    },
  },
  {
    name: "authorityKeyIdentifier",
    source: "RFC 5280 §4.2.1.1",
    holds: (certificate, { issuer }) => {
      const value = valueOf(certificate, oids.authorityKeyIdentifier);
      return value !== undefined && readAuthorityKeyIdentifier(value).equals(issuer.subjectKeyIdentifier);
    },
  },
  {
    name: "keyIsTheApprovedOne",
    source: "workload-attest-01, rule 8; RFC 8555 §7.4",
    holds: ({ spki }, { publicKey, authorized: { profile } }) =>
      spki.equals(publicKey.spki) && profile.keyKinds.includes(publicKey.kind),
  },
  {
    name: "noUnknownExtension",
    source: "our profiles: a closed list",
    holds: ({ extensions }) => {
      const known: readonly string[] = [
        oids.authorityKeyIdentifier,
        oids.subjectKeyIdentifier,
        oids.basicConstraints,
        oids.keyUsage,
        oids.extendedKeyUsage,
        oids.subjectAltName,
        oids.noRevAvail,
        oids.cRLDistributionPoints,
        oids.authorityInfoAccess,
      ];
      return (
        extensions.every(({ oid }) => known.includes(oid)) &&
        new Set(extensions.map(({ oid }) => oid)).size === extensions.length
      );
    },
  },
];

/** Names and sources of all rules, for documentation and tests. */
export const lintNames: readonly { name: string; source: string }[] = lints.map(({ name, source }) => ({
  name,
  source,
}));

/**
 * Reads the bytes back and holds them against every rule.
 * @throws {LintFailed} with all findings
 */
export function lint(prepared: PreparedCertificate): LintedCertificate {
  // The reader wants a whole certificate; a signature of one zero octet completes it and never leaves this function.
  const whole = assembleCertificate(prepared.tbs, prepared.issuer.key.algorithm, Buffer.alloc(1));
  const certificate = readCertificate(whole);
  const findings = lints
    .filter((rule) => !isMet(rule, certificate, prepared))
    .map(({ name, source }) => `${name} (${source})`);
  if (findings.length > 0) throw new LintFailed(findings);
  return prepared as LintedCertificate;
}

/** A value that a rule cannot even read does not meet it. */
function isMet(rule: Lint, certificate: Certificate, prepared: PreparedCertificate): boolean {
  try {
    return rule.holds(certificate, prepared);
  } catch {
    return false;
  }
}
