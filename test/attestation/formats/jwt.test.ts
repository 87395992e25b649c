import { createHash, createHmac, createPublicKey } from "node:crypto";
import * as fc from "fast-check";
import t from "tap";
import { verifyJwt } from "../../../src/attestation/formats/jwt.ts";
import {
  base64url,
  boundAudience,
  compact,
  context,
  goodClaims,
  item,
  nowSeconds,
  refusal,
  testKey,
  testSource,
} from "../testIssuer.ts";

const key = testKey("key-1");
const source = testSource([key]);
const verify = (value: string, from = source) => verifyJwt(item(value), from, context);
const verifyClaims = (claims: Record<string, unknown>, from = source) => verify(compact(key, goodClaims(claims)), from);

t.test("a token bound to the challenge reaches level nonce", async (t) => {
  const value = compact(key, goodClaims());
  const evidence = await verify(value);
  t.equal(evidence.bindingLevel, "nonce");
  t.equal(evidence.claims["sub"], "agent-7");
  t.same(evidence.digest, createHash("sha256").update(value).digest());
  t.same(evidence.replayUntil, new Date((nowSeconds + 290 + 30) * 1000), "exp + skew");
  t.same(evidence.expires, new Date((nowSeconds + 290) * 1000));
  t.equal(evidence.notAfterCap, undefined, "exp limits the showing of the token, not the certificate");
});

t.test("audiences", async (t) => {
  t.equal(
    (await verifyClaims({ aud: [boundAudience] })).bindingLevel,
    "nonce",
    "an array of one is the same as a string",
  );
  t.equal((await verifyClaims({ aud: context.audience })).bindingLevel, "bearer");
  t.equal((await verifyClaims({ aud: [context.audience] })).bindingLevel, "bearer");

  const fixed = testSource([key], { audience: "mayfly" });
  t.equal((await verifyClaims({ aud: "mayfly" }, fixed)).bindingLevel, "bearer");
  t.equal(
    (await verifyClaims({ aud: boundAudience }, fixed)).bindingLevel,
    "nonce",
    "binding is better than what is configured",
  );
  t.match(await refusal(verifyClaims({ aud: context.audience }, fixed)), /^evidenceInvalid: .*audience/);

  const otherBinding = `${context.audience}/${"C".repeat(43)}`;
  t.match(await refusal(verifyClaims({ aud: otherBinding })), /^bindingMismatch/);
  t.match(await refusal(verifyClaims({ aud: `${boundAudience}A` })), /^bindingMismatch/);
  t.match(await refusal(verifyClaims({ aud: `${context.audience}/` })), /^bindingMismatch/);
  const wrong = [
    "https://other.example/wa",
    `${context.audience}2`,
    context.audience.toUpperCase(),
    "",
    [],
    [boundAudience, "https://other.example"],
    [boundAudience, boundAudience],
    [[boundAudience]],
    { 0: boundAudience, length: 1 },
    7,
    null,
    undefined,
  ];
  for (const aud of wrong) {
    t.match(await refusal(verifyClaims({ aud })), /^evidenceInvalid: .*audience/, `audience ${JSON.stringify(aud)}`);
  }
});

t.test("times", async (t) => {
  t.match(await refusal(verifyClaims({ exp: nowSeconds - 60 })), /^evidenceExpired/);
  t.match(await refusal(verifyClaims({ exp: nowSeconds - 30 })), /^evidenceExpired/, "exp + skew is over");
  t.equal((await verifyClaims({ exp: nowSeconds - 29 })).bindingLevel, "nonce", "within the skew");
  t.match(await refusal(verifyClaims({ nbf: nowSeconds + 60 })), /^evidenceInvalid: .*not yet valid/);
  t.ok(await verifyClaims({ nbf: nowSeconds + 30 }));
  t.match(await refusal(verifyClaims({ iat: nowSeconds + 60 })), /^evidenceInvalid/);
  t.match(await refusal(verifyClaims({ iat: nowSeconds + 60, nbf: nowSeconds })), /^evidenceInvalid: .*future/);
  t.match(await refusal(verifyClaims({ iat: nowSeconds - 4000 })), /^evidenceExpired: .*too long ago/);
  t.match(await refusal(verifyClaims({ exp: nowSeconds + 90_000 })), /^evidenceInvalid: .*lifetime/);
  t.ok(await verifyClaims({ iat: nowSeconds - 4000 }, testSource([key], { maxAgeSeconds: 4000 })));
  t.match(
    await refusal(verifyClaims({ exp: nowSeconds + 290 }, testSource([key], { maxLifetimeSeconds: 299 }))),
    /^evidenceInvalid: .*lifetime/,
  );
  t.match(
    await refusal(verifyClaims({ exp: nowSeconds }, testSource([key], { clockSkewSeconds: 0 }))),
    /^evidenceExpired/,
  );
});

