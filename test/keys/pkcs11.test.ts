import { execFileSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, randomBytes, verify } from "node:crypto";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import ck from "pkcs11js";
import t, { type Test } from "tap";
import { algorithmOfKind, isPostQuantum, keyKinds } from "../../src/keys/keyAlgorithms.ts";
import { openPkcs11, type Pkcs11Options } from "../../src/keys/pkcs11.ts";
import { KeyUnavailable, type KeyKind, type Signer } from "../../src/keys/signer.ts";
import { verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { addSofthsmToken, softhsmPin, softhsmToken, softhsmUtil, type SofthsmToken } from "../support/softhsm.ts";

t.setTimeout(240_000);

/** SoftHSM 2.6 is of before ML-DSA. */
const kinds: readonly KeyKind[] = keyKinds.filter((kind) => !isPostQuantum(kind));
const none = Buffer.alloc(0);
const message = Buffer.from("to be signed");

function optionsFor(token: SofthsmToken, overrides: Partial<Pkcs11Options> = {}): Pkcs11Options {
  const { module, pinFile } = token;
  return { module, token: token.token, pinFile, sessions: 4, queueLimit: 500, timeoutMs: 10_000, ...overrides };
}

/** A fresh token, opened; both end with the test. What is lost is opened again without a pause where nobody says otherwise. */
async function openToken(t: Test, overrides: Partial<Pkcs11Options> = {}, reopenPauseMs = 0) {
  const token = softhsmToken(t);
  const keys = await openPkcs11(optionsFor(token, overrides), { reopenPauseMs });
  t.teardown(() => keys.close());
  return { token, keys };
}

/** A second client of the same module in this process, as another part of a program would be. */
function intruder({ module }: SofthsmToken) {
  const cryptoki = new ck.PKCS11(module);
  const [slot = none] = cryptoki.C_GetSlotList(true);
  const session = cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION);
  return {
    cryptoki,
    slot,
    session,
    /** The first object of this class and label. */
    object: (type: number, label: string): Buffer => {
      cryptoki.C_FindObjectsInit(session, [
        { type: ck.CKA_CLASS, value: type },
        { type: ck.CKA_LABEL, value: label },
      ]);
      const found = cryptoki.C_FindObjects(session);
      cryptoki.C_FindObjectsFinal(session);
      if (!found) throw new Error(`no object ${label}`);
      return found;
    },
    read: (object: Buffer, type: number) => cryptoki.C_GetAttributeValue(session, object, [{ type }])[0]?.value ?? none,
    write: (object: Buffer, type: number, value: Buffer | string) =>
      cryptoki.C_SetAttributeValue(session, object, [{ type, value }]),
  };
}

function isGood(signer: Signer, signature: Buffer, signed: Uint8Array = message): boolean {
  return verifySignature(signer.algorithm, signer.publicKey, signed, signature);
}

/** Everything that a rejection could show to anybody. */
async function messageOf(rejected: Promise<unknown>): Promise<string> {
  const error: unknown = await rejected.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Error)) throw new Error("expected a rejection with an Error");
  return inspect(error, { depth: 10, showHidden: true });
}

for (const kind of kinds) {
  t.test(`${kind}: generated in the token, found by public key and by label, signs`, async (t) => {
    const { token, keys } = await openToken(t);
    const made = await keys.generate("issuing 1", kind);
    t.equal(made.label, "issuing 1");
    t.equal(made.algorithm, algorithmOfKind[kind]);
    t.ok(isGood(made, await made.sign(message)));

    const { algorithm } = made;
    const byKey = await keys.find({ spki: made.spki, algorithm });
    const byLabel = await keys.find({ label: "issuing 1", algorithm });
    for (const found of [byKey, byLabel]) {
      t.same(found?.spki, made.spki);
      t.equal(found?.label, "issuing 1");
      t.ok(found && isGood(made, await found.sign(message)));
    }
    t.equal(keys.description, `PKCS#11 token ${token.token} (SoftHSM v2)`);
    t.equal(keys.development, false);
  });
}

