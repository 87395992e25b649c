import t from "tap";
import { readCertificateIn, type AwaitedCertificate } from "../../src/authority/certificateIn.ts";
import { encodeName } from "../../src/x509/name.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyIdentifier,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
  type Extension,
  type KeyPurpose,
  type KeyUsage,
} from "../../src/x509/extensions.ts";
import { nameConstraints } from "../../src/x509/nameConstraints.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import {
  foreignNow as now,
  foreignRoot,
  keysFor,
  rawExtension,
  spkiOf,
  type CertificatePlan,
} from "../support/foreignCa.ts";

const own = keysFor("ecdsa-sha256");
const spki = spkiOf(own.publicKey);
const root = foreignRoot("Elsewhere Root", "rsa-sha256", { serialNumber: Buffer.from([1]) });
const middle = root.authority("Elsewhere Middle", { serialNumber: Buffer.from([2]) });
const middleCertificate = root.certify({
  subject: "Elsewhere Middle",
  keys: middle.keys,
  cA: true,
  serialNumber: Buffer.from([2]),
});

const awaited: AwaitedCertificate = {
  spki,
  subject: encodeName({ commonName: "Issuing" }),
  pathLength: 0,
  trustDomain: "mayfly.test",
  anySubject: false,
};
const svid = (...uri: string[]): Extension => subjectAltName({ dns: [], ip: [], uri }, false);

interface Changes extends Partial<CertificatePlan> {
  readonly usages?: readonly KeyUsage[];
  readonly purposes?: readonly KeyPurpose[];
  readonly uris?: readonly string[];
  readonly authority?: Buffer;
  readonly identifier?: never;
}

/** What the PKI elsewhere makes of our request; right but for the changes. */
function answer(changes: Changes = {}, by = middle): Buffer {
  const {
    usages = ["keyCertSign", "cRLSign"],
    uris = ["spiffe://mayfly.test"],
    purposes,
    authority,
    ...plan
  } = changes;
  return by.certify({
    subject: "Issuing",
    keys: own,
    serialNumber: Buffer.from([3]),
    extensions: [
      authorityKeyIdentifier(authority ?? keyIdentifier(spkiOf(by.keys.publicKey))),
      subjectKeyIdentifier(spkiOf((plan.keys ?? own).publicKey)),
      basicConstraints({
        cA: plan.cA ?? true,
        ...(plan.cA !== false && { pathLenConstraint: plan.pathLenConstraint ?? 0 }),
      }),
      ...(usages.length === 0 ? [] : [keyUsage(usages)]),
      ...(uris.length === 0 ? [] : [svid(...uris)]),
      ...(purposes === undefined ? [] : [extendedKeyUsage(purposes)]),
    ],
    ...plan,
  });
}

const pem = (...ders: Buffer[]): string => ders.map((der) => pemEncode("CERTIFICATE", der)).join("");
const read = (der: Buffer, changes: Partial<AwaitedCertificate> = {}) =>
  readCertificateIn(pem(der, middleCertificate, root.certificate), undefined, { ...awaited, ...changes }, now);

t.test("an answer that is right is taken, with its way up, without warnings", async (t) => {
  const der = answer();
  const whole = read(der);
  t.same(
    [whole.certificate.der, whole.intermediates.map((one) => one.der), whole.root.der, whole.warnings],
    [der, [middleCertificate], root.certificate, []],
  );
  const apart = readCertificateIn(pem(der, middleCertificate), pem(root.certificate), awaited, now);
  t.same([apart.intermediates.length, apart.root.der], [1, root.certificate]);
  const both = readCertificateIn(pem(der, middleCertificate, root.certificate), pem(root.certificate), awaited, now);
  t.same([both.intermediates.length, both.root.der], [1, root.certificate]);
  const straight = readCertificateIn(pem(answer({}, root)), pem(root.certificate), awaited, now);
  t.same([straight.intermediates.length, straight.root.der], [0, root.certificate]);
});

