/**
 * A key that was found in a token, as a `Signer`.
 */
import { chosenAlgorithm } from "./keyAlgorithms.ts";
import { requireCustody } from "./pkcs11Custody.ts";
import { returnValueOf, type Pkcs11Module } from "./pkcs11Module.ts";
import { nameOf, type TokenKey } from "./pkcs11Objects.ts";
import { signInThread, signInToken, signsFast } from "./pkcs11Sign.ts";
import type { TokenSession } from "./pkcs11Token.ts";
import { signAndVerify } from "./selfTest.ts";
import type { SessionPool } from "./sessionPool.ts";
import { KeyUnavailable, type SignatureAlgorithm, type Signer } from "./signer.ts";

/**
 * Where C_Sign runs. `inThread`: in the thread that asks, which holds up everything else meanwhile and is fastest where the token is
 * software. `threads`: on Node's thread pool, for what is a network away. `auto`: as a few signatures at load come out.
 */
export type SigningPlace = "auto" | "inThread" | "threads";

/** What a signer works with. */
export interface SigningToken {
  readonly module: Pkcs11Module;
  readonly pool: SessionPool<TokenSession>;
  readonly signing: SigningPlace;
}

/**
 * Makes the signer, after a look at the key's attributes and a signature that verifies.
 * @throws {KeyUnavailable} · {Error} for a key that may not issue, can be taken out, or does not belong to its public key
 */
export async function signerOf(
  { module, pool, signing }: SigningToken,
  key: TokenKey,
  wanted: SignatureAlgorithm | undefined,
): Promise<Signer> {
  const algorithm = chosenAlgorithm(key.publicKey, wanted, `the key "${key.label}"`);
  const custody = await pool.run(async (session) => requireCustody(module, session, key));
  const inThread =
    signing === "auto"
      ? await pool.run((session) => signsFast(module, session, { ...key, algorithm }))
      : signing === "inThread";
  const used = { ...key, algorithm, inThread, name: nameOf(key) };
  /** Why the last self-test failed. */
  let failed: string | undefined;

  const signer: Signer = {
    label: key.label,
    algorithm,
    publicKey: key.publicKey,
    spki: key.publicKey.export({ type: "spki", format: "der" }),
    custody,
    async sign(message) {
      try {
        const now = inThread && pool.runNow((session) => signInThread(module, session, used, message));
        return now ? now.result : await pool.run((session) => signInToken(module, session, used, message));
      } catch (error) {
        throw keyUnavailable(error, "sign");
      }
    },
    requireReady() {
      if (failed !== undefined) throw new KeyUnavailable(failed);
      pool.requireReady();
    },
    async selfTest() {
      try {
        await signAndVerify(signer);
        failed = undefined;
      } catch (error) {
        // What is only away, the pool knows better when it is back.
        if (!(error instanceof KeyUnavailable))
          failed = error instanceof Error ? error.message : "the self-test failed";
        throw error;
      }
    },
  };
  await signAndVerify(signer);
  return signer;
}

/** Turns a return value of the token into `KeyUnavailable` with its name; other errors pass. */
export async function asKeyUnavailable<T>(work: Promise<T>, what: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw keyUnavailable(error, what);
  }
}

function keyUnavailable(error: unknown, what: string): unknown {
  const returned = error instanceof KeyUnavailable ? undefined : returnValueOf(error);
  return returned === undefined ? error : new KeyUnavailable(`the token cannot ${what} now: ${returned}`);
}
