import { randomBytes } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import t from "tap";
import { createNonceChannel, type NonceChannelOptions } from "../../src/store/nonceChannel.ts";
import type { Message, Siblings, Subscriber } from "../../src/store/siblings.ts";

const key = randomBytes(32);

/** Processes that reach each other in this one; a statement takes a turn of the loop, and what was sent can be held back. */
function network() {
  const subscribers = new Map<string, Subscriber[]>();
  const statements: (readonly Message[])[] = [];
  const state = { connected: true, delivering: true };
  const deliver = ({ to, text }: Message): void => {
    for (const subscriber of subscribers.get(to) ?? []) subscriber.onMessage(text);
  };

  function join(options: Partial<NonceChannelOptions> = {}) {
    const instance = randomBytes(10);
    const own: Subscriber[] = [];
    subscribers.set(instance.toString("hex"), own);
    const siblings: Siblings = {
      instance,
      alone: false,
      connected: () => state.connected,
      async send(messages) {
        statements.push(messages);
        await turn();
        if (!state.connected) throw new Error("no connection");
        if (state.delivering) messages.forEach(deliver);
      },
      subscribe: (subscriber) => void own.push(subscriber),
      close: async () => undefined,
    };
    const spent: string[] = [];
    const outcomes: string[] = [];
    const issuers = createNonceChannel({
      siblings,
      key,
      spend: (nonce) => spent.push(nonce) > 0,
      onAsked: (outcome) => outcomes.push(outcome),
      deadlineMs: 60_000, // A busy machine must not decide what is answered.
      ...options,
    });
    const lose = (): void => {
      for (const subscriber of own) subscriber.onLost();
    };
    return { id: instance.toString("hex"), issuers, spent, outcomes, lose };
  }
  return { join, state, statements, deliver };
}

const nonce = (): string => randomBytes(32).toString("base64url");

t.test("the issuer is asked, and what it says counts", async (t) => {
  const { join } = network();
  const [asker, generous, mean] = [join(), join(), join({ spend: () => false })];
  const shown = nonce();
  t.equal(await asker.issuers.spend(generous.id, shown), true);
  t.same(generous.spent, [shown]);
  t.equal(await asker.issuers.spend(mean.id, nonce()), false);
  t.same(asker.outcomes, ["accepted", "refused"]);
});

t.test("what comes while a statement is under way goes with the next one", async (t) => {
  const { join, statements } = network();
  const [asker, issuer, other] = [join(), join(), join()];
  const all = Array.from({ length: 1000 }, (_, index) =>
    asker.issuers.spend(index % 2 ? issuer.id : other.id, nonce()),
  );
  t.same(new Set(await Promise.all(all)), new Set([true]));
  t.ok(statements.length <= 6, `${statements.length} statements for 1000 questions and their answers`);
  t.equal(new Set([...issuer.spent, ...other.spent]).size, 1000);
});

t.test("no answer in time is a no, and nobody waits for that issuer any more until it is heard of", async (t) => {
  const { join, state, statements } = network();
  const [asker, issuer] = [join({ deadlineMs: 500 }), join()];
  state.delivering = false;
  t.equal(await asker.issuers.spend(issuer.id, nonce()), false);
  t.equal(issuer.spent.length, 0);

  state.delivering = true;
  const refusedAtOnce = await Promise.all(Array.from({ length: 20 }, () => asker.issuers.spend(issuer.id, nonce())));
  t.notOk(refusedAtOnce.includes(true), "whoever had waited would have been told yes");
  for (let round = 0; round < 10; round++) await turn();
  t.equal(statements.flat().filter(({ to }) => to === issuer.id).length, 2, "one of them probed it");
  t.equal(issuer.spent.length, 1, "its nonce is spent, though refused: lost, and never used twice");
  t.equal(await asker.issuers.spend(issuer.id, nonce()), true, "it lives, and is asked again");
  t.same(new Set(asker.outcomes), new Set(["unanswered", "accepted"]));
});

t.test("an answer that comes too late is for nobody, and tells that the issuer lives", async (t) => {
  const { join, state, statements, deliver } = network();
  const [asker, issuer] = [join({ deadlineMs: 500 }), join()];
  state.delivering = false;
  t.equal(await asker.issuers.spend(issuer.id, nonce()), false);
  const [question = []] = statements;
  state.delivering = true;
  question.forEach(deliver);
  for (let round = 0; round < 10; round++) await turn();
  t.equal(await asker.issuers.spend(issuer.id, nonce()), true);
  t.same(asker.outcomes, ["unanswered", "accepted"]);
});

t.test("an answer of somebody else, an old one, and text that is none change nothing", async (t) => {
  const { join, state, statements, deliver } = network();
  const [asker, issuer] = [join({ deadlineMs: 500 }), join()];
  t.equal(await asker.issuers.spend(issuer.id, nonce()), true);
  const old = statements.flat().filter(({ to }) => to === asker.id);
  state.delivering = false;
  const waiting = asker.issuers.spend(issuer.id, nonce());
  await turn();
  old.forEach(deliver);
  deliver({ to: asker.id, text: "yes" });
  deliver({ to: asker.id, text: "" });
  t.equal(await waiting, false);
  t.equal(issuer.spent.length, 1);
});

t.test("a lost connection ends the waiting; without one nothing is asked", async (t) => {
  const { join, state, statements } = network();
  const [asker, issuer] = [join(), join()];
  state.delivering = false;
  const waiting = [asker.issuers.spend(issuer.id, nonce()), asker.issuers.spend(issuer.id, nonce())];
  await turn();
  asker.lose();
  t.same(await Promise.all(waiting), [false, false]);
  state.connected = false;
  const before = statements.length;
  t.equal(await asker.issuers.spend(issuer.id, nonce()), false);
  t.equal(statements.length, before);
  t.same(asker.outcomes, ["disconnected", "disconnected", "disconnected"]);
});

t.test("the number of questions that wait is bounded", async (t) => {
  const { join, state } = network();
  const [asker, issuer] = [join({ deadlineMs: 500 }), join()];
  state.delivering = false;
  const all = await Promise.all(Array.from({ length: 2500 }, () => asker.issuers.spend(issuer.id, nonce())));
  t.notOk(all.includes(true));
  t.equal(asker.outcomes.filter((outcome) => outcome === "overloaded").length, 500);
});
