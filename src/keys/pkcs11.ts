/**
 * Keys in a PKCS#11 token. Private keys are found by public key, used through a pool of sessions and never leave the token.
 */
import { createPublicKey, randomBytes, type KeyObject } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { algorithmOfKind, chosenAlgorithm } from "./keyAlgorithms.ts";
import { generateInToken, requireFreeLabel } from "./pkcs11Generate.ts";
import { openPkcs11Module, returnValueOf, type Pkcs11Module } from "./pkcs11Module.ts";
import { findByLabel, findByPublicKey, findPrivateKey, staysInToken, type TokenKey } from "./pkcs11Objects.ts";
import { signInToken, signsFast } from "./pkcs11Sign.ts";
import {
  closeTokenSession,
  findToken,
  openTokenSessions,
  PinRefused,
  type TokenChoice,
  type TokenSession,
} from "./pkcs11Token.ts";
import { openSessionPool, type SessionPool } from "./sessionPool.ts";
import { KeyUnavailable, type KeyProvider, type SignatureAlgorithm, type Signer, type WantedKey } from "./signer.ts";
import { verifySignature } from "../x509/signatureAlgorithm.ts";

/** Which token, and how hard it may be used. */
export interface Pkcs11Options extends TokenChoice {
  /** Path of the vendor's PKCS#11 library. */
  readonly module: string;
  /**
   * Sessions, and so signatures at once; 8 when not given. They run on Node's thread pool: with a token that is slower than
   * the processor, raise UV_THREADPOOL_SIZE to sessions + cores.
   */
  readonly sessions?: number;
  /** Operations that may wait for a session; more are refused with `KeyUnavailable`. */
  readonly queueLimit: number;
  /** Deadline of one operation, waiting included. Making a key is not bound by it. */
  readonly timeoutMs: number;
}

const sessionsDefault = 8;
const reopenPauseMs = 1000;
const challengeBytes = 32;

/** CKA_LABEL of keys made here: 1 to 64 printable characters, nothing that could hide in a listing. */
const labelPattern = /^[^\p{C}\p{Z}](?:[^\p{C}\p{Zl}\p{Zp}]{0,62}[^\p{C}\p{Z}])?$/u;

/** CKR_ values after which fresh sessions, a fresh login and the key found again may do better. */
const lostSessionValues = new Set([
  "CKR_CRYPTOKI_NOT_INITIALIZED",
  "CKR_DEVICE_ERROR",
  "CKR_DEVICE_REMOVED",
  "CKR_KEY_HANDLE_INVALID",
  "CKR_OBJECT_HANDLE_INVALID",
  "CKR_OPERATION_ACTIVE",
  "CKR_SESSION_CLOSED",
  "CKR_SESSION_HANDLE_INVALID",
  "CKR_TOKEN_NOT_PRESENT",
  "CKR_USER_NOT_LOGGED_IN",
]);

/**
 * Opens a token: loads the module, finds the token, opens the sessions, logs in.
 * @throws {Error} with one sentence for people: pkcs11js not built, no such module, no such token (lists those there are), PIN file
 * missing, empty or open to others, PIN refused. No message holds the PIN.
 */
export async function openPkcs11(options: Pkcs11Options): Promise<KeyProvider> {
  const module = await openPkcs11Module(options.module);
  try {
    const { label, model } = findToken(module, options);
    const pool = await openSessionPool<TokenSession>({
      open: sessionOpener(module, options),
      close: (session) => closeTokenSession(module, session),
      isLost: (error) => lostSessionValues.has(returnValueOf(error) ?? ""),
      queueLimit: options.queueLimit,
      timeoutMs: options.timeoutMs,
      reopenPauseMs,
    });
    const description = `PKCS#11 token ${label} (${model})`;
    return providerOf(module, pool, { description, timeoutMs: options.timeoutMs });
  } catch (error) {
    module.release(true);
    const returned = returnValueOf(error);
    if (returned === undefined) throw error;
    throw new Error(`the PKCS#11 token cannot be opened: ${returned}`, { cause: error });
  }
}

/** Opens the sessions, as often as it is asked; but after the token refused the PIN once, never again. */
function sessionOpener(module: Pkcs11Module, options: Pkcs11Options): (quiet: boolean) => Promise<TokenSession[]> {
  let refused: PinRefused | undefined;
  return async (quiet) => {
    if (refused) throw refused;
    try {
      return await openTokenSessions(module, options, options.sessions ?? sessionsDefault);
    } catch (error) {
      if (error instanceof PinRefused) refused = error;
      // Some modules, SoftHSM among them, look for tokens only when they are initialized: so the next try will find one that came back.
      else if (quiet) module.finalize();
      throw error;
    }
  };
}

