import t from "tap";
import { lint, LintFailed, lintNames } from "../../src/authority/lint.ts";
import { prepare, type PreparedCertificate } from "../../src/authority/prepare.ts";
import {
  assembleCertificate,
  encodeTbsCertificate,
  readCertificate,
  type Extension,
  type TbsCertificate,
} from "../../src/x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
} from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { oids } from "../../src/x509/oid.ts";
import { agentOne, authorizedWorkload, p256 } from "../support/authorized.ts";
import { memoryHierarchy, serverProfile, workloadProfile } from "../support/issuers.ts";

const now = new Date("2026-01-01T00:00:00Z");
const { issuing } = await memoryHierarchy(now);
const good = prepare(authorizedWorkload(), p256(), issuing, { now, random: Buffer.alloc(14, 1) });
const content: TbsCertificate = {
  ...readCertificate(assembleCertificate(good.tbs, issuing.key.algorithm, Buffer.alloc(1))),
  signatureAlgorithm: issuing.key.algorithm,
};

/** What the lints find in a certificate with these changes to its bytes, or to what was authorized. */
function findings(bytes: Partial<TbsCertificate>, prepared: Partial<PreparedCertificate> = {}): string[] {
  try {
    lint({ ...good, tbs: encodeTbsCertificate({ ...content, ...bytes }), ...prepared });
    return [];
  } catch (error) {
    if (error instanceof LintFailed) return error.findings.map((finding) => finding.split(" ")[0] ?? "");
    throw error;
  }
}

/** The extensions with this one replaced, or without it. */
const extensions = (oid: string, replacement?: Extension): Partial<TbsCertificate> => ({
  extensions: content.extensions.flatMap((extension) => (extension.oid === oid ? (replacement ?? []) : extension)),
});
const later = (seconds: number): Date => new Date(now.getTime() + seconds * 1000);
const withNames = (names: Partial<PreparedCertificate["authorized"]["names"]>, profile = workloadProfile()) => ({
  authorized: { ...good.authorized, profile, names: { dns: [], ip: [], uri: [], permanentIdentifiers: [], ...names } },
});
const san = (uri: string[], dns: string[] = []) =>
  extensions(oids.subjectAltName, subjectAltName({ dns, ip: [], uri }, true));
const td = "spiffe://mayfly.test";
/** SubjectAltName with the SPIFFE ID and an rfc822Name. */
const withEmail = Buffer.concat([
  Buffer.from([0x30, agentOne.length + 9, 0x86, agentOne.length]),
  Buffer.from(agentOne),
  Buffer.from([0x81, 5]),
  Buffer.from("a@b.c"),
]);