t.test("times that are no finite number", async (t) => {
  for (const name of ["exp", "iat", "nbf"]) {
    for (const value of [String(nowSeconds), null, [nowSeconds], {}, true]) {
      t.match(await refusal(verifyClaims({ [name]: value })), /^evidenceInvalid/, `${name} ${JSON.stringify(value)}`);
    }
    if (name !== "nbf")
      t.match(await refusal(verifyClaims({ [name]: undefined })), /^evidenceInvalid/, `${name} absent`);
    const infinite = JSON.stringify(goodClaims({ [name]: "INFINITE" })).replace('"INFINITE"', "1e400");
    t.match(await refusal(verify(compact(key, infinite))), /^evidenceInvalid: .*number/, `${name} 1e400`);
    const nan = infinite.replace("1e400", "NaN");
    t.match(await refusal(verify(compact(key, nan))), /^evidenceMalformed/, `${name} NaN`);
  }
});

t.test("issuer, exactly", async (t) => {
  for (const iss of [
    "https://issuer.example/",
    "https://issuer.example.attacker.example",
    "HTTPS://issuer.example",
    [],
    undefined,
  ]) {
    t.match(await refusal(verifyClaims({ iss })), /^evidenceInvalid: .*issuer/, JSON.stringify(iss));
  }
});

t.test("signatures", async (t) => {
  for (const alg of ["ES256", "ES384", "EdDSA", "RS256", "PS256"] as const) {
    const signer = testKey(`key-${alg}`, alg);
    const value = compact(signer, goodClaims());
    t.ok(await verify(value, testSource([signer])), alg);
    const impostor = { ...testKey(signer.kid, alg), kid: signer.kid };
    t.match(
      await refusal(verify(compact(impostor, goodClaims()), testSource([signer]))),
      /^evidenceInvalid: .*signature/,
      `${alg} by another key of the same kid`,
    );
    const others = (["RS256", "ES256"] as const).filter((other) => other !== alg);
    t.match(
      await refusal(verify(value, testSource([signer], { algorithms: others }))),
      /^evidenceInvalid: .*algorithm/,
      `${alg} where it is not allowed`,
    );
  }
});

t.test("property: one flipped bit anywhere is noticed", async (t) => {
  const value = Buffer.from(compact(key, goodClaims()), "latin1");
  await fc.assert(
    fc.asyncProperty(fc.nat(value.length - 1), fc.nat(6), async (index, bit) => {
      const flipped = Buffer.from(value);
      flipped[index] = (flipped[index] ?? 0) ^ (1 << bit);
      const why = await refusal(verify(flipped.toString("latin1")));
      return why.startsWith("evidenceInvalid") || why.startsWith("evidenceMalformed");
    }),
    { numRuns: 150 },
  );
  t.pass();
});

