/** A whole server whose CA has keys of each family, in a token or beside it: what it issues, and what it publishes for whom. */
// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import { webcrypto, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as witness from "@peculiar/x509";
import t, { type Test } from "tap";
import { defaultProfiles } from "../../src/config/schema.ts";
import { isPostQuantum } from "../../src/keys/keyAlgorithms.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { readDistributedList } from "../../src/x509/certificateList.ts";
import { readOcspResponse, type BasicOcspResponse } from "../../src/x509/ocspResponse.ts";
import { pemDecode, pemEncode } from "../../src/x509/pem.ts";
import { signatureAlgorithmOf, verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import type { KeyKind, SignatureAlgorithm } from "../../src/keys/signer.ts";
import { acmeDriver } from "../support/acmeDriver.ts";
import { issued, leafOf } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { opensslRequest, opensslVerdict } from "../support/ocspExchange.ts";
import { opensslVerify } from "../support/opensslVerify.ts";
import { run } from "../support/program.ts";
import { softhsmToken } from "../support/softhsm.ts";

witness.cryptoProvider.set(webcrypto);
const none = Buffer.alloc(0);

interface Case {
  readonly keyKind: KeyKind;
  readonly algorithm: SignatureAlgorithm;
  /** False: in development keys. */
  readonly inToken: boolean;
}

const cases: readonly Case[] = [
  { keyKind: "ec-p384", algorithm: "ecdsa-p384-sha384", inToken: true },
  { keyKind: "rsa-4096", algorithm: "rsa-pkcs1-sha256", inToken: true },
  { keyKind: "rsa-3072-pss", algorithm: "rsa-pss-sha256", inToken: true },
  { keyKind: "ed25519", algorithm: "ed25519", inToken: false },
  { keyKind: "ml-dsa-65", algorithm: "ml-dsa-65", inToken: true },
  { keyKind: "ml-dsa-87", algorithm: "ml-dsa-87", inToken: false },
];

function keysOf(t: Test, { keyKind, inToken }: Case): object {
  if (!inToken) return {};
  const { module, token, pinFile, directory } = softhsmToken(t);
  const postQuantum = keyKind.startsWith("ml-dsa-") ? { postQuantum: { directory: path.join(directory, "pq") } } : {};
  return { keys: { provider: "pkcs11", pkcs11: { module, token, pinFile }, ...postQuantum } };
}

/** A document that anybody may read. */
async function document({ authority }: TestAuthority, url: string): Promise<string> {
  const reply = await authority.server.inject(url);
  if (reply.statusCode !== 200) throw new Error(`${url}: ${reply.statusCode}`);
  return reply.body;
}

/** Leaf, issuing CA and root verify one another, signed with this algorithm. */
function requireChain(t: Test, chain: string, rootPem: string, algorithm: SignatureAlgorithm): void {
  const all = [...pemDecode(chain, "CERTIFICATE"), ...pemDecode(rootPem, "CERTIFICATE")];
  t.equal(all.length, 3);
  for (const [index, der] of all.entries()) {
    const above = new X509Certificate(all[Math.min(index + 1, 2)] ?? Buffer.alloc(0));
    t.ok(new X509Certificate(der).verify(above.publicKey));
    t.equal(readCertificate(der).signatureAlgorithm, algorithm);
  }
}

/** The list that says of the leaf of this chain that it is revoked, as soon as there is one. */
async function listOf({ authority }: TestAuthority, leaf: Buffer): Promise<Buffer> {
  const { serialNumber } = readCertificate(leaf);
  const { pathname } = new URL(authority.issuers.active("default").crlUrl(serialNumber));
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const reply = await authority.server.inject(pathname);
    if (reply.statusCode === 200 && reply.rawPayload.includes(serialNumber)) return reply.rawPayload;
    await sleep(100);
  }
  throw new Error("there is no list with the certificate");
}

