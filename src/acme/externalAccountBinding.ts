/**
 * External account binding (RFC 8555 §7.3.4): whoever holds a MAC key of an operator vouches for the account key that is registered.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

import { isJsonObject, type JsonValue } from "../encoding/json.ts";
import { problem } from "../problem/problem.ts";
import type { ExternalAccountKeys, VerifiedBinding } from "./externalAccountPorts.ts";
import { readJwk, type AccountKey } from "./jwk.ts";
import { flattenedOf, jsonObject, type Flattened } from "./jws.ts";

/** MACs that bind (RFC 7518 §3.2); what `badSignatureAlgorithm` lists. */
const macs = ["HS256", "HS384", "HS512"] as const;
type Mac = (typeof macs)[number];
const hashes: Record<Mac, string> = { HS256: "sha256", HS384: "sha384", HS512: "sha512" };

const what = "externalAccountBinding";
/** As JSON; it is kept. A key of RSA 8192 takes half of it. */
const charactersMax = 8192;
const keyIdPattern = /^[A-Za-z0-9._~-]{1,100}$/;

/** A binding that is what it should be, as far as that can be said without the MAC key. */
export interface Binding {
  readonly keyId: string;
  readonly mac: Flattened<Mac>;
  readonly jws: object;
}

/**
 * Reads the member of newAccount.
 * @param outer key and URL of the request around it
 * @throws {Problem} malformed · badSignatureAlgorithm · badPublicKey
 */
export function readBinding(
  member: JsonValue,
  outer: { readonly key: Pick<AccountKey, "thumbprint">; readonly url: string },
): Binding {
  if (!isJsonObject(member)) throw problem("malformed", `${what} is not an object`);
  if (JSON.stringify(member).length > charactersMax)
    throw problem("malformed", `${what} is longer than ${charactersMax} characters`);
  const mac = flattenedOf(member, what, macs);
  const { kid, nonce, url, jwk } = mac.header;
  if (typeof kid !== "string" || kid.length > 100 || jwk !== undefined)
    throw problem("malformed", `${what} needs a kid of at most 100 characters and no jwk`);
  if (nonce !== undefined) throw problem("malformed", `${what} must not have a nonce`);
  if (url !== outer.url) throw problem("malformed", `${what} is made for another url`);
  const bound = readJwk(jsonObject(mac.payload, `${what}: payload`));
  if (!bound.thumbprint.equals(outer.key.thumbprint)) throw problem("malformed", `${what} is made for another key`);
  return { keyId: kid, mac, jws: member };
}

/** Computed with where there is no key, so that both take as long. */
const nobodysKey = randomBytes(32);

/**
 * Verifies the MAC. A key id that is not there and a MAC that is wrong are refused in the same words.
 * @throws {Problem} unauthorized
 */
export async function verifyBinding(
  { keyId, mac, jws }: Binding,
  directory: string,
  keys: ExternalAccountKeys,
): Promise<VerifiedBinding> {
  // An id that cannot be one has no row either.
  const found = await keys.findMacKey(directory, keyIdPattern.test(keyId) ? keyId : "");
  const expected = createHmac(hashes[mac.algorithm], found?.macKey ?? nobodysKey)
    .update(mac.signingInput)
    .digest();
  const verifies = mac.signature.length === expected.length && timingSafeEqual(mac.signature, expected);
  if (found === undefined || !verifies)
    throw problem("unauthorized", `${what} does not verify: its kid is unknown or its MAC is wrong`);
  if (!found.usable) throw notUsable();
  return { keyId, jws };
}

/** Said only to whoever has shown the key. */
export const notUsable = () =>
  problem("unauthorized", "the external account key has been used up, has expired or was revoked");
