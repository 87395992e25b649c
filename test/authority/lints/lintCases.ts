/** For every lint a certificate that breaks it and no other. */
import { generateKeyPairSync, hash } from "node:crypto";

import type { Authorized } from "../../../src/authority/authorize.ts";
import type { IssuerFacts } from "../../../src/authority/lints/issuerFacts.ts";
import { prepare, type PreparedCertificate } from "../../../src/authority/prepare.ts";
import type { Profile, WrittenProfile } from "../../../src/authority/profile.ts";
import { der, encodeDer, objectIdentifier, sequence, time } from "../../../src/x509/derWriter.ts";
import * as x from "../../../src/x509/extensions.ts";
import { certificatePolicies } from "../../../src/x509/certificatePolicies.ts";
import { ipToBytes } from "../../../src/x509/names.ts";
import { oids } from "../../../src/x509/oid.ts";
import { keyOf, type PublicKey } from "../../../src/x509/publicKey.ts";
import { authorityInfoAccess, cRLDistributionPoints, noRevAvail } from "../../../src/x509/revocationExtensions.ts";
import { agentOne, authorizedServer, authorizedWorkload, p256 } from "../../support/authorized.ts";
import { generalized, nameOf, partsOf, spkiOf, type TbsParts } from "../../support/craftedTbs.ts";
import { memoryHierarchy, serverProfile, workloadProfile } from "../../support/issuers.ts";

export const now = new Date("2026-01-01T00:00:00Z");
const { issuing } = await memoryHierarchy(now);
const later = (seconds: number, from = now): Date => new Date(from.getTime() + seconds * 1000);
const random = Buffer.from("00112233445566778899aabbccdd", "hex");

/** What a case changes: the bytes, what they are held against, or both. */
export interface Case {
  readonly lint: string;
  readonly how: string;
  /** Meets every lint. */
  readonly good: PreparedCertificate;
  readonly bytes?: Partial<TbsParts>;
  readonly prepared?: Partial<PreparedCertificate>;
  readonly issuer?: Partial<IssuerFacts>;
}

const workload = prepare(authorizedWorkload(), p256(), issuing, { now, random });
const server = prepare(authorizedServer(), p256(), issuing, { now, random });
const rsa = keyOf(generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey);
const ofRsa = prepare(authorizedServer(), rsa, issuing, { now, random });
/** It lives longer than the threshold, and points to list and responder. */
const pointed = (revocation: WrittenProfile["revocation"] = {}): PreparedCertificate =>
  serverWith({ revocation: { shortLivedMaxSeconds: 60, ocsp: true, ...revocation } });
const named = serverWith({ subject: "commonName" });
const withPolicy = serverWith({ certificatePolicies: ["1.3.6.1.4.1.32473.1"] });

function serverWith(changes: Partial<WrittenProfile>, key: PublicKey = p256()): PreparedCertificate {
  return prepare(authorizedServer(serverProfile(changes)), key, issuing, { now, random });
}

/** The extensions of a certificate without this one, or with another in its place. */
const replaced = (good: PreparedCertificate, oid: string, ...by: x.Extension[]): Partial<TbsParts> => ({
  extensions: partsOf(good.tbs).extensions.flatMap((extension) => (extension.oid === oid ? by : extension)),
});
const added = (good: PreparedCertificate, ...by: x.Extension[]): Partial<TbsParts> => ({
  extensions: [...partsOf(good.tbs).extensions, ...by],
});
const recriticised = (good: PreparedCertificate, oid: string): Partial<TbsParts> => ({
  extensions: partsOf(good.tbs).extensions.map((one) => (one.oid === oid ? { ...one, critical: !one.critical } : one)),
});
const authorizedAs = (good: PreparedCertificate, changes: Partial<Authorized>): Partial<PreparedCertificate> => ({
  authorized: { ...good.authorized, ...changes },
});
const profiled = (good: PreparedCertificate, changes: Partial<Profile>) =>
  authorizedAs(good, { profile: { ...good.authorized.profile, ...changes } });

