import {
  checkPrimeSync,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  generatePrimeSync,
  type JsonWebKey,
} from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import t from "tap";
import type { JsonObject } from "../../src/encoding/json.ts";
import { readJwk, thumbprintOf } from "../../src/acme/jwk.ts";
import { Problem } from "../../src/problem/problem.ts";
import { keyOf } from "../../src/x509/publicKey.ts";

const exported = (key: { export(options: { format: "jwk" }): JsonWebKey }): JsonObject =>
  ({ ...key.export({ format: "jwk" }) }) as JsonObject;
const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve }).publicKey;
const kinds = {
  "P-256": () => ec("P-256"),
  "P-384": () => ec("P-384"),
  "P-521": () => ec("P-521"),
  Ed25519: () => generateKeyPairSync("ed25519").publicKey,
};
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;

const textOf = (jwk: JsonObject, member: string): string => {
  const value = jwk[member];
  if (typeof value !== "string") throw new Error(`no ${member}`);
  return value;
};

const integer = (value: bigint): string => Buffer.from(value.toString(16), "hex").toString("base64url");
const valueOf = (octets: Buffer): bigint => BigInt(`0x${octets.toString("hex")}`);
function closePrimes(): bigint {
  const first = generatePrimeSync(1024, { bigint: true });
  let second = first + 2n;
  while (!checkPrimeSync(second)) second += 2n;
  return first * second;
}

