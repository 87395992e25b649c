/** Incidents of other systems, each as a test of what is done here: verification. Those of whole requests are in hostile/incidents. */
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:https";
import * as fc from "fast-check";
import t from "tap";
import { Value } from "typebox/value";
import { certificateBytesMax, intermediatesMax, verifyChain } from "../../src/attestation/certificateChain.ts";
import { EvidenceRefused, SourceUnavailable, type Claims, type EvidenceItem } from "../../src/attestation/evidence.ts";
import { openSourceKeys, staticKeys } from "../../src/attestation/jwks.ts";
import { rulesOf, withPreset, type JwtSettings } from "../../src/attestation/presetRules.ts";
import { checkSource, evidenceFormats, formatNamed, sourceSchema } from "../../src/attestation/registry.ts";
import { verifyJwt } from "../../src/attestation/formats/jwt.ts";
import { configureTokenSource } from "../../src/attestation/tokenSource.ts";
import { createVerifier } from "../../src/attestation/verify.ts";
import { decideGrant } from "../../src/authority/grantDecision.ts";
import { grantSchema } from "../../src/authority/grants.ts";
import { createFetchBody } from "../../src/outbound/fetchBody.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { isPathSegment, isTrustDomain, parseSpiffeId } from "../../src/x509/spiffeId.ts";
import { selfSigned } from "../support/challengeCertificate.ts";
import { foreignNow, foreignRoot, keysFor } from "../support/foreignCa.ts";
import { grant, id, verified } from "../support/grants.ts";
import { httpTarget, listen, testOutbound } from "../support/validationTargets.ts";
import { presetTokens } from "./presetTokens.ts";
import {
  boundAudience,
  compact,
  context,
  goodClaims,
  item,
  now,
  openTestSource,
  refusal,
  testKey,
  testSource,
} from "./testIssuer.ts";

const key = testKey("key-1");
const source = testSource([key]);
const verify = (claims: Record<string, unknown> = {}, from = source) =>
  verifyJwt(item(compact(key, goodClaims(claims))), from, context);

t.test("CVE-2020-16250 CVE-2020-16251 presigned requests to AWS STS are no evidence here", async (t) => {
  for (const format of ["aws-iam", "aws-sts", "sts", "iam"]) {
    t.notOk(evidenceFormats.includes(format), format);
    t.throws(() => formatNamed(format), /no format/);
    t.notOk(Value.Check(sourceSchema, { ref: "aws", format }), `${format} cannot be configured`);
  }
  const verifier = createVerifier([openTestSource(source)]);
  const presigned = "https://sts.amazonaws.com/?Action=GetCallerIdentity&X-Amz-Signature=00";
  t.match(await refusal(verifier.verify(item(presigned, "aws-iam"), context)), /^formatNotAccepted/);
  t.match(await refusal(verifier.verify(item(presigned, "jwt"), context)), /^evidenceMalformed/);
});

t.test("CVE-2025-11621 CVE-2025-59048 one role name in two accounts is two identities", async (t) => {
  const open = (account: string, ref: string) => {
    const issuer = `https://${account}.tokens.sts.global.api.aws`;
    const settings: JwtSettings = { ref, format: "jwt", preset: "aws-sts", issuer };
    const keyOf = testKey("key-1", "ES384");
    const from = configureTokenSource(withPreset(settings), staticKeys({ keys: [keyOf.jwk] }));
    const claims = { ...presetTokens["aws-sts"]?.claims, iss: issuer, jti: "same" };
    return {
      token: compact(keyOf, claims),
      check: (token: string) => verifyJwt(item(token, "jwt", ref), from, context, rulesOf(settings)),
    };
  };
  const [ours, theirs] = [open("ours", "ours"), open("theirs", "theirs")];
  const [one, other] = [await ours.check(ours.token), await theirs.check(theirs.token)];
  t.notSame(one.oneTimeId, other.oneTimeId, "what is remembered is told apart by the source");
  t.match(await refusal(ours.check(theirs.token)), /^evidenceInvalid/, "and the other account's token is not ours");
  const wildcard = grant({ conditions: [{ claim: "sub", equals: "arn:aws:iam::*:role/Deploy" }] });
  const held = decideGrant([wildcard], id("dev/a"), [verified({ sub: "arn:aws:iam::123456789012:role/Deploy" })]);
  t.match(held, { refused: "identityNotDerived" }, "an asterisk is an asterisk");
});

