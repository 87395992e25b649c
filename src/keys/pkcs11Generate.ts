/**
 * Making a key pair inside a token, such that the private key never leaves it.
 */
import { randomBytes, type KeyObject } from "node:crypto";
import type { Attribute, Handle, KeyPair } from "pkcs11js";
import { algorithmOfKind } from "./keyAlgorithms.ts";
import type { Pkcs11Module } from "./pkcs11Module.ts";
import {
  ckaParameterSet,
  countLabel,
  curveParameters,
  idOf,
  readPublicObject,
  type MlDsaParameterSet,
} from "./pkcs11Objects.ts";
import { signingMechanism, type Mechanism } from "./pkcs11Sign.ts";
import { closeTokenSession, openTokenSession, type TokenSession } from "./pkcs11Token.ts";
import { KeyKindUnsupported, type KeyKind } from "./signer.ts";

const temporaryIdBytes = 20;

interface Generation {
  readonly mechanism: Mechanism;
  /** What the public template says about the kind. */
  readonly made: (ck: Pkcs11Module["ck"]) => Attribute[];
  /** What the private key could do besides signing, and must not. */
  readonly denied: (ck: Pkcs11Module["ck"]) => number[];
}

const ecKeyPair: Mechanism = { name: "CKM_EC_KEY_PAIR_GEN", value: 0x1040 };

const rsaPair: Mechanism = { name: "CKM_RSA_PKCS_KEY_PAIR_GEN", value: 0x0 };

function rsaKeyPair(modulusBits: number): Generation {
  return {
    mechanism: rsaPair,
    made: (ck) => [
      { type: ck.CKA_MODULUS_BITS, value: modulusBits },
      { type: ck.CKA_PUBLIC_EXPONENT, value: Buffer.of(1, 0, 1) },
    ],
    denied: (ck) => [ck.CKA_DECRYPT, ck.CKA_UNWRAP, ck.CKA_SIGN_RECOVER],
  };
}

/** PKCS#11 v3.2, ML-DSA key pair generation: the parameter set is given to the public key. */
function mlDsaKeyPair(set: MlDsaParameterSet): Generation {
  return {
    mechanism: { name: "CKM_ML_DSA_KEY_PAIR_GEN", value: 0x1c },
    made: () => [{ type: ckaParameterSet, value: set }],
    denied: () => [],
  };
}

/** How each kind of key is made. */
const generations: Record<KeyKind, Generation> = {
  "ec-p256": {
    mechanism: ecKeyPair,
    made: (ck) => [{ type: ck.CKA_EC_PARAMS, value: curveParameters("P-256") }],
    denied: (ck) => [ck.CKA_DERIVE],
  },
  "ec-p384": {
    mechanism: ecKeyPair,
    made: (ck) => [{ type: ck.CKA_EC_PARAMS, value: curveParameters("P-384") }],
    denied: (ck) => [ck.CKA_DERIVE],
  },
  "rsa-3072": rsaKeyPair(3072),
  "rsa-4096": rsaKeyPair(4096),
  "rsa-3072-pss": rsaKeyPair(3072),
  "rsa-4096-pss": rsaKeyPair(4096),
  ed25519: {
    mechanism: { name: "CKM_EC_EDWARDS_KEY_PAIR_GEN", value: 0x1055 },
    made: (ck) => [{ type: ck.CKA_EC_PARAMS, value: curveParameters("Ed25519") }],
    denied: (ck) => [ck.CKA_DERIVE],
  },
  "ml-dsa-44": mlDsaKeyPair(1),
  "ml-dsa-65": mlDsaKeyPair(2),
  "ml-dsa-87": mlDsaKeyPair(3),
};

/**
 * Generates a key pair in a read-write session of its own. The pair is destroyed again when anything fails.
 * @returns the public key, by which the pair is found
 * @throws {KeyKindUnsupported} when the token lacks the mechanisms · {Error} when the label is taken · what the token returns
 */
