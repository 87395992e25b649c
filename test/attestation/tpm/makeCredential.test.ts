import { generateKeyPairSync } from "node:crypto";
import t from "tap";
import { makeCredential } from "../../../src/attestation/tpm/makeCredential.ts";
import { softwareKey } from "./softwareTpm.ts";
import { activateCredential, endorsementKey } from "./tpmMaker.ts";

const secret = Buffer.alloc(32, 0x5e);
const { name } = softwareKey("P-256");
const other = softwareKey("P-256");

for (const kind of ["rsa", "P-256", "P-384"] as const) {
  t.test(`a credential for an endorsement key of ${kind} is read by its TPM and by no other`, async (t) => {
    const ek = endorsementKey(kind);
    const credential = makeCredential(ek.publicKey, name, secret);
    t.same(activateCredential(ek, name, credential), secret);
    t.throws(() => activateCredential(ek, other.name, credential), /integrity/, "with another key in the TPM");
    t.throws(() => activateCredential(endorsementKey(kind), name, credential), "in another TPM");
    for (let at = 2; at < credential.credentialBlob.length; at += 1) {
      const credentialBlob = Buffer.from(credential.credentialBlob);
      credentialBlob[at] = (credentialBlob[at] ?? 0) ^ 1;
      t.throws(() => activateCredential(ek, name, { ...credential, credentialBlob }), `byte ${at} changed`);
    }
  });

  t.test(`no two credentials for an endorsement key of ${kind} are alike`, async (t) => {
    const { publicKey } = endorsementKey(kind);
    const [one, two] = [makeCredential(publicKey, name, secret), makeCredential(publicKey, name, secret)];
    t.notSame(one.credentialBlob, two.credentialBlob);
    t.notSame(one.encryptedSecret, two.encryptedSecret);
  });
}

t.test("endorsement keys that no template has are refused", async (t) => {
  const keys = [
    generateKeyPairSync("rsa", { modulusLength: 1024 }),
    generateKeyPairSync("ec", { namedCurve: "P-521" }),
    generateKeyPairSync("ed25519"),
    generateKeyPairSync("x25519"),
  ];
  for (const { publicKey } of keys) {
    t.throws(
      () => makeCredential(publicKey, name, secret),
      { name: "TpmStructureError" },
      String(publicKey.asymmetricKeyType),
    );
  }
});

t.test("a credential holds no more than the digest of its endorsement key's hash", async (t) => {
  t.throws(() => makeCredential(endorsementKey("P-256").publicKey, name, Buffer.alloc(33)), { name: "RangeError" });
});
