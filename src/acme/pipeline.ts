/**
 * The pipeline that every signed request passes (RFC 8555 §6): readBody → parseJws → checkUrl → findKey → verify → spendNonce →
 * parsePayload → answer. One function each, in that order; a row of `routes.ts` says only what differs.
 */
import type { LRU } from "../cache/lru.ts";
import { problem } from "../problem/problem.ts";
import { decodeBase64url } from "../encoding/base64url.ts";
import { isJsonObject, type JsonObject } from "../encoding/json.ts";
import type { Restrictions } from "./externalAccountPorts.ts";
import { readJwk, type AccountKey } from "./jwk.ts";
import { checkKeyFits, jsonObject, keyFits, parseJws, verifyJws, type Jws } from "./jws.ts";
import type { NonceSource } from "./nonce.ts";
import type { AccountStore } from "./accountPorts.ts";
import type { Signer } from "./ports.ts";
import type { Urls } from "./urls.ts";

/** Who signed: a key on its own (`jwk`), or an account's key (`kid`). RFC 8555 §6.2. */
export type SignedBy = "jwk" | "kid" | "kid|jwk";

/** What a request may carry: nothing (POST-as-GET), a JSON object, or either. RFC 8555 §6.3. */
export type PayloadRule = "none" | "object" | "any";

export interface SignedRequest {
  /** Path and query as they came, for the `url` check. */
  readonly path: string;
  readonly body: Buffer;
}

/** The outcome of the pipeline: a request whose signature, nonce and URL are good. */
export interface Verified {
  /** Set when the request was signed by `kid`. Its status is checked by the statement that acts. */
  readonly account: SigningAccount | undefined;
  readonly key: AccountKey;
  /** Undefined for POST-as-GET. */
  readonly payload: JsonObject | undefined;
  /** The request's URL, as signed. */
  readonly url: string;
  /** The nonce, spent by this request and by no other. */
  readonly nonce: string;
  /** Octets of the request's body. */
  readonly octets: number;
}

export interface SigningAccount extends Signer {
  readonly key: AccountKey;
  /** What it may order, which never changes: it may be kept with the key. */
  readonly restrictions: Restrictions | undefined;
}

/** The signer whose request this key has verified, or is about to. */
export const signingAccount = (
  { id, directory, restrictions }: Pick<SigningAccount, "id" | "directory" | "restrictions">,
  key: AccountKey,
): SigningAccount => ({ id, directory, thumbprint: key.thumbprint, key, restrictions });

export interface PipelineParts {
  /** Name of the directory; accounts of another one do not exist here. */
  readonly directory: string;
  readonly urls: Urls;
  readonly nonces: NonceSource;
  readonly accounts: AccountStore;
  /**
   * Keys of accounts of this directory. They may be kept, since the statement that acts for a signer looks at the key and the status
   * that the account has then.
   */
  readonly keys: LRU<string, SigningAccount>;
}

/**
 * Runs a request through.
 * @throws {Problem}
 */
export async function verifyRequest(
  request: SignedRequest,
  rule: { readonly by: SignedBy; readonly payload: PayloadRule },
  parts: PipelineParts,
): Promise<Verified> {
  const jws = parseJws(request.body);
  const nonce = requireNonce(jws);
  const url = checkUrl(jws, request.path, parts.urls);
  const { account, key } = await verifiedKey(jws, rule.by, parts);
  // The nonce is spent only now: a request whose signature does not verify must not burn somebody else's nonce.
  const spent = parts.nonces.spend(nonce);
  if (!(typeof spent === "boolean" ? spent : await spent))
    throw problem("badNonce", "the nonce is unknown, expired or already used");
  return { account, key, payload: parsePayload(jws, rule.payload), url, nonce, octets: request.body.length };
}

/** RFC 8555 §6.5.2: a missing nonce is a bad one; one that is not base64url is malformed. */
function requireNonce({ header: { nonce } }: Jws): string {
  if (nonce === undefined) throw problem("badNonce", "the JWS has no nonce");
  if (typeof nonce !== "string" || nonce === "" || decodeBase64url(nonce) === undefined) {
    throw problem("malformed", "the nonce is not base64url");
  }
  return nonce;
}

/** RFC 8555 §6.4: the signed URL is the requested one, character for character. */
function checkUrl({ header: { url } }: Jws, path: string, urls: Urls): string {
  if (typeof url !== "string") throw problem("malformed", "the JWS has no url");
  if (url !== urls.requested(path)) throw problem("unauthorized", "the JWS is signed for another url");
  return url;
}

interface Key {
  readonly account: SigningAccount | undefined;
  readonly key: AccountKey;
}

/**
 * The key, once the signature has verified with it. A kept key may be an account's former one, when another process changed it: then
 * the present one decides.
 */
async function verifiedKey(jws: Jws, by: SignedBy, parts: PipelineParts): Promise<Key> {
  const found = await findKey(jws, by, parts);
  if (verifies(jws, found.key)) return found;
  if (found.account !== undefined && parts.keys.get(found.account.id) === found.account) {
    parts.keys.delete(found.account.id);
    const now = await findKey(jws, by, parts);
    if (!now.key.thumbprint.equals(found.key.thumbprint) && verifies(jws, now.key)) return now;
  }
  checkKeyFits(jws, found.key);
  throw problem("malformed", "the JWS signature does not verify");
}

const verifies = (jws: Jws, key: AccountKey): boolean => keyFits(jws, key) && verifyJws(jws, key.key);

/** RFC 8555 §6.2: exactly one of `jwk` and `kid`, and the one that this resource asks for. */
async function findKey({ header: { jwk, kid } }: Jws, by: SignedBy, parts: PipelineParts): Promise<Key> {
  if ((jwk === undefined) === (kid === undefined))
    throw problem("malformed", "the JWS needs exactly one of jwk and kid");
  if (jwk !== undefined) {
    if (by === "kid") throw problem("malformed", "this resource needs a kid, not a jwk");
    if (!isJsonObject(jwk)) throw problem("malformed", "the jwk is not an object");
    return { account: undefined, key: readJwk(jwk) };
  }
  if (by === "jwk") throw problem("malformed", "this resource needs a jwk, not a kid");
  const id = typeof kid === "string" ? parts.urls.accountIdOf(kid) : undefined;
  if (id === undefined) throw problem("malformed", "the kid is not an account URL of this server");
  const account = await keptAccount(id, parts);
  return { account, key: account.key };
}

async function keptAccount(id: string, { accounts, keys, directory }: PipelineParts): Promise<SigningAccount> {
  const kept = keys.get(id);
  if (kept !== undefined) return kept;
  const stored = await accounts.findAccount(directory, id);
  if (stored === undefined) throw problem("accountDoesNotExist", "there is no such account");
  // A key change that ended while this was read has put the new key here; what was read is the old one then (H-05).
  const changed = keys.get(id);
  if (changed !== undefined) return changed;
  const account = signingAccount(stored, readJwk({ ...stored.jwk }));
  keys.set(id, account);
  return account;
}

/** RFC 8555 §6.3: POST-as-GET has a payload of no octets; `{}` is not that. */
function parsePayload(jws: Jws, rule: PayloadRule): JsonObject | undefined {
  const empty = jws.payload.length === 0;
  if (empty && rule === "object") throw problem("malformed", "the payload is empty");
  if (!empty && rule === "none") throw problem("malformed", "a POST-as-GET request has an empty payload");
  return empty ? undefined : jsonObject(jws.payload, "the payload");
}
