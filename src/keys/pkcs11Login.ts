/**
 * Logging in to a token, with the care that a PIN is never tried into a lock-out: not by a wrong file, and not by a supervisor that starts
 * us again and again. Everything that can go wrong has one message for people, and none of them holds the PIN.
 */
import type { Handle } from "pkcs11js";
import type { Pkcs11Module } from "./pkcs11Module.ts";
import { clearRefusal, readRefusal, recordRefusal, type Refusal } from "./pinRefusals.ts";
import type { OpenedPin, Pin } from "./pin.ts";
import type { FoundToken } from "./pkcs11Token.ts";

/** The token refused the PIN, or might lock if it were tried. Whoever sees this must not try again. */
export class PinRefused extends Error {
  override readonly name = "PinRefused";
}

/** What is remembered between the logins of one process. */
export interface LoginMemory {
  /** Where refusals are noted for processes to come. */
  readonly directory: string | undefined;
  refused?: PinRefused;
  /** The PIN's `version` that the token took last; null for one that has none. */
  accepted?: string | null;
}

export interface Login {
  readonly session: Handle;
  readonly token: FoundToken;
  readonly pin: Pin;
  readonly memory: LoginMemory;
}

/**
 * Logs the process in. The flags of the token are looked at first (PKCS#11 v2.40 §3.2, CK_TOKEN_INFO), and for tokens that set none, what
 * an earlier process noted.
 * @throws {PinRefused} · {Error} when the PIN cannot be read, or the login fails for another reason
 */
export async function logIn(module: Pkcs11Module, login: Login): Promise<void> {
  const opened = await login.pin.open();
  try {
    await tryOnce(module, login, opened);
  } finally {
    await opened.close();
  }
}

async function tryOnce(module: Pkcs11Module, login: Login, opened: OpenedPin): Promise<void> {
  const { token, pin, memory } = login;
  const noted = await readRefusal(memory.directory, module.path, token);
  requireTriesLeft(module, login, opened, noted);
  const returned = await module.logIn(login.session, opened.descriptor);
  if (returned === "empty") throw new Error(`the PIN file ${pin.place} is empty`);
  if (returned === "CKR_OK") {
    memory.accepted = opened.version ?? null;
    if (noted) await clearRefusal(noted);
  }
  if (returned === "CKR_OK" || returned === "CKR_USER_ALREADY_LOGGED_IN") return;
  if (!returned.startsWith("CKR_PIN_")) throw new Error(`the token "${token.label}" refused the login: ${returned}`);
  await recordRefusal(memory.directory, module.path, token, opened.version);
  throw new PinRefused(
    `the token "${token.label}" refused the PIN in ${pin.place} (${returned}); it is not tried again, since tokens lock after a few wrong ones: correct the file, then start again`,
  );
}

/** @throws {PinRefused} where a wrong PIN could lock the token, or this one is known to be wrong */
function requireTriesLeft(module: Pkcs11Module, login: Login, opened: OpenedPin, noted: Refusal | undefined): void {
  const { ck } = module;
  const { token, pin, memory } = login;
  const has = (flag: number): boolean => (token.flags & flag) !== 0;
  if (has(ck.CKF_USER_PIN_LOCKED))
    throw new PinRefused(`the user PIN of token "${token.label}" is locked; unlock it as its security officer`);
  const byHand = `log in once by hand with the right PIN (for example: pkcs11-tool --module ${module.path} --token-label "${token.label}" --login --list-objects), then start again`;
  if (has(ck.CKF_USER_PIN_FINAL_TRY))
    throw new PinRefused(`the token "${token.label}" has one try of its PIN left; ${byHand}`);
  const unknown = opened.version === undefined || noted?.version === undefined;
  if (noted && (unknown || opened.version === noted.version)) {
    const remedy = unknown
      ? `if what is given there now is another one, remove ${noted.file}`
      : "the file has not changed since: correct it";
    throw new PinRefused(
      `the token "${token.label}" refused the PIN in ${pin.place} on ${noted.at}, and it is not tried again; ${remedy}, then start again`,
    );
  }
  // Neither a PIN that this process logged in with, nor one that was corrected after a refusal, is the wrong one that was tried.
  const known = noted !== undefined || memory.accepted === (opened.version ?? null);
  if (has(ck.CKF_USER_PIN_COUNT_LOW) && !known) {
    throw new PinRefused(
      `somebody gave the token "${token.label}" a wrong PIN since the last login, so that a further one may lock it; ${byHand}`,
    );
  }
}
