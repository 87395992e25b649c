/**
 * A key that a software TPM certifies, and whose certificate is issued: the shell lines of docs/workload-attest-01.md as they stand there. The
 * request for the certificate is signed in the TPM as well; the key is never anywhere else.
 */
import { createHash, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";

import { encodeCsr } from "../../src/x509/csrWriter.ts";
import { encodingOf, readDer } from "../../src/x509/der.ts";
import { bitString, encodeDer, sequence } from "../../src/x509/derWriter.ts";
import { algorithmIdentifier } from "../../src/x509/signatureAlgorithm.ts";
import { acmeDriver, uri } from "../support/acmeDriver.ts";
import { bindingOf, certificateKey, leafOf } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { repository } from "../support/program.ts";
import { evidenceRefused } from "../support/refused.ts";
import { tpmMachine, tpmMaker } from "../support/swtpm.ts";

t.setTimeout(240_000);

const page = await readFile(join(repository, "docs/workload-attest-01.md"), "utf8");
const [makeKey = "", certify = ""] = [...page.matchAll(/^```sh run tpm certify\n(.*?)^```$/gms)].map(
  ([, lines = ""]) => lines,
);
const machine = await tpmMachine(t, await tpmMaker(t));
const file = (name: string): string => join(machine.folder, name);
await machine.shell(makeKey);
const ak = (
  await machine.shell("tpm2_readpublic -c 0x81010002 -n ak.name >ak.txt; od -An -v -tx1 ak.name | tr -d ' \\n'")
).trim();
const enrolledKeysFile = file("enrolled.json");
await writeFile(enrolledKeysFile, JSON.stringify({ devices: [{ name: "laptop-3", ak }] }));

const ca = await certificateAuthority(t, {
  configuration: {
    attestation: { sources: [{ ref: "laptops", format: "tpm", enrolledKeysFile, statements: ["certify"] }] },
    grants: [
      {
        name: "laptops",
        spiffeId: "spiffe://mayfly.localhost/laptop/{deviceName}",
        source: "laptops",
        minBinding: "nonce",
        profile: "workload",
      },
    ],
  },
});
const acme = await acmeDriver(t, ca);
const spiffeId = "spiffe://mayfly.localhost/laptop/laptop-3";
const spki = createPublicKey(await readFile(file("key.pem"))).export({ type: "spki", format: "der" });
const committed = createHash("sha256").update(spki).digest("base64url");

async function challenged() {
  const alice = await acme.account();
  const order = await alice.order({ identifiers: [uri(spiffeId)] });
  const [challenge] = (await alice.readAuthorization(order.authorizations[0])).challenges;
  if (challenge === undefined) throw new Error("no challenge");
  return { alice, order, challenge };
}

/** A request for the certificate that the TPM signs. */
async function csrByTpm(): Promise<string> {
  const { privateKey: anybody } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const [info] = readDer(encodeCsr({ key: anybody, spki, dns: [], ip: [], uri: [spiffeId] })).children;
  if (info === undefined) throw new Error("no certificationRequestInfo");
  await writeFile(file("info"), encodingOf(info));
  await machine.shell("tpm2_sign -c 0x81010003 -g sha256 -s ecdsa -f plain -o info.signature info");
  const signature = await readFile(file("info.signature"));
  const csr = sequence(encodingOf(info), algorithmIdentifier("ecdsa-p256-sha256"), bitString(signature));
  return encodeDer(csr).toString("base64url");
}

t.test("the TPM certifies its key, and the key gets its certificate", async (t) => {
  const { alice, order, challenge } = await challenged();
  const value = await machine.shell(certify, { MAYFLY_BINDING: bindingOf(challenge, alice.key, committed) });
  const evidence = [{ format: "tpm", ref: "laptops", value }];
  const answered = await alice.post(challenge.url, { spki: committed, evidence });
  t.equal(answered.json()["status"], "valid", answered.text);
  const finalized = (await alice.post(order.finalize, { csr: await csrByTpm() })).json();
  t.equal(finalized["status"], "valid");
  const chain = (await alice.postAsGet(String(finalized["certificate"]))).text;
  const leaf = new X509Certificate(Buffer.from(leafOf(chain), "base64url"));
  t.equal(leaf.subjectAltName, `URI:${spiffeId}`);
  t.same(leaf.publicKey.export({ type: "spki", format: "der" }), spki);
});

t.test("for another key than the certified one there is no certificate", async (t) => {
  const { alice, order, challenge } = await challenged();
  const key = certificateKey();
  const value = await machine.shell(certify, { MAYFLY_BINDING: bindingOf(challenge, alice.key, key.spki) });
  const evidence = [{ format: "tpm", ref: "laptops", value }];
  t.equal((await alice.post(challenge.url, { spki: key.spki, evidence })).json()["status"], "valid");
  t.equal((await alice.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) })).status, 400);
  t.equal((await alice.post(order.finalize, { csr: await csrByTpm() })).status, 400, "nor for it: S is another's");
});

t.test("the attestation key does not certify for another request", async (t) => {
  const { alice, challenge } = await challenged();
  const value = await machine.shell(certify, { MAYFLY_BINDING: Buffer.alloc(32).toString("base64url") });
  const evidence = [{ format: "tpm", ref: "laptops", value }];
  evidenceRefused(t, await alice.post(challenge.url, { spki: committed, evidence }), "bindingMismatch");
});