/** OpenSSL and @peculiar/x509 verify it where they know the algorithm; we do in any case, and not when it is bent. */
async function requireList(
  t: Test,
  { dataDir }: TestAuthority,
  [list, issuing]: readonly [Buffer, Buffer],
  algorithm: SignatureAlgorithm,
): Promise<void> {
  const read = readDistributedList(list);
  const { publicKey } = new X509Certificate(issuing);
  t.equal(signatureAlgorithmOf(read.signatureIdentifier), algorithm);
  t.ok(verifySignature(algorithm, publicKey, read.tbs, read.signature));
  const bent = Buffer.from(read.signature);
  bent[8] = (bent[8] ?? 0) ^ 1;
  t.notOk(verifySignature(algorithm, publicKey, read.tbs, bent));
  if (isPostQuantum(algorithm)) return;
  const [listFile = "", caFile = ""] = ["list.crl", "issuing.pem"].map((name) => path.join(dataDir, name));
  await writeFile(listFile, list);
  await writeFile(caFile, pemEncode("CERTIFICATE", issuing));
  const judged = await run("openssl", ["crl", "-inform", "der", "-noout", "-in", listFile, "-CAfile", caFile]);
  t.match(judged, { status: 0, stderr: /verify OK/ });
  const crl = new witness.X509Crl(list);
  t.ok(await crl.verify({ publicKey: new witness.X509Certificate(issuing).publicKey }), "@peculiar/x509");
}

/** OpenSSL asks, and judges the answer where it knows the algorithm; we do in any case. */
async function requireResponse(
  t: Test,
  ca: TestAuthority,
  chain: string,
  algorithm: SignatureAlgorithm,
): Promise<void> {
  const [leaf = none, issuing = none] = pemDecode(chain, "CERTIFICATE");
  const [certificate, issuer] = [leaf, issuing].map((der) => pemEncode("CERTIFICATE", der)) as [string, string];
  const reply = await ca.authority.server.inject({
    method: "POST",
    url: "/ocsp",
    headers: { "content-type": "application/ocsp-request" },
    payload: opensslRequest(issuer, [certificate], "-no_nonce"),
  });
  t.equal(reply.statusCode, 200);
  const { basic } = readOcspResponse(reply.rawPayload) as { basic: BasicOcspResponse };
  t.equal(signatureAlgorithmOf(basic.signatureIdentifier), algorithm);
  t.ok(verifySignature(algorithm, new X509Certificate(issuing).publicKey, basic.tbs, basic.signature));
  t.equal(basic.responses[0]?.status, "revoked");
  if (isPostQuantum(algorithm)) return;
  const judged = opensslVerdict({ root: ca.root, issuer, certificate }, reply.rawPayload);
  t.match(judged, { stderr: /verify OK/, stdout: /: revoked/ });
}

for (const each of cases) {
  const { keyKind, algorithm } = each;
  t.test(`hierarchy.keyKind ${keyKind}: issues before and after a restart, revokes, publishes`, async (t) => {
    const configuration = { hierarchy: { keyKind }, ...keysOf(t, each) };
    const first = await certificateAuthority(t, { configuration });
    const { dataDir, databaseUrl } = first;
    const before = await issued(first, await (await acmeDriver(t, first)).account());
    requireChain(t, before.chain, first.root, algorithm);
    await first.close();

    const ca = await certificateAuthority(t, { configuration, dataDir, databaseUrl });
    t.equal(ca.root, first.root);
    const acme = await acmeDriver(t, ca);
    const alice = await acme.account();
    const { chain } = await issued(ca, alice);
    requireChain(t, chain, ca.root, algorithm);
    t.equal((await alice.post(acme.directory.revokeCert, { certificate: leafOf(chain) })).status, 200);
    const [leaf = none, issuing = none] = pemDecode(chain, "CERTIFICATE");
    await requireResponse(t, ca, chain, algorithm);
    await requireList(t, ca, [await listOf(ca, leaf), issuing], algorithm);

    const [bundle, everyRoot] = await Promise.all(
      ["/spiffe/bundle.json", "/spiffe/bundle-post-quantum.json"].map(
        async (url) => JSON.parse(await document(ca, url)) as { keys: { kty: string; x5c: string[] }[] },
      ),
    );
    t.same(
      everyRoot?.keys.map(({ x5c }) => x5c),
      [[pemDecode(ca.root, "CERTIFICATE")[0]?.toString("base64")]],
    );
    t.equal(await document(ca, "/root-post-quantum.pem"), ca.root);
    if (keyKind.startsWith("ml-dsa-")) {
      t.same(bundle?.keys, [], "old parsers get nothing that they would fail at");
      t.equal(everyRoot?.keys[0]?.kty, "AKP");
      return;
    }
    t.same(bundle, everyRoot);
    const [rootFile, chainFile] = ["verified-root.pem", "chain.pem"].map((name) => path.join(dataDir, name));
    await writeFile(rootFile ?? "", ca.root);
    await writeFile(chainFile ?? "", chain);
    await opensslVerify(rootFile ?? "", chainFile ?? "");
  });
}

