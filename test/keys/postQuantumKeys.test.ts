import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { openKeys } from "../../src/keys/open.ts";
import { verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { softhsmToken } from "../support/softhsm.ts";

const message = Buffer.from("to be signed");

/** A SoftHSM token, which has no ML-DSA, and perhaps key files beside it. */
function places(t: Test) {
  const root = mkdtempSync(join(tmpdir(), "mayfly-keys-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  const { module, token, pinFile } = softhsmToken(t);
  const hardware = { provider: "pkcs11", module, token, pinFile, queueLimit: 10, timeoutMs: 5000 } as const;
  return { hardware, postQuantum: { directory: join(root, "pq"), passphraseFile: join(root, "passphrase") } };
}

t.test("without leave, a token that lacks ML-DSA makes no such key", async (t) => {
  const { hardware } = places(t);
  const keys = await openKeys(hardware);
  t.teardown(() => keys.close());
  t.equal(keys.unprotected, undefined);
  await t.rejects(keys.generate("pq", "ml-dsa-65"), {
    name: "KeyKindUnsupported",
    message: "the token cannot make keys of kind ml-dsa-65: it lacks CKM_ML_DSA_KEY_PAIR_GEN and CKM_ML_DSA",
  });
});

t.test("ML-DSA keys are in files, all others in the token; both are found again, and it is said", async (t) => {
  const { hardware, postQuantum } = places(t);
  const keys = await openKeys({ ...hardware, postQuantum });
  const hard = await keys.generate("issuing 1", "ec-p256");
  const soft = await keys.generate("pq", "ml-dsa-65");
  t.equal(keys.development, false);
  t.equal(keys.unprotected, `ML-DSA keys in ${postQuantum.directory}`);
  t.match(keys.description, /^PKCS#11 token mayfly .*; ML-DSA in key files in /);
  await keys.close();

  const again = await openKeys({ ...hardware, postQuantum });
  t.teardown(() => again.close());
  for (const made of [hard, soft]) {
    const { label, spki, algorithm, publicKey } = made;
    for (const wanted of [{ spki }, { spki, algorithm }, { label }, { label, algorithm }]) {
      const found = await again.find(wanted);
      t.same(found?.spki, spki);
      t.equal(found?.algorithm, algorithm);
      t.ok(found && verifySignature(algorithm, publicKey, message, await found.sign(message)));
    }
  }
  t.equal(await again.find({ label: "nobody" }), undefined);
  t.equal(await again.find({ label: "no file name" }), undefined);
});

t.test("a label names one key in token and files together", async (t) => {
  const { hardware, postQuantum } = places(t);
  const keys = await openKeys({ ...hardware, postQuantum });
  t.teardown(() => keys.close());
  await keys.generate("hard", "ec-p256");
  await keys.generate("soft", "ml-dsa-44");
  await t.rejects(keys.generate("hard", "ml-dsa-44"), /"hard" is taken/);
  await t.rejects(keys.generate("soft", "ec-p256"), /"soft" is taken by a key file/);
  await t.rejects(keys.find({ label: "hard", algorithm: "ml-dsa-44" }), /signs with ecdsa-p256-sha256, and not with/);
  const alone = await openKeys(hardware);
  t.teardown(() => alone.close());
  await alone.generate("soft", "ec-p384");
  await t.rejects(keys.find({ label: "soft" }), /names a key in the token and one in .*; rename one/);
});
