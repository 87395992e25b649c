import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Value } from "typebox/value";
import { SourceUnavailable } from "../../../src/attestation/evidence.ts";
import type { FetchBody } from "../../../src/attestation/format.ts";
import { spiffeJwtFormat, type SpiffeJwtSettings } from "../../../src/attestation/formats/spiffeJwt.ts";
import { checkSource, formatNamed, sourceSchemaOf } from "../../../src/attestation/registry.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import {
  base64url,
  boundAudience,
  compact,
  context,
  item,
  now,
  nowSeconds,
  refusal,
  testKey,
  type TestKey,
} from "../testIssuer.ts";

const key = testKey("authority-1");
const foreign = "partner.example";

/** A bundle as SPIRE publishes it: keys of X.509-SVIDs beside those of JWT-SVIDs. */
const bundleOf = (...keys: TestKey[]): string =>
  JSON.stringify({
    keys: [
      { ...testKey("x").jwk, use: "x509-svid", kid: undefined, x5c: ["MIIB"] },
      ...keys.map(({ jwk }) => ({ ...jwk, use: "jwt-svid" })),
    ],
    spiffe_sequence: 7,
    spiffe_refresh_hint: 300,
  });

const goodSvid = (claims: Record<string, unknown> = {}): Record<string, unknown> => ({
  sub: `spiffe://${foreign}/ns/pay/sa/checkout`,
  aud: [boundAudience],
  exp: nowSeconds + 290,
  iat: nowSeconds - 10,
  ...claims,
});

function open(t: Test, bundle: string, more: Partial<SpiffeJwtSettings> = {}) {
  const bundleFile = join(t.testdir(), "bundle.json");
  writeFileSync(bundleFile, bundle);
  const settings: SpiffeJwtSettings = {
    ref: "partner",
    format: "spiffe-jwt",
    trustDomain: foreign,
    bundleFile,
    ...more,
  };
  checkSource(settings);
  const fetchBody: FetchBody = () => Promise.reject(new Error("nothing is fetched"));
  const source = spiffeJwtFormat.open(settings, { fetchBody, now: () => now, trustDomain: "example.org" });
  const verify = (claims: Record<string, unknown> | string, header: object = {}, signer = key) =>
    source.verify(
      item(typeof claims === "string" ? claims : compact(signer, goodSvid(claims), header), "spiffe-jwt", "partner"),
      context,
    );
  return { verify, bundleFile };
}

t.test("an SVID of the trust domain yields flat claims", async (t) => {
  const { verify } = open(t, bundleOf(key));
  const evidence = await verify({});
  t.equal(evidence.bindingLevel, "nonce");
  t.strictSame(evidence.claims, {
    spiffeId: "spiffe://partner.example/ns/pay/sa/checkout",
    trustDomain: foreign,
    pathLength: 4,
    path1: "ns",
    path2: "pay",
    path3: "sa",
    path4: "checkout",
  });
  t.equal(evidence.instance, undefined);
  t.same(evidence.expires, new Date((nowSeconds + 290) * 1000));
  t.equal((await verify({ aud: context.audience })).bindingLevel, "bearer");
  const minimal = await verify({ iat: undefined, iss: undefined });
  t.equal(minimal.bindingLevel, "nonce", "sub, aud and exp are all that the standard asks for");
  t.equal((await verify({ iss: "https://anything.example" })).bindingLevel, "nonce", "iss says nothing here");
  const long = await verify({ sub: `spiffe://${foreign}/${Array.from({ length: 20 }, (_, n) => n).join("/")}` });
  t.match(long.claims, { pathLength: 20, path16: "15", path17: undefined });
});

