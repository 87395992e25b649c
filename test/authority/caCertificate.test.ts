import { generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  type CaTemplate,
  lintCaCertificate,
  type PreparedCaCertificate,
  prepareCaCertificate,
} from "../../src/authority/caCertificate.ts";
import { caLints } from "../../src/authority/caLints/table.ts";
import { LintFailed } from "../../src/authority/lint.ts";
import { issuingKey as issuingKeyOf } from "../../src/authority/issuingKey.ts";
import { signCertificate } from "../../src/authority/signCertificate.ts";
import {
  assembleCertificate,
  encodeTbsCertificate,
  readCertificate,
  type TbsCertificate,
} from "../../src/x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  type Extension,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { nameConstraints } from "../../src/x509/nameConstraints.ts";
import { oids } from "../../src/x509/oid.ts";
import { cRLDistributionPoints } from "../../src/x509/revocationExtensions.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { memorySigner } from "../support/issuers.ts";
import { openssl, withFiles } from "../x509/openssl.ts";

const signerOf = (label: string, curve = "P-256") => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: curve });
  return memorySigner(label, publicKey, privateKey);
};
const [rootKey, issuingKey, otherKey] = [signerOf("root"), signerOf("issuing"), signerOf("other")];
const start = new Date("2026-01-01T00:00:00Z");
const days = (count: number): Date => new Date(start.getTime() + count * 86_400_000);
const rootName = encodeName({ commonName: "Root" });
const rootTemplate: CaTemplate = {
  issuer: { subject: rootName, spki: rootKey.spki, algorithm: rootKey.algorithm, certificate: undefined },
  subject: rootName,
  spki: rootKey.spki,
  notBefore: start,
  notAfter: days(3650),
  pathLength: 1,
  trustDomain: "mayfly.test",
};
const prepareNow = (template: CaTemplate): PreparedCaCertificate =>
  prepareCaCertificate(template, { random: randomBytes(16) });
const rootCertificate = await signCertificate(lintCaCertificate(prepareNow(rootTemplate)), issuingKeyOf(rootKey));
const issuingTemplate: CaTemplate = {
  issuer: { ...rootTemplate.issuer, certificate: rootCertificate },
  subject: encodeName({ commonName: "Issuing" }),
  spki: issuingKey.spki,
  notBefore: start,
  notAfter: days(365),
  pathLength: 0,
  trustDomain: "mayfly.test",
};
const good = prepareNow(issuingTemplate);
const contentOf = ({ tbs, algorithm }: PreparedCaCertificate): TbsCertificate => ({
  ...readCertificate(assembleCertificate(tbs, algorithm, Buffer.alloc(1))),
  signatureAlgorithm: algorithm,
});

function findingsOf(prepared: PreparedCaCertificate): string[] {
  try {
    lintCaCertificate(prepared);
    return [];
  } catch (error) {
    if (error instanceof LintFailed) return error.findings.map((finding) => finding.split(" ")[0] ?? "");
    throw error;
  }
}

/** What the lints find where the bytes differ from what the template makes, or the template from what is right. */
function findings(bytes: Partial<TbsCertificate>, template: Partial<CaTemplate> = {}): string[] {
  const prepared = prepareNow({ ...issuingTemplate, ...template });
  const content = contentOf(prepared);
  return findingsOf({ ...prepared, tbs: encodeTbsCertificate({ ...content, ...bytes }) });
}

const content = contentOf(good);
/** The extensions with this one replaced, or without it. */
const extensions = (oid: string, replacement?: Extension): Partial<TbsCertificate> => ({
  extensions: content.extensions.flatMap((extension) => (extension.oid === oid ? (replacement ?? []) : extension)),
});
const more = (extension: Extension): Partial<TbsCertificate> => ({ extensions: [...content.extensions, extension] });
const san = (uri: string[], dns: string[] = []): Partial<TbsCertificate> =>
  extensions(oids.subjectAltName, subjectAltName({ dns, ip: [], uri }, false));
const permitted = (...uri: string[]) => ({ uri, dns: [], ip: [] });
const shortSerial = Buffer.alloc(8, 1);
const issuedBy = (certificate: Buffer): Partial<CaTemplate> => ({ issuer: { ...issuingTemplate.issuer, certificate } });
/** The root, with these extensions in place of its own. */
const rootWith = (changed: Partial<TbsCertificate>): Buffer =>
  assembleCertificate(
    encodeTbsCertificate({ ...readCertificate(rootCertificate), signatureAlgorithm: rootKey.algorithm, ...changed }),
    rootKey.algorithm,
    Buffer.alloc(1),
  );
