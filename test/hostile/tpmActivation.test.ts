/** Credential activation at the challenge: one secret for one TPM, one key and one challenge, and no way around it. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { pemEncode } from "../../src/x509/pem.ts";
import { attributes, softwareKey } from "../attestation/tpm/softwareTpm.ts";
import { ak, base64url, certifyOf, otherRoot, quoteOf, root, valueOf } from "../attestation/tpm/tpmEvidence.ts";
import { activateCredential, always, endorsementKey, keyCertificate, purpose } from "../attestation/tpm/tpmMaker.ts";
import { acmeDriver, uri, type AcmeClient, type Challenge, type Order, type Reply } from "../support/acmeDriver.ts";
import { bindingOf, certificateKey, idOf, query, type CertificateKey } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { boundTo, order as orderWithEvidence } from "../support/inlineFlows.ts";
import { evidenceRefused, insides, refused } from "../support/refused.ts";

t.setTimeout(120_000);

const ek = endorsementKey("P-256");
const ekSha256 = createHash("sha256")
  .update(ek.publicKey.export({ type: "spki", format: "der" }))
  .digest("hex");
const ekCertificate = keyCertificate(root, ek.publicKey, { purposes: [purpose.ek], ...always });
const spiffeId = `spiffe://mayfly.localhost/machine/${ekSha256}`;
const wanted = { ref: "machines", ek: base64url(ekCertificate), ak: base64url(ak.publicArea) };

const folder = t.testdir();
const rootsFile = path.join(folder, "roots.pem");
writeFileSync(rootsFile, pemEncode("CERTIFICATE", root.der));
const enrolledKeysFile = path.join(folder, "enrolled.json");
writeFileSync(enrolledKeysFile, JSON.stringify({ devices: [{ name: "rack-7", ak: ak.name.toString("hex") }] }));
const grant = { minBinding: "nonce", profile: "workload" };
const ca = await certificateAuthority(t, {
  configuration: {
    attestation: {
      developmentSource: true,
      sources: [
        { ref: "machines", format: "tpm", ekRootsFile: rootsFile },
        { ref: "elsewhere", format: "tpm", ekRootsFile: rootsFile },
        { ref: "enrolled", format: "tpm", enrolledKeysFile, statements: ["certify"] },
      ],
    },
    grants: [
      { ...grant, name: "machines", spiffeId: "spiffe://mayfly.localhost/machine/{ekSha256}", source: "machines" },
      { ...grant, name: "elsewhere", spiffeId: "spiffe://mayfly.localhost/elsewhere/{ekSha256}", source: "elsewhere" },
      { ...grant, name: "racks", spiffeId: "spiffe://mayfly.localhost/rack/{deviceName}", source: "enrolled" },
    ],
    acme: { rateLimits: { pauseAfterFailures: 0 } },
  },
});
const acme = await acmeDriver(t, ca);

interface Asking {
  readonly alice: AcmeClient;
  readonly order: Order;
  readonly challenge: Challenge;
  readonly key: CertificateKey;
}
async function asking(id = spiffeId): Promise<Asking> {
  const alice = await acme.account();
  const order = await alice.order({ identifiers: [uri(id)] });
  const [challenge] = (await alice.readAuthorization(order.authorizations[0])).challenges;
  if (challenge === undefined) throw new Error("no challenge");
  return { alice, order, challenge, key: certificateKey() };
}
const ask = ({ alice, challenge }: Asking, activation: unknown = wanted): Promise<Reply> =>
  alice.post(challenge.url, { activation });
/** What the TPM makes of the answer. */
function secretOf(reply: Reply): string {
  const { credentialBlob, encryptedSecret } = reply.json()["activation"] as Record<string, string>;
  const [blob, secret] = [credentialBlob, encryptedSecret].map((text) => Buffer.from(text ?? "", "base64url"));
  if (blob === undefined || secret === undefined) throw new Error("no credential");
  return base64url(activateCredential(ek, ak.name, { credentialBlob: blob, encryptedSecret: secret }));
}
function show({ alice, challenge, key }: Asking, activation: string, ref = "machines"): Promise<Reply> {
  const extraData = Buffer.from(bindingOf(challenge, alice.key, key.spki), "base64url");
  const value = valueOf({ ak: base64url(ak.publicArea), quote: quoteOf({ extraData }) });
  return alice.post(challenge.url, {
    spki: key.spki,
    evidence: [{ format: "tpm", ref, value, endorsements: { activation } }],
  });
}
const storedChallenges = async ({ order }: Asking): Promise<string> => {
  const id = idOf(order.authorizations[0] ?? "");
  const [row] = await query(ca, "select challenges::text as text from acme_authorization where id = $1", [id]);
  return String(row?.["text"]);
};

t.test("activation, evidence, certificate; what was kept meanwhile is gone, and nobody was shown it", async (t) => {
  const flow = await asking();
  const offered = await ask(flow);
  t.equal(offered.status, 200);
  t.equal(offered.json()["status"], "pending");
  const { ref, ...credential } = offered.json()["activation"] as Record<string, string>;
  t.equal(ref, "machines");
  t.same(Object.keys(credential).sort(), ["credentialBlob", "encryptedSecret"]);
  t.match(await storedChallenges(flow), /secretSha256/);
  for (const url of [flow.challenge.url, flow.order.authorizations[0] ?? ""]) {
    t.notMatch((await flow.alice.postAsGet(url)).text, /activation|secretSha256|akName/, url);
  }
  const secret = secretOf(offered);
  t.notOk((await storedChallenges(flow)).includes(secret), "the secret itself is nowhere");
  const shown = await show(flow, secret);
  t.equal(shown.json()["status"], "valid");
  t.notMatch(shown.text, /activation|secretSha256/);
  t.notMatch(await storedChallenges(flow), /secretSha256/);
  const finalized = await flow.alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [spiffeId] }) });
  t.equal(finalized.json()["status"], "valid");

  const again = await ask(flow);
  t.equal(again.status, 200);
  t.equal(again.json()["status"], "valid", "a challenge that has ended is answered as it is");
  t.notOk("activation" in again.json());
});

