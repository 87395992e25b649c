/**
 * The certificate for an issuer whose root is elsewhere, over REST and by `mayfly issuers import`: whatever is wrong with it is refused with
 * its reason, and nothing is changed by it; what is right is taken, once.
 */
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import t, { type Test } from "tap";

import { commands } from "../../src/cli/commands.ts";
import { readCaRequest } from "../../src/x509/csr.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyIdentifier,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
  type Extension,
} from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { nameConstraints } from "../../src/x509/nameConstraints.ts";
import { oids } from "../../src/x509/oid.ts";
import { pemDecode, pemEncode } from "../../src/x509/pem.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";
import {
  foreignCertificate,
  foreignRoot,
  keysFor,
  rawExtension,
  spkiOf,
  type CertificatePlan,
} from "../support/foreignCa.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few on a busy machine.

const day = 86_400_000;
const fromNow = (days: number): Date => new Date(Math.floor(Date.now() / 1000) * 1000 + days * day);
const pem = (...ders: readonly Buffer[]): string => ders.map((der) => pemEncode("CERTIFICATE", der)).join("");

// Lines that move by command alone: what is seen here was done by what is tried here.
const ca = await certificateAuthority(t, {
  configuration: { issuers: { default: { automatic: false }, servers: { automatic: false } } },
});
const keyFile = (label: string): string => join(ca.dataDir, "keys", `${label}.pem`);
const { trustDomain } = ca.configuration;

async function rest(method: "GET" | "POST", path: string, payload?: object) {
  const headers = { authorization: `Bearer ${ca.operatorToken}` };
  const url = `/api/v1/issuers${path}`;
  const reply = await ca.authority.server.inject({ method, url, headers, ...(payload && { payload }) });
  return { status: reply.statusCode, body: reply.json<Record<string, unknown>>() };
}

const database = new pg.Client({ connectionString: ca.databaseUrl });
await database.connect();
t.teardown(() => database.end());

/** Everything that a certificate which is brought in could change. */
async function everything(): Promise<object> {
  const rows = async (text: string): Promise<unknown[]> => (await database.query<object>(text)).rows;
  return {
    issuers: await rows("select * from issuer order by id"),
    told: await rows("select event, subject from audit_entry where event like 'issuer.%' order by id"),
    roots: (await ca.authority.server.inject("/root.pem")).body,
    bundle: (await ca.authority.server.inject("/spiffe/bundle.json")).body,
  };
}

/** The next issuing CA of a line, which waits for its certificate: the root's key is not here. */
async function waitingIssuer(name: string): Promise<{ id: string; request: Buffer; keyLabel: string }> {
  const made = await rest("POST", "", { name });
  if (made.body["waitsForCertificate"] !== true) throw new Error(JSON.stringify(made.body));
  const [request] = pemDecode(String(made.body["requestPem"]), "CERTIFICATE REQUEST");
  if (request === undefined) throw new Error("there is no request");
  return { id: String(made.body["id"]), request, keyLabel: String(made.body["keyLabel"]) };
}

await rename(keyFile(`${ca.configuration.keys.label}-root`), join(ca.dataDir, "root-key-elsewhere.pem"));
const waiting = await waitingIssuer("default");
const { spki, subject } = readCaRequest(waiting.request);

const lasting = { notBefore: fromNow(-1), notAfter: fromNow(1_000) };
const root = foreignRoot("Elsewhere Root", "ecdsa-sha256", { ...lasting, serialNumber: Buffer.from([1]) });
const middlePlan = { ...lasting, subject: "Elsewhere Middle", cA: true, serialNumber: Buffer.from([2]) };
const middleKeys = keysFor("ecdsa-sha256");
const middle = { subject: "Elsewhere Middle", keys: middleKeys, algorithm: "ecdsa-sha256" } as const;
const middleCertificate = (changes: Partial<CertificatePlan> = {}): Buffer =>
  root.certify({ ...middlePlan, keys: middleKeys, ...changes });

/** Extensions of the certificate, one of them in another's place. */
function extensions(changes: Readonly<Record<string, Extension | undefined>> = {}, by = middle.keys): Extension[] {
  const right: Record<string, Extension | undefined> = {
    authority: authorityKeyIdentifier(keyIdentifier(spkiOf(by.publicKey))),
    own: subjectKeyIdentifier(spki),
    constraints: basicConstraints({ cA: true, pathLenConstraint: 0 }),
    usage: keyUsage(["keyCertSign", "cRLSign"]),
    names: subjectAltName({ dns: [], ip: [], uri: [`spiffe://${trustDomain}`] }, false),
    ...changes,
  };
  return Object.values(right).filter((one) => one !== undefined);
}