t.test("the private key is made not to leave the token, and to do nothing but sign", async (t) => {
  const { token, keys } = await openToken(t);
  await keys.generate("issuing", "rsa-3072");
  const { object, read } = intruder(token);
  const made = object(ck.CKO_PRIVATE_KEY, "issuing");
  for (const type of ["CKA_TOKEN", "CKA_PRIVATE", "CKA_SENSITIVE", "CKA_NEVER_EXTRACTABLE", "CKA_SIGN"] as const) {
    t.equal(read(made, ck[type])[0], 1, type);
  }
  for (const type of ["CKA_EXTRACTABLE", "CKA_DECRYPT", "CKA_UNWRAP", "CKA_SIGN_RECOVER"] as const) {
    t.equal(read(made, ck[type])[0], 0, type);
  }
  t.equal(read(made, ck.CKA_ID).length, 20);
  t.same(read(made, ck.CKA_ID), read(object(ck.CKO_PUBLIC_KEY, "issuing"), ck.CKA_ID));
});

t.test("what is not there is not found; what cannot be looked for is refused", async (t) => {
  const { keys } = await openToken(t);
  const foreign = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
  const unusable = generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey;
  t.equal(await keys.find({ label: "nobody" }), undefined);
  t.equal(await keys.find({ spki: foreign.export({ type: "spki", format: "der" }) }), undefined);
  await t.rejects(keys.find({}), /neither was given/);
  await t.rejects(keys.find({ spki: Buffer.from("junk") }), /not a DER SubjectPublicKeyInfo/);
  await t.rejects(keys.find({ spki: unusable.export({ type: "spki", format: "der" }) }), /may not issue/);
  for (const label of ["", " ", "a\nb", "x".repeat(65)]) await t.rejects(keys.generate(label, "ec-p256"), /no label/);
});

t.test(
  "a label is given once; where a token has it twice, it is refused, and the public key still finds each",
  async (t) => {
    const { token, keys } = await openToken(t);
    const first = await keys.generate("issuing", "ec-p256");
    await t.rejects(keys.generate("issuing", "ec-p256"), /"issuing" is taken/);
    const outcomes = await Promise.allSettled([keys.generate("other", "ec-p256"), keys.generate("other", "ec-p256")]);
    t.same(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected"],
      "also when two ask at once",
    );

    const second = await keys.generate("second", "ec-p256");
    const { object, write } = intruder(token);
    write(object(ck.CKO_PRIVATE_KEY, "second"), ck.CKA_LABEL, "issuing");
    await t.rejects(keys.find({ label: "issuing" }), /more than one private key labelled "issuing"/);
    t.same((await keys.find({ spki: first.spki }))?.spki, first.spki);
    t.same((await keys.find({ spki: second.spki }))?.spki, second.spki);
  },
);

t.test("a bare CKA_EC_POINT, as some tokens write it, finds its key too", async (t) => {
  const { token, keys } = await openToken(t);
  const made = await keys.generate("issuing", "ec-p256");
  const { cryptoki, session, object, read } = intruder(token);
  const wrapped = object(ck.CKO_PUBLIC_KEY, "issuing");
  const copied = [ck.CKA_ID, ck.CKA_EC_PARAMS].map((type) => ({ type, value: read(wrapped, type) }));
  const point = read(wrapped, ck.CKA_EC_POINT);
  t.equal(point.length, 67, "SoftHSM wraps it");
  cryptoki.C_DestroyObject(session, wrapped);
  cryptoki.C_CreateObject(session, [
    { type: ck.CKA_CLASS, value: ck.CKO_PUBLIC_KEY },
    { type: ck.CKA_KEY_TYPE, value: ck.CKK_EC },
    { type: ck.CKA_TOKEN, value: true },
    { type: ck.CKA_EC_POINT, value: point.subarray(2) },
    ...copied,
  ]);
  t.same((await keys.find({ spki: made.spki }))?.spki, made.spki);
  t.same((await keys.find({ label: "issuing" }))?.spki, made.spki);
});

t.test("H-28 a public key that the private key does not belong to is found out", async (t) => {
  const { token, keys } = await openToken(t);
  await keys.generate("one", "ec-p256");
  const two = await keys.generate("two", "ec-p256");
  const { object, read, write } = intruder(token);
  write(object(ck.CKO_PUBLIC_KEY, "two"), ck.CKA_ID, read(object(ck.CKO_PRIVATE_KEY, "one"), ck.CKA_ID));
  await t.rejects(keys.find({ spki: two.spki }), /"one" does not belong to its public key/);
});

