import { createHash, createHmac, createPublicKey, generateKeyPairSync } from "node:crypto";
import * as fc from "fast-check";
import t from "tap";
import { fingerprintOf, namedIssuer, verifyAtc } from "../../../src/attestation/formats/atc.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { createVerifier } from "../../../src/attestation/verify.ts";
import {
  base64url,
  boundAudience,
  compact,
  context,
  goodAtc,
  goodAtcClaims,
  item,
  openTestSource,
  nowSeconds,
  refusal,
  testKey,
  testSource,
} from "../testIssuer.ts";

const key = testKey("key-1");
const issuer = "https://authority.example";
const source = testSource([key], { format: "atc", issuer });
const verify = (value: string, from = source, within = context) => verifyAtc(item(value, "atc"), from, within);
const verifyClaims = (claims: Record<string, unknown>, within = context) =>
  verify(compact(key, goodAtcClaims(claims)), source, within);
const verifyIn = (atc: Record<string, unknown>, within = context) =>
  verify(compact(key, goodAtcClaims({}, atc)), source, within);

t.test("a good token reaches level key and yields flat claims", async (t) => {
  const value = compact(key, goodAtcClaims({ sub: "orchestrator-1" }));
  const evidence = await verify(value);
  t.equal(evidence.bindingLevel, "key");
  t.strictSame(evidence.claims, { path1: "pay", path2: "checkout", jti: "id6098364921", sub: "orchestrator-1" });
  t.same(evidence.digest, createHash("sha256").update(value).digest());
  t.same(evidence.oneTimeId, createHash("sha256").update("jti\0test\0id6098364921").digest());
  t.same(evidence.expires, new Date((nowSeconds + 290) * 1000));
  t.same(evidence.replayUntil, new Date((nowSeconds + 320) * 1000), "exp + skew");
  t.equal(evidence.notAfterCap, undefined);
  t.equal(evidence.certificateKey, undefined);
  t.strictSame((await verifyClaims({})).claims, { path1: "pay", path2: "checkout", jti: "id6098364921" });
});

t.test("the level stays key whatever the audience, and the audience is absent or ours", async (t) => {
  for (const aud of [context.audience, [context.audience], boundAudience]) {
    t.equal((await verifyClaims({ aud })).bindingLevel, "key", JSON.stringify(aud));
  }
  const unbound = { ...context, binding: undefined };
  t.equal((await verifyClaims({}, unbound)).bindingLevel, "key", "no committed key: tkauth-01");
  t.match(await refusal(verifyClaims({ aud: `${context.audience}/undefined` }, unbound)), /^bindingMismatch/);
  for (const aud of ["https://other.example", [], [context.audience, "https://other.example"], "", null, 7]) {
    t.match(await refusal(verifyClaims({ aud })), /^evidenceInvalid: .*audience/, JSON.stringify(aud));
  }
  t.match(await refusal(verifyClaims({ aud: `${context.audience}/${"C".repeat(43)}` })), /^bindingMismatch/);
});

t.test("members that are missing or of another type", async (t) => {
  t.match(await refusal(verifyClaims({ jti: undefined })), /^evidenceInvalid: The token has no jti/);
  for (const jti of ["", 7, null, ["id"], "x".repeat(257)]) {
    t.match(await refusal(verifyClaims({ jti })), /^evidenceMalformed: .*jti/, JSON.stringify(jti));
  }
  for (const exp of [undefined, null, String(nowSeconds + 300), Infinity]) {
    t.match(await refusal(verifyClaims({ exp })), /^evidenceInvalid: .*exp/, String(exp));
  }
  t.match(await refusal(verifyClaims({ iss: undefined })), /^evidenceInvalid: .*issuer/);
  t.match(await refusal(verifyClaims({ iss: `${issuer}/` })), /^evidenceInvalid: .*issuer/);
  for (const atc of [undefined, null, "uri", 7, true, [goodAtc], [], Object.values(goodAtc)]) {
    t.match(await refusal(verifyClaims({ atc })), /^evidenceMalformed: .*no atc/, JSON.stringify(atc));
  }
  for (const name of ["tktype", "tkvalue", "fingerprint"]) {
    for (const value of [undefined, null, "", 7, true, [goodAtc.tktype], {}]) {
      const refused = await refusal(verifyIn({ [name]: value }));
      t.equal(refused, `evidenceMalformed: The token's atc has no ${name} that is a text`, JSON.stringify(value));
    }
  }
  for (const sub of [7, null, ["x"], {}, "x".repeat(1025)]) {
    t.match(await refusal(verifyClaims({ sub })), /^evidenceMalformed: .*sub/, JSON.stringify(sub).slice(0, 40));
  }
});

t.test("ca is absent or false", async (t) => {
  t.ok(await verifyIn({ ca: false }));
  t.match(await refusal(verifyIn({ ca: true })), /^evidenceInvalid: .*CA/);
  for (const ca of [null, "false", "", 0, 1, [], {}]) {
    t.match(await refusal(verifyIn({ ca })), /^evidenceMalformed: .*ca/, JSON.stringify(ca));
  }
});

