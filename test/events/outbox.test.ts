import t from "tap";
import { relayOutbox, type OutboxEvent } from "../../src/events/outbox.ts";

const events = (count: number): OutboxEvent[] =>
  Array.from({ length: count }, (_, index) => ({ id: index + 1, topic: "test", payload: { n: index + 1 } }));

/** An outbox in memory, with the sizes of what was asked for. */
function outboxOf(count: number) {
  const waiting = events(count);
  const asked: number[] = [];
  return {
    asked,
    async take(limit: number) {
      asked.push(limit);
      return waiting.splice(0, limit);
    },
  };
}

t.test("every subscriber gets every event, in order, until nothing waits", async (t) => {
  for (const count of [0, 1, 999, 1000, 2500]) {
    const [first, second]: [number[], number[]] = [[], []];
    const outbox = outboxOf(count);
    await relayOutbox(outbox, [({ id }) => first.push(id), ({ id }) => second.push(id)]);
    t.same(
      first,
      events(count).map(({ id }) => id),
      `${count} events`,
    );
    t.same(second, first);
    t.equal(outbox.asked.length, Math.floor(count / 1000) + 1);
  }
});

t.test("an outbox that cannot be read is the caller's to report", async (t) => {
  await t.rejects(relayOutbox({ take: () => Promise.reject(new Error("away")) }, []), { message: "away" });
});

t.test("a subscriber that fails keeps nothing from the others", async (t) => {
  const seen: number[] = [];
  const bad = (): void => {
    throw new Error("bad subscriber");
  };
  await t.rejects(relayOutbox(outboxOf(3), [bad, ({ id }) => seen.push(id)]), {
    message: "subscribers failed 3 times",
    errors: [{ message: "bad subscriber" }],
  });
  t.same(seen, [1, 2, 3], "the events are gone from the store, so everybody must have had their chance");
});
