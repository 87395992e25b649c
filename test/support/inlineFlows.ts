/** Orders that come with their evidence: one signed request from an account to a certificate. */
import { randomUUID } from "node:crypto";

import { uri, type AcmeClient, type AcmeDriver, type Challenge, type Reply } from "./acmeDriver.ts";
import { audienceOf, bindingOf, certificateKey, spiffeIdOf, type CertificateKey } from "./acmeFlows.ts";
import type { TestAuthority } from "./certificateAuthority.ts";

/** What goes into newOrder, good unless a test changes it. */
export interface Inline {
  readonly subject: string;
  readonly spiffeId: string;
  readonly key: CertificateKey;
  /** Of this request, and in its evidence. */
  readonly nonce: string;
  /** The server's audience with B over this nonce. */
  readonly boundAudience: string;
  readonly payload: {
    readonly identifiers: readonly object[];
    readonly csr: unknown;
    readonly evidence: readonly { readonly format: string; readonly ref: string; readonly value: string }[];
  };
}

/** A token of the development source bound to a nonce of this server, this account and a fresh key. */
export async function inline(
  ca: TestAuthority,
  acme: AcmeDriver,
  { key: accountKey }: AcmeClient,
  subject: string = randomUUID(),
  key: CertificateKey = certificateKey(),
): Promise<Inline> {
  const nonce = await acme.nonce();
  const spiffeId = spiffeIdOf(subject);
  const boundAudience = `${audienceOf(ca)}/${boundTo(nonce, accountKey, key)}`;
  const value = await ca.devToken(subject, boundAudience);
  return {
    subject,
    spiffeId,
    key,
    nonce,
    boundAudience,
    payload: {
      identifiers: [uri(spiffeId)],
      csr: key.csr({ uri: [spiffeId] }),
      evidence: [{ format: "jwt", ref: "dev", value }],
    },
  };
}

/** B with the nonce in the token's place. */
export const boundTo = (nonce: string, accountKey: AcmeClient["key"], { spki }: CertificateKey): string =>
  bindingOf({ token: nonce } as unknown as Challenge, accountKey, spki);

/** Posts it with its nonce, or another; `changes` replace members, and `undefined` leaves one out. */
export const order = (
  alice: AcmeClient,
  acme: AcmeDriver,
  { nonce, payload }: Pick<Inline, "nonce" | "payload">,
  changes: object = {},
): Promise<Reply> => alice.post(acme.directory.newOrder, { ...payload, ...changes }, { header: { nonce } });