const rootExtensions = readCertificate(rootCertificate).extensions;
const rootWithout = (oid: string, replacement?: Extension): Buffer =>
  rootWith({ extensions: rootExtensions.flatMap((one) => (one.oid === oid ? (replacement ?? []) : one)) });

const rootList = "http://ca.test/crl/0/0.crl";
const listed: Partial<CaTemplate> = { issuer: { ...issuingTemplate.issuer, crlUrl: rootList } };
const withPointer = (prepared: PreparedCaCertificate): PreparedCaCertificate => {
  const made = contentOf(prepared);
  return {
    ...prepared,
    tbs: encodeTbsCertificate({ ...made, extensions: [...made.extensions, cRLDistributionPoints([rootList])] }),
  };
};

const table: [string, string[], string[]][] = [
  [
    "a serial of 64 bits",
    findingsOf({
      ...good,
      serialNumber: shortSerial,
      tbs: encodeTbsCertificate({ ...content, serialNumber: shortSerial }),
    }),
    ["serialEntropy"],
  ],
  ["another serial", findings({ serialNumber: Buffer.alloc(16, 2) }), ["certificateIsTheTemplate"]],
  ["another subject", findings({ subject: encodeName({ commonName: "Other" }) }), ["certificateIsTheTemplate"]],
  ["another end", findings({ notAfter: days(364) }), ["certificateIsTheTemplate"]],
  ["no subject", findings({}, { subject: encodeName({}) }), ["subjectNotEmpty"]],
  ["another issuer", findings({ issuer: encodeName({ commonName: "Other" }) }), ["issuerNamesItsSubject"]],
  ["no issuer", findings({ issuer: encodeName({}) }), ["issuerNamesItsSubject"]],
  [
    "another algorithm",
    findingsOf({
      ...good,
      algorithm: "ed25519",
      tbs: encodeTbsCertificate({ ...content, signatureAlgorithm: "ed25519" }),
    }),
    ["algorithmOfIssuer"],
  ],
  ["beyond its issuer", findings({}, { notAfter: days(3651) }), ["validityWithinIssuer"]],
  ["before its issuer", findings({}, { notBefore: new Date(start.getTime() - 1000) }), ["validityWithinIssuer"]],
  ["no time at all", findings({}, { notAfter: start }), ["validity"]],
  ["for forty years", findingsOf(prepareNow({ ...rootTemplate, notAfter: days(14_600) })), ["validity"]],
  [
    "no CA",
    findings(extensions(oids.basicConstraints, basicConstraints({ cA: false }))),
    ["basicConstraintsOfCa", "pathLengthWithinIssuer"],
  ],
  [
    "no BasicConstraints",
    findings(extensions(oids.basicConstraints)),
    ["basicConstraintsOfCa", "pathLengthWithinIssuer"],
  ],
  [
    "BasicConstraints that are not critical",
    findings(
      extensions(oids.basicConstraints, { ...basicConstraints({ cA: true, pathLenConstraint: 0 }), critical: false }),
    ),
    ["basicConstraintsOfCa"],
  ],
  ["as long a path as its issuer's", findings({}, { pathLength: 1 }), ["pathLengthWithinIssuer"]],
  ["a path of any length", findings({}, { pathLength: undefined }), ["pathLengthWithinIssuer"]],
  [
    "an issuer that may have no CA below",
    findings({}, issuedBy(rootWithout(oids.basicConstraints, basicConstraints({ cA: true, pathLenConstraint: 0 })))),
    ["pathLengthWithinIssuer"],
  ],
  ["an issuer that is no CA", findings({}, issuedBy(rootWithout(oids.basicConstraints))), ["issuerIsACa"]],
  [
    "an issuer whose key is for CRLs alone",
    findings({}, issuedBy(rootWithout(oids.keyUsage, keyUsage(["cRLSign"])))),
    ["issuerIsACa"],
  ],
  ["another issuer's key", findings({}, issuedBy(rootWith({ spki: otherKey.spki }))), ["issuerIsACa"]],
  [
    "a root that another key signs",
    findingsOf(prepareNow({ ...rootTemplate, issuer: { ...rootTemplate.issuer, spki: otherKey.spki } })),
    ["authorityKeyIdentifierOfCa", "issuerIsACa"],
  ],
  ["no KeyUsage", findings(extensions(oids.keyUsage)), ["keyUsageOfCa"]],
  [
    "KeyUsage that is not critical",
    findings(extensions(oids.keyUsage, { ...keyUsage(["keyCertSign"]), critical: false })),
    ["keyUsageOfCa"],
  ],
  ["a key for CRLs alone", findings(extensions(oids.keyUsage, keyUsage(["cRLSign"]))), ["keyUsageOfCa"]],
  [
    "a key for authentication, too",
    findings(extensions(oids.keyUsage, keyUsage(["digitalSignature", "keyCertSign"]))),
    ["keyUsageOfCa"],
  ],
  ["no SKI", findings(extensions(oids.subjectKeyIdentifier)), ["subjectKeyIdentifierOfCa"]],
  [
    "another key's SKI",
    findings(extensions(oids.subjectKeyIdentifier, subjectKeyIdentifier(otherKey.spki))),
    ["subjectKeyIdentifierOfCa"],
  ],
  [
    "a critical SKI",
    findings(extensions(oids.subjectKeyIdentifier, { ...subjectKeyIdentifier(issuingKey.spki), critical: true })),
    ["subjectKeyIdentifierOfCa"],
  ],
  ["no AKI", findings(extensions(oids.authorityKeyIdentifier)), ["authorityKeyIdentifierOfCa"]],
  [
    "another AKI",
    findings(extensions(oids.authorityKeyIdentifier, authorityKeyIdentifier(Buffer.alloc(20)))),
    ["authorityKeyIdentifierOfCa"],
  ],
  ["another trust domain", findings(san(["spiffe://other.test"])), ["svidOfTrustDomain"]],
  ["a path", findings(san(["spiffe://mayfly.test/ca"])), ["svidOfTrustDomain"]],
  ["two URIs", findings(san(["spiffe://mayfly.test", "spiffe://other.test"])), ["svidOfTrustDomain"]],
  ["a DNS name, too", findings(san(["spiffe://mayfly.test"], ["ca.test"])), ["svidOfTrustDomain"]],
  ["no SVID", findings(extensions(oids.subjectAltName)), ["svidOfTrustDomain"]],
  [
    "an SVID where none was asked for",
    findings(san(["spiffe://mayfly.test"]), { trustDomain: undefined }),
    ["svidOfTrustDomain"],
  ],
  [
    "name constraints that nobody asked for",
    findings(more(nameConstraints(permitted("mayfly.test")))),
    ["nameConstraintsOfCa"],
  ],
  [
    "name constraints that are not critical",
    findings(more({ ...nameConstraints(permitted("mayfly.test")), critical: false }), {
      nameConstraints: permitted("mayfly.test"),
    }),
    ["nameConstraintsOfCa"],
  ],
  [
    "name constraints for the trust domain of another",
    findings({}, { nameConstraints: permitted("other.test") }),
    ["nameConstraintsOfCa"],
  ],
  [
    "name constraints for an address",
    findings({}, { trustDomain: "192.0.2.1", nameConstraints: permitted("192.0.2.1") }),
    ["nameConstraintsOfCa"],
  ],
  [
    "name constraints for a name with an underscore",
    findings({}, { trustDomain: "may_fly.test", nameConstraints: permitted("may_fly.test") }),
    ["nameConstraintsOfCa"],
  ],
  ["a curve of no use", findings({}, { spki: signerOf("secp", "P-521").spki }), ["keyMayIssue"]],
  ["its issuer's key", findings({}, { spki: rootKey.spki }), ["keyMayIssue"]],
  [
    "a pointer to a list that is not published",
    findings(more(cRLDistributionPoints([rootList]))),
    ["crlDistributionPointOfIssuer"],
  ],
  [
    "no pointer where there is a list",
    findings(extensions(oids.cRLDistributionPoints), listed),
    ["crlDistributionPointOfIssuer"],
  ],
  [
    "a pointer to another list",
    findings(more(cRLDistributionPoints([`${rootList}?`])), listed),
    ["crlDistributionPointOfIssuer"],
  ],
  [
    "two pointers",
    findings(more(cRLDistributionPoints([rootList, rootList])), listed),
    ["crlDistributionPointOfIssuer"],
  ],
  [
    "a critical pointer",
    findings(more({ ...cRLDistributionPoints([rootList]), critical: true }), listed),
    ["crlDistributionPointOfIssuer"],
  ],
  [
    "a pointer that is no URL of http",
    findings(more(cRLDistributionPoints(["ldap://ca.test/"])), {
      issuer: { ...issuingTemplate.issuer, crlUrl: "ldap://ca.test/" },
    }),
    ["crlDistributionPointOfIssuer"],
  ],
  [
    "a root with a pointer",
    findingsOf(withPointer(prepareNow({ ...rootTemplate, issuer: { ...rootTemplate.issuer, crlUrl: rootList } }))),
    ["crlDistributionPointOfIssuer"],
  ],
  ["purposes", findings(more(extendedKeyUsage(["serverAuth"]))), ["extensionsOfCa"]],
];

