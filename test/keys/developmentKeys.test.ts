import { generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { openDevelopmentKeys } from "../../src/keys/developmentKeys.ts";
import { algorithmOfKind, keyKinds } from "../../src/keys/keyAlgorithms.ts";
import type { KeyKind } from "../../src/keys/signer.ts";
import { verifySignature } from "../../src/x509/signatureAlgorithm.ts";

const kinds: readonly KeyKind[] = keyKinds;
const message = Buffer.from("to be signed");
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

/** Places for keys that do not exist yet. */
function places(t: Test) {
  const root = mkdtempSync(join(tmpdir(), "mayfly-keys-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  return { directory: join(root, "keys"), passphraseFile: join(root, "passphrase") };
}

for (const kind of kinds) {
  t.test(`${kind}: made, found again after a restart, signs`, async (t) => {
    const where = places(t);
    const made = await (await openDevelopmentKeys(where)).generate("issuing-1", kind);
    t.equal(made.label, "issuing-1");
    t.equal(made.algorithm, algorithmOfKind[kind]);

    const again = await openDevelopmentKeys(where);
    t.equal(again.development, true);
    const { algorithm } = made;
    for (const wanted of [{ label: "issuing-1" }, { spki: made.spki }, { label: "other", spki: made.spki }]) {
      const found = await again.find({ ...wanted, algorithm });
      t.same(found?.spki, made.spki);
      const signature = (await found?.sign(message)) ?? Buffer.alloc(0);
      t.ok(verifySignature(algorithm, made.publicKey, message, signature));
    }
    await again.close();
    await again.close();
  });
}

t.test("everything is the owner's only, encrypted, and nothing half-written stays", async (t) => {
  const where = places(t);
  await (await openDevelopmentKeys(where)).generate("issuing", "ec-p256");
  t.equal(mode(where.directory), "700");
  t.equal(mode(where.passphraseFile), "600");
  t.same(readdirSync(where.directory), ["issuing.pem"]);
  const file = join(where.directory, "issuing.pem");
  t.equal(mode(file), "600");
  t.match(readFileSync(file, "utf8"), /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  t.match(readFileSync(where.passphraseFile, "utf8"), /^[A-Za-z0-9_-]{43}\n$/);
});

t.test("what is not there is not found; a label is a plain file name", async (t) => {
  const keys = await openDevelopmentKeys(places(t));
  const { publicKey } = generateKeyPairSync("ed25519");
  t.equal(await keys.find({ label: "nobody" }), undefined);
  t.equal(await keys.find({ spki: publicKey.export({ type: "spki", format: "der" }) }), undefined);
  await t.rejects(keys.find({}), /neither was given/);
  for (const label of ["", "../up", "a/b", ".hidden", "a b", "a\0b", "x".repeat(65)]) {
    await t.rejects(keys.generate(label, "ec-p256"), /no label for a key file/);
    await t.rejects(keys.find({ label }), /no label for a key file/);
  }
});

t.test("a label is given once, also when two ask at once, and the first key stays", async (t) => {
  const keys = await openDevelopmentKeys(places(t));
  const outcomes = await Promise.allSettled(["ec-p256", "ec-p256"].map(() => keys.generate("issuing", "ec-p256")));
  const made = outcomes.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  t.equal(made.length, 1);
  await t.rejects(keys.generate("issuing", "ec-p256"), /"issuing" is taken/);
  t.same((await keys.find({ label: "issuing" }))?.spki, made[0]?.spki);
});

t.test("two processes that open a fresh directory at once agree on the passphrase", async (t) => {
  const where = places(t);
  const opened = await Promise.all([openDevelopmentKeys(where), openDevelopmentKeys(where)]);
  for (const [index, keys] of opened.entries()) await keys.generate(`key-${index}`, "ed25519");
  const later = await openDevelopmentKeys(where);
  t.ok(await later.find({ label: "key-0" }));
  t.ok(await later.find({ label: "key-1" }));
});

t.test("a lost passphrase is not replaced while keys need it", async (t) => {
  const where = places(t);
  await (await openDevelopmentKeys(where)).generate("issuing", "ec-p256");
  rmSync(where.passphraseFile);
  await t.rejects(openDevelopmentKeys(where), /passphrase file .* is missing, but .* holds keys that need it/);
  writeFileSync(where.passphraseFile, "another\n", { mode: 0o600 });
  const keys = await openDevelopmentKeys(where);
  const refused = await keys.find({ label: "issuing" }).catch((error: Error) => error.message);
  t.match(refused, /the passphrase does not open the key file .*issuing\.pem, or the file is damaged/);
  t.notMatch(refused, /another/);
  writeFileSync(where.passphraseFile, " \n");
  await t.rejects(openDevelopmentKeys(where), /passphrase file .* is empty/);
});

t.test("what others may read is refused, with the line that helps", async (t) => {
  const where = places(t);
  await (await openDevelopmentKeys(where)).generate("issuing", "ec-p256");
  const file = join(where.directory, "issuing.pem");
  for (const [path, loose, tight] of [
    [where.passphraseFile, 0o644, 0o600],
    [where.directory, 0o755, 0o700],
    [file, 0o640, 0o600],
  ] as const) {
    chmodSync(path, loose);
    const using = async () => (await openDevelopmentKeys(where)).find({ label: "issuing" });
    await t.rejects(using(), { message: new RegExp(`run: chmod 0${tight.toString(8)} ${path}$`) });
    chmodSync(path, tight);
    t.ok(await using());
  }
});

t.test("a key in the clear, damage, a directory in its place, and a key that may not issue are refused", async (t) => {
  const where = places(t);
  const keys = await openDevelopmentKeys(where);
  const passphrase = readFileSync(where.passphraseFile, "utf8").trim();
  const write = (label: string, content: string | Buffer) =>
    writeFileSync(join(where.directory, `${label}.pem`), content, { mode: 0o600 });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
  write("clear", privateKey.export({ type: "pkcs8", format: "pem" }));
  write("odd", privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase }));
  write("damaged", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
  write("huge", Buffer.alloc(20_000));
  mkdirSync(join(where.directory, "folder.pem"), { mode: 0o700 });
  await t.rejects(keys.find({ label: "clear" }), /not an encrypted PKCS#8 PEM/);
  await t.rejects(keys.find({ label: "odd" }), /odd.pem is of a kind or size that may not issue: ec/);
  await t.rejects(keys.find({ label: "damaged" }), /or the file is damaged/);
  await t.rejects(keys.find({ label: "huge" }), /larger than 16384 bytes/);
  await t.rejects(keys.find({ label: "folder" }), /not a regular file/);
});

t.test("a copy of a key under another name is the same key", async (t) => {
  const where = places(t);
  const keys = await openDevelopmentKeys(where);
  const made = await keys.generate("b", "ec-p256");
  copyFileSync(join(where.directory, "b.pem"), join(where.directory, "a.pem"));
  t.same((await keys.find({ spki: made.spki }))?.spki, made.spki);
});
