import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import t from "tap";
import { isOnCurve } from "../../src/x509/weierstrassPoint.ts";

const curves = [
  { kind: "ec-p256", namedCurve: "P-256", octets: 32 },
  { kind: "ec-p384", namedCurve: "P-384", octets: 48 },
] as const;

t.test("what is on its curve, OpenSSL being the witness", async (t) => {
  for (const { kind, namedCurve, octets } of curves) {
    for (let round = 0; round < 25; round++) {
      const { publicKey } = generateKeyPairSync("ec", { namedCurve });
      const spki = publicKey.export({ type: "spki", format: "der" });
      const head = spki.subarray(0, -2 * octets);
      const good = spki.subarray(head.length - 1);
      if (!isOnCurve(kind, good)) t.fail(`${good.toString("hex")} is on ${namedCurve}`);
      for (const bad of [flipped(good), Buffer.concat([Buffer.of(4), randomBytes(2 * octets)])]) {
        const der = Buffer.concat([head.subarray(0, -1), bad]);
        const taken = accepted(() => createPublicKey({ key: der, format: "der", type: "spki" }));
        t.equal(isOnCurve(kind, bad), taken);
      }
    }
    const zero = Buffer.concat([Buffer.of(4), Buffer.alloc(2 * octets)]);
    t.notOk(isOnCurve(kind, zero), "the origin is not");
    const beyond = Buffer.concat([Buffer.of(4), Buffer.alloc(2 * octets, 0xff)]);
    t.notOk(isOnCurve(kind, beyond), "nor is what is not below p");
    t.notOk(isOnCurve(kind, Buffer.of(0)), "nor infinity");
    t.notOk(isOnCurve(kind, zero.subarray(1)), "nor what has another length");
  }
});

t.test("a coordinate is below p: a point has one form", async (t) => {
  // x = 5 + p has the residue of x = 5; on P-256 there is a point with that x, and 256 bits for either.
  const p = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
  const hex = (n: bigint): string => n.toString(16).padStart(64, "0");
  const y = 0x459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbccn;
  const point = (x: bigint): Buffer => Buffer.from(`04${hex(x)}${hex(y)}`, "hex");
  t.ok(isOnCurve("ec-p256", point(5n)));
  t.notOk(isOnCurve("ec-p256", point(5n + p)));
});

function flipped(point: Buffer): Buffer {
  const other = Buffer.from(point);
  other[other.length - 1] = (other.at(-1) ?? 0) ^ 1;
  return other;
}

function accepted(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}