const shortSerial = Buffer.alloc(8, 1);
const table: [string, ReturnType<typeof findings>, string[]][] = [
  ["a serial of 64 bits", findings({ serialNumber: shortSerial }, { serialNumber: shortSerial }), ["serialEntropy"]],
  ["another serial than recorded", findings({ serialNumber: Buffer.alloc(16, 2) }), ["recordIsTheCertificate"]],
  ["another notBefore than recorded", findings({ notBefore: later(-59) }), ["recordIsTheCertificate"]],
  ["another notAfter than recorded", findings({ notAfter: later(840) }), ["recordIsTheCertificate"]],
  ["another issuer", findings({ issuer: encodeName({ commonName: "Other" }) }), ["issuerIsOurs"]],
  ["too long", findings({ notAfter: later(86_340) }, { notAfter: later(86_340) }), ["lifetimeWithinProfile"]],
  ["too short", findings({ notAfter: later(-2) }, { notAfter: later(-2) }), ["lifetimeWithinProfile"]],
  ["beyond its issuer", findings({}, { issuer: { ...issuing, notAfter: later(838) } }), ["issuerOutlivesLeaf"]],
  ["a subject", findings({ subject: encodeName({ commonName: "x" }) }), ["subjectOfProfile"]],
  [
    "names that are not critical",
    findings(extensions(oids.subjectAltName, subjectAltName({ dns: [], ip: [], uri: [agentOne] }, false))),
    ["sanCriticalWhenSubjectEmpty"],
  ],
  ["no names", findings(extensions(oids.subjectAltName)), ["sanCriticalWhenSubjectEmpty", "namesAreTheAuthorizedOnes"]],
  ["a name more", findings(san([agentOne], ["a.test"])), ["namesAreTheAuthorizedOnes"]],
  ["another name", findings(san([`${agentOne}x`])), ["namesAreTheAuthorizedOnes"]],
  [
    "a name of another kind",
    findings(extensions(oids.subjectAltName, { oid: oids.subjectAltName, critical: true, value: withEmail })),
    ["namesAreTheAuthorizedOnes"],
  ],
  [
    "two SPIFFE IDs",
    findings(san([agentOne, `${td}/b`]), withNames({ uri: [agentOne, `${td}/b`] })),
    ["svidHasOneSpiffeId"],
  ],
  ["no SPIFFE ID", findings(san([], ["a.test"]), withNames({ dns: ["a.test"] })), ["svidHasOneSpiffeId"]],
  ["the trust domain as a workload", findings(san([td]), withNames({ uri: [td] })), ["svidHasOneSpiffeId"]],
  [
    "a SPIFFE ID under a profile for DNS names",
    findings(
      san([agentOne]),
      withNames({ uri: [agentOne] }, serverProfile({ extendedKeyUsage: ["serverAuth", "clientAuth"] })),
    ),
    ["svidHasOneSpiffeId"],
  ],
  ["a CA", findings(extensions(oids.basicConstraints, basicConstraints({ cA: true }))), ["leafIsNoCa"]],
  [
    "BasicConstraints that cannot be read",
    findings(extensions(oids.basicConstraints, { ...basicConstraints({ cA: false }), value: Buffer.from([1, 1, 0]) })),
    ["leafIsNoCa"],
  ],
  ["no BasicConstraints", findings(extensions(oids.basicConstraints)), ["leafIsNoCa"]],
  [
    "a key for certificates",
    findings(extensions(oids.keyUsage, keyUsage(["digitalSignature", "keyCertSign"]))),
    ["keyUsage"],
  ],
  ["a key for CRLs", findings(extensions(oids.keyUsage, keyUsage(["digitalSignature", "cRLSign"]))), ["keyUsage"]],
  ["a key that signs nothing", findings(extensions(oids.keyUsage, keyUsage(["keyAgreement"]))), ["keyUsage"]],
  ["no KeyUsage", findings(extensions(oids.keyUsage)), ["keyUsage"]],
  [
    "KeyUsage that is not critical",
    findings(extensions(oids.keyUsage, { ...keyUsage(["digitalSignature"]), critical: false })),
    ["keyUsage"],
  ],
  [
    "a purpose less",
    findings(extensions(oids.extendedKeyUsage, extendedKeyUsage(["serverAuth"]))),
    ["extendedKeyUsage"],
  ],
  ["no purposes", findings(extensions(oids.extendedKeyUsage)), ["extendedKeyUsage"]],
  [
    "another authority key",
    findings(extensions(oids.authorityKeyIdentifier, authorityKeyIdentifier(Buffer.alloc(20)))),
    ["authorityKeyIdentifier"],
  ],
  ["no authority key", findings(extensions(oids.authorityKeyIdentifier)), ["authorityKeyIdentifier"]],
  ["another key", findings({ spki: p256().spki }), ["keyIsTheApprovedOne"]],
  [
    "a key of a kind that the profile does not take",
    findings({}, withNames({ uri: [agentOne] }, workloadProfile({ keyKinds: ["ed25519"] }))),
    ["keyIsTheApprovedOne"],
  ],
  [
    "an extension that no profile has",
    findings({
      extensions: [
        ...content.extensions,
        { oid: "1.3.6.1.5.5.7.1.24", critical: false, value: Buffer.from([0x30, 0]) },
      ],
    }),
    ["noUnknownExtension"],
  ],
];

for (const [name, found, expected] of table) t.same(found, expected, name);
t.same(findings({}), [], "what prepare makes passes");

const failed = new Set(table.flatMap(([, , expected]) => expected));
t.same(
  lintNames.map(({ name }) => name).filter((name) => !failed.has(name)),
  [],
  "every lint was seen to fail",
);
t.ok(
  lintNames.every(({ source }) => source !== ""),
  "and names its source",
);