t.test("CVE-2024-5798 another audience is refused, as a string and in a list", async (t) => {
  for (const aud of [
    "https://other.example",
    ["https://other.example"],
    `${context.audience}x`,
    [`${context.audience}x`],
  ])
    t.match(await refusal(verify({ aud })), /^evidenceInvalid: .*audience/, JSON.stringify(aud));
  t.match(await refusal(verify({ aud: [context.audience, "https://other.example"] })), /^evidenceInvalid: .*audience/);
  t.equal((await verify({ aud: [boundAudience] })).bindingLevel, "nonce");
});

t.test("CVE-2026-22772 issuers are exact, and nobody's token makes us ask anybody", async (t) => {
  let fetched = 0;
  const options = { fetchBody: () => Promise.reject(new Error(String((fetched += 1)))), now: () => now };
  const settings = {
    ref: "test",
    format: "jwt",
    issuer: "https://issuer.example",
    jwksUrl: "https://issuer.example/jwks",
  };
  const verifier = createVerifier([openTestSource(configureTokenSource(settings, openSourceKeys(settings, options)))]);
  const forged = compact(testKey("a"), goodClaims({ iss: "https://169.254.169.254" }), {
    jku: "https://169.254.169.254",
  });
  t.match(await refusal(verifier.verify(item(forged), context)), /^evidenceInvalid/);
  t.match(
    await refusal(verifier.verify(item(forged, "jwt", "https://169.254.169.254"), context)),
    /^sourceNotConfigured/,
  );
  t.equal(fetched, 0);
  for (const issuer of [
    "https://x.tokens.sts.global.api.aws.attacker.example",
    "https://attacker.example/?.tokens.sts.global.api.aws",
  ])
    t.throws(
      () => checkSource({ ref: "aws", format: "jwt", preset: "aws-sts", issuer } as JwtSettings),
      /issuer/,
      issuer,
    );
});

t.test("CVE-2026-49478 no redirect is followed on the way to keys", async (t) => {
  const asked: string[] = [];
  const elsewhere = await httpTarget(t, (request, response) => {
    asked.push(request.url ?? "");
    response.end(JSON.stringify({ keys: [key.jwk] }));
  });
  const port = await httpTarget(t, (_, response) =>
    response.writeHead(302, { location: `http://localhost:${elsewhere}/jwks` }).end(),
  );
  const settings = {
    ref: "test",
    format: "jwt",
    issuer: "https://issuer.example",
    jwksUrl: `http://127.0.0.1:${port}/`,
  };
  const fetchBody = createFetchBody(testOutbound({}), "Mayfly-test/1");
  const from = configureTokenSource(settings, openSourceKeys(settings, { fetchBody, now: () => now }));
  await t.rejects(verify({}, from), SourceUnavailable);
  t.strictSame(asked, []);
});

t.test("CVE-2025-66506 a token made of dots is measured before it is cut", async (t) => {
  const dots = ".".repeat(60_000);
  const begun = performance.now();
  for (let n = 0; n < 1000; n += 1)
    t.match(
      await refusal(verifyJwt(item(dots), source, context)).catch(String),
      /^evidenceMalformed: The token is larger/,
    );
  t.ok(performance.now() - begun < 5_000, "a thousand of them cost next to nothing");
});

t.test("CVE-2026-40109 a good signature is not enough: every claim that counts is required", async (t) => {
  for (const name of ["iss", "aud", "exp", "iat"])
    t.match(await refusal(verify({ [name]: undefined })), /^evidenceInvalid/, `without ${name}`);
  const strict = grant({ conditions: [{ claim: "email", equals: "deploy@example.org" }] });
  const lacking: readonly Claims[] = [
    { sub: "a" },
    { sub: "a", email: "other@example.org" },
    { sub: "a", email: null },
  ];
  for (const claims of lacking)
    t.match(decideGrant([strict], id("dev/a"), [verified(claims)]), { refused: "identityNotDerived" });
});

t.test("CVE-2026-49998 two sources with one kid keep their keys apart", async (t) => {
  const twin = testKey(key.kid);
  const theirs = testSource([twin], { ref: "theirs" });
  t.ok(await verify({}));
  t.match(await refusal(verify({}, theirs)), /^evidenceInvalid: .*signature/);
  t.ok(await verify({}), "and none has learnt the other's");
});

t.test("CVE-2026-14336 an issuer that only begins like ours is another issuer", async (t) => {
  for (const iss of [
    "https://issuer.example.attacker.example",
    "https://issuer.example/",
    "https://issuer.exampl",
    "https://issuer.example#",
  ])
    t.match(await refusal(verify({ iss })), /^evidenceInvalid: .*issuer/, iss);
});

