/** The nonces of this process and, by asking, of its siblings on the same database. */
import { createLocalNonces, createNonceSource, type NonceSource } from "./acme/nonce.ts";
import type { Metrics } from "./http/metrics.ts";
import type { Database } from "./store/database.ts";
import { openDeployment } from "./store/deployment.ts";
import { createNonceChannel } from "./store/nonceChannel.ts";
import type { Siblings } from "./store/siblings.ts";

export async function openNonces(db: Database, siblings: Siblings, metrics: Metrics): Promise<NonceSource> {
  const keyFor = await openDeployment(db);
  const local = createLocalNonces({ instance: siblings.instance, key: keyFor("nonces") });
  const issuers = createNonceChannel({
    siblings,
    key: keyFor("messages about nonces"),
    spend: (nonce) => local.spend(nonce) === true,
    onAsked: (outcome) => metrics.foreignNonce(outcome),
  });
  return createNonceSource(local, issuers);
}