const noNames = { dns: [], ip: [], uri: [], permanentIdentifiers: [] };
type Names = Partial<Authorized["names"]>;
/** Certificate and decision agree on these names, with proofs and grants for them. */
function withNames(good: PreparedCertificate, names: Names): Pick<Case, "good" | "bytes" | "prepared"> {
  const all = { ...noNames, ...names };
  const critical = partsOf(good.tbs).extensions.some((one) => one.oid === oids.subjectAltName && one.critical);
  const [grant] = good.authorized.granted;
  return {
    good,
    bytes: replaced(good, oids.subjectAltName, sanOf(all, critical)),
    prepared: authorizedAs(good, {
      names: all,
      granted: grant === undefined ? [] : all.uri.map((name) => ({ ...grant, name })),
      evidence: [
        ...all.dns.map((value) => challenged("dns", value)),
        ...all.ip.map((value) => challenged("ip", value)),
        ...all.uri.map((value) => attested(value)),
      ],
    }),
  };
}
/** Also of names that `subjectAltName` would not write. */
const sanOf = ({ dns, ip, uri }: Authorized["names"], critical: boolean): x.Extension => ({
  oid: oids.subjectAltName,
  critical,
  value: encodeDer(
    sequence(
      ...dns.map((name) => der(0x82, Buffer.from(name, "latin1"))),
      ...ip.map((address) => der(0x87, ipToBytes(address))),
      ...uri.map((name) => der(0x86, Buffer.from(name, "latin1"))),
    ),
  ),
});
const challenged = (type: "dns" | "ip", value: string) =>
  ({
    identifier: { type, value },
    proved: { by: "challenge", challenge: "http-01", at: "2026-01-01T00:00:00Z" },
  }) as const;
const attested = (value: string) =>
  ({
    identifier: { type: "uri", value },
    proved: { by: "attestation", record: { grant: "dev", grantVersion: "v1" } },
  }) as const;

/** Certificate and decision agree on this key; its form is not one that `PublicKey` would have. */
function withKey(good: PreparedCertificate, spki: Buffer, bits: Buffer): Pick<Case, "good" | "bytes" | "prepared"> {
  const identifier = hash("sha256", bits, "buffer").subarray(0, 20);
  const value = Buffer.concat([Buffer.of(4, 20), identifier]);
  return {
    good,
    bytes: {
      spki,
      ...replaced(good, oids.subjectKeyIdentifier, { oid: oids.subjectKeyIdentifier, critical: false, value }),
    },
    prepared: { publicKey: { ...good.publicKey, spki } },
  };
}
const rsaKey = (modulus: Buffer, exponent: Buffer): [Buffer, Buffer] => {
  const bits = encodeDer(sequence(der(0x02, modulus), der(0x02, exponent)));
  return [spkiOf(sequence(objectIdentifier(oids.rsaEncryption), der(0x05)), bits), bits];
};
const odd = (octets: number, first = 0x80): Buffer =>
  Buffer.concat([Buffer.of(0, first), Buffer.alloc(octets - 1, 0x55)]);
const ecKey = (curve: string, point: Buffer): [Buffer, Buffer] => [
  spkiOf(sequence(objectIdentifier(oids.ecPublicKey), objectIdentifier(curve)), point),
  point,
];
const f4 = Buffer.of(1, 0, 1);

/** Certificate and record agree on this serial number. */
const withSerial = (serialNumber: Buffer, good = workload): Pick<Case, "good" | "bytes" | "prepared"> => ({
  good,
  bytes: { serialNumber },
  prepared: { serialNumber },
});
/** Certificate and record agree on this validity. */
const withValidity = (notBefore: Date, notAfter: Date, good = workload): Pick<Case, "good" | "bytes" | "prepared"> => ({
  good,
  bytes: { notBefore: time(notBefore), notAfter: time(notAfter) },
  prepared: { notBefore, notAfter },
});
/** After 2059 the day reaches into the sign of the serial number. */
const far = later(0, new Date("2060-01-01T00:00:00Z"));
const farDay = Buffer.alloc(2);
farDay.writeUInt16BE(Math.floor(later(839, far).getTime() / 86_400_000));
const emailName = encodeDer(sequence(der(0x86, Buffer.from(agentOne)), der(0x81, Buffer.from("a@b.c"))));
const usage = (...uses: x.KeyUsage[]): x.Extension => x.keyUsage(uses);
const purposesOf = (...purposes: string[]): x.Extension => ({
  oid: oids.extendedKeyUsage,
  critical: false,
  value: encodeDer(sequence(...purposes.map(objectIdentifier))),
});
const long = `${"a".repeat(62)}.test`;

