import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { calculateJwkThumbprint, decodeProtectedHeader } from "jose";
import t, { type Test } from "tap";
import { verifyJwt } from "../../src/attestation/formats/jwt.ts";
import { staticKeys } from "../../src/attestation/jwks.ts";
import { configureTokenSource } from "../../src/attestation/tokenSource.ts";
import { openDevIssuer } from "../../src/development/devIssuer.ts";
import { boundAudience, context, item, now, nowSeconds, refusal } from "../attestation/testIssuer.ts";

const issuer = "https://localhost:8443/dev";

async function temporaryFile(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "dev-issuer-"));
  t.teardown(() => rm(directory, { recursive: true }));
  return join(directory, "dev-issuer.jwk");
}

t.test("the key is made once, for its owner only", async (t) => {
  const file = await temporaryFile(t);
  const [first, second] = await Promise.all([openDevIssuer(file), openDevIssuer(file)]);
  t.same(first.publicJwk, second.publicJwk, "of two processes that start at once, one makes it");
  t.same((await openDevIssuer(file)).publicJwk, first.publicJwk);
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.match(first.publicJwk, { kty: "EC", crv: "P-256", alg: "ES256", use: "sig" });
  t.equal(first.publicJwk["kid"], await calculateJwkThumbprint(first.publicJwk));
  t.notOk(Object.hasOwn(first.publicJwk, "d"));
  t.match(JSON.parse(await readFile(file, "utf8")), { ...first.publicJwk, d: String });
});

t.test("its tokens are evidence", async (t) => {
  const development = await openDevIssuer(await temporaryFile(t));
  const { publicJwk } = development;
  const source = configureTokenSource({ ref: "dev", format: "jwt", issuer }, staticKeys({ keys: [publicJwk] }));
  const verify = (value: string) => verifyJwt(item(value, "jwt", "dev"), source, context);
  const bound = await development.mint({ subject: "agent-7", audience: boundAudience, issuer, now });
  const { claims, bindingLevel } = await verify(bound);
  t.match(claims, {
    iss: issuer,
    sub: "agent-7",
    aud: boundAudience,
    iat: nowSeconds,
    exp: nowSeconds + 300,
    jti: String,
  });
  t.equal(bindingLevel, "nonce");
  t.same(decodeProtectedHeader(bound), { alg: "ES256", typ: "JWT", kid: publicJwk["kid"] });

  const bearer = { subject: "agent-7", audience: context.audience, issuer, now };
  const [one, two] = [await verify(await development.mint(bearer)), await verify(await development.mint(bearer))];
  t.equal(one.bindingLevel, "bearer");
  t.notSame(one.oneTimeId, two.oneTimeId, "every token has an id of its own");
  const shortLived = await verify(await development.mint({ ...bearer, lifetimeSeconds: 60 }));
  t.same(shortLived.expires, new Date((nowSeconds + 60) * 1000));
  t.match(
    await refusal(verify(await development.mint({ ...bearer, issuer: "https://other/dev" }))),
    /^evidenceInvalid: .*issuer/,
  );
});

t.test("a file that is not such a key", async (t) => {
  const file = await temporaryFile(t);
  await openDevIssuer(file);
  const jwk: Record<string, unknown> = JSON.parse(await readFile(file, "utf8"));
  const { d, ...publicOnly } = jwk;
  const contents = {
    empty: "",
    "not JSON": "s3cr3t",
    "a JSON string": '"s3cr3t"',
    null: "null",
    "public only": JSON.stringify(publicOnly),
    "another curve": JSON.stringify({ ...jwk, crv: "P-384" }),
    "no number": JSON.stringify({ ...jwk, d: "s3cr3t" }),
    "no point": JSON.stringify({ ...jwk, x: "AAAA" }),
  };
  for (const [name, content] of Object.entries(contents)) {
    await writeFile(file, content);
    const error: unknown = await openDevIssuer(file).catch((reason: unknown) => reason);
    t.match(error, { message: /dev-issuer\.jwk is not the P-256 private key/ }, name);
    t.notMatch(String(error), "s3cr3t");
    t.notMatch(String(error), String(d));
  }
  await writeFile(file, JSON.stringify(jwk));
  await chmod(file, 0o644);
  await t.rejects(openDevIssuer(file), /chmod 0600/);
});