for (const [name, found, expected] of table) t.same(found, expected, name);
for (const [name, template] of [
  ["a root", rootTemplate],
  ["a root of any length", { ...rootTemplate, pathLength: undefined }],
  ["a root whose list there is", { ...rootTemplate, issuer: { ...rootTemplate.issuer, crlUrl: rootList } }],
  ["an issuing CA", issuingTemplate],
  ["one that names its root's list", { ...issuingTemplate, ...listed }],
  ["one without a trust domain", { ...issuingTemplate, trustDomain: undefined }],
  ["one with name constraints", { ...issuingTemplate, nameConstraints: permitted("mayfly.test", ".mayfly.test") }],
  ["one with an identifier of its own", { ...issuingTemplate, subjectKeyIdentifier: Buffer.alloc(20, 7) }],
] as const)
  t.same(findingsOf(prepareNow(template)), [], name);

const failed = new Set(table.flatMap(([, , expected]) => expected));
t.same(
  caLints.map(({ name }) => name).filter((name) => !failed.has(name)),
  [],
  "each lint is failed by something",
);

t.test("each lint has its file, which quotes its paragraph", async (t) => {
  const folder = join(import.meta.dirname, "../../src/authority/caLints");
  const files = readdirSync(folder).filter((name) => name !== "caLint.ts" && name !== "table.ts");
  t.same(files.map((name) => name.slice(0, -3)).sort(), caLints.map(({ name }) => name).sort());
  for (const { name, source } of caLints) {
    const [top = ""] = readFileSync(join(folder, `${name}.ts`), "utf8").split("*/");
    t.match(top, /"[^"]{20,}"|[Oo]ur own/, name);
    const [paragraph = ""] = /(RFC \d+|BR|X\.509-SVID) §[\d.]+|our own/.exec(source) ?? [];
    t.ok(top.toLowerCase().includes(paragraph.toLowerCase()), `${name}: ${source}`);
  }
});