export const cases: readonly Case[] = [
  { lint: "version3", how: "version 2", good: workload, bytes: { version: 1 } },
  { lint: "version3", how: "no version", good: workload, bytes: { version: undefined } },
  {
    lint: "serialPositive",
    how: "a negative number",
    good: workload,
    bytes: {
      serialNumber: Buffer.concat([farDay, random]),
      notBefore: time(later(-60, far)),
      notAfter: time(later(839, far)),
    },
    prepared: {
      serialNumber: Buffer.concat([farDay, random]),
      notBefore: later(-60, far),
      notAfter: later(839, far),
      preparedAt: far,
    },
    issuer: { notAfter: later(900, far) },
  },
  {
    lint: "serialTwentyOctets",
    how: "21 octets",
    ...withSerial(Buffer.concat([workload.serialNumber, Buffer.alloc(5, 7)])),
  },
  {
    lint: "serialEntropy",
    how: "72 bits, of which 16 are the day",
    ...withSerial(workload.serialNumber.subarray(0, 9)),
  },
  {
    lint: "serialNotConstant",
    how: "zeros",
    ...withSerial(Buffer.concat([workload.serialNumber.subarray(0, 2), Buffer.alloc(14)])),
  },
  {
    lint: "serialNotConstant",
    how: "ones",
    ...withSerial(Buffer.concat([workload.serialNumber.subarray(0, 2), Buffer.alloc(14, 0xff)])),
  },
  {
    lint: "serialDayOfNotAfter",
    how: "the day before",
    ...withSerial(Buffer.concat([Buffer.of(0x4f, 0xe5), random])),
  },
  {
    lint: "signatureOfIssuer",
    how: "the identifier of Ed25519",
    good: workload,
    bytes: { signature: encodeDer(sequence(objectIdentifier(oids.ed25519))) },
  },
  {
    lint: "signatureStrong",
    how: "sha1WithRSAEncryption, by an issuer that would",
    good: workload,
    bytes: { signature: encodeDer(sequence(objectIdentifier("1.2.840.113549.1.1.5"), der(0x05))) },
    issuer: { signatureIdentifier: encodeDer(sequence(objectIdentifier("1.2.840.113549.1.1.5"), der(0x05))) },
  },
  {
    lint: "issuerNotEmpty",
    how: "the empty name",
    good: workload,
    bytes: { issuer: nameOf() },
    issuer: { subject: nameOf() },
  },
  {
    lint: "issuerIsTheSubject",
    how: "another name",
    good: workload,
    bytes: { issuer: nameOf([oids.commonName, "x"]) },
  },
  {
    lint: "validityEncoding",
    how: "GeneralizedTime in 2026",
    good: workload,
    bytes: { notAfter: generalized(workload.notAfter) },
  },
  {
    lint: "validityOrder",
    how: "notAfter before notBefore",
    ...withValidity(later(120), later(60)),
  },
  {
    lint: "issuerOutlivesLeaf",
    how: "an issuer that ends a second before",
    good: workload,
    issuer: { notAfter: later(838) },
  },
  {
    lint: "uniqueIdentifiersAbsent",
    how: "one of the subject",
    good: workload,
    bytes: { uniqueIdentifiers: [der(0x82, Buffer.of(0, 1))] },
  },
  { lint: "extensionsOnce", how: "noRevAvail twice", good: workload, bytes: added(workload, noRevAvail) },
  {
    lint: "extensionsKnown",
    how: "tlsFeature",
    good: workload,
    bytes: added(workload, { oid: "1.3.6.1.5.5.7.1.24", critical: false, value: Buffer.of(0x30, 0) }),
  },
  {
    lint: "extensionsReadable",
    how: "BasicConstraints that is a BOOLEAN",
    good: workload,
    bytes: replaced(workload, oids.basicConstraints, {
      oid: oids.basicConstraints,
      critical: true,
      value: Buffer.of(1, 1, 0xff),
    }),
  },
  {
    lint: "extensionsReadable",
    how: "KeyUsage without a bit",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, { oid: oids.keyUsage, critical: true, value: Buffer.of(3, 1, 0) }),
  },
  {
    lint: "extensionsReadable",
    how: "SubjectAltName without a name",
    good: workload,
    bytes: replaced(workload, oids.subjectAltName, {
      oid: oids.subjectAltName,
      critical: true,
      value: Buffer.of(0x30, 0),
    }),
  },
  {
    lint: "extensionsReadable",
    how: "noRevAvail that is not NULL",
    good: workload,
    bytes: replaced(workload, oids.noRevAvail, { ...noRevAvail, value: Buffer.of(0x30, 0) }),
  },
  {
    lint: "authorityKeyIdentifierPresent",
    how: "none",
    good: workload,
    bytes: replaced(workload, oids.authorityKeyIdentifier),
  },
  {
    lint: "authorityKeyIdentifierOfIssuer",
    how: "another key's",
    good: workload,
    bytes: replaced(workload, oids.authorityKeyIdentifier, x.authorityKeyIdentifier(Buffer.alloc(20))),
  },
  {
    lint: "authorityKeyIdentifierNotCritical",
    how: "critical",
    good: workload,
    bytes: recriticised(workload, oids.authorityKeyIdentifier),
  },
  {
    lint: "subjectKeyIdentifierPresent",
    how: "none",
    good: workload,
    bytes: replaced(workload, oids.subjectKeyIdentifier),
  },
  {
    lint: "subjectKeyIdentifierOfKey",
    how: "another key's",
    good: workload,
    bytes: replaced(workload, oids.subjectKeyIdentifier, x.subjectKeyIdentifier(rsa.spki)),
  },
  {
    lint: "subjectKeyIdentifierNotCritical",
    how: "critical",
    good: workload,
    bytes: recriticised(workload, oids.subjectKeyIdentifier),
  },
  { lint: "basicConstraintsPresent", how: "none", good: workload, bytes: replaced(workload, oids.basicConstraints) },
  {
    lint: "basicConstraintsOfLeaf",
    how: "cA",
    good: workload,
    bytes: replaced(workload, oids.basicConstraints, x.basicConstraints({ cA: true })),
  },
  { lint: "keyUsagePresent", how: "none", good: workload, bytes: replaced(workload, oids.keyUsage) },
  { lint: "keyUsageCritical", how: "not critical", good: workload, bytes: recriticised(workload, oids.keyUsage) },
  ...(["keyCertSign", "cRLSign"] as const).map((use): Case => ({
    lint: "keyUsageOfLeaf",
    how: use,
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("digitalSignature", use)),
    prepared: profiledToUses(workload, "digitalSignature", use),
  })),
  {
    lint: "keyUsageFitsKey",
    how: "encipherment with an elliptic-curve key",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("digitalSignature", "keyEncipherment")),
    prepared: profiledToUses(workload, "digitalSignature", "keyEncipherment"),
  },
  {
    lint: "keyUsageFitsKey",
    how: "agreement with an RSA key",
    good: ofRsa,
    bytes: replaced(ofRsa, oids.keyUsage, usage("digitalSignature", "keyAgreement")),
    prepared: profiledToUses(ofRsa, "digitalSignature", "keyAgreement"),
  },
  {
    lint: "keyUsageOfSvid",
    how: "agreement alone",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("keyAgreement")),
    prepared: profiledToUses(workload, "keyAgreement"),
  },
  {
    lint: "extendedKeyUsageNotAny",
    how: "anyExtendedKeyUsage",
    good: server,
    bytes: replaced(server, oids.extendedKeyUsage, purposesOf(oids.serverAuth, oids.anyExtendedKeyUsage)),
    prepared: profiledToPurposes(server, "serverAuth", oids.anyExtendedKeyUsage),
  },
  {
    lint: "extendedKeyUsageNotCritical",
    how: "critical",
    good: server,
    bytes: recriticised(server, oids.extendedKeyUsage),
  },
  {
    lint: "extendedKeyUsageOfSvid",
    how: "serverAuth alone",
    good: workload,
    bytes: replaced(workload, oids.extendedKeyUsage, purposesOf(oids.serverAuth)),
    prepared: profiledToPurposes(workload, "serverAuth"),
  },
  {
    lint: "purposesFitKeyUsage",
    how: "clientAuth of a key that only enciphers",
    good: ofRsa,
    bytes: {
      extensions: partsOf(ofRsa.tbs).extensions.map((one) =>
        one.oid === oids.keyUsage
          ? usage("keyEncipherment")
          : one.oid === oids.extendedKeyUsage
            ? purposesOf(oids.clientAuth)
            : one,
      ),
    },
    prepared: profiled(ofRsa, { keyUsage: ["keyEncipherment"], extendedKeyUsage: ["clientAuth"] }),
  },
  { lint: "subjectAltNamePresent", how: "none", good: server, bytes: replaced(server, oids.subjectAltName) },
  {
    lint: "subjectAltNameCriticality",
    how: "not critical, without a subject",
    good: server,
    bytes: recriticised(server, oids.subjectAltName),
  },
  {
    lint: "subjectAltNameCriticality",
    how: "critical, with a subject",
    good: named,
    bytes: recriticised(named, oids.subjectAltName),
  },
  {
    lint: "subjectAltNameKinds",
    how: "an rfc822Name",
    good: workload,
    bytes: replaced(workload, oids.subjectAltName, { oid: oids.subjectAltName, critical: true, value: emailName }),
  },
  { lint: "subjectAltNameOnce", how: "a DNS name twice", ...withNames(server, { dns: ["a.test", "a.test"] }) },
  ...[
    "-a.test",
    "a-.test",
    "a..test",
    "a.test.",
    `${"a".repeat(64)}.test`,
    `${"a.".repeat(126)}test`,
    "a b.test",
    "a.te$t",
  ].map((name): Case => ({ lint: "dnsNameSyntax", how: name.slice(0, 20), ...withNames(server, { dns: [name] }) })),
  { lint: "dnsNameUnderscore", how: "in a label", ...withNames(server, { dns: ["_a.test"] }) },
  ...["a.*.test", "*a.test", "*.*.test", "*"].map((name): Case => ({
    lint: "dnsNameWildcard",
    how: name,
    ...withNames(server, { dns: [name] }),
  })),
  ...["10.0.0.1", "127.1", "0x7f.1", "a.0x7f"].map((name): Case => ({
    lint: "dnsNameNotAddress",
    how: name,
    ...withNames(server, { dns: [name] }),
  })),
  { lint: "dnsNameLowerCase", how: "upper case", ...withNames(server, { dns: ["A.test"] }) },
  ...["agent/one", "//mayfly.test/x", "spiffe:", "spiffe://mayfly.test/%zz"].map((uri): Case => ({
    lint: "uriAbsolute",
    how: uri,
    ...withNames(workload, { uri: [uri] }),
  })),
  {
    lint: "svidOneUri",
    how: "two SPIFFE IDs",
    ...withNames(workload, { uri: [agentOne, "spiffe://mayfly.test/agent/b"] }),
  },
  ...[
    "https://mayfly.test/agent/one",
    "spiffe://mayfly.test",
    "spiffe://mayfly.test/a//b",
    "SPIFFE://mayfly.test/a",
  ].map((uri): Case => ({ lint: "svidSpiffeId", how: uri, ...withNames(workload, { uri: [uri] }) })),
  { lint: "svidTrustDomain", how: "an issuer of another", good: workload, issuer: { trustDomain: "other.test" } },
  {
    lint: "commonNameInNames",
    how: "another name",
    good: named,
    bytes: { subject: nameOf([oids.commonName, "c.test"]) },
  },
  {
    lint: "commonNameLength",
    how: "67 characters",
    ...withNames(named, { dns: [long] }),
    bytes: { ...withNames(named, { dns: [long] }).bytes, subject: nameOf([oids.commonName, long]) },
  },
  { lint: "rsaModulus", how: "1024 bits", ...withKey(ofRsa, ...rsaKey(odd(128), f4)) },
  { lint: "rsaModulus", how: "2047 bits", ...withKey(ofRsa, ...rsaKey(odd(256, 0x41).subarray(1), f4)) },
  { lint: "rsaModulus", how: "a negative one", ...withKey(ofRsa, ...rsaKey(odd(257).subarray(1), f4)) },
  { lint: "rsaExponent", how: "3", ...withKey(ofRsa, ...rsaKey(odd(256), Buffer.of(3))) },
  { lint: "rsaExponent", how: "an even one", ...withKey(ofRsa, ...rsaKey(odd(256), Buffer.of(1, 0, 2))) },
  { lint: "rsaExponent", how: "a negative one", ...withKey(ofRsa, ...rsaKey(odd(256), Buffer.of(0x81, 0, 1))) },
  { lint: "ecCurve", how: "P-521", ...withKey(server, ...ecKey(oids.secp521r1, Buffer.alloc(133, 4))) },
  { lint: "ecPoint", how: "compressed", ...withKey(server, ...ecKey(oids.prime256v1, Buffer.alloc(33, 2))) },
  {
    lint: "keyAlgorithm",
    how: "DSA",
    ...withKey(server, spkiOf(sequence(objectIdentifier("1.2.840.10040.4.1")), Buffer.alloc(9, 1)), Buffer.alloc(9, 1)),
  },
  { lint: "keyNotOfIssuer", how: "the issuer's", good: workload, issuer: { spki: workload.publicKey.spki } },
  { lint: "noRevAvailNotCritical", how: "critical", good: workload, bytes: recriticised(workload, oids.noRevAvail) },
  {
    lint: "noRevAvailAlone",
    how: "with a distribution point",
    good: workload,
    bytes: added(workload, cRLDistributionPoints([issuing.crlUrl(workload.serialNumber)])),
  },
  {
    lint: "noRevAvailAlone",
    how: "with a responder",
    good: workload,
    bytes: added(workload, authorityInfoAccess({ ocsp: [issuing.ocspUrl] })),
  },
  ...[pointed()].flatMap((good): Case[] => {
    const elsewhere = cRLDistributionPoints([
      issuing.crlUrl(Buffer.concat([good.serialNumber.subarray(0, 2), Buffer.of(1)])),
    ]);
    const ldap = "ldap:///cn=CA?certificateRevocationList";
    return [
      {
        lint: "crlDistributionPointsNotCritical",
        how: "critical",
        good,
        bytes: recriticised(good, oids.cRLDistributionPoints),
      },
      {
        lint: "crlDistributionPointsHttp",
        how: "LDAP",
        good,
        bytes: replaced(good, oids.cRLDistributionPoints, cRLDistributionPoints([ldap])),
        issuer: { crlUrl: () => ldap },
      },
      {
        lint: "crlDistributionPointOfSerial",
        how: "another list",
        good,
        bytes: replaced(good, oids.cRLDistributionPoints, elsewhere),
      },
      {
        lint: "authorityInfoAccessNotCritical",
        how: "critical",
        good,
        bytes: recriticised(good, oids.authorityInfoAccess),
      },
      {
        lint: "authorityInfoAccessHttp",
        how: "a relative URL",
        good,
        bytes: replaced(good, oids.authorityInfoAccess, authorityInfoAccess({ ocsp: ["/ocsp"] })),
        issuer: { ocspUrl: "/ocsp" },
      },
      {
        lint: "ocspOfIssuer",
        how: "another responder",
        good,
        bytes: replaced(good, oids.authorityInfoAccess, authorityInfoAccess({ ocsp: ["https://other.test/ocsp"] })),
      },
      { lint: "revocationOfProfile", how: "no list", good, bytes: replaced(good, oids.cRLDistributionPoints) },
      { lint: "revocationOfProfile", how: "no responder", good, bytes: replaced(good, oids.authorityInfoAccess) },
      {
        lint: "revocationOfProfile",
        how: "a list that the profile does not name",
        good,
        prepared: revoking(good, { crl: false }),
      },
      {
        lint: "revocationOfProfile",
        how: "a lifetime up to the threshold",
        good,
        prepared: revoking(good, { shortLivedMaxSeconds: 90_000 }),
      },
    ];
  }),
  {
    lint: "revocationOfProfile",
    how: "nothing said of a short life",
    good: workload,
    bytes: replaced(workload, oids.noRevAvail),
  },
  {
    lint: "recordIsTheCertificate",
    how: "another serial number",
    good: workload,
    prepared: { serialNumber: Buffer.alloc(16, 7) },
  },
  { lint: "recordIsTheCertificate", how: "another notBefore", good: workload, prepared: { notBefore: now } },
  { lint: "recordIsTheCertificate", how: "another notAfter", good: workload, prepared: { notAfter: now } },
  {
    lint: "lifetimeAtMost",
    how: "a second too much",
    good: workload,
    prepared: profiled(workload, { lifetimeMaxSeconds: 899 }),
  },
  {
    lint: "lifetimeAtLeast",
    how: "a second too little",
    good: workload,
    prepared: profiled(workload, { lifetimeMinSeconds: 901 }),
  },
  {
    lint: "lifetimeWithinGrant",
    how: "a second too much",
    good: workload,
    prepared: authorizedAs(workload, { validity: { lifetimeMaxSeconds: 899 } }),
  },
  {
    lint: "notAfterWithinEvidence",
    how: "a second too much",
    good: workload,
    prepared: authorizedAs(workload, { validity: { notAfterCap: later(838) } }),
  },
  {
    lint: "validityAsAsked",
    how: "another notBefore",
    good: workload,
    prepared: authorizedAs(workload, { validity: { notBefore: now } }),
  },
  {
    lint: "validityAsAsked",
    how: "another notAfter",
    good: workload,
    prepared: authorizedAs(workload, { validity: { notAfter: later(840) } }),
  },
  { lint: "notBeforeNotPast", how: "a minute and a second", ...withValidity(later(-61), later(838)) },
  { lint: "notBeforeNotAhead", how: "an hour and a second", ...withValidity(later(3601), later(4500)) },
  {
    lint: "notEndedYet",
    how: "ended now",
    good: workload,
    prepared: { preparedAt: workload.notAfter, ...profiled(workload, { backdateSeconds: 3600 }) },
  },
  {
    lint: "namesAreTheAuthorizedOnes",
    how: "a name more",
    good: server,
    bytes: replaced(
      server,
      oids.subjectAltName,
      x.subjectAltName({ dns: ["b.test", "a.test", "c.test"], ip: ["192.0.2.1"], uri: [] }, true),
    ),
  },
  {
    lint: "namesAreTheAuthorizedOnes",
    how: "a name less",
    good: server,
    bytes: replaced(
      server,
      oids.subjectAltName,
      x.subjectAltName({ dns: ["b.test", "a.test"], ip: [], uri: [] }, true),
    ),
  },
  {
    lint: "namesAreTheAuthorizedOnes",
    how: "another name",
    good: server,
    bytes: replaced(
      server,
      oids.subjectAltName,
      x.subjectAltName({ dns: ["b.test", "c.test"], ip: ["192.0.2.1"], uri: [] }, true),
    ),
  },
  {
    lint: "everyNameIsProved",
    how: "one proof less",
    good: server,
    prepared: authorizedAs(server, { evidence: server.authorized.evidence.slice(1) }),
  },
  {
    lint: "everyNameIsProved",
    how: "a SPIFFE ID by a challenge",
    good: workload,
    prepared: authorizedAs(workload, {
      evidence: [{ identifier: { type: "uri", value: agentOne }, proved: { by: "challenge", challenge: "x", at: "" } }],
    }),
  },
  {
    lint: "everyNameIsProved",
    how: "a name that is not below the proved domain",
    good: server,
    prepared: authorizedAs(server, {
      evidence: server.authorized.evidence.map((one) =>
        "identifier" in one && one.identifier.value === "a.test" && one.proved.by === "challenge"
          ? { ...one, proved: { ...one.proved, of: "b.test" } }
          : one,
      ),
    }),
  },
  {
    lint: "identifierTypesOfProfile",
    how: "an address, of DNS names only",
    good: server,
    prepared: profiled(server, { identifiers: ["dns"] }),
  },
  {
    lint: "svidOfProfile",
    how: "a SPIFFE ID, of DNS names only",
    good: workload,
    prepared: profiled(workload, { identifiers: ["dns"] }),
  },
  {
    lint: "svidOfProfile",
    how: "no SPIFFE ID",
    good: server,
    prepared: profiled(server, { identifiers: ["uri", "dns", "ip"] }),
  },
  {
    lint: "subjectOfProfile",
    how: "a common name where it is empty",
    good: named,
    prepared: profiled(named, { subject: "empty" }),
  },
  {
    lint: "subjectOfProfile",
    how: "an organization as well",
    good: named,
    bytes: { subject: nameOf([oids.organizationName, "x"], [oids.commonName, "b.test"]) },
  },
  {
    lint: "subjectOfProfile",
    how: "an organization alone",
    good: named,
    bytes: { subject: nameOf([oids.organizationName, "x"]) },
  },
  {
    lint: "keyUsageOfProfile",
    how: "a use more",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("digitalSignature", "keyAgreement")),
  },
  {
    lint: "keyUsageOfProfile",
    how: "nonRepudiation, which no profile has",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("digitalSignature", "nonRepudiation")),
  },
  { lint: "extendedKeyUsageOfProfile", how: "none", good: workload, bytes: replaced(workload, oids.extendedKeyUsage) },
  {
    lint: "extendedKeyUsageOfProfile",
    how: "a purpose more",
    good: server,
    bytes: replaced(server, oids.extendedKeyUsage, purposesOf(oids.serverAuth, oids.clientAuth)),
  },
  { lint: "policiesOfProfile", how: "none", good: withPolicy, bytes: replaced(withPolicy, oids.certificatePolicies) },
  {
    lint: "policiesOfProfile",
    how: "one that the profile has not",
    good: server,
    bytes: added(server, certificatePolicies(["1.2.3"])),
  },
  {
    lint: "keyIsTheApprovedOne",
    how: "another key",
    good: workload,
    prepared: { publicKey: { ...p256(), kind: "ec-p256" } },
  },
  {
    lint: "keyKindOfProfile",
    how: "a kind that it does not take",
    good: workload,
    prepared: profiled(workload, { keyKinds: ["ed25519"] }),
  },
  {
    lint: "nameWithinGrant",
    how: "a grant of another template",
    good: workload,
    prepared: authorizedAs(workload, { granted: otherGrant() }),
  },
  { lint: "nameWithinGrant", how: "no grant", good: workload, prepared: authorizedAs(workload, { granted: [] }) },
  { lint: "issuerOfProfile", how: "another line", good: workload, prepared: profiled(workload, { issuer: "west" }) },
  ...(["prepared", "published", "retiring", "retired"] as const).map((state): Case => ({
    lint: "issuerMayIssue",
    how: state,
    good: workload,
    prepared: { issuer: { ...issuing, state } },
  })),
];

function revoking(good: PreparedCertificate, changes: Partial<Profile["revocation"]>): Partial<PreparedCertificate> {
  return profiled(good, { revocation: { ...good.authorized.profile.revocation, ...changes } });
}

/** A profile that would have these uses, though none may: what is left is the rule in question. */
function profiledToUses(good: PreparedCertificate, ...uses: x.KeyUsage[]): Partial<PreparedCertificate> {
  const keyUsage = uses as unknown as Profile["keyUsage"];
  return profiled(good, { keyUsage });
}

function profiledToPurposes(good: PreparedCertificate, ...purposes: string[]): Partial<PreparedCertificate> {
  return profiled(good, { extendedKeyUsage: purposes as Profile["extendedKeyUsage"] });
}

function otherGrant(): Authorized["granted"] {
  const { granted } = authorizedWorkload(workloadProfile(), "spiffe://mayfly.test/agent/two");
  return granted;
}