t.test("a second credential takes the place of the first", async (t) => {
  const flow = await asking();
  const [first, second] = [secretOf(await ask(flow)), secretOf(await ask(flow))];
  t.not(first, second);
  evidenceRefused(t, await show(flow, first), "evidenceInvalid");
  const other = await asking();
  await ask(other);
  t.equal((await show(other, secretOf(await ask(other)))).json()["status"], "valid");
});

t.test("the secret of one challenge is none in another", async (t) => {
  const [mine, other] = [await asking(), await asking()];
  const secret = secretOf(await ask(mine));
  evidenceRefused(t, await show(other, secret), "evidenceInvalid", "where none was asked for");
  const third = await asking();
  await ask(third);
  evidenceRefused(t, await show(third, secret), "evidenceInvalid", "where another was asked for");
});

t.test("nobody asks at another's challenge", async (t) => {
  const flow = await asking();
  const mallory = await acme.account();
  const reply = await mallory.post(flow.challenge.url, { activation: wanted });
  t.equal(reply.status, 404);
  t.notMatch(await storedChallenges(flow), /secretSha256/);
});

t.test("a request of another shape changes nothing", async (t) => {
  const flow = await asking();
  for (const activation of [null, [], "ek", 7, {}, { ...wanted, ref: 7 }, { ...wanted, ref: "m".repeat(65) }]) {
    refused(t, await ask(flow, activation), 400, "malformed", JSON.stringify(activation)?.slice(0, 60));
  }
  t.equal((await flow.alice.postAsGet(flow.challenge.url)).json()["status"], "pending");
  const both = { activation: wanted, spki: flow.key.spki, evidence: [] };
  refused(t, await flow.alice.post(flow.challenge.url, both), 400, "malformed", "evidence beside it counts");
  t.equal((await ask(flow)).json()["status"], "pending");
});

t.test("keys and sources that are refused end the challenge", async (t) => {
  const tls = softwareKey("P-256", attributes.tls);
  const foreign = keyCertificate(otherRoot, ek.publicKey, { purposes: [purpose.ek], ...always });
  const cases: [string, Record<string, unknown>, string][] = [
    ["a source that is not there", { ...wanted, ref: "nowhere" }, "sourceNotConfigured"],
    ["a source of another grant", { ...wanted, ref: "elsewhere" }, "formatNotAccepted"],
    ["a source of tokens", { ...wanted, ref: "dev" }, "formatNotAccepted"],
    ["another maker's TPM", { ...wanted, ek: base64url(foreign) }, "evidenceInvalid"],
    ["a key for TLS", { ...wanted, ak: base64url(tls.publicArea) }, "evidenceInvalid"],
    ["no certificate", { ...wanted, ek: "AA" }, "evidenceMalformed"],
    ["no key", { ref: "machines", ek: wanted.ek }, "evidenceMalformed"],
  ];
  for (const [what, activation, reason] of cases) {
    const flow = await asking();
    const reply = await ask(flow, activation);
    evidenceRefused(t, reply, reason, what);
    t.notMatch(reply.text, insides, what);
    t.notOk("activation" in reply.json(), what);
  }
});

t.test("a deactivated account is given no credential", async (t) => {
  const flow = await asking();
  await flow.alice.post(flow.alice.account, { status: "deactivated" });
  t.equal((await ask(flow)).status, 401);
  t.notMatch(await storedChallenges(flow), /secretSha256/);
});

t.test("inlineEvidence has no activation", async (t) => {
  const alice = await acme.account();
  const [nonce, key] = [await acme.nonce(), certificateKey()];
  const extraData = Buffer.from(boundTo(nonce, alice.key, key), "base64url");
  const value = valueOf({ ak: base64url(ak.publicArea), quote: quoteOf({ extraData }) });
  const endorsements = { activation: base64url(Buffer.alloc(32)) };
  const evidence = [{ format: "tpm", ref: "machines", value, endorsements }];
  const payload = { identifiers: [uri(spiffeId)], csr: key.csr({ uri: [spiffeId] }), evidence };
  const reply = await orderWithEvidence(alice, acme, { nonce, payload });
  const document = refused(t, reply, 400, "badAttestationStatement");
  t.match(document["detail"], /No credential of this source was asked for in this challenge/);
});

t.test("a certified key is certified, and no other beside it", async (t) => {
  const tls = softwareKey("P-256", attributes.tls);
  const id = "spiffe://mayfly.localhost/rack/rack-7";
  for (const key of [certificateKey(tls), certificateKey()]) {
    const flow = { ...(await asking(id)), key };
    const { alice, challenge, order } = flow;
    const extraData = Buffer.from(bindingOf(challenge, alice.key, key.spki), "base64url");
    const value = valueOf({ ak: base64url(ak.publicArea), certify: certifyOf({ object: tls, extraData }) });
    const evidence = [{ format: "tpm", ref: "enrolled", value }];
    t.equal((await alice.post(challenge.url, { spki: key.spki, evidence })).json()["status"], "valid");
    const finalized = await alice.post(order.finalize, { csr: key.csr({ uri: [id] }) });
    if (key.privateKey === tls.privateKey) t.equal(finalized.json()["status"], "valid");
    else t.equal(finalized.status, 400, "S and CSR agree, but the TPM has certified another key");
  }
});
