/** H-33: the server is told to stop while it signs. What a client was given is recorded, what was begun is finished, nothing is issued twice. */
import t from "tap";
import { acmeDriver, type Reply } from "../support/acmeDriver.ts";
import { inventoryOf } from "../support/inventoryOf.ts";
import { finalize, readyOrder, returning } from "../support/processFlows.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";

t.setTimeout(180_000);
const orders = 40;

t.test("H-33 SIGTERM while forty certificates are being signed", async (t) => {
  const place = await serverPlace(t);
  const server = await startServer(t, place);
  const alice = await (await acmeDriver(t, server)).account();
  const ready = await Promise.all(Array.from({ length: orders }, () => readyOrder(server, alice)));

  const answers = ready.map((one) => finalize(alice, one).catch((error: unknown) => error as Error));
  await Promise.race(answers); // The first has its certificate; most are under way.
  const asked = Date.now();
  const status = await server.stop("SIGTERM");
  t.ok(Date.now() - asked < 15_000, `it ended within ${Date.now() - asked} ms`);
  t.equal(status, 0, "it ends in order");
  const replies = await Promise.all(answers);
  const got = replies.filter((reply): reply is Reply => !(reply instanceof Error) && reply.status === 200);
  t.ok(got.length > 0, `${got.length} of ${orders} were answered`);
  t.same(
    replies.filter((reply) => !(reply instanceof Error) && reply.status !== 200 && reply.status !== 503),
    [],
    "the others lost their connection or are told to come back",
  );

  const next = await startServer(t, place);
  const again = await returning(await acmeDriver(t, next), alice);
  for (const [index, one] of ready.entries()) {
    let { status: state } = await again.readOrder(one.order.url);
    if (state === "ready") {
      const reply = replies[index];
      t.ok(reply instanceof Error || reply?.status === 503, "nobody was told of a certificate that is not there");
      t.match((await finalize(again, one)).json(), { status: "valid" }, "and it can be had now");
      state = "valid";
    }
    for (let round = 0; state === "processing" && round < 100; round++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      ({ status: state } = await again.readOrder(one.order.url));
    }
    t.equal(state, "valid");
    t.equal((await inventoryOf(next, `spiffeId=${encodeURIComponent(one.spiffeId)}`)).length, 1, "one certificate");
  }
  t.equal(await next.stop("SIGTERM"), 0);
});