t.test("algorithm confusion", async (t) => {
  const header = (fields: object) => base64url(JSON.stringify({ kid: key.kid, ...fields }));
  const payload = base64url(JSON.stringify(goodClaims()));
  t.match(await refusal(verify(`${header({ alg: "none" })}.${payload}.`)), /^evidenceInvalid: .*algorithm/);
  t.match(await refusal(verify(`${header({ alg: "none" })}.${payload}.AAAA`)), /^evidenceInvalid: .*algorithm/);
  for (const alg of ["nOnE", "", "HS256", "HS512", "ES256K", "constructor", null, ["ES256"], undefined]) {
    t.match(await refusal(verify(compact(key, goodClaims(), { alg }))), /^evidenceInvalid: .*algorithm/, String(alg));
  }
  const rsa = testKey("rsa", "RS256");
  const pem = createPublicKey(rsa.privateKey).export({ type: "spki", format: "pem" });
  const input = `${base64url(JSON.stringify({ alg: "HS256", kid: "rsa" }))}.${payload}`;
  const forged = `${input}.${createHmac("sha256", pem).update(input).digest("base64url")}`;
  t.match(
    await refusal(verify(forged, testSource([rsa]))),
    /^evidenceInvalid: .*algorithm/,
    "HS256 with the public key",
  );
  t.match(
    await refusal(verify(compact({ ...key, kid: "rsa" }, goodClaims(), { alg: "RS256" }), testSource([rsa]))),
    /^evidenceInvalid: .*signature/,
    "an EC signature under RS256",
  );
});

t.test("headers that bring keys along", async (t) => {
  const attacker = testKey("key-1");
  const forbidden = {
    jwk: attacker.jwk,
    jku: "https://attacker.example/jwks",
    x5u: "https://attacker.example/chain",
    x5c: ["MIIB"],
    crit: ["exp"],
    b64: false,
  };
  for (const [name, value] of Object.entries(forbidden)) {
    const expected = new RegExp(`^evidenceInvalid: .*${name}`);
    t.match(await refusal(verify(compact(attacker, goodClaims(), { [name]: value }))), expected, name);
    t.match(await refusal(verify(compact(key, goodClaims(), { [name]: value }))), expected, `${name}, well signed`);
    t.match(await refusal(verify(compact(key, goodClaims(), { [name]: null }))), expected, `${name} null`);
  }
});

t.test("kid and typ", async (t) => {
  t.match(await refusal(verify(compact(key, goodClaims(), { kid: "key-2" }))), /^evidenceInvalid: No key/);
  t.ok(await verify(compact(key, goodClaims(), { kid: undefined })), "no kid, and one key only");
  const two = testSource([key, testKey("key-2")]);
  t.match(
    await refusal(verify(compact(key, goodClaims(), { kid: undefined }), two)),
    /^evidenceInvalid: More than one/,
  );
  const twins = testSource([key, testKey("key-1")]);
  t.match(
    await refusal(verify(compact(key, goodClaims()), twins)),
    /^evidenceInvalid: More than one/,
    "one kid for two keys",
  );
  for (const kid of [7, {}, "k".repeat(257)]) {
    t.match(
      await refusal(verify(compact(key, goodClaims(), { kid }))),
      /^evidenceMalformed/,
      JSON.stringify(kid).slice(0, 20),
    );
  }

  for (const typ of ["JWT", "jwt", "application/jwt", "JOSE", undefined])
    t.ok(await verify(compact(key, goodClaims(), { typ })));
  for (const typ of ["at+jwt", "wit+jwt", "dpop+jwt", "", 7, null]) {
    t.match(await refusal(verify(compact(key, goodClaims(), { typ }))), /^evidenceInvalid: .*typ/, String(typ));
  }
  const typed = testSource([key], { typ: "at+jwt" });
  t.ok(await verify(compact(key, goodClaims(), { typ: "application/AT+JWT" }), typed));
  for (const typ of ["JWT", undefined])
    t.match(await refusal(verify(compact(key, goodClaims(), { typ }), typed)), /typ/);
});

