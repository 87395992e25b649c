/** keyChange (RFC 8555 §7.3.5): the account's old key signs the outer JWS, the new key the inner one. */
import { isJsonObject } from "../encoding/json.ts";
import { problem } from "../problem/problem.ts";
import { blockedKey, KeySuperseded, requireValid, signer, type AcmeContext, type AcmeRequest } from "./context.ts";
import { readJwk } from "./jwk.ts";
import { checkKeyFits, jsonObject, jwsOf, verifyJws } from "./jws.ts";
import { signingAccount } from "./pipeline.ts";
import { accountJson, type Reply } from "./resources.ts";

/**
 * Rolls the account over to a new key. Open orders stay open; their challenges use the new thumbprint from now on.
 * @throws {Problem} malformed · badPublicKey · 409 with `Location` when the new key has an account
 */
export async function keyChange(
  request: AcmeRequest,
  { accounts, directory, keys, urls }: AcmeContext,
): Promise<Reply> {
  const account = signer(request);
  const inner = jwsOf(request.payload ?? {}, "the inner JWS");
  const { jwk, kid, url, nonce } = inner.header;
  if (!isJsonObject(jwk) || kid !== undefined) {
    throw problem("malformed", "the inner JWS needs a jwk and no kid");
  }
  if (nonce !== undefined) throw problem("malformed", "the inner JWS must not have a nonce");
  const newKey = readJwk(jwk);
  checkKeyFits(inner, newKey);
  if (!verifyJws(inner, newKey.key)) throw problem("malformed", "the inner JWS signature does not verify");
  if (url !== request.url) throw problem("malformed", "the inner JWS is signed for another url");

  const payload = jsonObject(inner.payload, "the inner payload");
  if (payload["account"] !== urls.account(account.id))
    throw problem("malformed", "the inner payload names another account");
  const { oldKey } = payload;
  if (!isJsonObject(oldKey)) throw problem("malformed", "oldKey is not a jwk");
  if (!readJwk(oldKey).thumbprint.equals(account.key.thumbprint)) {
    throw problem("malformed", "oldKey is not the key that signed the outer JWS");
  }

  const change = await accounts.changeKey(account, newKey);
  // Another replica may have changed it: then nobody here knows the key, and the next request reads it.
  if (change.outcome === "changed") keys.set(account.id, signingAccount(account, newKey));
  else keys.delete(account.id);
  if (change.outcome === "blocked") throw blockedKey();
  if (change.outcome === "taken") {
    throw problem("malformed", "the new key already has an account", {
      status: 409,
      headers: { location: urls.account(change.by) },
    });
  }
  const now = await accounts.findAccount(directory, account.id);
  if (now === undefined) throw problem("accountDoesNotExist", "there is no such account");
  requireValid(now.status);
  if (change.outcome === "stale") throw new KeySuperseded();
  return { status: 200, headers: { location: urls.account(account.id) }, body: accountJson(now, urls) };
}