t.test("two private keys with one CKA_ID are refused; an RSA and an EC key may share it", async (t) => {
  const { token, keys } = await openToken(t);
  const signers = [];
  for (const kind of ["ec-p256", "ec-p384", "rsa-3072"] as const) signers.push(await keys.generate(kind, kind));
  const [first, second, rsa] = signers;
  const { object, write } = intruder(token);
  const share = (label: string) => {
    for (const type of [ck.CKO_PRIVATE_KEY, ck.CKO_PUBLIC_KEY]) write(object(type, label), ck.CKA_ID, Buffer.of(1));
  };
  share("ec-p256");
  share("rsa-3072");
  for (const signer of [first, rsa]) t.same((await keys.find({ spki: signer?.spki ?? none }))?.label, signer?.label);
  share("ec-p384");
  await keys.close();
  const again = await openPkcs11(optionsFor(token));
  t.teardown(() => again.close());
  await t.rejects(again.find({ spki: second?.spki ?? none }), /two private keys with CKA_ID 01/);
});

for (const [what, sensitive, extractable] of [
  ["extractable", true, true],
  ["not sensitive", false, false],
] as const) {
  t.test(`a private key that is ${what} is refused`, async (t) => {
    const { token, keys } = await openToken(t);
    const { cryptoki, session, object, read } = intruder(token);
    const both = [
      { type: ck.CKA_TOKEN, value: true },
      { type: ck.CKA_LABEL, value: "loose" },
      { type: ck.CKA_ID, value: Buffer.of(7) },
    ];
    cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: ck.CKM_EC_KEY_PAIR_GEN },
      [...both, { type: ck.CKA_EC_PARAMS, value: Buffer.from("06082a8648ce3d030107", "hex") }],
      [
        ...both,
        { type: ck.CKA_SENSITIVE, value: sensitive },
        { type: ck.CKA_EXTRACTABLE, value: extractable },
        { type: ck.CKA_SIGN, value: true },
      ],
    );
    const point = read(object(ck.CKO_PUBLIC_KEY, "loose"), ck.CKA_EC_POINT).subarray(3);
    const [x, y] = [point.subarray(0, 32).toString("base64url"), point.subarray(32).toString("base64url")];
    const publicKey = createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x, y } });
    await t.rejects(keys.find({ label: "loose" }), /"loose" can be taken out of its token/);
    await t.rejects(keys.find({ spki: publicKey.export({ type: "spki", format: "der" }) }), /can be taken out/);
  });
}

t.test("a key that another tool brought in, sensitive and not extractable, is used", async (t) => {
  const token = softhsmToken(t);
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const file = join(token.directory, "imported.pem");
  writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const where = ["--token", token.token, "--pin", softhsmPin];
  softhsmUtil(token, ["--import", file, "--label", "imported", "--id", "a1b2", ...where]);
  const keys = await openPkcs11(optionsFor(token));
  t.teardown(() => keys.close());
  const found = await keys.find({ spki: publicKey.export({ type: "spki", format: "der" }) });
  t.equal(found?.label, "imported");
  t.equal(found?.algorithm, "rsa-pkcs1-sha256");
  t.ok(verify("sha256", message, publicKey, (await found?.sign(message)) ?? none));
});

t.test("200 signatures at once through 4 sessions are all good and all of their own message", async (t) => {
  const { keys } = await openToken(t);
  const signer = await keys.generate("issuing", "ec-p256");
  const messages = Array.from({ length: 200 }, () => randomBytes(100));
  const signatures = await Promise.all(messages.map((each) => signer.sign(each)));
  t.ok(signatures.every((signature, index) => isGood(signer, signature, messages[index])));
});