function providerOf(
  module: Pkcs11Module,
  pool: SessionPool<TokenSession>,
  { description, timeoutMs }: { description: string; timeoutMs: number },
): KeyProvider {
  let closing: Promise<void> | undefined;
  /** Generations go one after another; close() waits for the last. */
  let generating: Promise<unknown> = Promise.resolve();

  async function generate(...[label, kind]: Parameters<KeyProvider["generate"]>): Promise<Signer> {
    // Through the pool first: where the sessions died meanwhile, this brings them and the login back.
    const slot = await pool.run(async (session) => {
      requireFreeLabel(module, session, label);
      return session.slot;
    });
    const publicKey = await generateInToken(module, slot, label, kind);
    const spki = publicKey.export({ type: "spki", format: "der" });
    const signer = await signerFor({ spki, algorithm: algorithmOfKind[kind] });
    if (!signer) throw new KeyUnavailable(`the token does not find the key "${label}" that it has just made`);
    return signer;
  }

  async function signerFor({ label, spki, algorithm }: WantedKey): Promise<Signer | undefined> {
    const publicKey = spki && readSpki(spki);
    const key = await pool.run(async (session) => {
      const found = publicKey ? findByPublicKey(module, session, publicKey) : findByLabel(module, session, label ?? "");
      if (found) requireStaysInToken(module, session, found);
      return found;
    });
    if (!key) return undefined;
    const signer = await signerOf(module, pool, key, algorithm);
    await requirePair(signer);
    return signer;
  }

  return {
    description,
    development: false,

    async generate(label, kind) {
      requireLabel(label);
      const made = generating.then(() => generate(label, kind));
      generating = made.catch(() => undefined);
      return asKeyUnavailable(made, "make a key");
    },

    async find(wanted) {
      if (wanted.spki === undefined && wanted.label === undefined) {
        throw new Error("a key is found by public key or by label, and neither was given");
      }
      return asKeyUnavailable(signerFor(wanted), "look for a key");
    },

    close() {
      closing ??= (async () => {
        const generated = Promise.race([generating.then(() => true), sleep(timeoutMs, false, { ref: false })]);
        const quiet = await Promise.all([pool.close(), generated]);
        module.release(quiet.every(Boolean));
      })();
      return closing;
    },
  };
}

async function signerOf(
  module: Pkcs11Module,
  pool: SessionPool<TokenSession>,
  key: TokenKey,
  wanted: SignatureAlgorithm | undefined,
): Promise<Signer> {
  const algorithm = chosenAlgorithm(key.publicKey, wanted, `the key "${key.label}"`);
  const inThread = await pool.run((session) => signsFast(module, session, { ...key, algorithm }));
  const used = { ...key, algorithm, inThread };
  return {
    label: key.label,
    algorithm,
    publicKey: key.publicKey,
    spki: key.publicKey.export({ type: "spki", format: "der" }),
    sign: (message) =>
      asKeyUnavailable(
        pool.run((session) => signInToken(module, session, used, message)),
        "sign",
      ),
  };
}

function requireStaysInToken(module: Pkcs11Module, session: TokenSession, key: TokenKey): void {
  const privateKey = findPrivateKey(module, session, key);
  if (privateKey && staysInToken(module, session, privateKey)) return;
  throw new Error(
    `the private key "${key.label}" can be taken out of its token (CKA_EXTRACTABLE, or not CKA_SENSITIVE); make the key inside the token instead`,
  );
}

/** Signs something that nobody chose: proves that the private key works and belongs to the public key it was found by. */
async function requirePair(signer: Signer): Promise<void> {
  const challenge = randomBytes(challengeBytes);
  const signature = await signer.sign(challenge);
  if (verifySignature(signer.algorithm, signer.publicKey, challenge, signature)) return;
  throw new Error(`the private key "${signer.label}" in the token does not belong to its public key`);
}

function readSpki(spki: Uint8Array): KeyObject {
  const publicKey = parseSpki(spki);
  chosenAlgorithm(publicKey, undefined, "the wanted public key");
  return publicKey;
}

function parseSpki(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), type: "spki", format: "der" });
  } catch (error) {
    throw new Error("the wanted public key is not a DER SubjectPublicKeyInfo", { cause: error });
  }
}

function requireLabel(label: string): void {
  if (labelPattern.test(label)) return;
  throw new Error(`${JSON.stringify(label)} is no label for a key: 1 to 64 printable characters are wanted`);
}

/** Turns a return value of the token into `KeyUnavailable` with its name; other errors pass. */
async function asKeyUnavailable<T>(work: Promise<T>, what: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const returned = error instanceof KeyUnavailable ? undefined : returnValueOf(error);
    if (returned === undefined) throw error;
    throw new KeyUnavailable(`the token cannot ${what} now: ${returned}`);
  }
}
