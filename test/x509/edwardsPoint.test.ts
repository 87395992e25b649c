import { generateKeyPairSync } from "node:crypto";
import t from "tap";
import { edwardsPointWeakness } from "../../src/x509/edwardsPoint.ts";

const p = (1n << 255n) - 19n;
/** A y-coordinate and the sign of x, as RFC 8032 §5.1.2 encodes them. */
const encoded = (y: bigint, sign = 0n): Buffer =>
  Buffer.from(Buffer.from((y | (sign << 255n)).toString(16).padStart(64, "0"), "hex").toReversed());
const generated = (): Buffer =>
  generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32);

t.test("generated keys are sound", async (t) => {
  for (let round = 0; round < 50; round++) t.equal(edwardsPointWeakness(generated()), undefined);
  const vector = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"; // RFC 8032 §7.1, TEST 1
  t.equal(edwardsPointWeakness(Buffer.from(vector, "hex")), undefined);
});

t.test("H-16b points of small order are refused", async (t) => {
  const order8 = [
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  ].map((text) => Buffer.from(text, "hex"));
  const negative = order8.map((point) => Buffer.concat([point.subarray(0, 31), Buffer.of((point[31] ?? 0) | 0x80)]));
  for (const point of [encoded(0n), encoded(0n, 1n), encoded(1n), encoded(p - 1n), ...order8, ...negative]) {
    t.match(edwardsPointWeakness(point), /small order/, point.toString("hex"));
  }
});

t.test("what is no point, or not in its one form, is refused", async (t) => {
  t.match(edwardsPointWeakness(encoded(2n)), /not on its curve/);
  t.match(edwardsPointWeakness(encoded(p)), /canonical/);
  t.match(edwardsPointWeakness(encoded(p + 1n)), /canonical/);
  t.match(edwardsPointWeakness(Buffer.alloc(32, 255)), /canonical/);
  const random = Array.from({ length: 200 }, () => {
    const point = generated();
    point[0] = (point[0] ?? 0) ^ 1;
    return edwardsPointWeakness(point) === undefined;
  });
  const on = random.filter(Boolean).length;
  t.ok(on > 50 && on < 150, `about half of all numbers are a point's y: ${on} of 200`);
});