const other = keysFor("ecdsa-sha256");
const year = (count: number): Date => new Date(`${count}-01-01T00:00:00Z`);
const faults: [string, Buffer, RegExp][] = [
  [
    "another key",
    answer({ keys: other }),
    /^the certificate is for the key [0-9a-f]{64} \(SHA-256\), and not for the one that was asked for, [0-9a-f]{64}$/m,
  ],
  [
    "another subject",
    answer({ subject: "Elsewhere Sub CA" }),
    /^the certificate is for the subject CN=Elsewhere Sub CA, and CN=Issuing was asked for$/m,
  ],
  ["no CA", answer({ cA: false }), /^the certificate is no CA's: its basic constraints do not say so$/m],
  ["expired", answer({ notAfter: year(2026) }), /^the certificate expired on 2026-01-01T00:00:00\.000Z$/m],
  [
    "not yet",
    answer({ notBefore: new Date("2026-12-01T00:00:00Z") }),
    /^the certificate is not valid before 2026-12-01/m,
  ],
  [
    "after its issuer",
    answer({ notAfter: year(2028) }),
    /^the certificate ends on 2028-01-01T00:00:00\.000Z, after its issuer, which ends on 2027-01-01/m,
  ],
  ["no keyCertSign", answer({ usages: ["cRLSign"] }), /^the certificate has a key usage without keyCertSign$/m],
  ["no cRLSign", answer({ usages: ["keyCertSign"] }), /^the certificate has a key usage without cRLSign$/m],
  [
    "purposes of others",
    answer({ purposes: ["serverAuth"] }),
    /^the certificate has an extended key usage without serverAuth and clientAuth/m,
  ],
  [
    "another trust domain",
    answer({ uris: ["spiffe://other.test"] }),
    /^the certificate is an SVID of spiffe:\/\/other\.test, and the trust domain is spiffe:\/\/mayfly\.test$/m,
  ],
  [
    "a path",
    answer({ uris: ["spiffe://mayfly.test/ca"] }),
    /^the certificate is an SVID of spiffe:\/\/mayfly\.test\/ca/m,
  ],
  [
    "two URIs",
    answer({ uris: ["spiffe://mayfly.test", "https://a.test"] }),
    /^the certificate has 2 URIs, and an SVID has one$/m,
  ],
  [
    "another authority key",
    answer({ authority: Buffer.alloc(20, 1) }),
    /^the certificate names another key of its issuer than the next one has: 01/m,
  ],
  ["another issuer", answer({}, root), /^the certificate was issued by another name than the next one's$/m],
  [
    "another issuer's key",
    answer(
      { authority: keyIdentifier(spkiOf(middle.keys.publicKey)) },
      { ...middle, ...foreignRoot("Elsewhere Middle", "rsa-sha256") },
    ),
    /^the certificate is not signed by the next one, as OpenSSL sees it$/m,
  ],
  [
    "an unknown critical extension",
    answer({ more: [rawExtension("1.2.3.4", true, Buffer.from([5, 0]))] }),
    /^the certificate has the critical extension 1\.2\.3\.4/m,
  ],
  ["SHA-1", answer({ algorithm: "rsa-sha1" }), /^the certificate is signed with SHA-1, which no verifier takes$/m],
  [
    "constraints that leave it out",
    answer({ more: [nameConstraints({ uri: ["other.test"], dns: [], ip: [] })] }),
    /^the certificate has name constraints that are not read here, or that leave out mayfly\.test$/m,
  ],
];

t.test("what makes it useless is refused, each with its sentence", async (t) => {
  for (const [name, der, message] of faults) t.throws(() => read(der), { name: "CertificateInRefused", message }, name);
  const several = answer({ cA: false, subject: "Other", usages: ["cRLSign"] });
  t.throws(() => read(several), /subject[^]*basic constraints[^]*keyCertSign/, "all reasons at once");
});

t.test("the files themselves", async (t) => {
  const der = answer();
  const refused = (text: string, rootPem: string | undefined, message: RegExp): unknown =>
    t.throws(() => readCertificateIn(text, rootPem, awaited, now), { name: "CertificateInRefused", message });
  refused("no PEM", undefined, /the certificate file has other things than PEM certificates/);
  refused(pem(Buffer.from("3000", "hex")), undefined, /the certificate file has other things/);
  refused(pem(...Array.from({ length: 11 }, () => der)), undefined, /has 11 certificates, and at most 10 are read/);
  refused(pem(der), undefined, /does not end with a root; give the root in a file of its own/);
  refused(pem(root.certificate), undefined, /does not end with a root/);
  refused(pem(der, middleCertificate), pem(root.certificate, root.certificate), /root file has more than one/);
  const impostor = foreignRoot("Elsewhere Root", "rsa-sha256", { serialNumber: Buffer.from([1]) });
  refused(pem(der, middleCertificate, root.certificate), pem(impostor.certificate), /ends with another root/);
  refused(
    pem(der, middleCertificate),
    pem(impostor.certificate),
    /certificate 2 of the chain is not signed by the next one/,
  );
  refused(pem(der), pem(middleCertificate), /the root is not signed by itself/);
});

t.test("a chain that does not allow ours", async (t) => {
  const narrow = root.certify({
    subject: "Elsewhere Middle",
    keys: middle.keys,
    cA: true,
    pathLenConstraint: 0,
    serialNumber: Buffer.from([4]),
  });
  t.throws(() => readCertificateIn(pem(answer(), narrow, root.certificate), undefined, awaited, now), {
    message: /^certificate 2 of the chain has the path length 0, and 1 of the CAs here are below it$/m,
  });
});

t.test("what is not as it should be is told", async (t) => {
  const warned = (der: Buffer, warning: RegExp, changes: Partial<AwaitedCertificate> = {}): void => {
    t.match(read(der, changes).warnings.join("\n"), warning);
  };
  warned(answer({ subject: "Elsewhere Sub CA" }), /the subject is CN=Elsewhere Sub CA, and CN=Issuing was asked for/, {
    anySubject: true,
  });
  warned(answer({ uris: [] }), /no SVID: X\.509-SVID §3\.2 wants it to name spiffe:\/\/mayfly\.test/);
  warned(
    answer({ usages: ["keyCertSign", "cRLSign", "digitalSignature"] }),
    /key usages digitalSignature, keyCertSign, cRLSign/,
  );
  warned(answer({ purposes: ["serverAuth", "clientAuth"] }), /extended key usage; verifiers differ/);
  warned(answer({ pathLenConstraint: 1 }), /allows 1 CAs below, and a path length of 0 was asked for/);
  warned(
    answer({ more: [nameConstraints({ uri: ["mayfly.test"], dns: [], ip: [] })] }),
    /name constraints: several verifiers mishandle/,
  );
  const sha1Identifier = {
    extensions: [
      authorityKeyIdentifier(keyIdentifier(spkiOf(middle.keys.publicKey))),
      { ...subjectKeyIdentifier(spki), value: Buffer.concat([Buffer.from([4, 20]), Buffer.alloc(20, 9)]) },
      basicConstraints({ cA: true, pathLenConstraint: 0 }),
      keyUsage(["keyCertSign", "cRLSign"]),
      svid("spiffe://mayfly.test"),
    ],
  };
  warned(answer(sha1Identifier), /another subject key identifier than was asked for; leaves will name that one/);
});