t.test("type and value are those of the identifier, to the byte", async (t) => {
  for (const tktype of ["URI", "Uri", "dns", "TNAuthList", "uri "]) {
    t.match(await refusal(verifyIn({ tktype })), /^evidenceInvalid: .*another type/, tktype);
  }
  const dns = { ...context, identifier: { type: "dns", value: goodAtc.tkvalue } };
  t.match(await refusal(verifyIn({}, dns)), /^evidenceInvalid: .*another type/);
  t.match(
    await refusal(verifyIn({ tktype: "dns" }, dns)),
    /^evidenceInvalid: .*another type/,
    "this profile is for uri",
  );
  const others = [
    "spiffe://example.org/pay/checkout2",
    "spiffe://example.org/pay",
    "spiffe://example.org/pay/Checkout",
  ];
  others.push(`${goodAtc.tkvalue}/`, `${goodAtc.tkvalue} `, "spiffe://example.org/pay/%63heckout", "x");
  for (const tkvalue of others) t.match(await refusal(verifyIn({ tkvalue })), /^identityNotDerived/, tkvalue);
});

t.test("the fingerprint is that of the account key, in one form", async (t) => {
  const { fingerprint } = goodAtc;
  t.equal(fingerprintOf(context.accountKey), fingerprint);
  const other = fingerprint.replace("56:3E", "56:3F");
  t.match(await refusal(verifyIn({ fingerprint: other })), /^bindingMismatch/);
  t.match(await refusal(verifyIn({}, { ...context, accountKey: Buffer.alloc(32, 1) })), /^bindingMismatch/);
  const forms = [fingerprint.toLowerCase(), `SHA256 ${fingerprint.slice(7).toLowerCase()}`, fingerprint.slice(7)];
  forms.push(fingerprint.replace("SHA256", "sha256"), fingerprint.replace("SHA256 ", "SHA256:"));
  forms.push(fingerprint.replaceAll(":", "-"), fingerprint.replaceAll(":", ""), fingerprint.replace(" ", "  "));
  forms.push(`${fingerprint}:00`, `${fingerprint} `, ` ${fingerprint}`, fingerprint.slice(0, -3), `${fingerprint}\n`);
  forms.push(context.accountKey.toString("base64url"), fingerprint.replace("SHA256", "SHA384"));
  for (const form of forms)
    t.match(await refusal(verifyIn({ fingerprint: form })), /^evidenceMalformed: .*SHA256/, form);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), async (octets) => {
      const told = fingerprintOf(Buffer.from(octets));
      if (Buffer.from(told.slice(7).replaceAll(":", ""), "hex").compare(octets) !== 0) throw new Error(told);
      if (told === fingerprint) return;
      t.match(await refusal(verifyIn({ fingerprint: told })), /^bindingMismatch/);
    }),
    { numRuns: 20 },
  );
});

t.test("times: iat is optional, and the lifetime is limited without it", async (t) => {
  const limited = testSource([key], { format: "atc", issuer, maxLifetimeSeconds: 300, maxAgeSeconds: 60 });
  const within = (claims: Record<string, unknown>) => verify(compact(key, goodAtcClaims(claims)), limited);
  t.ok(await within({ iat: undefined, exp: nowSeconds + 300 }));
  t.match(await refusal(within({ iat: undefined, exp: nowSeconds + 302 })), /^evidenceInvalid: .*lifetime/);
  t.match(await refusal(within({ iat: nowSeconds - 100, exp: nowSeconds + 100 })), /^evidenceExpired: .*too long ago/);
  t.match(await refusal(within({ iat: null })), /^evidenceInvalid: .*iat/);
  t.match(await refusal(within({ iat: undefined, nbf: nowSeconds + 60 })), /^evidenceInvalid: .*not yet valid/);
  t.match(await refusal(within({ iat: undefined, exp: nowSeconds - 30 })), /^evidenceExpired/);
  t.ok(await within({ iat: undefined, exp: nowSeconds - 29 }), "within the skew");
});

t.test("cnf fixes the certificate's key, or the token is refused", async (t) => {
  const jkt = createHash("sha256").update("a key").digest("base64url");
  t.equal((await verifyClaims({ cnf: { jkt } })).certificateKey, jkt);
  const wrong = [null, "x", [], {}, { jkt: 7 }, { jkt: "" }, { jkt: `${jkt}=` }, { jkt: jkt.slice(1) }];
  for (const cnf of [...wrong, { jkt, kid: "x" }, { kid: "x" }, { jwk: key.jwk }, { jkt: `${jkt.slice(0, 42)}B` }]) {
    t.match(await refusal(verifyClaims({ cnf })), /^evidenceMalformed: .*cnf/, JSON.stringify(cnf));
  }
});

