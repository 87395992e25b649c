import t from "tap";
import { createNonceSource } from "../../src/acme/nonce.ts";

t.test("R6.5-3 a nonce is good exactly once", async (t) => {
  const nonces = createNonceSource();
  const issued = Array.from({ length: 1000 }, () => nonces.issue());
  t.equal(new Set(issued).size, 1000);
  t.ok(issued.every((nonce) => /^[\w-]{28}$/.test(nonce)));
  t.ok(
    issued.toReversed().every((nonce) => nonces.spend(nonce)),
    "in any order",
  );
  t.notOk(issued.some((nonce) => nonces.spend(nonce)));
});

t.test("R6.5-5 what it did not issue is refused", async (t) => {
  const nonces = createNonceSource();
  const nonce = nonces.issue();
  const octets = Buffer.from(nonce, "base64url");
  for (let at = 0; at < octets.length; at++) {
    const other = Buffer.from(octets);
    other[at] = (other[at] ?? 0) ^ 1;
    t.notOk(nonces.spend(other.toString("base64url")), `octet ${at} changed`);
  }
  for (const text of [
    "",
    "x",
    `${nonce}A`,
    nonce.slice(1),
    `${nonce}=`,
    ` ${nonce}`,
    "A".repeat(28),
    "A".repeat(100_000),
  ])
    t.notOk(nonces.spend(text));
  t.notOk(createNonceSource().spend(nonce), "H-06b another process has another key");
  t.ok(nonces.spend(nonce), "none of these spent it");
});

t.test("the window: what is older is refused, spent or not, and its room is used again", async (t) => {
  const nonces = createNonceSource(16);
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
