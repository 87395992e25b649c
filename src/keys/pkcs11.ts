/**
 * Keys in a PKCS#11 token. Private keys are found by public key, used through a pool of sessions and never leave the token.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { algorithmOfKind, chosenAlgorithm } from "./keyAlgorithms.ts";
import { generateInToken, requireFreeLabel } from "./pkcs11Generate.ts";
import { openPkcs11Module, returnValueOf, type Pkcs11Module } from "./pkcs11Module.ts";
import { findByLabel, findByPublicKey } from "./pkcs11Objects.ts";
import { PinRefused, type LoginMemory } from "./pkcs11Login.ts";
import { asKeyUnavailable, signerOf, type SigningPlace, type SigningToken } from "./pkcs11Signer.ts";
import { closeTokenSession, findToken, openTokenSessions, type TokenChoice, type TokenSession } from "./pkcs11Token.ts";
import { openPin, type Pin } from "./pin.ts";
import { openSessionPool } from "./sessionPool.ts";
import { KeyUnavailable, type KeyProvider, type Signer, type WantedKey } from "./signer.ts";

/** Which token, and how hard it may be used. */
export interface Pkcs11Options extends TokenChoice {
  /** Path of the vendor's PKCS#11 library. */
  readonly module: string;
  /** What C_Initialize is given besides flags: NSS softoken is told its database so. Other modules want none. */
  readonly libraryParameters?: string | undefined;
  /** File with the user PIN, mode 0600; one trailing line end is ignored. `/dev/fd/N`: what is read from descriptor N, once. */
  readonly pinFile: string;
  /** Where it is noted that a PIN was refused, so that no later start tries it again; not given, only this process remembers. */
  readonly refusalsDirectory?: string | undefined;
  /** Where C_Sign runs; `auto` when not given. */
  readonly signing?: SigningPlace | undefined;
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
const reopenPauseMsDefault = 1000;

/** CKA_LABEL of keys made here: 1 to 64 printable characters, nothing that could hide in a listing. */
const labelPattern = /^[^\p{C}\p{Z}](?:[^\p{C}\p{Zl}\p{Zp}]{0,62}[^\p{C}\p{Z}])?$/u;

/** CKR_ values after which fresh sessions, a fresh login and the key found again may do better. */
const lostSessionValues = new Set([
  "CKR_CRYPTOKI_NOT_INITIALIZED",
  "CKR_DEVICE_ERROR",
  "CKR_DEVICE_REMOVED",
  // What modules say that know no better word: tpm2-pkcs11 when its TPM was restarted.
  "CKR_FUNCTION_FAILED",
  "CKR_GENERAL_ERROR",
  "CKR_KEY_HANDLE_INVALID",
  "CKR_OBJECT_HANDLE_INVALID",
  "CKR_OPERATION_ACTIVE",
  "CKR_SESSION_CLOSED",
  "CKR_SESSION_HANDLE_INVALID",
  "CKR_TOKEN_NOT_PRESENT",
  "CKR_USER_NOT_LOGGED_IN",
]);

/** What a test may put in place of the real thing. */
export interface Pkcs11Replacements {
  /** Around the module, for faults that no module here can be brought to. */
  readonly module?: (real: Pkcs11Module) => Pkcs11Module;
  /** Least time between two reopenings. */
  readonly reopenPauseMs?: number;
}

/**
 * Opens a token: loads the module, finds the token, opens the sessions, logs in.
 * @throws {Error} with one sentence for people: pkcs11js not built, no such module, no such token (lists those there are), PIN file
 * missing, empty or open to others, PIN refused. No message holds the PIN.
 */
export async function openPkcs11(options: Pkcs11Options, replacements: Pkcs11Replacements = {}): Promise<KeyProvider> {
  const loaded = await openPkcs11Module(options.module, options.libraryParameters);
  const module = replacements.module?.(loaded) ?? loaded;
  let pin: Pin | undefined;
  try {
    const { label, model } = findToken(module, options);
    pin = await openPin(options.pinFile);
    const pool = await openSessionPool<TokenSession>({
      open: sessionOpener(module, options, pin),
      close: (session) => closeTokenSession(module, session),
      isLost: (error) => lostSessionValues.has(returnValueOf(error) ?? ""),
      queueLimit: options.queueLimit,
      timeoutMs: options.timeoutMs,
      reopenPauseMs: replacements.reopenPauseMs ?? reopenPauseMsDefault,
    });
    const token = { module, pool, signing: options.signing ?? "auto" };
    return providerOf(token, { name: `${label} (${model})`, timeoutMs: options.timeoutMs, pin });
  } catch (error) {
    pin?.putBack();
    module.release(true);
    const returned = returnValueOf(error);
    if (returned === undefined) throw error;
    throw new Error(`the PKCS#11 token cannot be opened: ${returned}`, { cause: error });
  }
}

/** Opens the sessions, as often as it is asked; but after the token refused the PIN once, never again. */
function sessionOpener(
  module: Pkcs11Module,
  options: Pkcs11Options,
  pin: Pin,
): (quiet: boolean) => Promise<TokenSession[]> {
  const memory: LoginMemory = { directory: options.refusalsDirectory };
  return async (quiet) => {
    if (memory.refused) throw memory.refused;
    try {
      return await openTokenSessions(module, options, options.sessions ?? sessionsDefault, pin, memory);
    } catch (error) {
      if (error instanceof PinRefused) memory.refused = error;
      // Some modules, SoftHSM among them, look for tokens only when they are initialized: so the next try will find one that came back.
      else if (quiet) module.finalize();
      throw error;
    }
  };
}

function providerOf(
  token: SigningToken,
  { name, timeoutMs, pin }: { name: string; timeoutMs: number; pin: Pin },
): KeyProvider {
  const { module, pool } = token;
  let closing: Promise<void> | undefined;
  /** Generations go one after another; close() waits for the last. */
  let generating: Promise<unknown> = Promise.resolve();

  async function generate(...[label, kind]: Parameters<KeyProvider["generate"]>): Promise<Signer> {
    // Through the pool first: where the sessions died meanwhile, this brings them and the login back.
    const slot = await pool.run(async (session) => {
      requireFreeLabel(module, session, label);
      return session.slot;
    });
    const publicKey = await module.inside(() => generateInToken(module, slot, label, kind));
    const spki = publicKey.export({ type: "spki", format: "der" });
    const signer = await signerFor({ spki, algorithm: algorithmOfKind[kind] });
    if (!signer) throw new KeyUnavailable(`the token does not find the key "${label}" that it has just made`);
    return signer;
  }

  async function signerFor({ label, spki, algorithm }: WantedKey): Promise<Signer | undefined> {
    const publicKey = spki && readSpki(spki);
    const key = await pool.run(async (session) =>
      publicKey ? findByPublicKey(module, session, publicKey) : findByLabel(module, session, label ?? ""),
    );
    return key && signerOf(token, key, algorithm);
  }

  return {
    description: `PKCS#11 token ${name}`,
    development: false,

    tokens() {
      try {
        pool.requireReady();
        return [{ token: name, usable: true }];
      } catch (error) {
        return [{ token: name, usable: false, reason: error instanceof Error ? error.message : "unknown error" }];
      }
    },

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
        pin.close();
      })();
      return closing;
    },
  };
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
