/** Renewal by possession, as tests need it: a server that lets it, proofs right or wrong, and the way to the next certificate. */
import { randomUUID, sign, X509Certificate, type KeyObject } from "node:crypto";
import {
  base64url,
  uri,
  type AcmeClient,
  type Authorization,
  type Challenge,
  type Order,
  type Reply,
} from "./acmeDriver.ts";
import { audienceOf, bindingOf, certificateKey, issued, type CertificateKey } from "./acmeFlows.ts";
import type { TestAuthority } from "./certificateAuthority.ts";

/** Certificates of development agents may be renewed for an hour. */
export const renewing = (renewal: object = {}, maxChainAgeSeconds = 3600) => ({
  attestation: { sources: [{ ref: "own", format: "x509-pop", kind: "own" }] },
  grants: [
    {
      name: "renew-dev",
      spiffeId: "spiffe://mayfly.localhost/dev/{path2}",
      source: "own",
      minBinding: "nonce",
      profile: "workload",
      renewal: { maxChainAgeSeconds, onClone: "refuse", ...renewal },
    },
  ],
});

/** A certificate and its key. */
export interface Held {
  readonly spiffeId: string;
  readonly key: CertificateKey;
  /** PEM, the leaf first. */
  readonly chain: string;
}

export const serialOf = ({ chain }: Held): string => new X509Certificate(chain).serialNumber.toLowerCase();
export const dersOf = (pem: string): Buffer[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (one) => new X509Certificate(one).raw,
  );

/** A certificate by the platform's evidence. */
export async function firstCertificate(
  ca: TestAuthority,
  alice: AcmeClient,
  subject: string = randomUUID(),
): Promise<Held> {
  const { spiffeId, key, chain } = await issued(ca, alice, subject);
  return { spiffeId, key, chain };
}

/** A JWS over exactly this header and payload. */
export function possessionJws(privateKey: KeyObject, header: object, payload: object): string {
  const input = [header, payload].map((part) => base64url(JSON.stringify(part))).join(".");
  return `${input}.${base64url(sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" }))}`;
}

export interface Renewing {
  readonly client: AcmeClient;
  readonly order: Order;
  readonly authorization: Authorization;
  readonly challenge: Challenge;
  readonly key: CertificateKey;
  readonly spiffeId: string;
  readonly audience: string;
  readonly binding: string;
}

/** An order whose challenge waits for evidence. */
export async function renewalOrder(ca: TestAuthority, client: AcmeClient, spiffeId: string): Promise<Renewing> {
  const order = await client.newOrder(uri(spiffeId));
  const authorization = await client.readAuthorization(order.authorizations[0]);
  const [challenge] = authorization.challenges;
  if (challenge === undefined) throw new Error("no challenge");
  const key = certificateKey();
  const binding = bindingOf(challenge, client.key, key.spki);
  return { client, order, authorization, challenge, key, spiffeId, audience: audienceOf(ca), binding };
}

/** The proof that a good client makes, with changes. */
export function proofFor(
  { audience, binding }: Pick<Renewing, "audience" | "binding">,
  held: Held,
  changes: ProofChanges = {},
): string {
  const iat = Math.floor(Date.now() / 1000);
  const x5c = dersOf(held.chain).map((one) => one.toString("base64"));
  const header = { alg: "ES256", typ: "acme-wa-pop+jws", x5c, ...changes.header };
  const payload = { aud: audience, binding, iat, exp: iat + 300, ...changes.payload };
  return possessionJws(held.key.privateKey, header, payload);
}

/** Answers the challenge with a proof. */
export const show = ({ client, challenge, key }: Renewing, value: string, ref = "own"): Promise<Reply> =>
  client.post(challenge.url, { spki: key.spki, evidence: [{ format: "x509-pop", ref, value }] });

/** Finalizes, whatever comes of it. */
export const finalize = ({ client, order, key, spiffeId }: Renewing): Promise<Reply> =>
  client.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) });

/** An order that possession of `held` has made ready. */
export async function readyRenewal(
  ca: TestAuthority,
  client: AcmeClient,
  held: Held,
  changes: ProofChanges = {},
): Promise<Renewing> {
  const flow = await renewalOrder(ca, client, held.spiffeId);
  const reply = await show(flow, proofFor(flow, held, changes));
  if (reply.json()["status"] !== "valid") throw new Error(`not renewed: ${reply.text}`);
  return flow;
}

/** The certificate of an order that is valid. */
export async function collect(flow: Renewing, finalized: Reply): Promise<Held> {
  const url = finalized.json()["certificate"];
  if (typeof url !== "string") throw new Error(`no certificate: ${finalized.text}`);
  const { spiffeId, key, client } = flow;
  return { spiffeId, key, chain: (await client.postAsGet(url)).text };
}

/** The whole way. */
export async function renew(
  ca: TestAuthority,
  client: AcmeClient,
  held: Held,
  changes: ProofChanges = {},
): Promise<Held> {
  const flow = await readyRenewal(ca, client, held, changes);
  return await collect(flow, await finalize(flow));
}

/** What a proof says in place of what a good one does. */
export interface ProofChanges {
  readonly header?: object;
  readonly payload?: object;
}
