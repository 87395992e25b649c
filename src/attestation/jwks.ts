/**
 * Keys of one source (RFC 7517 §5): from a file or fetched, bounded, cached per source and never by `kid` alone.
 */
import { createPublicKey } from "node:crypto";
import { readCaFile } from "./certificateFile.ts";
import { SourceUnavailable, type JsonWebKeySet, type SourceKeys } from "./evidence.ts";
import type { FetchBody } from "./format.ts";
import type { TokenSettings } from "./tokenSource.ts";
import { openSourceFile } from "./sourceFile.ts";

export interface SourceKeysOptions {
  readonly fetchBody: FetchBody;
  readonly now: () => Date;
  /** For one fetch as a whole; 5 s unless said. */
  readonly fetchTimeoutMs?: number;
  /** The keys of a SPIFFE bundle that count, which has others beside them; keys for signatures unless said. */
  readonly use?: SvidUse | undefined;
}
type SvidUse = "jwt-svid";

const bytesMax = 65_536;
const keysMax = 100;
/** How long a fetched set is used without a question. */
const freshMs = 600_000;
/** An unknown `kid` asks again, but anybody can make one up. */
const refreshEveryMs = 30_000;
/** For how long after that a set still serves while the issuer cannot be reached. */
const staleMs = 3_600_000;
/** After a failed fetch: soon when there is nothing to go on with, later when there is. */
const retryMs = { withoutKeys: 5_000, withKeys: 30_000 };

/** Of a source that is asked about each token and has no keys here. */
export const noKeys: SourceKeys = { jwks: () => Promise.resolve({ keys: [] }) };

/**
 * Opens the key material of a source that passed `checkTokenSource`. A file is read now; nothing is fetched before it is needed.
 * @throws {Error} with a message for people when the file cannot be used
 */
export function openSourceKeys(source: TokenSettings, options: SourceKeysOptions): SourceKeys {
  const { ref, jwksFile, jwksUrl, jwksCaFile } = source;
  if (jwksFile !== undefined) return fileKeys(ref, jwksFile, options.use);
  if (jwksUrl !== undefined) return fetchedKeys(ref, jwksUrl, jwksCaFile, options);
  throw new Error(`source ${ref} has neither jwksFile nor jwksUrl`);
}

/** Keys that are known from the start and never change. */
export function staticKeys(jwks: JsonWebKeySet): SourceKeys {
  const usable = usableKeys(jwks);
  return { jwks: () => Promise.resolve(usable) };
}

function fileKeys(ref: string, path: string, use?: SvidUse): SourceKeys {
  const parseAgain = (octets: Buffer) => parseJwkSet(octets, path, use);
  // A set without keys is no start, and later an issuer that withdrew them all.
  const parse = (octets: Buffer) => {
    const jwks = parseAgain(octets);
    if (jwks.keys.length === 0) throw new Error(`${path} holds no public key for signatures`);
    return jwks;
  };
  const read = openSourceFile(path, bytesMax, parse, parseAgain);
  return {
    async jwks() {
      return await read().catch((cause: unknown) => {
        throw new SourceUnavailable(`the keys of source ${ref} cannot be read`, { cause });
      });
    },
  };
}

function fetchedKeys(
  ref: string,
  url: string,
  caFile: string | undefined,
  { fetchBody, now, fetchTimeoutMs = 5_000, use }: SourceKeysOptions,
): SourceKeys {
  const trust = caFile === undefined ? undefined : readCaFile(caFile);
  let current: { readonly jwks: JsonWebKeySet; readonly atMs: number } | undefined;
  let failedAtMs: number | undefined;
  let cause: unknown;
  let inFlight: Promise<void> | undefined;

  /** A clock that was set back must not make anything last longer. */
  const within = (atMs: number | undefined, limitMs: number): boolean => {
    const ageMs = atMs === undefined ? Infinity : now().getTime() - atMs;
    return ageMs >= 0 && ageMs < limitMs;
  };

  async function load(): Promise<void> {
    try {
      const body = await fetchBody(url, { maxBytes: bytesMax, timeoutMs: fetchTimeoutMs, trust });
      current = { jwks: parseJwkSet(body, url, use), atMs: now().getTime() };
      failedAtMs = undefined;
    } catch (error) {
      failedAtMs = now().getTime();
      cause = error;
    } finally {
      inFlight = undefined;
    }
  }

  return {
    async jwks({ refresh } = { refresh: false }) {
      const goodForMs = refresh ? refreshEveryMs : freshMs;
      if (current !== undefined && within(current.atMs, goodForMs)) return current.jwks;
      const coolDownMs = current === undefined ? retryMs.withoutKeys : retryMs.withKeys;
      if (!within(failedAtMs, coolDownMs)) await (inFlight ??= load());
      // Asked to refresh, an old set is no answer: that the key is missing from it may be the issuer's absence, not the token's fault.
      const bearableMs = refresh ? goodForMs : freshMs + staleMs;
      if (current !== undefined && within(current.atMs, bearableMs)) return current.jwks;
      throw new SourceUnavailable(`the keys of source ${ref} cannot be fetched`, { cause });
    },
  };
}

/**
 * Reads a JWK Set and keeps what can verify a signature: private members are dropped with their key, symmetric and foreign keys ignored.
 * @param where - file or URL, for messages
 */
function parseJwkSet(bytes: Buffer, where: string, use?: SvidUse): JsonWebKeySet {
  if (bytes.length > bytesMax) throw new Error(`${where} is larger than ${bytesMax} bytes`);
  const parsed = parseJson(bytes);
  if (!isRecord(parsed) || !Array.isArray(parsed["keys"]) || !parsed["keys"].every(isRecord)) {
    throw new Error(`${where} is not a JWK Set`);
  }
  const keys: Record<string, unknown>[] = parsed["keys"];
  if (keys.length > keysMax) throw new Error(`${where} holds more than ${keysMax} keys`);
  return usableKeys({ keys: use === undefined ? keys : svidKeys(keys, use) });
}

/** SPIFFE Trust Domain and Bundle §4.2.2, JWT-SVID §6.1: a key says what it is for and has a `kid`, or it is not used. */
function svidKeys(keys: readonly Record<string, unknown>[], use: SvidUse): Record<string, unknown>[] {
  return keys
    .filter((jwk) => jwk["use"] === use && typeof jwk["kid"] === "string" && jwk["kid"] !== "")
    .map((jwk) => ({ ...jwk, use: "sig" }));
}

/** The JSON text, or undefined: the parser's message would quote the content. */
function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

function usableKeys({ keys }: JsonWebKeySet): JsonWebKeySet {
  return { keys: keys.filter(verifiesSignatures) };
}

/** RFC 7518 §6, RFC 8037 §2. RSA moduli and exponents are bounded because the time of a verification grows with them. */
function verifiesSignatures(jwk: Record<string, unknown>): boolean {
  if (Object.hasOwn(jwk, "d") || Object.hasOwn(jwk, "k")) return false;
  if (jwk["use"] !== undefined && jwk["use"] !== "sig") return false;
  const operations: unknown = jwk["key_ops"];
  if (operations !== undefined && (!Array.isArray(operations) || !operations.includes("verify"))) return false;
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({ key: jwk, format: "jwk" });
    const { modulusLength: bits = 0, publicExponent = 0n } = asymmetricKeyDetails ?? {};
    if (asymmetricKeyType === "rsa") return bits >= 2048 && bits <= 8192 && publicExponent < 2n ** 32n;
    return asymmetricKeyType === "ec" || asymmetricKeyType === "ed25519";
  } catch {
    return false;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