t.test("a full queue and a passed deadline are KeyUnavailable, and the token works on after them", async (t) => {
  const { token, keys } = await openToken(t, { sessions: 1, queueLimit: 2 });
  const signer = await keys.generate("issuing", "rsa-3072");
  const crowd = await Promise.allSettled(Array.from({ length: 5 }, () => signer.sign(message)));
  t.same(
    crowd.map(({ status }) => status),
    ["fulfilled", "fulfilled", "fulfilled", "rejected", "rejected"],
    "one runs, two wait",
  );
  const [refused] = crowd.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
  t.match(refused, { name: "KeyUnavailable", message: /too many operations are waiting/ });
  t.ok(refused instanceof KeyUnavailable);

  const hurried = await openPkcs11(optionsFor(token, { sessions: 1, queueLimit: 20_000, timeoutMs: 2000 }));
  t.teardown(() => hurried.close());
  const slow = await hurried.find({ spki: signer.spki });
  if (!slow) throw new Error("the key is gone");
  const outcomes = await Promise.allSettled(Array.from({ length: 20_000 }, () => slow.sign(message)));
  const late = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
  t.ok(late.length > 0, "20000 RSA signatures take more than 2 s");
  t.ok(
    late.every((reason) => reason instanceof KeyUnavailable && /did not answer within 2000 ms/.test(reason.message)),
  );
  t.ok(isGood(slow, await slow.sign(message)));
});

t.test("H-28 sessions closed behind our back are opened again, logged in, and the key found again", async (t) => {
  const { token, keys } = await openToken(t);
  const signer = await keys.generate("issuing", "ec-p256");
  const { cryptoki, slot } = intruder(token);

  cryptoki.C_CloseAllSessions(slot);
  const signatures = await Promise.all(Array.from({ length: 20 }, () => signer.sign(message)));
  t.ok(signatures.every((signature) => isGood(signer, signature)));

  cryptoki.C_CloseAllSessions(slot);
  t.same((await keys.find({ label: "issuing" }))?.spki, signer.spki, "also when the first to notice is a search");
});

t.test("H-28 a lost login is no missing key", async (t) => {
  const { token, keys } = await openToken(t);
  const signer = await keys.generate("issuing", "ec-p256");
  const { cryptoki, session } = intruder(token);
  cryptoki.C_Logout(session);
  t.same((await keys.find({ label: "issuing" }))?.spki, signer.spki);
  cryptoki.C_Logout(session);
  await t.rejects(keys.generate("issuing", "ec-p256"), /"issuing" is taken/, "so no second one is made");
});

t.test("a module finalized by somebody else is initialized again", async (t) => {
  const { token, keys } = await openToken(t);
  const signer = await keys.generate("issuing", "ec-p384");
  intruder(token).cryptoki.C_Finalize();
  t.ok(isGood(signer, await signer.sign(message)));
});

