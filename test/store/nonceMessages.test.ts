import { createSecretKey, randomBytes } from "node:crypto";
import t from "tap";
import { encodeNonceMessage, itemsMax, readNonceMessage, type NonceMessage } from "../../src/store/nonceMessages.ts";

const key = createSecretKey(randomBytes(32));
const [to, from] = [randomBytes(10).toString("hex"), randomBytes(10).toString("hex")];
const nonce = randomBytes(32).toString("base64url");
const question: NonceMessage = { kind: "ask", from, items: [[7, nonce]] };
const answer: NonceMessage = {
  kind: "answer",
  from,
  items: [
    [7, "1"],
    [8, "0"],
  ],
};

t.test("what is written is read, by whom it is for", async (t) => {
  for (const message of [question, answer]) {
    t.same(readNonceMessage(key, to, encodeNonceMessage(key, to, message)), message);
  }
  t.equal(readNonceMessage(key, from, encodeNonceMessage(key, to, question)), undefined, "sent on to somebody else");
});

t.test("the largest message fits into a notification, a larger one is none", async (t) => {
  const items = Array.from({ length: itemsMax }, () => [999_999_999_999_999, nonce] as const);
  const line = encodeNonceMessage(key, to, { ...question, items });
  t.ok(line.length < 8000, `${line.length}`);
  t.equal(readNonceMessage(key, to, line)?.items.length, itemsMax);
  const larger = encodeNonceMessage(key, to, { ...question, items: [...items, [1, nonce]] });
  t.equal(readNonceMessage(key, to, larger), undefined);
});

t.test("what was not made with the key, or was changed, is no message", async (t) => {
  const line = encodeNonceMessage(key, to, answer);
  t.equal(readNonceMessage(createSecretKey(randomBytes(32)), to, line), undefined);
  const other = (character: string | undefined): string => (character === "1" ? "2" : "1");
  for (let at = 0; at < line.length; at++) {
    const changed = line.slice(0, at) + other(line[at]) + line.slice(at + 1);
    // Of the last character of the MAC two bits are not looked at: the text is another one, its octets are not.
    if (at !== 42) t.equal(readNonceMessage(key, to, changed), undefined, `character ${at}`);
  }
  for (const text of [
    "",
    "x",
    line.slice(1),
    `${line} `,
    `${line}\n`,
    "A".repeat(7999),
    line.replace("answer", "order"),
  ])
    t.equal(readNonceMessage(key, to, text), undefined);
});
