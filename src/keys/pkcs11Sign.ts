/**
 * One signature in a token: what goes in, which mechanism, and how the token's answer becomes the octets that X.509 carries.
 */
import { hash } from "node:crypto";
import type { RsaPSS } from "pkcs11js";
import type { Pkcs11Module } from "./pkcs11Module.ts";
import { findPrivateKey, type KeyReference } from "./pkcs11Objects.ts";
import type { TokenSession } from "./pkcs11Token.ts";
import { KeyUnavailable, type SignatureAlgorithm } from "./signer.ts";
import { ecdsaSigValue } from "../x509/ecdsaSigValue.ts";

/** A PKCS#11 mechanism. The numbers are written here because pkcs11js names only those of v2.40. */
export interface Mechanism {
  readonly name: string;
  readonly value: number;
}

interface Signing {
  readonly mechanism: Mechanism;
  readonly parameter?: (ck: Pkcs11Module["ck"]) => RsaPSS;
  /** What the token is given. A copy in every case: another thread reads it while the caller may do as it likes with `message`. */
  readonly input: (message: Uint8Array) => Buffer;
  /** The octets that X.509 carries. A copy too: the next signature writes over what the token gave. */
  readonly output: (raw: Buffer) => Buffer;
  /** True where the token may be given the message piece by piece. Ed25519 reads it twice, so no token can. */
  readonly pieces?: true;
}

const ecdsa: Mechanism = { name: "CKM_ECDSA", value: 0x1041 };
const mlDsa: Mechanism = { name: "CKM_ML_DSA", value: 0x1d };

/** CK_RSA_PKCS_PSS_PARAMS with the salt as long as the hash (RFC 4055 §3.1). */
function pssSha256(ck: Pkcs11Module["ck"]): RsaPSS {
  return { type: ck.CK_PARAMS_RSA_PSS, hashAlg: ck.CKM_SHA256, mgf: ck.CKG_MGF1_SHA256, saltLen: 32 };
}

/** The token's hash and padding, the plain signature. */
const plain = {
  input: (message: Uint8Array): Buffer => Buffer.from(message),
  output: (raw: Buffer): Buffer => Buffer.from(raw),
};

/**
 * ECDSA is given our digest, so that any token with EC keys will do; the others hash by themselves. ML-DSA without a parameter is hedged
 * and has no context (PKCS#11 v3.2, ML-DSA Signature), as RFC 9881 §3 wants it.
 */
const signings: Record<SignatureAlgorithm, Signing> = {
  "ecdsa-p256-sha256": {
    mechanism: ecdsa,
    input: (message) => hash("sha256", message, "buffer"),
    output: (raw) => checkedSigValue(raw, 32),
  },
  "ecdsa-p384-sha384": {
    mechanism: ecdsa,
    input: (message) => hash("sha384", message, "buffer"),
    output: (raw) => checkedSigValue(raw, 48),
  },
  "rsa-pkcs1-sha256": { mechanism: { name: "CKM_SHA256_RSA_PKCS", value: 0x40 }, ...plain, pieces: true },
  "rsa-pss-sha256": {
    mechanism: { name: "CKM_SHA256_RSA_PKCS_PSS", value: 0x43 },
    parameter: pssSha256,
    ...plain,
    pieces: true,
  },
  ed25519: { mechanism: { name: "CKM_EDDSA", value: 0x1057 }, ...plain },
  "ml-dsa-44": { mechanism: mlDsa, ...plain },
  "ml-dsa-65": { mechanism: mlDsa, ...plain },
  "ml-dsa-87": { mechanism: mlDsa, ...plain },
};

/** The mechanism that an algorithm signs with. */
export function signingMechanism(algorithm: SignatureAlgorithm): Mechanism {
  return signings[algorithm].mechanism;
}

/** A key to sign with, and how. */
export interface SigningKey extends KeyReference {
  readonly algorithm: SignatureAlgorithm;
  /** True signs in this thread: for software tokens, which answer faster than the thread pool can be asked. */
  readonly inThread: boolean;
}

/**
 * C_SignInit and C_Sign, the latter on the thread pool unless the key says otherwise. The session must be on loan to this call until
 * it settles.
 * @throws {KeyUnavailable} when the key is gone or the token's answer has the wrong size · what the token returns
 */
export async function signInToken(
  module: Pkcs11Module,
  session: TokenSession,
  key: SigningKey,
  message: Uint8Array,
): Promise<Buffer> {
  if (key.inThread) return signInThread(module, session, key, message);
  const { output, pieces } = begin(module, session, key, message);
  if (pieces && inPieces(module, session)) {
    return output(await module.cryptoki.C_SignFinalAsync(session.handle, session.output));
  }
  return output(await module.cryptoki.C_SignAsync(session.handle, session.input, session.output));
}

/** The same without a wait, in this thread. @throws as `signInToken` */
export function signInThread(
  module: Pkcs11Module,
  session: TokenSession,
  key: SigningKey,
  message: Uint8Array,
): Buffer {
  const { output, pieces } = begin(module, session, key, message);
  if (pieces && inPieces(module, session)) return output(module.cryptoki.C_SignFinal(session.handle, session.output));
  return output(module.cryptoki.C_Sign(session.handle, session.input, session.output));
}

function begin(module: Pkcs11Module, session: TokenSession, key: SigningKey, message: Uint8Array): Signing {
  const privateKey = findPrivateKey(module, session, key);
  if (!privateKey) throw new KeyUnavailable("the private key is no longer in the token");
  const signing = signings[key.algorithm];
  const { mechanism, parameter } = signing;
  session.input = signing.input(message);
  module.cryptoki.C_SignInit(
    session.handle,
    parameter ? { mechanism: mechanism.value, parameter: parameter(module.ck) } : { mechanism: mechanism.value },
    privateKey,
  );
  return signing;
}

/** Octets that one call gets: a list of a million revoked certificates has 49 million. */
const pieceOctets = 262_144;

/** Hands over, piece by piece, what is too large for one call; then C_SignFinal signs it. False where one call will do. */
function inPieces({ cryptoki }: Pkcs11Module, { handle, input }: TokenSession): boolean {
  if (input.length <= pieceOctets) return false;
  for (let at = 0; at < input.length; at += pieceOctets) {
    cryptoki.C_SignUpdate(handle, input.subarray(at, at + pieceOctets));
  }
  return true;
}

/** A signature that takes longer than this would hold up every other request; milliseconds. */
const inThreadMsMax = 0.5;
const trials = 7;

/**
 * Whether the token signs so fast that a thread of its own costs more than it saves: the median of a few signatures decides, since
 * what else the machine does at the moment only ever adds to some of them.
 */
export async function signsFast(
  module: Pkcs11Module,
  session: TokenSession,
  key: Omit<SigningKey, "inThread">,
): Promise<boolean> {
  const took: number[] = [];
  for (let trial = 0; trial < trials; trial += 1) {
    const start = performance.now();
    signInThread(module, session, { ...key, inThread: true }, Buffer.from(`Mayfly measures its token: ${trial}`));
    took.push(performance.now() - start);
    if (performance.now() - start > inThreadMsMax * 20) return false; // A slow HSM is not asked seven times.
  }
  return (took.sort((a, b) => a - b)[Math.floor(trials / 2)] ?? Infinity) <= inThreadMsMax;
}

/** @throws {KeyUnavailable} when `raw` is not two integers of `octets` octets */
function checkedSigValue(raw: Buffer, octets: number): Buffer {
  if (raw.length !== 2 * octets) throw new KeyUnavailable(`the token gave an ECDSA signature of ${raw.length} octets`);
  return ecdsaSigValue(raw);
}