t.test("H-28 a token that stays away is KeyUnavailable, at once after the first try", async (t) => {
  const { token, keys } = await openToken(t, {}, 600_000);
  const signer = await keys.generate("issuing", "ec-p256");
  intruder(token).cryptoki.C_Finalize();
  rmSync(join(token.directory, "tokens"), { recursive: true });
  mkdirSync(join(token.directory, "tokens"));
  await t.rejects(signer.sign(message), { name: "KeyUnavailable", message: /no PKCS#11 token labelled "mayfly"/ });
  await t.rejects(signer.sign(message), { name: "KeyUnavailable", message: /tried a moment ago/ });
});

t.test("two providers on one token: closing one leaves the other working; both may close twice", async (t) => {
  const { token, keys } = await openToken(t);
  const other = await openPkcs11(optionsFor(token));
  const signer = await keys.generate("issuing", "ec-p256");
  const seen = await other.find({ spki: signer.spki });
  await keys.close();
  await keys.close();
  await t.rejects(signer.sign(message), { name: "KeyUnavailable", message: /closed/ });
  t.ok(new ck.PKCS11(token.module).C_GetSlotList().length > 0, "the module stays initialized for the other");
  t.ok(seen && isGood(seen, await seen.sign(message)));
  await other.close();
  await t.rejects(other.generate("more", "ec-p256"), KeyUnavailable);
  t.throws(() => new ck.PKCS11(token.module).C_GetSlotList(), /CKR_CRYPTOKI_NOT_INITIALIZED/, "the last one finalizes");
});

t.test("close waits for signatures that run", async (t) => {
  const { keys } = await openToken(t, { sessions: 2 });
  const signer = await keys.generate("issuing", "rsa-3072");
  const running = [signer.sign(message), signer.sign(message)];
  await keys.close();
  for (const signature of await Promise.all(running)) t.ok(isGood(signer, signature));
});

t.test("a token is chosen by label or slot; one that is not there names those that are", async (t) => {
  const token = softhsmToken(t, { label: "first" });
  addSofthsmToken(token, "second");
  const shown = await messageOf(openPkcs11(optionsFor(token, { token: "third" })));
  t.match(shown, /no PKCS#11 token labelled "third"; there are: /);
  for (const label of ["first", "second"]) t.match(shown, `"${label}" (slot `);

  await t.rejects(
    openPkcs11(optionsFor(token, { token: undefined })),
    /more than one PKCS#11 token.*name one by its slot/,
  );
  await t.rejects(openPkcs11(optionsFor(token, { slot: 4_000_000_000 })), /labelled "first" in slot 4000000000/);

  const slot = Number(/"second" \(slot (\d+)\)/.exec(shown)?.[1]);
  const keys = await openPkcs11(optionsFor(token, { token: undefined, slot }));
  t.teardown(() => keys.close());
  t.equal(keys.description, "PKCS#11 token second (SoftHSM v2)");
});

t.test("a module that is missing or none is one clear message", async (t) => {
  const token = softhsmToken(t);
  await t.rejects(openPkcs11(optionsFor(token, { module: "/nowhere/pkcs11.so" })), {
    message: "there is no PKCS#11 module at /nowhere/pkcs11.so; install the token's library or correct the path",
  });
  await t.rejects(openPkcs11(optionsFor(token, { module: token.pinFile })), /is not a PKCS#11 module/);
});

t.test("without pkcs11js there is one clear message with the remedy", async (t) => {
  const token = softhsmToken(t);
  const program = `
    import { registerHooks } from "node:module";
    registerHooks({ resolve: (name, context, next) => {
      if (name === "pkcs11js") throw new Error("not installed");
      return next(name, context);
    } });
    const { openKeys } = await import(${JSON.stringify(new URL("../../src/keys/open.ts", import.meta.url).href)});
    const options = ${JSON.stringify(optionsFor(token))};
    await openKeys({ provider: "pkcs11", ...options }).catch((error) => console.log(error.message));`;
  const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" });
  t.equal(
    printed,
    "PKCS#11 tokens need the package pkcs11js, which is not built here; install python3, make and g++ and run `npm run pkcs11`\n",
  );
});

t.test("a PIN file that is missing, empty or open to others is refused", async (t) => {
  const token = softhsmToken(t);
  const open = () => openPkcs11(optionsFor(token));
  chmodSync(token.pinFile, 0o640);
  await t.rejects(open(), {
    message: `the PIN file ${token.pinFile} is open to others (mode 0640); run: chmod 0600 ${token.pinFile}`,
  });
  chmodSync(token.pinFile, 0o600);
  writeFileSync(token.pinFile, "\n");
  await t.rejects(open(), { message: `the PIN file ${token.pinFile} is empty` });
  rmSync(token.pinFile);
  await t.rejects(open(), { message: `there is no PIN file ${token.pinFile}` });
});

t.test("a wrong PIN is refused without showing it", async (t) => {
  const token = softhsmToken(t);
  writeFileSync(token.pinFile, "wrong-pin-9999");
  const shown = await messageOf(openPkcs11(optionsFor(token)));
  t.match(shown, /the token "mayfly" refused the PIN in .* \(CKR_PIN_INCORRECT\); it is not tried again/);
  t.notMatch(shown, /wrong-pin-9999/);
});

t.test("H-28 a PIN refused while running is not tried again, even when it would be right by then", async (t) => {
  const { token, keys } = await openToken(t);
  const signer = await keys.generate("issuing", "ec-p256");
  const { cryptoki, slot } = intruder(token);
  writeFileSync(token.pinFile, "wrong-pin-9999");
  cryptoki.C_CloseAllSessions(slot);
  const shown = await messageOf(signer.sign(message));
  t.match(shown, /KeyUnavailable.*refused the PIN/);
  t.notMatch(shown, /wrong-pin-9999/);

  writeFileSync(token.pinFile, softhsmPin);
  await t.rejects(signer.sign(message), { name: "KeyUnavailable", message: /refused the PIN/ });
});