export async function generateInToken(
  module: Pkcs11Module,
  slot: Handle,
  label: string,
  kind: KeyKind,
): Promise<KeyObject> {
  const { cryptoki, ck } = module;
  requireMechanisms(module, slot, kind);
  const session = openTokenSession(module, slot, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION);
  let pair: KeyPair | undefined;
  try {
    const { mechanism, publicTemplate, privateTemplate } = keyPairTemplates(module, label, kind);
    pair = await cryptoki.C_GenerateKeyPairAsync(session.handle, { mechanism }, publicTemplate, privateTemplate);
    const publicKey = readPublicObject(module, session, pair.publicKey);
    setId(module, session.handle, pair, idOf(publicKey));
    // Tokens do not keep labels unique: another process may have made the same one since we looked.
    if (countLabel(module, session, label) > 1) throw labelTaken(label);
    return publicKey;
  } catch (error) {
    if (pair) for (const object of [pair.privateKey, pair.publicKey]) destroy(module, session.handle, object);
    throw error;
  } finally {
    closeTokenSession(module, session);
  }
}

/** @throws {Error} when a private key in the token has this label · what the token returns */
export function requireFreeLabel(module: Pkcs11Module, session: TokenSession, label: string): void {
  if (countLabel(module, session, label) > 0) throw labelTaken(label);
}

function labelTaken(label: string): Error {
  return new Error(`the label "${label}" is taken by a private key in the token`);
}

function requireMechanisms({ cryptoki }: Pkcs11Module, slot: Handle, kind: KeyKind): void {
  const offered = cryptoki.C_GetMechanismList(slot);
  const needed = [generations[kind].mechanism, signingMechanism(algorithmOfKind[kind])];
  const missing = needed.filter(({ value }) => !offered.includes(value)).map(({ name }) => name);
  if (missing.length === 0) return;
  throw new KeyKindUnsupported(`the token cannot make keys of kind ${kind}: it lacks ${missing.join(" and ")}`);
}

function keyPairTemplates({ ck }: Pkcs11Module, label: string, kind: KeyKind) {
  const { mechanism, made, denied } = generations[kind];
  const both = [
    { type: ck.CKA_TOKEN, value: true },
    { type: ck.CKA_LABEL, value: Buffer.from(label) },
    // Ties the two objects together until the public key, and with it the lasting CKA_ID, is known.
    { type: ck.CKA_ID, value: randomBytes(temporaryIdBytes) },
  ];
  return {
    mechanism: mechanism.value,
    publicTemplate: [
      ...both,
      ...made(ck),
      { type: ck.CKA_PRIVATE, value: false },
      // Signatures are verified here, not in the token; tpm2-pkcs11 takes no RSA key that may verify and not decrypt.
      ...(mechanism === rsaPair ? [] : [{ type: ck.CKA_VERIFY, value: true }]),
    ],
    privateTemplate: [
      ...both,
      { type: ck.CKA_PRIVATE, value: true },
      { type: ck.CKA_SENSITIVE, value: true },
      { type: ck.CKA_EXTRACTABLE, value: false },
      { type: ck.CKA_SIGN, value: true },
      ...denied(ck).map((type) => ({ type, value: false })),
    ],
  };
}

function setId({ cryptoki, ck }: Pkcs11Module, session: Handle, pair: KeyPair, id: Buffer): void {
  try {
    cryptoki.C_SetAttributeValue(session, pair.privateKey, [{ type: ck.CKA_ID, value: id }]);
  } catch {
    // Some tokens fix CKA_ID at birth. The random one ties the pair together as well; it only tells outsiders less.
    return;
  }
  cryptoki.C_SetAttributeValue(session, pair.publicKey, [{ type: ck.CKA_ID, value: id }]);
}

function destroy({ cryptoki }: Pkcs11Module, session: Handle, object: Handle): void {
  try {
    cryptoki.C_DestroyObject(session, object);
  } catch {
    // The token that failed us once may fail us here; the error that led here is the one to report.
  }
}
