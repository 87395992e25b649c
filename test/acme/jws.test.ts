/** jws.ts against `jose`, the independent witness: both accept what is good and refuse what is spoiled. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import fc from "fast-check";
import { base64url as encoded, flattenedVerify, FlattenedSign } from "jose";
import t from "tap";
import type { JsonObject } from "../../src/encoding/json.ts";
import { readJwk } from "../../src/acme/jwk.ts";
import { algorithms, checkKeyFits, parseJws, verifyJws } from "../../src/acme/jws.ts";
import { Problem } from "../../src/problem/problem.ts";
import { clientKey, flattened } from "../support/acmeDriver.ts";

const ours = (body: Buffer, jwk: JsonObject): boolean | string => {
  try {
    const jws = parseJws(body);
    const key = readJwk(jwk);
    checkKeyFits(jws, key);
    return verifyJws(jws, key.key);
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
};
const theirs = (body: Buffer, key: KeyObject): Promise<boolean> =>
  flattenedVerify(JSON.parse(body.toString()) as Parameters<typeof flattenedVerify>[0], key, {
    algorithms: [...algorithms],
  }).then(
    () => true,
    () => false,
  );

for (const alg of algorithms) {
  const { privateKey, jwk } = clientKey(alg);
  const key = readJwk(jwk).key;

  t.test(`${alg}: what jose signs is accepted`, async (t) => {
    for (let n = 0; n < 20; n++) {
      const signer = new FlattenedSign(Buffer.from(`{"n":${n}}`)).setProtectedHeader({
        alg,
        nonce: String(n),
        url: "https://x",
      });
      const body = Buffer.from(
        JSON.stringify(await signer.sign(createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" })))),
      );
      t.equal(ours(body, jwk), true);
    }
  });

  t.test(`${alg}: whatever octet is changed, both say the same`, async (t) => {
    const body = flattened({ alg, privateKey, jwk, thumbprint: "" }, { alg, url: "https://x" }, { a: 1 });
    const spoiling = fc.record({
      member: fc.constantFrom("payload", "signature"),
      at: fc.nat(10_000),
      bit: fc.integer({ min: 0, max: 7 }),
      cut: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(spoiling, async ({ member, at, bit, cut }) => {
        const octets = Buffer.from(encoded.decode(String(body[member])));
        const index = at % octets.length;
        octets[index] = (octets[index] ?? 0) ^ (1 << bit);
        const changed = cut ? octets.subarray(0, index) : octets;
        const text = Buffer.from(JSON.stringify({ ...body, [member]: encoded.encode(changed) }));
        const outcome = ours(text, jwk);
        return outcome === false && !(await theirs(text, key));
      }),
      { numRuns: 60 },
    );
    const good = Buffer.from(JSON.stringify(body));
    t.equal(ours(good, jwk), true);
    t.ok(await theirs(good, key));
  });

  t.test(`${alg}: a key of another kind → badPublicKey`, async (t) => {
    const body = Buffer.from(JSON.stringify(flattened({ alg, privateKey, jwk, thumbprint: "" }, { alg }, {})));
    for (const other of algorithms.filter((one) => one !== alg))
      t.equal(ours(body, clientKey(other).jwk), "badPublicKey", other);
    t.equal(ours(body, clientKey(alg).jwk), false, "another key of this kind does not verify");
  });
}

t.test("every text that is no flattened JWS → malformed or badSignatureAlgorithm, never anything else", async (t) => {
  const { jwk } = clientKey();
  const member = fc.oneof(
    fc.string(),
    fc.constant("e30"),
    fc.constant(encoded.encode('{"alg":"ES256"}')),
    fc.jsonValue(),
  );
  const object = fc.record({ protected: member, payload: member, signature: member }, { requiredKeys: [] });
  fc.assert(
    fc.property(
      fc.oneof(
        object.map((value) => JSON.stringify(value)),
        fc.string(),
        fc.json(),
      ),
      (text) => {
        const outcome = ours(Buffer.from(text), jwk);
        return outcome === "malformed" || outcome === "badSignatureAlgorithm" || outcome === false;
      },
    ),
  );
  t.equal(ours(Buffer.from("{}"), jwk), "malformed");
});
