/** External account keys as an operator makes them, and bindings with them (RFC 8555 §7.3.4) that can be wrong in any way. */
import { createHmac } from "node:crypto";
import { base64url, type AcmeClient, type AcmeDriver } from "./acmeDriver.ts";
import type { TestAuthority } from "./certificateAuthority.ts";

export interface ExternalKey {
  readonly id: string;
  /** base64url. */
  readonly macKey: string;
}

/** One request to `/api/v1/external-account-keys` with the operator's token. */
export async function keysOverRest(
  { authority, operatorToken }: TestAuthority,
  method: "GET" | "POST",
  path = "",
  body?: object,
): Promise<{ status: number; body: Record<string, unknown>; location: string | undefined; text: string }> {
  const reply = await authority.server.inject({
    method,
    url: `/api/v1/external-account-keys${path}`,
    headers: { authorization: `Bearer ${operatorToken}` },
    ...(body !== undefined && { payload: body }),
  });
  const { location } = reply.headers;
  return { status: reply.statusCode, body: reply.json(), location, text: reply.body };
}

/** A key, with what the operator says about it. */
export async function externalKey(ca: TestAuthority, members: object = {}): Promise<ExternalKey> {
  const { status, body, text } = await keysOverRest(ca, "POST", "", members);
  if (status !== 201) throw new Error(`no key: ${text}`);
  return body as unknown as ExternalKey;
}

export interface BindingOverrides {
  /** Over the protected header; a member that is undefined is left out. */
  readonly header?: Readonly<Record<string, unknown>>;
  readonly payload?: unknown;
  /** Makes the MAC from the right one. */
  readonly mac?: (right: Buffer) => Buffer;
  /** Over the flattened JWS. */
  readonly jws?: Readonly<Record<string, unknown>>;
  /** What is computed, whatever the header says. */
  readonly hash?: "sha256" | "sha384" | "sha512";
}

/** The member `externalAccountBinding` for this client. */
export function binding(
  acme: AcmeDriver,
  client: Pick<AcmeClient, "key">,
  { id, macKey }: ExternalKey,
  { header = {}, payload = client.key.jwk, mac = (right) => right, jws = {}, hash = "sha256" }: BindingOverrides = {},
): Record<string, unknown> {
  const protectedText = base64url(JSON.stringify({ alg: "HS256", kid: id, url: acme.directory.newAccount, ...header }));
  const payloadText = base64url(JSON.stringify(payload));
  const right = createHmac(hash, Buffer.from(macKey, "base64url")).update(`${protectedText}.${payloadText}`).digest();
  return { protected: protectedText, payload: payloadText, signature: base64url(mac(right)), ...jws };
}

/** A client whose account is bound with this key. */
export async function boundAccount(acme: AcmeDriver, key: ExternalKey): Promise<AcmeClient> {
  const client = acme.client();
  const reply = await client.register({ externalAccountBinding: binding(acme, client, key) });
  if (reply.status !== 201) throw new Error(`no account: ${reply.text}`);
  return client;
}
