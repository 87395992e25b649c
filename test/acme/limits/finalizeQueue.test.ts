import t from "tap";
import { createFinalizeQueue } from "../../../src/acme/limits/finalizeQueue.ts";

t.test(
  "so many at once, one more gets 503 with Retry-After, and room comes back whatever becomes of the work",
  async (t) => {
    let refused = 0;
    const queue = createFinalizeQueue(2, () => (refused += 1));
    const held = [Promise.withResolvers<string>(), Promise.withResolvers<string>()] as const;
    const running = held.map(({ promise }) => queue.run(() => promise));
    t.equal(queue.underWay(), 2);
    await t.rejects(
      queue.run(async () => t.fail("must not begin")),
      { code: "unavailable", status: 503, options: { retryAfterSeconds: 2 } },
    );
    t.equal(refused, 1);
    held[0].resolve("done");
    t.equal(await running[0], "done");
    await t.rejects(
      queue.run(() => Promise.reject(new Error("broken"))),
      { message: "broken" },
    );
    t.equal(await queue.run(async () => "next"), "next");
    held[1].resolve("");
    await running[1];
    t.equal(queue.underWay(), 0);
  },
);