const refusal = (jwk: JsonObject): string => {
  try {
    readJwk(jwk);
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
  return "accepted";
};

t.test("R8.1-1 thumbprints are those of jose, whatever the order of members and whatever else is there", async (t) => {
  const keys = Object.values(kinds).flatMap((make) => Array.from({ length: 40 }, make));
  for (const key of [...keys, rsa]) {
    const jwk = exported(key);
    const reversed = Object.fromEntries(Object.entries(jwk).toReversed());
    const { thumbprint, jwk: kept } = readJwk({ use: "sig", kid: "x", ...reversed, alg: "y" });
    t.equal(thumbprint.toString("base64url"), await calculateJwkThumbprint(jwk as Record<string, string>));
    t.same(kept, jwk, "only the members that make the key are kept");
  }
});

t.test("R8.1-1 a coordinate with leading zero octets keeps its length (erratum 7565)", async (t) => {
  let jwk: JsonObject;
  do jwk = exported(kinds["P-256"]());
  while (Buffer.from(textOf(jwk, "x"), "base64url")[0] !== 0);
  t.equal(readJwk(jwk).thumbprint.toString("base64url"), await calculateJwkThumbprint(jwk as Record<string, string>));
  const short = Buffer.from(textOf(jwk, "x"), "base64url").subarray(1).toString("base64url");
  t.equal(refusal({ ...jwk, x: short }), "badPublicKey");
});

t.test("R11.1-1 the key of a certificate has the thumbprint of its JWK", async (t) => {
  for (const key of [kinds["P-256"](), kinds["P-384"](), kinds.Ed25519(), rsa])
    t.same(thumbprintOf(keyOf(key)), readJwk(exported(key)).thumbprint);
});

t.test("R6.2-8 what is no acceptable key → badPublicKey", async (t) => {
  const good = exported(kinds["P-256"]());
  const zero = Buffer.alloc(32).toString("base64url");
  const rsaJwk = exported(rsa);
  const n = Buffer.from(textOf(rsaJwk, "n"), "base64url");
  const below = valueOf(n) - (valueOf(n) % 6n); // n = 6k + 1 or 6k + 5
  const oddMultipleOfThree = below + 3n;
  const zero521 = Buffer.alloc(66).toString("base64url");
  const offCurve = (crv: "P-384" | "P-521"): JsonObject => {
    const jwk = exported(kinds[crv]());
    const y = Buffer.from(textOf(jwk, "y"), "base64url");
    y[y.length - 1] = (y.at(-1) ?? 0) ^ 1;
    return { ...jwk, y: y.toString("base64url") };
  };
  const bad: [string, JsonObject][] = [
    ["nothing", {}],
    ["kty oct", { kty: "oct" }],
    ["kty in lower case", { ...good, kty: "ec" }],
    ["another curve", { ...good, crv: "secp256k1" }],
    ["a number as x", { ...good, x: 1 }],
    ["no y", { kty: "EC", crv: "P-256", x: good["x"] ?? "" }],
    ["x with padding", { ...good, x: `${textOf(good, "x")}=` }],
    ["the origin", { ...good, x: zero, y: zero }],
    ["x and y exchanged", { ...good, x: good["y"] ?? "", y: good["x"] ?? "" }],
    ["Ed448", exported(generateKeyPairSync("ed448").publicKey)],
    ["X25519", exported(generateKeyPairSync("x25519").publicKey)],
    ["Ed25519 of 31 octets", { kty: "OKP", crv: "Ed25519", x: Buffer.alloc(31).toString("base64url") }],
    ["Ed25519 of small order", { kty: "OKP", crv: "Ed25519", x: Buffer.alloc(32).toString("base64url") }],
    [
      "Ed25519 off the curve",
      { kty: "OKP", crv: "Ed25519", x: Buffer.of(2, ...Buffer.alloc(31)).toString("base64url") },
    ],
    ["P-384 off the curve", offCurve("P-384")],
    ["P-521 off the curve", offCurve("P-521")],
    ["P-521 at the origin", { kty: "EC", crv: "P-521", x: zero521, y: zero521 }],
    ["a point at infinity", { kty: "EC", crv: "P-256", x: "", y: "" }],
    ["RSA-1024", exported(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey)],
    ["e = 3", exported(generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 }).publicKey)],
    ["e = 1", { ...rsaJwk, e: "AQ" }],
    ["e even", { ...rsaJwk, e: "AQAA" }],
    ["e = 0", { ...rsaJwk, e: "AA" }],
    ["n with a small factor", { ...rsaJwk, n: integer(oddMultipleOfThree) }],
    ["n of close primes", { ...rsaJwk, n: integer(closePrimes()) }],
    ["e with a leading zero", { ...rsaJwk, e: "AAEAAQ" }],
    ["n with a leading zero", { ...rsaJwk, n: Buffer.concat([Buffer.of(0), n]).toString("base64url") }],
    ["n empty", { ...rsaJwk, n: "" }],
    ["n of 16384 bits", { ...rsaJwk, n: Buffer.alloc(2048, 255).toString("base64url") }],
    ["n even", { ...rsaJwk, n: Buffer.concat([n.subarray(0, -1), Buffer.of(2)]).toString("base64url") }],
    ["n without e", { kty: "RSA", n: rsaJwk["n"] ?? "" }],
  ];
  for (const [what, jwk] of bad) t.equal(refusal(jwk), "badPublicKey", what);
});

t.test("H-04b private members → malformed, before anything else", async (t) => {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  t.equal(refusal(exported(pair.privateKey)), "malformed");
  for (const member of ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
    t.equal(refusal({ ...exported(pair.publicKey), [member]: "" }), "malformed", member);
});

t.test("the key that is read verifies what its private half signs", async (t) => {
  t.ok(readJwk(exported(rsa)).key.equals(createPublicKey(rsa.export({ type: "pkcs1", format: "pem" }))));
});

t.test("a key is known by the SHA-256 of the SubjectPublicKeyInfo that OpenSSL writes", async (t) => {
  const keys = Object.values(kinds).flatMap((make) => Array.from({ length: 10 }, make));
  for (const key of [...keys, rsa]) {
    const spki = key.export({ type: "spki", format: "der" });
    t.same(readJwk(exported(key)).spkiSha256, createHash("sha256").update(spki).digest());
  }
});