/** What the PKI elsewhere makes of our request; right but for the changes. */
const certificate = (changes: Partial<CertificatePlan> = {}, by: typeof middle = middle): Buffer =>
  foreignCertificate(by, {
    notBefore: fromNow(-1),
    notAfter: fromNow(300),
    serialNumber: Buffer.from([3]),
    subject,
    keys: root.keys,
    spki,
    extensions: extensions({}, by.keys),
    ...changes,
  });
const withExtensions = (changes: Parameters<typeof extensions>[0]): Buffer =>
  certificate({ extensions: extensions(changes) });
const uris = (...uri: string[]): Extension => subjectAltName({ dns: [], ip: [], uri }, false);

interface Answer {
  readonly certificatePem: string;
  readonly rootPem?: string;
  readonly anySubject?: boolean;
}

/** Under the CA in between and the root, unless said otherwise. */
const whole = (der: Buffer, between = middleCertificate(), top = root.certificate): Answer => ({
  certificatePem: pem(der, between, top),
});

const other = keysFor("ecdsa-sha256");
const impostor = foreignRoot("Elsewhere Root", "ecdsa-sha256", { ...lasting, serialNumber: Buffer.from([1]) });
const flipped = (der: Buffer): Buffer => Buffer.concat([der.subarray(0, -1), Buffer.from([(der.at(-1) ?? 0) ^ 1])]);

