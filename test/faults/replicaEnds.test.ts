/** One of two servers is killed in the middle of its work, and the other one, which goes on all the time, finishes it. */
import t from "tap";

import { acmeDriver, dns, type AcmeClient } from "../support/acmeDriver.ts";
import { certificateKey, challengeOf, settled } from "../support/acmeFlows.ts";
import { crashServer } from "../support/crashServer.ts";
import { temporaryPostgres } from "../support/postgres.ts";
import { finalize, readyOrder } from "../support/processFlows.ts";
import { sibling } from "../support/replicas.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";
import { hesitantTarget } from "../support/validationTargets.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const { url: databaseUrl } = await temporaryPostgres(t);
const place = await serverPlace(t, { MAYFLY_DATABASE_URL: databaseUrl });

/** The name's web server. */
const target = await hesitantTarget(t);
const http01Port = target.port;

/** It dies at its first issuance, when the intent is committed. */
const dying = await startServer(t, place, {
  command: [crashServer],
  env: { MAYFLY_CRASH_AT: "after intend", MAYFLY_HTTP01_PORT: String(http01Port) },
});
const living = await sibling(
  t,
  { ...place, databaseUrl },
  { configuration: { validation: { http01Port, timeoutMs: 500, attempts: 1 } } },
);
const alice = await (await acmeDriver(t, dying)).account();
const aliceThere = await living.as(alice);

async function statusAfterwards(client: AcmeClient, url: string, from: string): Promise<string> {
  for (let round = 0; round < 600; round++) {
    const { status } = await client.readOrder(url);
    if (status !== from) return status;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the order stays ${from}`);
}

t.test(
  "H-19 H-33 killed between intent and record, with a validation under way: the other server ends both",
  async (t) => {
    const named = await alice.newOrder(dns("killed.localhost"));
    const challenge = challengeOf(await alice.readAuthorization(named.authorizations[0]), "http-01");
    t.equal((await alice.post(challenge.url, {})).json()["status"], "processing");
    await target.asked;
    const flow = await readyOrder(place, alice);
    await t.rejects(finalize(alice, flow), "the client gets no answer");
    t.equal(await dying.ended, null, "the server was killed");
    target.answer(`${challenge.token}.${alice.key.thumbprint}`);

    t.equal((await aliceThere.readOrder(flow.order.url)).status, "processing");
    t.equal(await statusAfterwards(aliceThere, flow.order.url, "processing"), "valid");
    const { body } = await living.ca.inventory(`/certificates?spiffeId=${encodeURIComponent(flow.spiffeId)}`);
    t.match(body["certificates"], { length: 1 });

    t.equal(await statusAfterwards(aliceThere, named.url, "pending"), "ready", "validated without the client's doing");
    t.equal((await settled(aliceThere, named.authorizations[0])).status, "valid");
    const finalized = await aliceThere.post(named.finalize, {
      csr: certificateKey().csr({ dns: ["killed.localhost"] }),
    });
    t.equal(finalized.json()["status"], "valid");
  },
);
