/**
 * The pipeline that every signed request passes (RFC 8555 §6): readBody → parseJws → checkUrl → findKey → verify → spendNonce →
 * parsePayload → answer. One function each, in that order; a row of `routes.ts` says only what differs.
 */
import type { LRU } from "./lru.ts";
import { problem } from "../problem/problem.ts";
import { decodeBase64url } from "../encoding/base64url.ts";
import type { JsonObject } from "../encoding/json.ts";
import { readJwk, type AccountKey } from "./jwk.ts";
import { checkKeyFits, jsonObject, parseJws, verifyJws, type Jws } from "./jws.ts";
import type { NonceSource } from "./nonce.ts";
import type { AccountStore } from "./ports.ts";
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
}

export interface SigningAccount {
  readonly id: string;
  readonly key: AccountKey;
}

export interface PipelineParts {
  readonly urls: Urls;
  readonly nonces: NonceSource;
  readonly accounts: AccountStore;
  /** Keys of accounts are facts until a key change, so they may be kept; status is not kept. */
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
  const { account, key } = await findKey(jws, rule.by, parts);
  checkKeyFits(jws, key);
  if (!verifyJws(jws, key.key)) throw problem("malformed", "the JWS signature does not verify");
  // The nonce is spent only now: a request whose signature does not verify must not burn somebody else's nonce.
  if (!parts.nonces.spend(nonce)) throw problem("badNonce", "the nonce is unknown, expired or already used");
  return { account, key, payload: parsePayload(jws, rule.payload), url };
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

/** RFC 8555 §6.2: exactly one of `jwk` and `kid`, and the one that this resource asks for. */
async function findKey(
  { header: { jwk, kid } }: Jws,
  by: SignedBy,
  parts: PipelineParts,
): Promise<{ account: SigningAccount | undefined; key: AccountKey }> {
  if ((jwk === undefined) === (kid === undefined))
    throw problem("malformed", "the JWS needs exactly one of jwk and kid");
  if (jwk !== undefined) {
    if (by === "kid") throw problem("malformed", "this resource needs a kid, not a jwk");
    if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk))
      throw problem("malformed", "the jwk is not an object");
    return { account: undefined, key: readJwk(jwk) };
  }
  if (by === "jwk") throw problem("malformed", "this resource needs a jwk, not a kid");
  const id = typeof kid === "string" ? parts.urls.accountIdOf(kid) : undefined;
  if (id === undefined) throw problem("malformed", "the kid is not an account URL of this server");
  const account = await signingAccount(id, parts);
  return { account, key: account.key };
}

async function signingAccount(id: string, { accounts, keys }: PipelineParts): Promise<SigningAccount> {
  const kept = keys.get(id);
  if (kept !== undefined) return kept;
  const stored = await accounts.findAccount(id);
  if (stored === undefined) throw problem("accountDoesNotExist", "there is no such account");
  // A key change that ended while this was read has put the new key here; what was read is the old one then (H-05).
  const changed = keys.get(id);
  if (changed !== undefined) return changed;
  const account = { id, key: readJwk({ ...stored.jwk }) };
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
