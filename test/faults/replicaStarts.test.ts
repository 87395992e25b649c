/** A second server starts while the first one is in the middle of its work: it leaves that work alone, and what is nobody's it finishes. */
import { createServer, type ServerResponse } from "node:http";
import t from "tap";

import { acmeDriver, dns } from "../support/acmeDriver.ts";
import { attested, challengeOf, query, settled } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { sibling } from "../support/replicas.ts";
import { listen } from "../support/validationTargets.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real servers on a busy machine.

t.test("a live server's issuance and validation are not taken from it", async (t) => {
  const held: ServerResponse[] = [];
  const arrived = Promise.withResolvers<void>();
  const target = createServer((_request, response) => {
    held.push(response);
    arrived.resolve();
  });
  const validation = { http01Port: await listen(t, target), timeoutMs: 10_000, patienceMs: 0 };
  const signing = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  let hold = false;
  const ca = await certificateAuthority(t, {
    configuration: { validation },
    ledger: (ledger) => ({
      ...ledger,
      async record(serial, certificate) {
        if (hold) {
          signing.resolve();
          await started.promise;
        }
        return ledger.record(serial, certificate);
      },
    }),
  });
  const alice = await (await acmeDriver(t, ca)).account();
  const named = await alice.newOrder(dns("slow.localhost"));
  const challenge = challengeOf(await alice.readAuthorization(named.authorizations[0]), "http-01");
  t.equal((await alice.post(challenge.url, {})).json()["status"], "processing");
  await arrived.promise;
  const flow = await attested(ca, alice);
  hold = true;
  const finalizing = alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
  await signing.promise;

  // However long the start takes here, the intent is as young as that of a request that lives.
  const young = setInterval(
    () => void query(ca, "update issuance_intent set tried_at = now()").catch(() => undefined),
    300,
  );
  const second = await sibling(t, ca, { configuration: { validation } });
  clearInterval(young);
  hold = false;
  started.resolve();
  t.equal((await finalizing).json()["status"], "valid", "the first server's certificate counts");
  t.equal(held.length, 1, "the name was asked once");
  held[0]?.end(`${challenge.token}.${alice.key.thumbprint}`);
  t.equal((await settled(alice, named.authorizations[0])).status, "valid");
  t.equal((await second.as(alice)).account, alice.account);
});

t.test("whoever starts and finds nobody takes up everything at once", async (t) => {
  let stuck = true;
  let last: Buffer | undefined;
  const ca = await certificateAuthority(t, {
    ledger: (ledger) => ({
      ...ledger,
      async record(serial, certificate) {
        if (stuck && last?.equals(serial)) throw new Error("cut off");
        return ledger.record(serial, certificate);
      },
      async intend(intent) {
        if (intent.door === "acme") last = intent.serial;
        return ledger.intend(intent);
      },
    }),
  });
  const alice = await (await acmeDriver(t, ca)).account();
  const flow = await attested(ca, alice);
  const reply = await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
  t.equal(reply.json()["status"], "processing");
  await ca.close();
  stuck = false;
  const next = await sibling(t, ca);
  t.equal((await (await next.as(alice)).readOrder(flow.order.url)).status, "valid", "before it listened");
});
