/**
 * ML-DSA in a token of PKCS#11 v3.2. No module that is at hand has it: the token here is an imitation after the text of the standard
 * ("ML-DSA" in PKCS#11 v3.2), with Node's ML-DSA behind it. What it proves is what we ask for and how we read the answers, not that a
 * vendor's module agrees.
 */
import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import ck, { type Attribute, type Handle, type Mechanism } from "pkcs11js";
import t from "tap";
import { generateInToken } from "../../src/keys/pkcs11Generate.ts";
import type { Pkcs11Module } from "../../src/keys/pkcs11Module.ts";
import { findByLabel, findByPublicKey } from "../../src/keys/pkcs11Objects.ts";
import { signInToken } from "../../src/keys/pkcs11Sign.ts";
import { openTokenSession } from "../../src/keys/pkcs11Token.ts";
import { verifySignature } from "../../src/x509/signatureAlgorithm.ts";

const [ckmMlDsaKeyPairGen, ckmMlDsa, ckkMlDsa, ckaParameterSet] = [0x1c, 0x1d, 0x4a, 0x61d];
const sets = ["", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"] as const;
const parameterSets = { "ml-dsa-44": 1, "ml-dsa-65": 2, "ml-dsa-87": 3 };
const slot = Buffer.from([0]);

interface StoredObject {
  readonly attributes: Map<number, Buffer>;
  readonly privateKey?: KeyObject;
}

function ulong(value: number): Buffer {
  const octets = Buffer.alloc(8);
  octets.writeUInt32LE(value);
  return octets;
}

function octetsOf(value: Attribute["value"]): Buffer {
  if (typeof value === "number") return ulong(value);
  if (typeof value === "boolean") return Buffer.of(value ? 1 : 0);
  return Buffer.from(value ?? "");
}

function mapOf(template: readonly Attribute[] = []): Map<number, Buffer> {
  return new Map(template.map(({ type, value }) => [type, octetsOf(value)]));
}

/** Answers as a token would; a call that the standard does not allow for ML-DSA is an error. */
function imitation(mechanisms: readonly number[] = [ckmMlDsaKeyPairGen, ckmMlDsa]) {
  const objects: StoredObject[] = [];
  const asked: { mechanism?: Mechanism } = {};
  let found: Handle[] = [];
  let signing: KeyObject | undefined;
  const at = (handle: Handle): StoredObject => {
    const object = objects[handle[0] ?? -1];
    if (!object) throw new Error("CKR_OBJECT_HANDLE_INVALID");
    return object;
  };
  const cryptoki = {
    C_GetMechanismList: () => [...mechanisms],
    C_OpenSession: () => Buffer.from([1]),
    C_CloseSession: () => undefined,
    C_GetSessionInfo: () => ({ state: 1 }),
    async C_GenerateKeyPairAsync(_: Handle, mechanism: Mechanism, ofPublic: Attribute[], ofPrivate: Attribute[]) {
      if (mechanism.mechanism !== ckmMlDsaKeyPairGen || mechanism.parameter) throw new Error("CKR_MECHANISM_INVALID");
      const [publicAttributes, privateAttributes] = [mapOf(ofPublic), mapOf(ofPrivate)];
      // "the parameter set is not specified in the key's template" of the private key.
      if (privateAttributes.has(ckaParameterSet)) throw new Error("CKR_TEMPLATE_INCONSISTENT");
      const set = sets[publicAttributes.get(ckaParameterSet)?.readUInt32LE() ?? 0];
      if (!set) throw new Error("CKR_TEMPLATE_INCOMPLETE");
      const { publicKey, privateKey } = generateKeyPairSync(set as "ml-dsa-44");
      const { pub } = publicKey.export({ format: "jwk" }) as { pub: string };
      publicAttributes.set(ck.CKA_CLASS, ulong(ck.CKO_PUBLIC_KEY)).set(ck.CKA_KEY_TYPE, ulong(ckkMlDsa));
      publicAttributes.set(ck.CKA_VALUE, Buffer.from(pub, "base64url"));
      privateAttributes.set(ck.CKA_CLASS, ulong(ck.CKO_PRIVATE_KEY)).set(ck.CKA_KEY_TYPE, ulong(ckkMlDsa));
      privateAttributes.set(ckaParameterSet, ulong(sets.indexOf(set)));
      objects.push({ attributes: publicAttributes }, { attributes: privateAttributes, privateKey });
      return { publicKey: Buffer.from([objects.length - 2]), privateKey: Buffer.from([objects.length - 1]) };
    },
    C_GetAttributeValue: (_: Handle, handle: Handle, template: Attribute[]) =>
      template.map(({ type }) => {
        const value = at(handle).attributes.get(type);
        if (!value) throw new Error("CKR_ATTRIBUTE_TYPE_INVALID");
        return { type, value };
      }),
    C_SetAttributeValue(_: Handle, handle: Handle, template: Attribute[]) {
      for (const [type, value] of mapOf(template)) at(handle).attributes.set(type, value);
    },
    C_FindObjectsInit(_: Handle, template: Attribute[]) {
      const wanted = [...mapOf(template)];
      found = objects.flatMap(({ attributes }, index) =>
        wanted.every(([type, value]) => attributes.get(type)?.equals(value)) ? [Buffer.from([index])] : [],
      );
    },
    C_FindObjects: (_: Handle, most: number) => found.slice(0, most),
    C_FindObjectsFinal: () => undefined,
    C_SignInit(_: Handle, mechanism: Mechanism, handle: Handle) {
      if (mechanism.mechanism !== ckmMlDsa) throw new Error("CKR_MECHANISM_INVALID");
      asked.mechanism = mechanism;
      signing = at(handle).privateKey;
    },
    C_Sign(_: Handle, message: Buffer, output: Buffer) {
      if (!signing) throw new Error("CKR_KEY_HANDLE_INVALID");
      const signature = sign(null, message, signing);
      if (signature.length > output.length) throw new Error("CKR_BUFFER_TOO_SMALL");
      return output.subarray(0, signature.copy(output));
    },
  };
  const module = { cryptoki, ck } as unknown as Pkcs11Module;
  return { module, objects, asked };
}

for (const kind of ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"] as const) {
  t.test(
    `${kind}: made in the token with its parameter set, found by public key and by label, signs without a context`,
    async (t) => {
      const { module, objects, asked } = imitation();
      const made = await generateInToken(module, slot, "pq", kind);
      t.equal(made.asymmetricKeyType, kind);
      const [ofPublic, ofPrivate] = objects.map(({ attributes }) => attributes);
      t.equal(ofPublic?.get(ckaParameterSet)?.readUInt32LE(), parameterSets[kind]);
      for (const [type, value] of [
        [ck.CKA_SENSITIVE, 1],
        [ck.CKA_EXTRACTABLE, 0],
        [ck.CKA_SIGN, 1],
        [ck.CKA_TOKEN, 1],
        [ck.CKA_PRIVATE, 1],
      ] as const)
        t.equal(ofPrivate?.get(type)?.[0], value);
      t.equal(ofPrivate?.get(ck.CKA_ID)?.length, 20);
      t.same(ofPrivate?.get(ck.CKA_ID), ofPublic?.get(ck.CKA_ID));

      await generateInToken(module, slot, "other", kind);
      for (const key of [
        findByPublicKey(module, openTokenSession(module, slot, 0), made),
        findByLabel(module, openTokenSession(module, slot, 0), "pq"),
      ]) {
        t.ok(key?.publicKey.equals(made));
        t.equal(key?.label, "pq");
        if (!key) continue;
        const message = Buffer.from("to be signed");
        const signature = await signInToken(
          module,
          openTokenSession(module, slot, 0),
          { ...key, algorithm: kind, inThread: true },
          message,
        );
        t.ok(verifySignature(kind, made, message, signature), "it fits into the session's buffer, and verifies");
        t.same(
          asked.mechanism,
          { mechanism: ckmMlDsa },
          "no CK_SIGN_ADDITIONAL_CONTEXT: no context, hedged if the token can",
        );
      }
      const foreign = createPublicKey(generateKeyPairSync(kind as "ml-dsa-44").privateKey);
      t.equal(findByPublicKey(module, openTokenSession(module, slot, 0), foreign), undefined);
    },
  );
}

t.test("a token with half of the mechanisms, or a parameter set of tomorrow, is refused", async (t) => {
  await t.rejects(generateInToken(imitation([ckmMlDsaKeyPairGen]).module, slot, "pq", "ml-dsa-65"), {
    name: "KeyKindUnsupported",
    message: "the token cannot make keys of kind ml-dsa-65: it lacks CKM_ML_DSA",
  });
  const { module, objects } = imitation();
  await generateInToken(module, slot, "pq", "ml-dsa-65");
  objects[0]?.attributes.set(ckaParameterSet, ulong(4));
  t.throws(
    () => findByLabel(module, openTokenSession(module, slot, 0), "pq"),
    /ML-DSA key is of no known parameter set/,
  );
});