t.test("headers: x5u and x5c are not looked at, the others are refused", async (t) => {
  const claims = goodAtcClaims();
  t.ok(await verify(compact(key, claims, { x5u: "https://authority.example/cert.pem" })));
  t.ok(await verify(compact(key, claims, { x5c: ["AAAA"], kid: undefined })));
  for (const name of ["crit", "b64", "jwk", "jku"]) {
    t.match(await refusal(verify(compact(key, claims, { [name]: "x" }))), /^evidenceInvalid: .*header/, name);
  }
  const attacker = testKey("key-1");
  const forged = compact(attacker, claims, { x5u: "https://attacker.example/cert.pem", x5c: ["AAAA"] });
  t.match(await refusal(verify(forged)), /^evidenceInvalid: .*signature/);
  const platform = testSource([key], { issuer });
  t.match(await refusal(verify(compact(key, claims, { x5u: "https://x.example" }), platform)), /may not have x5u/);
});

t.test("algorithms: those of the source, and never a public key as a secret", async (t) => {
  const claims = goodAtcClaims();
  const parts = (alg: string) =>
    `${base64url(JSON.stringify({ alg, kid: "key-1" }))}.${base64url(JSON.stringify(claims))}`;
  t.match(await refusal(verify(`${parts("none")}.`)), /^evidence(Malformed|Invalid)/);
  const pem = createPublicKey(key.privateKey).export({ type: "spki", format: "pem" });
  const mac = createHmac("sha256", pem).update(parts("HS256")).digest("base64url");
  t.match(await refusal(verify(`${parts("HS256")}.${mac}`)), /^evidenceInvalid: .*algorithm/);
  const rsa = testKey("key-1", "RS256");
  t.match(await refusal(verify(compact(rsa, claims))), /^evidenceInvalid/, "RS256 with an EC key's kid");
  const only = testSource([rsa], { format: "atc", issuer, algorithms: ["ES256"] });
  t.match(await refusal(verify(compact(rsa, claims), only)), /^evidenceInvalid: .*algorithm/);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  t.match(await refusal(verify(compact({ ...key, privateKey }, claims))), /^evidenceInvalid: .*signature/);
});

t.test("long paths: as many segments as have a name", async (t) => {
  const value = `spiffe://example.org/${Array.from({ length: 20 }, (_, index) => `s${index + 1}`).join("/")}`;
  const { claims } = await verifyIn({ tkvalue: value }, { ...context, identifier: { type: "uri", value } });
  t.equal(claims["path16"], "s16");
  t.notOk(Object.hasOwn(claims, "path17"));
});

t.test("the issuer that a token names finds its source, unverified", async (t) => {
  const token = compact(key, goodAtcClaims());
  t.equal(namedIssuer(token), issuer);
  const payload = (value: unknown) => `x.${base64url(JSON.stringify(value))}.x`;
  const no = ["", "a.b", "a.b.c", "a.b.c.d", payload(7), payload({}), payload({ iss: 7 }), `x.${base64url("{]")}.x`];
  no.push(
    `${token}.x`,
    `${payload({ iss: issuer })}${"x".repeat(16_384)}`,
    `x.${base64url('{"iss":"a","iss":"b"}')}.x`,
  );
  for (const value of no) t.equal(namedIssuer(value), undefined, value.slice(0, 40));

  const named = (ref: string, from: string, format: "atc" | "jwt") => testSource([key], { ref, format, issuer: from });
  const sources = [named("a", "https://a.example", "atc"), named("j", issuer, "jwt"), named("b", issuer, "atc")];
  const verifier = createVerifier(sources.map(openTestSource));
  t.equal(verifier.authorityOf(token, ["a", "j", "b"])?.ref, "b");
  t.equal(verifier.authorityOf(token, ["a", "j"]), undefined, "not among those that the challenge takes");
  t.equal(verifier.authorityOf("a.b.c", ["a", "j", "b"]), undefined);
});

t.test("whatever comes for a token is refused as evidence, never as a fault of ours", async (t) => {
  const mangled = fc.tuple(fc.nat(400), fc.string({ maxLength: 3 })).map(([at, text]) => {
    const token = compact(key, goodAtcClaims());
    return token.slice(0, at % token.length) + text + token.slice((at % token.length) + 1);
  });
  const signed = fc.json({ maxDepth: 4 }).map((payload) => compact(key, payload));
  const claims = fc.dictionary(
    fc.constantFrom("iss", "exp", "jti", "atc", "cnf", "sub", "aud", "__proto__"),
    fc.jsonValue(),
  );
  const members = claims.map((wrong) => compact(key, JSON.stringify({ ...goodAtcClaims(), ...wrong })));
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), mangled, signed, members), async (value) => {
      namedIssuer(value);
      // Two strings may by chance be the same token; then it is accepted, and that is right.
      const outcome = await verify(value).catch((error: unknown) => error);
      if (outcome instanceof EvidenceRefused) refused += 1;
      else if (outcome instanceof Error) throw outcome;
    }),
    { numRuns: 400 },
  );
  t.ok(refused > 200, `${refused} of 400 were refused`);
});