const refusals: readonly [string, Answer, RegExp][] = [
  ["no PEM", { certificatePem: "no PEM" }, /the certificate file has other things than PEM certificates/],
  ["another label", { certificatePem: pemEncode("PUBLIC KEY", spki) }, /other things than PEM certificates/],
  ["text behind it", { certificatePem: `${pem(certificate())}and more\n` }, /other things than PEM certificates/],
  ["half a block", { certificatePem: pem(certificate()).slice(0, 200) }, /other things than PEM certificates/],
  ["no certificate", { certificatePem: pem(Buffer.from("3000", "hex")) }, /other things than PEM certificates/],
  [
    "trailing octets",
    whole(Buffer.concat([certificate(), Buffer.from([0])])),
    /^the certificate file has other things than PEM certificates \(.+\)$/,
  ],
  [
    "trailing octets of the root",
    { certificatePem: pem(certificate(), middleCertificate()), rootPem: pem(Buffer.concat([root.certificate, spki])) },
    /^the root file has other things than PEM certificates \(.+\)$/,
  ],
  [
    "eleven",
    { certificatePem: pem(...Array.from({ length: 11 }, () => certificate())) },
    /has 11 certificates, and at/,
  ],
  ["no root", { certificatePem: pem(certificate(), middleCertificate()) }, /does not end with a root; give the root/],
  [
    "two roots",
    {
      certificatePem: pem(certificate(), middleCertificate()),
      rootPem: pem(root.certificate, impostor.certificate),
    },
    /^the root file has more than one certificate$/,
  ],
  [
    "another root behind it",
    { ...whole(certificate()), rootPem: pem(impostor.certificate) },
    /^the certificate file ends with another root than the one in the root file$/,
  ],
  [
    "not under the given root",
    { certificatePem: pem(certificate(), middleCertificate()), rootPem: pem(impostor.certificate) },
    /^certificate 2 of the chain is not signed by the next one, as OpenSSL sees it$/m,
  ],
  [
    "under the root that is trusted here, by its name alone",
    { certificatePem: pem(certificate({}, middle)), rootPem: ca.root },
    /^the certificate was issued by another name than the next one's$/m,
  ],
  [
    "a root that is none",
    { certificatePem: pem(certificate()), rootPem: pem(middleCertificate()) },
    /^the root is not signed by itself, as OpenSSL sees it$/m,
  ],
  [
    "two of ours",
    { certificatePem: pem(certificate(), certificate(), middleCertificate(), root.certificate) },
    /^the certificate was issued by another name than the next one's$/m,
  ],
  [
    "another key",
    whole(certificate({ spki: spkiOf(other.publicKey) })),
    /^the certificate is for the key [0-9a-f]{64} \(SHA-256\), and the line default waits for one for [0-9a-f]{64}$/,
  ],
  [
    "another subject",
    whole(certificate({ subject: "Elsewhere Sub CA" })),
    /^the certificate is for the subject CN=Elsewhere Sub CA, and O=Mayfly, CN=.+ was asked for$/m,
  ],
  [
    "no subject",
    { ...whole(certificate({ subject: encodeName({}) })), anySubject: true },
    /^the certificate has an empty subject$/m,
  ],
  [
    "no CA",
    whole(withExtensions({ constraints: basicConstraints({ cA: false }) })),
    /^the certificate is no CA's: its basic constraints do not say so$/m,
  ],
  ["no constraints", whole(withExtensions({ constraints: undefined })), /^the certificate is no CA's/m],
  [
    "a path length that leaves ours out",
    whole(certificate(), middleCertificate({ pathLenConstraint: 0 })),
    /^certificate 2 of the chain has the path length 0, and 1 of the CAs here are below it$/m,
  ],
  ["expired", whole(certificate({ notAfter: fromNow(-0.5) })), /^the certificate expired on 20/m],
  ["not yet", whole(certificate({ notBefore: fromNow(1) })), /^the certificate is not valid before 20/m],
  [
    "a CA above it that expired",
    whole(certificate(), middleCertificate({ notAfter: fromNow(-0.5) })),
    /^certificate 2 of the chain expired on 20/m,
  ],
  [
    "longer than its issuer",
    whole(certificate({ notAfter: fromNow(1_001) })),
    /^the certificate ends on .+, after its issuer, which ends on/m,
  ],
  [
    "a wrong signature",
    whole(flipped(certificate())),
    /^the certificate is not signed by the next one, as OpenSSL sees it$/m,
  ],
  [
    "signed by a CA of the same name",
    whole(certificate({ extensions: extensions() }, { ...middle, keys: other })),
    /^the certificate is not signed by the next one, as OpenSSL sees it$/m,
  ],
  [
    "another authority key",
    whole(withExtensions({ authority: authorityKeyIdentifier(Buffer.alloc(20, 1)) })),
    /^the certificate names another key of its issuer than the next one has: 01/m,
  ],
  [
    "no keyCertSign",
    whole(withExtensions({ usage: keyUsage(["cRLSign"]) })),
    /^the certificate has a key usage without keyCertSign$/m,
  ],
  [
    "no cRLSign",
    whole(withExtensions({ usage: keyUsage(["keyCertSign"]) })),
    /^the certificate has a key usage without cRLSign$/m,
  ],
  [
    "purposes of others",
    whole(withExtensions({ purposes: extendedKeyUsage(["codeSigning"]) })),
    /^the certificate has an extended key usage without serverAuth and clientAuth/m,
  ],
  [
    "an unknown critical extension",
    whole(withExtensions({ more: rawExtension("1.2.3.4", true, Buffer.from([5, 0])) })),
    /^the certificate has the critical extension 1\.2\.3\.4/m,
  ],
  [
    "an extension that cannot be read",
    whole(withExtensions({ usage: rawExtension(oids.keyUsage, true, Buffer.from([5, 0])) })),
    /^an extension of the certificate cannot be read/m,
  ],
  ["SHA-1", whole(certificate({ algorithm: "ecdsa-sha1" })), /^the certificate is signed with SHA-1/m],
  [
    "another trust domain",
    whole(withExtensions({ names: uris("spiffe://other.test") })),
    /^the certificate is an SVID of spiffe:\/\/other\.test, and the trust domain is spiffe:/m,
  ],
  [
    "a path",
    whole(withExtensions({ names: uris(`spiffe://${trustDomain}/ca`) })),
    /^the certificate is an SVID of .+\/ca/m,
  ],
  [
    "two URIs",
    whole(withExtensions({ names: uris(`spiffe://${trustDomain}`, "https://a.test") })),
    /^the certificate has 2 URIs, and an SVID has one$/m,
  ],
  [
    "constraints that leave the trust domain out",
    whole(withExtensions({ more: nameConstraints({ uri: ["other.test"], dns: [], ip: [] }) })),
    /^the certificate has name constraints that are not read here, or that leave out/m,
  ],
];

/** `mayfly issuers import` of these files. */
async function imported(id: string, { certificatePem, rootPem, anySubject }: Answer) {
  const [file, rootFile] = [join(ca.dataDir, "arrived.pem"), join(ca.dataDir, "arrived-root.pem")];
  await writeFile(file, certificatePem);
  if (rootPem !== undefined) await writeFile(rootFile, rootPem);
  const words = ["issuers", "import", "--id", id, "--certificate", file];
  words.push(
    ...(rootPem === undefined ? [] : ["--root-certificate", rootFile]),
    ...(anySubject === true ? ["--any-subject"] : []),
  );
  return await runWords(commands, words, { env: { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url } });
}

const bringIn = (id: string, answer: object) => rest("POST", `/${id}/certificate`, answer);

/** Refused by both doors for the same reason, and nothing is other than it was. */
async function refusedBothWays(t: Test, id: string, answer: Answer, status: number, type: string, reason: RegExp) {
  const before = await everything();
  const reply = await bringIn(id, answer);
  t.match(reply, { status, body: { status, type: `urn:mayfly:error:${type}`, detail: reason } });
  const { status: exit, stdout, stderr } = await imported(id, answer);
  t.match({ exit, stdout }, { exit: 1, stdout: "" });
  t.match(stderr.trimEnd().replace(/^mayfly: /, ""), reason);
  t.same(await everything(), before, "and nothing changed");
}

for (const [name, answer, reason] of refusals)
  t.test(`refused: ${name}`, (t) => refusedBothWays(t, waiting.id, answer, 400, "invalidRequest", reason));

t.test("refused: members that are none, or are too long", async (t) => {
  const before = await everything();
  const right = whole(certificate());
  for (const body of [
    {},
    { certificatePem: "" },
    { certificatePem: 1 },
    { ...right, rootPem: "" },
    { ...right, anySubject: "yes" },
    { ...right, force: true },
    { certificatePem: "x".repeat(60_001) },
  ])
    t.match(await bringIn(waiting.id, body), { status: 400, body: { type: "urn:mayfly:error:invalidRequest" } });
  t.same(await everything(), before);
});

t.test("refused: the key is not here any more", async (t) => {
  await rename(keyFile(waiting.keyLabel), join(ca.dataDir, "key-elsewhere.pem"));
  const reason = /^the key of the certificate (is not among the|was not found in) development key files/;
  await refusedBothWays(t, waiting.id, whole(certificate()), 400, "invalidRequest", reason);
  await rename(join(ca.dataDir, "key-elsewhere.pem"), keyFile(waiting.keyLabel));
});

t.test("refused: for an issuer that was given up, and for another one than the one it is for", async (t) => {
  const given = await waitingIssuer("servers");
  t.match(await rest("POST", `/${given.id}/retire`, {}), { status: 200, body: { state: "retired" } });
  t.match((await rest("GET", `/${given.id}`)).body, { waitsForCertificate: false }, "it waits for nothing");
  const next = await waitingIssuer("servers");
  const request = readCaRequest(given.request);
  const for1 = whole(
    certificate({
      subject: request.subject,
      spki: request.spki,
      extensions: extensions({ own: subjectKeyIdentifier(request.spki) }),
    }),
  );
  await refusedBothWays(t, given.id, for1, 409, "conflict", /^the issuer waits for no certificate$/m);
  await refusedBothWays(t, next.id, for1, 400, "invalidRequest", /^the certificate is (for the key|that of issuer) .+/);
  await refusedBothWays(
    t,
    next.id,
    whole(certificate()),
    400,
    "invalidRequest",
    /^the certificate is (for the key|that of issuer) .+/,
  );
  const unknown = "01900000-0000-7000-8000-000000000000";
  await refusedBothWays(t, unknown, whole(certificate()), 404, "notFound", /^there is no such issuer$/m);
});

t.test("what is right is taken, by one of many that bring it at once, and never again", async (t) => {
  const before = (await database.query("select id from issuer")).rowCount ?? 0;
  const answers = await Promise.all(Array.from({ length: 6 }, () => bringIn(waiting.id, whole(certificate()))));
  t.same(
    answers.map(({ status }) => status).sort((a, b) => a - b),
    [200, 409, 409, 409, 409, 409],
  );
  t.match(answers.find(({ status }) => status === 200)?.body, { waitsForCertificate: false, warnings: [] });
  t.equal((await database.query("select id from issuer")).rowCount, before + 2, "the CA in between, and the root");
  await refusedBothWays(t, waiting.id, whole(certificate()), 409, "conflict", /^the issuer waits for no certificate$/m);
});