t.test("CVE-2026-30836 every format there is, and every one there is not, is decided", async (t) => {
  const verifier = createVerifier([openTestSource(source)]);
  const formats = fc.oneof(
    fc.constantFrom(...evidenceFormats, "", "__proto__", "constructor", "JWT", "jwt "),
    fc.string(),
  );
  const refs = fc.oneof(fc.constantFrom("test", "", "__proto__", "TEST"), fc.string());
  const good = compact(key, goodClaims());
  await fc.assert(
    fc.asyncProperty(formats, refs, async (format, ref) => {
      const shown: EvidenceItem = { format, ref, value: good };
      const outcome: unknown = await verifier.verify(shown, context).catch((error: unknown) => error);
      return format === "jwt" && ref === "test" ? !(outcome instanceof Error) : outcome instanceof EvidenceRefused;
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test("sigstore allowed_identities: an empty list allows nothing", async (t) => {
  const written = { name: "a", spiffeId: id("dev/{sub}"), source: "dev", minBinding: "nonce", profile: "workload" };
  t.notOk(Value.Check(grantSchema, { ...written, conditions: [{ claim: "sub", oneOf: [] }] }));
  t.match(decideGrant([], id("dev/a"), [verified({ sub: "a" })]), { refused: "identityNotDerived" });
  t.throws(() => grant({ spiffeId: id("fixed") }), /would take any evidence of its source/);
});

t.test("SPIRE 1.14.2 x509pop: sizes, lengths and keys are limited before a signature is tried", async (t) => {
  const root = foreignRoot("Root", "ecdsa-sha384");
  const leaf = root.certify({ subject: "Device", keys: keysFor("ecdsa-sha384") });
  const roots = { certificates: [readCertificate(root.certificate, { lenient: true })], fingerprints: [] };
  const refusedWith = (of: Buffer, path: Buffer[], message: RegExp) =>
    t.throws(() => verifyChain(of, path, roots, { now: foreignNow }), { name: "EvidenceRefused", message });
  const other = foreignRoot("Other", "ecdsa-sha384").certificate;
  refusedWith(leaf, Array<Buffer>(intermediatesMax + 2).fill(other), /more than \d+ intermediates/);
  refusedWith(Buffer.alloc(certificateBytesMax + 1, 0x30), [], /more than \d+ bytes/);
  refusedWith(leaf, [Buffer.alloc(1_000_000, 0x30)], /more than \d+ bytes/);
  const weighty = {
    ...generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" }),
    kid: "k",
  };
  const { keys } = await staticKeys({ keys: [{ ...weighty, n: "x".repeat(2_000) }, weighty] }).jwks();
  t.strictSame(keys, [], "nor do keys of a set count that are too large, or too small");
});

t.test("SPIRE 1.14.3 #6715 a second connection is verified like the first: no session is taken up", async (t) => {
  const { key: tlsKey, cert } = selfSigned({ ip: ["127.0.0.1"] });
  let resumed = 0;
  const server = createServer({ key: tlsKey, cert }, (_, response) => response.end("here"));
  server.on(
    "secureConnection",
    (socket: { isSessionReused(): boolean }) => (resumed += Number(socket.isSessionReused())),
  );
  const url = `https://127.0.0.1:${await listen(t, server)}/`;
  const fetchBody = createFetchBody(testOutbound({}), "Mayfly-test/1");
  const limits = { maxBytes: 100, timeoutMs: 1000 };
  for (let n = 0; n < 3; n += 1) t.equal((await fetchBody(url, { ...limits, trust: cert })).toString(), "here");
  await t.rejects(fetchBody(url, { ...limits, trust: selfSigned({ ip: ["127.0.0.1"] }).cert }), /not trusted/);
  t.equal(resumed, 0);
});

t.test("SPIRE 1.13.1 #6324 and 1.15.2 #7066 every name has its characters and its length", async (t) => {
  const long = "a".repeat(3000);
  t.throws(() => parseSpiffeId(`spiffe://example.org/${long}`));
  t.notOk(isTrustDomain("a".repeat(256)));
  for (const segment of ["", ".", "..", "a b", "a/b", "é", "a\n", "a%20"])
    t.notOk(isPathSegment(segment), JSON.stringify(segment));
  for (const ref of ["a".repeat(41), "a b", "a/b", "A", "é", ""])
    t.notOk(Value.Check(sourceSchema, { ref, format: "jwt" }), JSON.stringify(ref));
  const written = { spiffeId: id("dev/{sub}"), source: "dev", minBinding: "nonce", profile: "workload" };
  for (const name of ["a".repeat(65), "a b", "A", "../a", ""])
    t.notOk(Value.Check(grantSchema, { ...written, name }), name);
  for (const jti of ["x".repeat(257), ""]) t.match(await refusal(verify({ jti })), /^evidenceMalformed/);
  const derived = decideGrant([grant()], id("dev/a"), [verified({ sub: long })]);
  t.match(derived, { refused: "identityNotDerived" });
});
