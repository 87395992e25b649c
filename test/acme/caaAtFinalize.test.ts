/** How many names are asked about at once, whose turn that takes, and what is told when not all could be asked. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { requireCaa } from "../../src/acme/caaAtFinalize.ts";
import type { CaaCheck } from "../../src/acme/challenges/caa.ts";
import { ValidationFailure } from "../../src/acme/challenges/validation.ts";
import type { Proved } from "../../src/acme/issueOrder.ts";
import { createTurns, type Turns } from "../../src/acme/limits/turns.ts";
import { OutboundFailure } from "../../src/outbound/failure.ts";

const account = { accountId: "alice", accountUrl: "https://ca.example/acme/account/alice" };

/** Names proved by dns-01, whose CAA records nobody has looked at. */
function provedNames(count: number): Proved[] {
  return Array.from({ length: count }, (_, index) => {
    const identifier = { type: "dns", value: `n${index}.example` } as const;
    const authorization: Proved["authorization"] = {
      id: `z${index}`,
      orderId: "order",
      profile: "server",
      identifier,
      wildcard: false,
      subdomains: false,
      status: "valid",
      expiresAt: new Date(Date.now() + 3_600_000),
      challenges: [{ type: "dns-01", token: "token", status: "valid" }],
      attestation: null,
    };
    return { identifier, authorization };
  });
}

/** A check that answers like this, and knows how many it is asked about at once. */
function slowly(answer: (name: string) => Promise<ValidationFailure | undefined>) {
  const seen = { inside: 0, most: 0, asked: [] as string[] };
  const caa: CaaCheck = {
    asker: () => async (question) => {
      seen.asked.push(question.name);
      seen.inside += 1;
      seen.most = Math.max(seen.most, seen.inside);
      return answer(question.name).finally(() => (seen.inside -= 1));
    },
  };
  return { seen, caa };
}

const finalize = (count: number, caa: CaaCheck, validationTurns: Turns = createTurns(16)) =>
  requireCaa(provedNames(count), account, { caa, validationTurns, now: () => new Date() });

t.test("H-24 a few names of an order are asked about at once, and every one of them", async (t) => {
  const { seen, caa } = slowly(() => sleep(5, undefined));
  await finalize(50, caa);
  t.equal(seen.asked.length, 50);
  t.equal(seen.most, 4);
});

t.test("H-24 each takes a turn of its account's, and gives it back", async (t) => {
  const turns = createTurns(2);
  const { signal } = new AbortController();
  const { seen, caa } = slowly(() => sleep(5, undefined));
  const [first, second] = [await turns.take("alice", signal), await turns.take("alice", signal)];
  const ended = finalize(6, caa, turns);
  await sleep(20);
  t.same(seen.asked, [], "validations of this account have both");
  await requireCaa(
    provedNames(1),
    { ...account, accountId: "bob" },
    { caa, validationTurns: turns, now: () => new Date() },
  );
  t.equal(seen.asked.length, 1, "another account does not wait for them");
  first();
  await ended;
  t.equal(seen.asked.length, 7);
  second();
  await turns.take("alice", signal);
  await turns.take("alice", signal);
});

t.test(
  "R8659-4 a name that is refused is told, whatever becomes of the others; our own trouble alone is 503",
  async (t) => {
    const ours = new OutboundFailure("ours", "the resolver cannot be used");
    const some = slowly(async (name) => {
      if (name === "n1.example") return new ValidationFailure("caa", "no");
      await sleep(5);
      throw ours;
    });
    await t.rejects(finalize(10, some.caa), {
      code: "caa",
      options: { subproblems: [{ code: "caa", identifier: { type: "dns", value: "n1.example" } }] },
    });
    const none = slowly(() => Promise.reject(ours));
    await t.rejects(finalize(10, none.caa), { code: "unavailable" });
    const broken = slowly(() => Promise.reject(new TypeError("a bug")));
    await t.rejects(finalize(10, broken.caa), TypeError);
  },
);
