import { createHash } from "node:crypto";
import t from "tap";
import { type Activation } from "../../../src/attestation/evidence.ts";
import { type JsonObject } from "../../../src/encoding/json.ts";
import { refusal } from "../testIssuer.ts";
import { attributes, describeKey, softwareKey, u16 } from "../tpm/softwareTpm.ts";
import {
  ak,
  base64url,
  context,
  enrolled,
  intermediate,
  noTrust,
  openTpmSource,
  otherRoot,
  pemFile,
  quoteOf,
  root,
  sha256,
  tlsKey,
  valueOf,
  verify,
  type Verifying,
} from "../tpm/tpmEvidence.ts";
import {
  activateCredential,
  endorsementKey,
  keyCertificate,
  maker,
  purpose,
  rootsOf,
  type CertificateWishes,
} from "../tpm/tpmMaker.ts";

for (const kind of ["rsa", "P-256", "P-384"] as const) {
  t.test(`credential activation with an endorsement key of ${kind}`, async (t) => {
    const ek = endorsementKey(kind);
    const ekCertificate = keyCertificate(intermediate, ek.publicKey, { purposes: [purpose.ek] });
    const source = openTpmSource({ ekRootsFile: pemFile(t, root.der) });
    const offer = source.activate?.(
      { ek: base64url(ekCertificate), ekChain: [base64url(intermediate.der)], ak: base64url(ak.publicArea) },
      context.now,
    );
    if (offer === undefined) return t.fail("no offer");
    const secret = activateCredential(ek, ak.name, offer);
    t.notMatch(JSON.stringify(offer.kept), secret.toString("base64url"), "the secret itself is not kept");
    const evidence = await source.verify(
      {
        format: "tpm",
        ref: "rack",
        value: valueOf({ ak: base64url(ak.publicArea), quote: quoteOf() }),
        endorsements: { activation: base64url(secret) },
      },
      { ...context, activation: offer.kept },
    );
    const ekSha256 = sha256(ek.publicKey);
    t.match(evidence.claims, { ekSha256, akName: ak.name.toString("hex"), manufacturer: "id:54534554" });
    t.equal(evidence.instance, `ek:${ekSha256}`);
  });
}

t.test("evidence with an activation that is not that of its credential", async (t) => {
  const secret = Buffer.alloc(32, 0x5e);
  const activation: Activation = {
    ref: "rack",
    secretSha256: createHash("sha256").update(secret).digest("base64url"),
    akName: ak.name.toString("hex"),
    ekSha256: "00".repeat(32),
    claims: {},
  };
  const trust = { ...noTrust, ekRoots: rootsOf(root) };
  const endorsements = { activation: base64url(secret) };
  const members = { ak: base64url(ak.publicArea), quote: quoteOf() };
  const good = { trust, endorsements, context: { activation } };
  t.ok(await verify(members, good));
  const cases: [string, Verifying, RegExp][] = [
    ["none was asked for", { trust, endorsements }, /^evidenceInvalid: No credential/],
    ["of another source", { ...good, ref: "other" }, /^evidenceInvalid: No credential/],
    ["a wrong secret", { ...good, endorsements: { activation: base64url(Buffer.alloc(32)) } }, /not the secret/],
    ["an empty secret", { ...good, endorsements: { activation: "" } }, /not the secret/],
    ["the hash of it", { ...good, endorsements: { activation: activation.secretSha256 } }, /not the secret/],
    ["no base64url", { ...good, endorsements: { activation: "***" } }, /^evidenceMalformed/],
    ["two secrets", { ...good, endorsements: { activation: [base64url(secret)] } }, /^evidenceMalformed/],
    ["no activation", { ...good, endorsements: {} }, /neither a certificate nor a credential/],
    ["a source without endorsement keys", { ...good, trust: enrolled }, /takes no endorsement keys/],
    [
      "for another key",
      { ...good, context: { activation: { ...activation, akName: "00" } } },
      /another attestation key/,
    ],
  ];
  for (const [what, verifying, expected] of cases) t.match(await refusal(verify(members, verifying)), expected, what);
  t.match(await refusal(verify({ quote: quoteOf() }, good)), /^evidenceMalformed: .*no attestation key/);
});

t.test("a credential is made only for an attestation key, and for a TPM of a known maker", async (t) => {
  const ek = endorsementKey("P-256");
  const ekCertificate = (wishes: CertificateWishes = {}, issuer = intermediate): string =>
    base64url(keyCertificate(issuer, ek.publicKey, { purposes: [purpose.ek], ...wishes }));
  const good = { ek: ekCertificate(), ekChain: [base64url(intermediate.der)], ak: base64url(ak.publicArea) };
  const source = openTpmSource({ ekRootsFile: pemFile(t, root.der) });
  const offer = async (members: Record<string, unknown>, now = context.now) =>
    source.activate?.(members as JsonObject, now);
  t.ok(await offer(good));
  const otherIssuer = maker("Intermediate of the tests", otherRoot);
  const weak = softwareKey("P-256", attributes.ak, { nameHash: "sha1" });
  const cases: [string, Record<string, unknown>, RegExp][] = [
    ["no endorsement key", { ...good, ek: undefined }, /^evidenceMalformed/],
    ["no attestation key", { ...good, ak: undefined }, /^evidenceMalformed/],
    [
      "an attestation key with a size before it",
      { ...good, ak: base64url(Buffer.concat([u16(88), ak.publicArea])) },
      /^evidenceMalformed/,
    ],
    ["a chain of five", { ...good, ekChain: Array.from({ length: 5 }, () => good.ekChain[0]) }, /^evidenceMalformed/],
    [
      "a certificate for attestation",
      { ...good, ek: ekCertificate({ purposes: [purpose.ak] }) },
      /^evidenceInvalid: .*purpose/,
    ],
    [
      "another maker",
      { ...good, ek: ekCertificate({}, otherIssuer), ekChain: [base64url(otherIssuer.der)] },
      /^evidenceInvalid/,
    ],
    ["no name of the TPM", { ...good, ek: ekCertificate({ identity: [] }) }, /^evidenceInvalid: .*name/],
    ["a key for TLS", { ...good, ak: base64url(tlsKey.publicArea) }, /^evidenceInvalid: .*not restricted/],
    ["a key that can leave", { ...good, ak: base64url(describeKey(ak, attributes.ak & ~0x2).publicArea) }, /fixedTPM/],
    ["a name by SHA-1", { ...good, ak: base64url(weak.publicArea) }, /^evidenceInvalid: .*SHA-1/],
  ];
  for (const [what, members, expected] of cases) t.match(await refusal(offer(members)), expected, what);
  t.match(await refusal(offer(good, new Date("2028-01-01T00:00:00Z"))), /^evidenceExpired/);
  const without = openTpmSource({ akRootsFile: pemFile(t, root.der) });
  t.match(await refusal((async () => without.activate?.(good, context.now))()), /takes no endorsement keys/);
});
