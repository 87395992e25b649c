import { randomBytes } from "node:crypto";
import t from "tap";
import { createLocalNonces, createNonceSource } from "../../src/acme/nonce.ts";

t.test("R6.5-3 a nonce is good exactly once", async (t) => {
  const nonces = createLocalNonces();
  const issued = Array.from({ length: 1000 }, () => nonces.issue());
  t.equal(new Set(issued).size, 1000);
  t.ok(issued.every((nonce) => /^[\w-]{43}$/.test(nonce)));
  t.ok(
    issued.toReversed().every((nonce) => nonces.spend(nonce)),
    "in any order",
  );
  t.notOk(issued.some((nonce) => nonces.spend(nonce)));
});

t.test("R6.5-5 what it did not issue is refused", async (t) => {
  const nonces = createLocalNonces();
  const nonce = nonces.issue();
  const octets = Buffer.from(nonce, "base64url");
  for (let at = 0; at < octets.length; at++) {
    const other = Buffer.from(octets);
    other[at] = (other[at] ?? 0) ^ 1;
    t.equal(nonces.spend(other.toString("base64url")), false, `octet ${at} changed`);
  }
  for (const text of [
    "",
    "x",
    `${nonce}A`,
    nonce.slice(1),
    `${nonce}=`,
    ` ${nonce}`,
    "A".repeat(43),
    "A".repeat(100_000),
  ])
    t.equal(nonces.spend(text), false);
  t.equal(createLocalNonces().spend(nonce), false, "H-06b another deployment has another key");
  t.ok(nonces.spend(nonce), "none of these spent it");
});

t.test("the window: what is older is refused, spent or not, and its room is used again", async (t) => {
  const nonces = createLocalNonces({ window: 16 });
  const first = Array.from({ length: 16 }, () => nonces.issue());
  t.ok(nonces.spend(first[3] ?? ""));
  const second = Array.from({ length: 8 }, () => nonces.issue());
  t.notOk(
    first.slice(0, 8).some((nonce) => nonces.spend(nonce)),
    "the first eight left the window",
  );
  t.ok(
    second.every((nonce) => nonces.spend(nonce)),
    "although one of them was spent, its successor is fresh",
  );
  t.ok(
    first.slice(8).every((nonce) => nonces.spend(nonce)),
    "the others are still in it",
  );
});

t.test(
  "a nonce ends after five minutes, however few were issued since: evidence cannot be bound to a store of them",
  async (t) => {
    let now = 0;
    const nonces = createLocalNonces({ clock: () => now });
    const early = [nonces.issue(), nonces.issue()];
    now = 1500;
    const [later, latest] = [nonces.issue(), nonces.issue()];
    now = 300_000;
    t.ok(nonces.spend(early[0] ?? ""), "until then it is good");
    now = 300_001;
    t.notOk(nonces.spend(early[1] ?? ""));
    t.ok(nonces.spend(later), "what was issued later has its own time");
    now = 86_400_000;
    t.notOk(nonces.spend(latest));
    t.ok(nonces.spend(nonces.issue()));
  },
);

t.test("H-06b a nonce of another process of the deployment names it, and only that process spends it", async (t) => {
  const [key, instance] = [randomBytes(32), randomBytes(10)];
  const issuer = createLocalNonces({ key, instance });
  const other = createLocalNonces({ key });
  const nonce = issuer.issue();
  t.equal(other.spend(nonce), instance.toString("hex"));
  t.equal(issuer.spend(nonce), true);

  const asked: [string, string][] = [];
  const answers: ((answer: boolean) => void)[] = [];
  const source = createNonceSource(other, {
    spend(from, text) {
      asked.push([from, text]);
      return new Promise((resolve) => answers.push(resolve));
    },
  });
  t.equal(source.spend(source.issue()), true, "its own at once");
  const foreign = issuer.issue();
  const first = source.spend(foreign);
  t.equal(source.spend(foreign), false, "one question at a time: a second could only be told no");
  answers[0]?.(true);
  t.equal(await first, true);
  const again = source.spend(foreign);
  answers[1]?.(false);
  t.equal(await again, false);
  const question = [instance.toString("hex"), foreign];
  t.same(asked, [question, question]);
  t.equal(source.spend("A".repeat(43)), false);
  t.equal(asked.length, 2, "random text costs no question");
});
