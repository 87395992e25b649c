/** A server that is stopped, or killed, while a validation runs: the next start takes the validation up, and the order goes on. */
import { createServer, type ServerResponse } from "node:http";
import t from "tap";

import { acmeDriver, dns } from "../support/acmeDriver.ts";
import { certificateKey, challengeOf, settled } from "../support/acmeFlows.ts";
import { inventoryOf } from "../support/inventoryOf.ts";
import { returning } from "../support/processFlows.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const place = await serverPlace(t);

/** The name's web server: it takes a request and says nothing until it is told to. */
const held: ServerResponse[] = [];
let answer: string | undefined;
let arrived = Promise.withResolvers<void>();
const target = createServer((_request, response) => {
  if (answer === undefined) held.push(response);
  else response.end(answer);
  arrived.resolve();
});
await new Promise<void>((resolve) => target.listen(place.http01Port, "127.0.0.1", resolve));
t.teardown(() => target.close().closeAllConnections());

for (const { signal, status, name } of [
  { signal: "SIGTERM", status: 0, name: "stopped.localhost" },
  { signal: "SIGKILL", status: null, name: "killed.localhost" },
] as const) {
  t.test(`H-33 ${signal} while a validation runs`, async (t) => {
    answer = undefined;
    arrived = Promise.withResolvers();
    const server = await startServer(t, place);
    const alice = await (await acmeDriver(t, server)).account();
    const order = await alice.newOrder(dns(name));
    const challenge = challengeOf(await alice.readAuthorization(order.authorizations[0]), "http-01");
    const reply = await alice.post(challenge.url, {});
    await arrived.promise;
    t.equal(reply.json()["status"], "processing", "the client is not kept waiting");
    t.match(reply.headers["retry-after"], /^\d+$/);

    const asked = Date.now();
    t.equal(await server.stop(signal), status, "it ends");
    t.ok(Date.now() - asked < 7_000, "and does not wait for the target, whose time is 8 seconds");

    // The answer is ready only now, so it is the next start's own question that gets it.
    answer = `${challenge.token}.${alice.key.thumbprint}`;
    const next = await startServer(t, place);
    const again = await returning(await acmeDriver(t, next), alice);
    t.equal((await settled(again, order.authorizations[0])).status, "valid", "taken up without the client's doing");
    const finalized = await again.post(order.finalize, { csr: certificateKey().csr({ dns: [name] }) });
    t.equal(finalized.json()["status"], "valid");
    t.equal((await inventoryOf(next, `dnsName=${name}`)).length, 1);
    t.equal(await next.stop("SIGTERM"), 0);
    t.equal(next.printed.stderr, "", "nothing to complain about");
  });
}
