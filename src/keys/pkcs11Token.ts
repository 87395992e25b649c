/**
 * Finding the token, opening sessions on it and logging in. Everything that can go wrong here has one message for people, and none
 * of them holds the PIN.
 */
import type { Handle, TokenInfo } from "pkcs11js";
import { logIn, type LoginMemory } from "./pkcs11Login.ts";
import type { Pkcs11Module } from "./pkcs11Module.ts";
import type { Pin } from "./pin.ts";

/** Labels that the "no such token" message lists. */
const labelsListedMax = 20;
/** The longest signature we ask for is ML-DSA-87's, of 4627 octets (FIPS 204 table 2). */
const signatureBytesMax = 5120;

/** Which token. */
export interface TokenChoice {
  /** CKA_LABEL of the token, without its padding. */
  readonly token?: string | undefined;
  /** CK_SLOT_ID, where labels do not tell tokens apart. */
  readonly slot?: number | undefined;
}

/** A read-only user session and what one signature in it needs. */
export interface TokenSession {
  readonly handle: Handle;
  readonly slot: Handle;
  /**
   * Private key handles by hexadecimal CKA_ID, shared by the sessions of one opening: handles do not outlive it.
   */
  readonly privateKeys: Map<string, Handle>;
  /**
   * The buffers of the running C_Sign. pkcs11js hands their addresses to another thread without holding them, so the session
   * must, or the garbage collector takes them away under the call.
   */
  input: Buffer;
  readonly output: Buffer;
}

/** A token in a slot. */
export interface FoundToken {
  readonly slot: Handle;
  readonly label: string;
  readonly model: string;
  readonly serialNumber: string;
  readonly flags: number;
}

/**
 * Finds the token in its slot.
 * @throws {Error} when there is none, or more than one fits; the message lists the labels that are there
 */
export function findToken({ cryptoki, ck }: Pkcs11Module, { token, slot }: TokenChoice): FoundToken {
  const present = cryptoki.C_GetSlotList(true).flatMap((handle) => {
    const info = tokenInfo(cryptoki, handle);
    if (!info || (info.flags & ck.CKF_TOKEN_INITIALIZED) === 0) return [];
    const { flags } = info;
    const [label, model, serialNumber] = [padded(info.label), padded(info.model), padded(info.serialNumber)];
    return [{ slot: handle, label, model, serialNumber, flags }];
  });
  const fitting = present.filter(
    (each) => (token === undefined || each.label === token) && (slot === undefined || unsignedLong(each.slot) === slot),
  );
  const [found, another] = fitting;
  if (found && !another) return found;

  const wanted = [token === undefined ? [] : `labelled "${token}"`, slot === undefined ? [] : `in slot ${slot}`].flat();
  const listed = present.slice(0, labelsListedMax).map((each) => `"${each.label}" (slot ${unsignedLong(each.slot)})`);
  const there = listed.length > 0 ? `; there are: ${listed.join(", ")}` : "; there is no initialized token at all";
  if (!found) throw new Error(`no PKCS#11 token ${wanted.join(" ")}${there}`);
  throw new Error(`more than one PKCS#11 token ${wanted.join(" ")}${there}; name one by its slot`);
}

/** Text of a fixed length, without what fills it: blanks, or the zero octets of modules that do not read the standard. */
function padded(text: string): string {
  return text.replace(/[\0 ]+$/, "").trimStart();
}

function tokenInfo(cryptoki: Pkcs11Module["cryptoki"], slot: Handle): TokenInfo | undefined {
  try {
    return cryptoki.C_GetTokenInfo(slot);
  } catch {
    // A slot whose token cannot be read is not the one that is wanted; the message above tells which ones are.
    return undefined;
  }
}

/** A CK_ULONG as pkcs11js gives it out: the machine's own octets, so little-endian, which is all that we run on. */
export function unsignedLong(value: Buffer): number {
  return value.length < 4 ? Number.NaN : value.readUIntLE(0, Math.min(value.length, 6));
}

/**
 * Opens `count` read-only sessions and logs in once (login is a state of the token, not of a session: PKCS#11 v2.40 §5.6).
 * @throws {PinRefused} · {Error} no such token, no session, PIN file unusable; sessions opened before the failure are closed
 */
export async function openTokenSessions(
  module: Pkcs11Module,
  choice: TokenChoice,
  count: number,
  pin: Pin,
  memory: LoginMemory,
): Promise<TokenSession[]> {
  module.initialize();
  const token = findToken(module, choice);
  const privateKeys = new Map<string, Handle>();
  const sessions: TokenSession[] = [];
  try {
    while (sessions.length < count) {
      sessions.push(openTokenSession(module, token.slot, module.ck.CKF_SERIAL_SESSION, privateKeys));
    }
    const [first] = sessions;
    if (first) await logIn(module, { session: first.handle, token, pin, memory });
    return sessions;
  } catch (error) {
    for (const session of sessions) closeTokenSession(module, session);
    throw error;
  }
}

/** Opens one session. @throws {Error} naming the value that C_OpenSession returned */
export function openTokenSession(
  { cryptoki }: Pkcs11Module,
  slot: Handle,
  flags: number,
  privateKeys = new Map<string, Handle>(),
): TokenSession {
  const handle = cryptoki.C_OpenSession(slot, flags);
  return { handle, slot, privateKeys, input: Buffer.alloc(0), output: Buffer.alloc(signatureBytesMax) };
}

/** Gives a session back; a dead one is no error. The token logs out by itself when the last session of the process closes. */
export function closeTokenSession({ cryptoki }: Pkcs11Module, session: TokenSession): void {
  try {
    cryptoki.C_CloseSession(session.handle);
  } catch {
    // Dead already.
  }
}