t.test("sub is a SPIFFE ID of this trust domain, to the letter", async (t) => {
  const { verify } = open(t, bundleOf(key));
  const others = [
    "spiffe://other.example/ns/pay",
    "spiffe://partner.example.attacker.example/ns/pay",
    "spiffe://example.org/ns/pay",
    "spiffe://PARTNER.example/ns/pay",
    "SPIFFE://partner.example/ns/pay",
    "https://partner.example/ns/pay",
    "spiffe://partner.example",
    "spiffe://partner.example/",
    "spiffe://partner.example/ns//pay",
    "spiffe://partner.example/ns/../pay",
    "spiffe://partner.example/ns/pay/",
    "spiffe://partner.example:443/ns",
    "spiffe://user@partner.example/ns",
    "spiffe://partner.example/ns%2fpay",
    "spiffe://partner.example/ns?x",
    "spiffe://partner.example/nsé",
    `spiffe://partner.example/${"a".repeat(2048)}`,
    "",
    7,
    null,
    [`spiffe://${foreign}/ns/pay`],
    undefined,
  ];
  for (const sub of others)
    t.match(await refusal(verify({ sub })), /^evidenceInvalid: The token's sub is/, JSON.stringify(sub)?.slice(0, 60));
});

t.test("SPIRE 1.12.3 a JWT-SVID without exp; times and audience as with every token", async (t) => {
  const { verify } = open(t, bundleOf(key));
  for (const exp of [undefined, null, String(nowSeconds + 60), {}])
    t.match(await refusal(verify({ exp })), /^evidenceInvalid: .*exp/, JSON.stringify(exp));
  t.match(await refusal(verify({ exp: nowSeconds - 31 })), /^evidenceExpired/);
  t.match(await refusal(verify({ nbf: nowSeconds + 60 })), /^evidenceInvalid: .*not yet/);
  t.match(await refusal(verify({ iat: undefined, exp: nowSeconds + 3700 })), /^evidenceInvalid: .*lifetime/);
  t.match(await refusal(verify({ iat: nowSeconds + 60 })), /^evidenceInvalid: .*(future|not yet)/);
  for (const aud of [undefined, [], "https://other.example", [context.audience, "https://other.example"], [7]])
    t.match(await refusal(verify({ aud })), /^evidenceInvalid: .*audience/, JSON.stringify(aud));
  t.match(await refusal(verify({ aud: `${context.audience}/${"C".repeat(43)}` })), /^bindingMismatch/);
});

t.test("header: alg of the standard, kid and typ, and nothing else", async (t) => {
  const rsa = testKey("rsa", "RS256");
  const pss = testKey("pss", "PS256");
  const p384 = testKey("p384", "ES384");
  const ed = testKey("ed", "EdDSA");
  const { verify } = open(t, bundleOf(key, rsa, pss, p384, ed));
  for (const signer of [key, rsa, pss, p384]) t.ok(await verify({}, {}, signer), signer.alg);
  t.match(await refusal(verify({}, {}, ed)), /^evidenceInvalid: .*algorithm/, "EdDSA is not of the standard");
  for (const typ of ["JWT", "JOSE", undefined]) t.ok(await verify({}, { typ }), String(typ));
  for (const typ of ["wit+jwt", "at+jwt", "", null, 7])
    t.match(await refusal(verify({}, { typ })), /typ is not/, String(typ));
  for (const alg of ["none", "HS256", "ES256K"])
    t.match(await refusal(verify({}, { alg })), /^evidenceInvalid: .*algorithm/);
  for (const header of [{ cty: "JWT" }, { x: 1 }, { jku: "https://x.example" }, { jwk: key.jwk }, { crit: ["exp"] }])
    t.match(
      await refusal(verify({}, header)),
      /^evidenceInvalid: The token's header/,
      JSON.stringify(header).slice(0, 30),
    );
  const narrow = open(t, bundleOf(key, rsa), { algorithms: ["RS256"] });
  t.match(await refusal(narrow.verify({})), /^evidenceInvalid: .*algorithm/);
});

t.test("only keys that the bundle has for JWT-SVIDs count", async (t) => {
  const uses = {
    "x509-svid": "x509-svid",
    "wit-svid": "wit-svid",
    sig: "sig",
    "JWT-SVID": "JWT-SVID",
    none: undefined,
  };
  for (const [name, use] of Object.entries(uses)) {
    const bundle = JSON.stringify({
      keys: [
        { ...key.jwk, use },
        { ...testKey("other").jwk, use: "jwt-svid" },
      ],
    });
    t.match(await refusal(open(t, bundle).verify({})), /^evidenceInvalid: No key/, name);
  }
  const nameless = JSON.stringify({
    keys: [
      { ...key.jwk, kid: undefined, use: "jwt-svid" },
      { ...testKey("other").jwk, use: "jwt-svid" },
    ],
  });
  t.match(await refusal(open(t, nameless).verify({}, { kid: undefined })), /^evidenceInvalid/, "a key without a kid");
  t.throws(() => open(t, JSON.stringify({ keys: [key.jwk] })), /holds no public key/, "no bundle, but a key set");
});

t.test("rotation and revocation by the file", async (t) => {
  const next = testKey("authority-2");
  const { verify, bundleFile } = open(t, bundleOf(key));
  t.ok(await verify({}));
  writeFileSync(bundleFile, bundleOf(key, next));
  t.ok(await verify({}, {}, next));
  writeFileSync(bundleFile, '{"keys":[]}');
  t.match(await refusal(verify({})), /^evidenceInvalid: No key/, "an empty bundle revokes everything");
  writeFileSync(bundleFile, "{");
  await t.rejects(verify({}), SourceUnavailable);
});

t.test("fetched, with its CA certificates", async (t) => {
  const asked: unknown[] = [];
  let body = bundleOf(key);
  const fetchBody: FetchBody = async (url, { trust }) => {
    asked.push([url, trust]);
    if (body === "") throw new Error("connection refused");
    return Buffer.from(body);
  };
  const bundleCaFile = join(t.testdir(), "ca.pem");
  const pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
  writeFileSync(bundleCaFile, pem);
  const bundleUrl = "https://partner.example/bundle";
  const settings = { ref: "partner", format: "spiffe-jwt", trustDomain: foreign, bundleUrl, bundleCaFile };
  checkSource(settings);
  const surroundings = { fetchBody, now: () => now, trustDomain: "example.org" };
  const verifyWith = () =>
    spiffeJwtFormat.open(settings, surroundings).verify(item(compact(key, goodSvid()), "spiffe-jwt"), context);
  t.ok(await verifyWith());
  t.strictSame(asked, [[bundleUrl, pem]]);
  body = "";
  await t.rejects(verifyWith(), SourceUnavailable, "away");
});

t.test("tampered with, or by another trust domain's key of the same kid", async (t) => {
  const { verify } = open(t, bundleOf(key));
  const parts = compact(key, goodSvid()).split(".");
  for (const [index, part] of parts.entries()) {
    const flipped = part.slice(0, 9) + (part[9] === "A" ? "B" : "A") + part.slice(10);
    t.match(
      await refusal(verify(parts.with(index, flipped).join("."))),
      /^evidence(Invalid|Malformed)/,
      `part ${index}`,
    );
  }
  t.match(await refusal(verify({}, {}, testKey(key.kid))), /^evidenceInvalid: .*signature/);
  for (const value of ["", "a.b", `${parts.join(".")}.x`, ` ${parts.join(".")}`, base64url("{}")])
    t.match(await refusal(verify(value)), /^evidenceMalformed/, value.slice(0, 20));
});

t.test("settings", async (t) => {
  const schema = sourceSchemaOf(formatNamed("spiffe-jwt"));
  const good = {
    ref: "partner",
    format: "spiffe-jwt",
    trustDomain: foreign,
    bundleUrl: "https://partner.example/bundle",
  };
  t.ok(Value.Check(schema, good));
  for (const change of [
    { algorithms: ["EdDSA"] },
    { issuer: "x" },
    { jwksUrl: "x" },
    { typ: "JWT" },
    { trustDomain: "" },
  ])
    t.notOk(Value.Check(schema, { ...good, ...change }), JSON.stringify(change));
  const refused = (change: Record<string, unknown>, message: RegExp) =>
    t.throws(() => checkSource({ ...good, ...change }), { message }, JSON.stringify(change));
  refused({ trustDomain: "spiffe://partner.example" }, /^sources\.partner\.trustDomain: .*without spiffe/);
  refused({ trustDomain: "Partner.example" }, /trustDomain/);
  refused({ bundleFile: "/b" }, /expected exactly one of bundleFile and bundleUrl/);
  refused({ bundleUrl: undefined }, /expected exactly one of bundleFile and bundleUrl/);
  refused({ bundleUrl: "http://partner.example/bundle" }, /^sources\.partner\.bundleUrl: .*expected an https URL/);
  refused({ bundleUrl: undefined, bundleFile: "/b", bundleCaFile: "/c" }, /bundleCaFile: .*none where no bundleUrl/);
  refused({ audience: "https://kubernetes.default.svc" }, /audience: .*Kubernetes API/);
});

t.test("a foreign trust domain is mapped by its grant, and the whole path is held", async (t) => {
  const load = (spiffeId: string, conditions: object[]) => {
    const file = join(t.testdir(), "mayfly.yaml");
    const source = {
      ref: "partner",
      format: "spiffe-jwt",
      trustDomain: foreign,
      bundleUrl: "https://partner.example/b",
    };
    const grant = {
      name: "partner",
      spiffeId,
      source: "partner",
      conditions,
      minBinding: "nonce",
      profile: "workload",
    };
    writeFileSync(
      file,
      JSON.stringify({ trustDomain: "example.org", attestation: { sources: [source] }, grants: [grant] }),
    );
    return loadConfiguration(file, {}).grants;
  };
  const mapped = "spiffe://example.org/partner/{path2}/{path4}";
  t.throws(() => load(mapped, []), /expected pathLength or spiffeId by equals or oneOf/);
  t.throws(() => load(mapped, [{ claim: "path1", equals: "ns" }]), /expected pathLength or spiffeId/);
  t.throws(() => load(mapped, [{ claim: "pathLength", min: 4 }]), /expected pathLength or spiffeId/);
  t.throws(() => load(mapped, [{ claim: "pathLength", prefix: "4" }]), /expected pathLength or spiffeId/);
  t.equal(load(mapped, [{ claim: "pathLength", equals: 4 }]).length, 1);
  t.equal(load("spiffe://example.org/checkout", [{ claim: "path1", equals: "ns" }]).length, 1, "nothing is cut there");
  t.throws(() => load("spiffe://example.org/x/{path17}", [{ claim: "pathLength", equals: 17 }]), /expected a claim of/);
});