t.test("limits and shapes", async (t) => {
  t.match(await refusal(verify(".".repeat(1_000_000))), /^evidenceMalformed: .*larger/);
  t.match(await refusal(verifyClaims({ filler: "x".repeat(16_384) })), /^evidenceMalformed: .*larger/);
  t.ok(await verifyClaims({ filler: "x".repeat(11_000) }));

  const good = compact(key, goodClaims());
  const [header = "", payload = "", signature = ""] = good.split(".");
  const shapes = {
    empty: "",
    "one part": header,
    "two parts": `${header}.${payload}`,
    "four parts": `${good}.AAAA`,
    "five parts (JWE)": `${good}.AAAA.AAAA`,
    "no payload": `${header}..${signature}`,
    "no signature": `${header}.${payload}.`,
    padding: `${good}==`,
    "white space": `${good}\n`,
    "a Bearer prefix": `Bearer ${good}`,
    truncated: good.slice(0, -1),
    "not base64url": `${header}.${payload}.+/+/`,
    "JSON serialization": JSON.stringify({ protected: header, payload, signature }),
    "not ASCII": `${header}.${payload}.ééé`,
  };
  for (const [name, value] of Object.entries(shapes)) {
    t.match(await refusal(verify(value)), /^evidence(Malformed|Invalid)/, name);
  }
  for (const text of [
    "",
    "null",
    "[]",
    "7",
    "{",
    '"x"',
    "\u{feff}{}",
    '{"alg":"ES256"',
    '{"sub":"a","sub":"a"}',
  ] as const) {
    t.match(await refusal(verify(compact(key, goodClaims(), text))), /^evidenceMalformed/, `header ${text}`);
    t.match(await refusal(verify(compact(key, text))), /^evidenceMalformed/, `payload ${text}`);
  }
  const deep = "[".repeat(5000) + "]".repeat(5000);
  const nested = JSON.stringify(goodClaims({ x: "DEEP" })).replace('"DEEP"', deep);
  t.match(await refusal(verify(compact(key, nested))), /^evidenceMalformed/);
});

t.test("property: arbitrary text is refused, never a crash", async (t) => {
  const part = fc.oneof(fc.string(), fc.base64String(), fc.json().map(base64url));
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(part, { maxLength: 5 }).map((parts) => parts.join(".")),
  );
  await fc.assert(
    fc.asyncProperty(text, async (value) => (await refusal(verify(value))).startsWith("evidence")),
    { numRuns: 300 },
  );
  t.pass();
});

t.test("what is used once", async (t) => {
  const first = await verifyClaims({});
  const again = await verifyClaims({ exp: nowSeconds + 200 });
  t.same(first.oneTimeId, again.oneTimeId, "one jti, one use");
  t.notSame(first.digest, again.digest);
  t.notSame((await verifyClaims({ jti: "other" })).oneTimeId, first.oneTimeId);
  const elsewhere = testSource([key], { ref: "other" });
  const other = await verifyJwt(item(compact(key, goodClaims()), "jwt", "other"), elsewhere, context);
  t.notSame(other.oneTimeId, first.oneTimeId, "ids of two sources do not meet");
  for (const jti of ["", 7, null, "x".repeat(257)]) {
    t.match(await refusal(verifyClaims({ jti })), /^evidenceMalformed: .*jti/, JSON.stringify(jti).slice(0, 20));
  }
});

t.test("without jti, a second signature made of the first is no second use", async (t) => {
  const value = compact(key, goodClaims({ jti: undefined }));
  const [header, payload, signature = ""] = value.split(".");
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const raw = Buffer.from(signature, "base64url");
  const s = order - BigInt(`0x${raw.subarray(32).toString("hex")}`);
  const mirrored = Buffer.concat([raw.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex")]);
  const second = `${header}.${payload}.${base64url(mirrored)}`;
  t.not(second, value);
  t.same((await verify(second)).oneTimeId, (await verify(value)).oneTimeId);
  t.notSame((await verifyClaims({ jti: undefined, sub: "agent-8" })).oneTimeId, (await verify(value)).oneTimeId);
});

t.test("refusals do not quote the token", async (t) => {
  const secret = "s3cr3t-value";
  for (const claims of [{ aud: secret }, { iss: secret }, { exp: secret }, { jti: secret.repeat(40) }]) {
    t.notMatch(await refusal(verifyClaims({ sub: secret, ...claims })), secret);
  }
  t.notMatch(await refusal(verify(compact(key, goodClaims(), { kid: secret }))), secret);
  t.notMatch(await refusal(verify(compact(key, secret))), secret);
});
