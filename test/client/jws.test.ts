import { createPublicKey, generateKeyPairSync } from "node:crypto";
import * as jose from "jose";
import t from "tap";
import { jwsSigner } from "../../src/client/jws.ts";

for (const [alg, { privateKey }] of [
  ["ES256", generateKeyPairSync("ec", { namedCurve: "P-256" })],
  ["ES384", generateKeyPairSync("ec", { namedCurve: "P-384" })],
  ["EdDSA", generateKeyPairSync("ed25519")],
  ["RS256", generateKeyPairSync("rsa", { modulusLength: 2048 })],
] as const) {
  t.test(`${alg}: jose verifies it and counts the same thumbprint`, async (t) => {
    const signer = jwsSigner(privateKey);
    t.equal(signer.alg, alg);
    t.equal(signer.thumbprint, await jose.calculateJwkThumbprint(await jose.exportJWK(createPublicKey(privateKey))));
    t.notOk("d" in signer.jwk, "nothing private in the JWK");

    const header = { nonce: "n", url: "https://ca.test/new-account" };
    const first: jose.FlattenedJWSInput = JSON.parse(signer.sign(header, { contact: [] }));
    t.strictSame(Object.keys(first), ["protected", "payload", "signature"]);
    const verified = await jose.flattenedVerify(first, await jose.importJWK(signer.jwk, alg));
    t.strictSame(verified.protectedHeader, { alg, jwk: signer.jwk, ...header });
    t.equal(Buffer.from(verified.payload).toString(), '{"contact":[]}');

    const later: jose.FlattenedJWSInput = JSON.parse(signer.sign({ kid: "https://ca.test/a/1", ...header }, undefined));
    const postAsGet = await jose.flattenedVerify(later, createPublicKey(privateKey));
    t.strictSame(postAsGet.protectedHeader, { alg, kid: "https://ca.test/a/1", ...header });
    t.equal(postAsGet.payload.length, 0, "POST-as-GET has the empty payload");
  });
}

t.test("keys that cannot sign a JWS", async (t) => {
  const { publicKey } = generateKeyPairSync("ed25519");
  t.throws(() => jwsSigner(publicKey), TypeError);
  t.throws(() => jwsSigner(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey), TypeError);
});

t.test("R and S of every length: two hundred signatures, some of which begin with zeros", async (t) => {
  for (const [alg, namedCurve, length] of [
    ["ES256", "P-256", 86],
    ["ES384", "P-384", 128],
  ] as const) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve });
    const signer = jwsSigner(privateKey);
    const lengths = new Set<number>();
    for (let i = 0; i < 200; i += 1) {
      const jws: jose.FlattenedJWSInput = JSON.parse(signer.sign({ nonce: String(i), url: "https://ca.test/" }, {}));
      lengths.add(jws.signature.length);
      await jose.flattenedVerify(jws, publicKey, { algorithms: [alg] });
    }
    t.same([...lengths], [length], alg);
  }
});
