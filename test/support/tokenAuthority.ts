/** A token authority (RFC 9447) of the tests' own, and the steps with its tokens: an authority to ask, an order, a response. */
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compact, testKey, type TestKey } from "../attestation/testIssuer.ts";
import { uri, type AcmeClient, type Authorization, type Challenge, type Order, type Reply } from "./acmeDriver.ts";
import { challengeOf } from "./acmeFlows.ts";

/** Claims and headers in place of good ones; `undefined` leaves one out. */
export interface TokenWishes {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly atc?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly key?: TestKey;
}

export interface TokenAuthority {
  readonly issuer: string;
  readonly key: TestKey;
  /** What a source of its tokens needs to be configured with. */
  readonly source: { readonly format: "atc"; readonly issuer: string; readonly jwksFile: string };
  /** A token by which this client may have the SPIFFE ID, five minutes long. */
  vouch(client: AcmeClient, spiffeId: string, wishes?: TokenWishes): string;
}

/** @param folder where the file with its keys goes */
export async function tokenAuthority(folder: string, name: string): Promise<TokenAuthority> {
  const key = testKey(randomUUID());
  const issuer = `https://${name}.example`;
  const jwksFile = join(folder, `${name}.json`);
  await writeFile(jwksFile, JSON.stringify({ keys: [key.jwk] }));
  return {
    issuer,
    key,
    source: { format: "atc", issuer, jwksFile },
    vouch(client, spiffeId, { claims, atc, header, key: other = key } = {}) {
      const exp = Math.floor(Date.now() / 1000) + 300;
      const good = { tktype: "uri", tkvalue: spiffeId, fingerprint: fingerprint(client.key.thumbprint), ca: false };
      return compact(other, { iss: issuer, exp, jti: randomUUID(), atc: { ...good, ...atc }, ...claims }, header);
    },
  };
}

/** Written out from the document: the hash's name, a space, octets in upper case with colons between them. */
export function fingerprint(thumbprint: string): string {
  const hex = Buffer.from(thumbprint, "base64url").toString("hex").toUpperCase();
  return `SHA256 ${hex.replaceAll(/(..)(?=.)/g, "$1:")}`;
}

export interface Vouching {
  readonly alice: AcmeClient;
  readonly spiffeId: string;
  readonly order: Order;
  readonly authorization: Authorization;
  readonly challenge: Challenge;
}

/** An order for one SPIFFE ID whose tkauth-01 challenge waits for a token. */
export async function vouching(alice: AcmeClient, spiffeId: string): Promise<Vouching> {
  const order = await alice.newOrder(uri(spiffeId));
  const authorization = await alice.readAuthorization(order.authorizations[0]);
  return { alice, spiffeId, order, authorization, challenge: challengeOf(authorization, "tkauth-01") };
}

/** Answers the challenge with a token. */
export const answer = ({ alice, challenge }: Vouching, tkauth: unknown): Promise<Reply> =>
  alice.post(challenge.url, { tkauth });
