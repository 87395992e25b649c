/** The steps of an attested issuance against a server in another process. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import pg from "pg";

import { openDevIssuer } from "../../src/development/devIssuer.ts";
import { uri, type AcmeClient, type AcmeDriver, type Order, type Reply } from "./acmeDriver.ts";
import { bindingOf, certificateKey, challengeOf, spiffeIdOf, type CertificateKey } from "./acmeFlows.ts";
import { embeddedDatabaseUrl, type ServerPlace } from "./serverProcess.ts";

export interface ReadyOrder {
  readonly order: Order;
  readonly spiffeId: string;
  readonly key: CertificateKey;
}

/** An order for one SPIFFE ID, `ready` by a nonce-bound token of the development source. */
export async function readyOrder(place: ServerPlace, alice: AcmeClient): Promise<ReadyOrder> {
  const subject = randomUUID();
  const spiffeId = spiffeIdOf(subject);
  const order = await alice.newOrder(uri(spiffeId));
  const challenge = challengeOf(await alice.readAuthorization(order.authorizations[0]), "workload-attest-01");
  const key = certificateKey();
  const audience = `${place.url}/wa/${bindingOf(challenge, alice.key, key.spki)}`;
  const issuer = await openDevIssuer(join(place.dataDir, "dev-issuer.jwk"));
  const value = await issuer.mint({ subject, audience, issuer: `${place.url}/dev`, now: new Date() });
  const reply = await alice.post(challenge.url, { spki: key.spki, evidence: [{ format: "jwt", ref: "dev", value }] });
  if (reply.json()["status"] !== "valid") throw new Error(`not attested: ${reply.text}`);
  return { order, spiffeId, key };
}

export const finalize = (alice: AcmeClient, { order, key, spiffeId }: ReadyOrder): Promise<Reply> =>
  alice.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) });

/** The same account at a server that was started again: nonces and connections are new. */
export async function returning(driver: AcmeDriver, { key }: AcmeClient): Promise<AcmeClient> {
  const client = driver.client(key);
  const { status, text } = await client.register({ onlyReturnExisting: true });
  if (status !== 200) throw new Error(`the account is gone: ${text}`);
  return client;
}

/** Rows of the server's own database, also while the server itself is gone. */
export async function askDatabase<Row extends object>(
  place: ServerPlace,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: embeddedDatabaseUrl(place) });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}