t.test("issuers.default.keyKind: an issuing CA of ML-DSA below a root that everybody reads", async (t) => {
  const configuration = { issuers: { default: { keyKind: "ml-dsa-44", lifetimeDays: 30 } } };
  const ca = await certificateAuthority(t, { configuration });
  const { chain } = await issued(ca, await (await acmeDriver(t, ca)).account());
  const [leaf, issuing] = pemDecode(chain, "CERTIFICATE").map((der) => readCertificate(der));
  t.equal(leaf?.signatureAlgorithm, "ml-dsa-44");
  t.equal(issuing?.signatureAlgorithm, "ecdsa-p256-sha256");
  t.equal(Number(issuing?.notAfter) - Number(issuing?.notBefore), 30 * 86_400_000 - 1000);
  const { keys } = JSON.parse(await document(ca, "/spiffe/bundle.json")) as { keys: { kty: string }[] };
  t.same(
    keys.map(({ kty }) => kty),
    ["EC"],
  );
});

t.test(
  "a line of ML-DSA beside the one that everybody reads: a profile's own issuer, made by itself, below the same root",
  async (t) => {
    const { workload, server } = structuredClone(defaultProfiles);
    const configuration = {
      issuers: { "post-quantum": { keyKind: "ml-dsa-65", publishedSeconds: 5 } },
      profiles: { workload: { ...workload, issuer: "post-quantum" }, server },
    };
    const ca = await certificateAuthority(t, { configuration });
    const { issuers } = ca.authority;
    const inUse = () => issuers.all().find(({ name, state }) => name === "post-quantum" && state === "active");
    for (let attempt = 0; inUse() === undefined && attempt < 600; attempt += 1) await sleep(100);
    const { chain } = await issued(ca, await (await acmeDriver(t, ca)).account());
    const [leaf, issuing] = pemDecode(chain, "CERTIFICATE").map((der) => readCertificate(der));
    t.equal(leaf?.signatureAlgorithm, "ml-dsa-65");
    t.equal(issuing?.signatureAlgorithm, "ecdsa-p256-sha256");
    t.equal(issuers.active("default").key.algorithm, "ecdsa-p256-sha256", "and what listens is certified by this one");
    const { keys } = JSON.parse(await document(ca, "/spiffe/bundle.json")) as { keys: { kty: string }[] };
    t.same(
      keys.map(({ kty }) => kty),
      ["EC"],
    );
  },
);

t.test("a token without ML-DSA and without leave for key files makes no CA of ML-DSA", async (t) => {
  const { module, token, pinFile } = softhsmToken(t);
  const keys = { provider: "pkcs11", pkcs11: { module, token, pinFile } };
  await t.rejects(
    certificateAuthority(t, { configuration: { hierarchy: { keyKind: "ml-dsa-65" }, keys } }),
    /the token cannot make keys of kind ml-dsa-65: it lacks CKM_ML_DSA_KEY_PAIR_GEN and CKM_ML_DSA/,
  );
});