t.test("OpenSSL and Node take the chain, and OpenSSL holds the name constraints", async (t) => {
  const issuing = (template: CaTemplate) =>
    signCertificate(lintCaCertificate(prepareNow(template)), issuingKeyOf(rootKey));
  const plain = await issuing(issuingTemplate);
  const constrained = await issuing({ ...issuingTemplate, nameConstraints: permitted("mayfly.test") });
  const leafFor = async (uri: string): Promise<Buffer> => {
    const { notBefore, notAfter, subject } = issuingTemplate;
    const tbs = encodeTbsCertificate({
      serialNumber: Buffer.alloc(16, 3),
      signatureAlgorithm: issuingKey.algorithm,
      issuer: subject,
      notBefore,
      notAfter,
      subject: encodeName({}),
      spki: otherKey.spki,
      extensions: [
        authorityKeyIdentifier(readAki(constrained)),
        basicConstraints({ cA: false }),
        keyUsage(["digitalSignature"]),
        subjectAltName({ dns: [], ip: [], uri: [uri] }, true),
        subjectKeyIdentifier(otherKey.spki),
      ],
    });
    return assembleCertificate(tbs, issuingKey.algorithm, await issuingKey.sign(tbs));
  };
  const verify = (leaf: Buffer, chain: Buffer): string =>
    withFiles(
      [pemEncode("CERTIFICATE", rootCertificate), pemEncode("CERTIFICATE", chain), pemEncode("CERTIFICATE", leaf)],
      (...paths) => {
        const [root = "", between = "", end = ""] = paths;
        const at = String(days(1).getTime() / 1000);
        return openssl([
          "verify",
          "-x509_strict",
          "-attime",
          at,
          "-CAfile",
          root,
          "-untrusted",
          between,
          end,
        ]).toString();
      },
    );
  const [own, foreign] = [await leafFor("spiffe://mayfly.test/a"), await leafFor("spiffe://other.test/a")];
  t.match(verify(own, plain), /: OK/);
  t.match(verify(foreign, plain), /: OK/);
  t.match(verify(own, constrained), /: OK/);
  t.throws(() => verify(foreign, constrained), /permitted subtree violation/);
  const [root, below] = [new X509Certificate(rootCertificate), new X509Certificate(constrained)];
  t.ok(below.ca && below.checkIssued(root) && below.verify(root.publicKey));
});

const readAki = (issuer: Buffer): Buffer => {
  const value = readCertificate(issuer).extensions.find(({ oid }) => oid === oids.subjectKeyIdentifier)?.value;
  return (value ?? Buffer.alloc(2)).subarray(2);
};
