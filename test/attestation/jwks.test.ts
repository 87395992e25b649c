import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import t from "tap";
import { SourceUnavailable } from "../../src/attestation/evidence.ts";
import { verifyJwt } from "../../src/attestation/formats/jwt.ts";
import type { FetchBody } from "../../src/attestation/format.ts";
import { openSourceKeys, staticKeys } from "../../src/attestation/jwks.ts";
import { configureTokenSource, type TokenSettings } from "../../src/attestation/tokenSource.ts";
import { createFetchBody } from "../../src/outbound/fetchBody.ts";
import { testOutbound } from "../support/validationTargets.ts";
import { compact, context, goodClaims, item, now, refusal, testKey } from "./testIssuer.ts";

const key = testKey("key-1");
const rotated = testKey("key-2");
const setOf = (...keys: { jwk: object }[]): string => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
const configuration: TokenSettings = { ref: "test", format: "jwt", issuer: "https://issuer.example" };
const jwksUrl = "https://issuer.example/jwks";

function jwkOf({ publicKey }: { publicKey: KeyObject }): Record<string, unknown> {
  return { ...publicKey.export({ format: "jwk" }) };
}

const fetchBody = createFetchBody(testOutbound({}), "Mayfly-test/1");
const sendKey: RequestListener = (_request, response) => response.end(setOf(key));

/** A clock and a fetch that the test moves and fills. */
function fetched() {
  const world = { ms: now.getTime(), body: setOf(key), down: false, fetches: 0 };
  const fetchOnce: FetchBody = async () => {
    world.fetches += 1;
    await new Promise((resolve) => void setImmediate(resolve));
    if (world.down) throw new Error("connection refused");
    return Buffer.from(world.body);
  };
  const keys = openSourceKeys({ ...configuration, jwksUrl }, { fetchBody: fetchOnce, now: () => new Date(world.ms) });
  const source = configureTokenSource({ ...configuration, jwksUrl }, keys);
  const verify = (signer = key) => verifyJwt(item(compact(signer, goodClaims())), source, context);
  return { world, keys, verify };
}

t.test("fetched once, then cached, then fetched again", async (t) => {
  const { world, verify } = fetched();
  t.equal(world.fetches, 0, "nothing before it is needed");
  await Promise.all(Array.from({ length: 20 }, () => verify()));
  t.equal(world.fetches, 1, "single flight");
  world.ms += 599_000;
  await verify();
  t.equal(world.fetches, 1);
  world.ms += 2_000;
  await verify();
  t.equal(world.fetches, 2);
  world.ms -= 86_400_000;
  await verify();
  t.equal(world.fetches, 3, "a clock set back does not make the cache last");
});

t.test("rotation: an unknown kid asks again, at most every 30 s", async (t) => {
  const { world, verify } = fetched();
  await verify();
  world.body = setOf(key, rotated);
  world.ms += 31_000;
  t.match((await verify(rotated)).bindingLevel, "nonce");
  t.equal(world.fetches, 2);
  for (let n = 0; n < 10; n += 1) t.match(await refusal(verify(testKey(`made-up-${n}`))), /^evidenceInvalid: No key/);
  t.equal(world.fetches, 2, "made-up kids cause no traffic");
  world.ms += 31_000;
  t.match(await refusal(verify(testKey("made-up"))), /^evidenceInvalid: No key/);
  t.equal(world.fetches, 3);
  world.body = setOf(rotated);
  world.ms += 600_000;
  t.match(await refusal(verify(key)), /^evidenceInvalid: No key/, "a withdrawn key no longer counts");
});

t.test("down from the start", async (t) => {
  const { world, verify } = fetched();
  world.down = true;
  await t.rejects(verify(), SourceUnavailable);
  await t.rejects(verify(), SourceUnavailable);
  t.equal(world.fetches, 1, "a pause after a failure");
  world.down = false;
  world.ms += 5_000;
  t.ok(await verify());
});

t.test("down later: an hour's grace, and no verdict on kids it cannot ask about", async (t) => {
  const { world, verify } = fetched();
  await verify();
  world.down = true;
  world.ms += 700_000;
  t.ok(await verify(), "stale while the issuer is down");
  await t.rejects(verify(rotated), SourceUnavailable, "the key may be new");
  t.equal(world.fetches, 2);
  world.ms += 31_000;
  t.ok(await verify());
  t.equal(world.fetches, 3);
  world.ms += 3_600_000;
  await t.rejects(verify(), SourceUnavailable, "the grace is over");
});

t.test("a set that turns into something else is as good as none: the old one serves for its grace", async (t) => {
  const symmetric = JSON.stringify({ keys: [{ kty: "oct", k: "c2VjcmV0", kid: key.kid, alg: "HS256" }] });
  for (const body of ["<html>", "{}", " ".repeat(65_537), JSON.stringify({ keys: Array(101).fill(key.jwk) })]) {
    const { world, verify } = fetched();
    await verify();
    world.body = body;
    world.ms += 601_000;
    t.ok(await verify());
    t.equal(world.fetches, 2);
    await t.rejects(verify(rotated), SourceUnavailable);
    world.ms += 3_600_000;
    await t.rejects(verify(), SourceUnavailable, "the grace is over");
  }
  const { world, verify } = fetched();
  await verify();
  world.body = symmetric;
  world.ms += 601_000;
  t.match(await refusal(verify()), /^evidenceInvalid: No key/, "a set of other keys is a set");
});

t.test("the CA certificates of jwksCaFile go with every fetch", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "jwks-"));
  t.teardown(() => rm(directory, { recursive: true }));
  const jwksCaFile = join(directory, "ca.pem");
  const trusts: unknown[] = [];
  const options = {
    fetchBody: async (_: string, { trust }: { trust?: string | undefined }) => {
      trusts.push(trust);
      return Buffer.from(setOf(key));
    },
    now: () => now,
  };
  const open = () => openSourceKeys({ ...configuration, jwksUrl, jwksCaFile }, options);
  t.throws(open, /ENOENT/);
  await writeFile(jwksCaFile, "not PEM");
  t.throws(open, { message: /holds no PEM certificate$/ });
  const pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
  await writeFile(jwksCaFile, pem);
  await open().jwks();
  await openSourceKeys({ ...configuration, jwksUrl }, options).jwks();
  t.same(trusts, [pem, undefined]);
});

t.test("an emptied set revokes everything", async (t) => {
  const { world, verify } = fetched();
  await verify();
  world.body = '{"keys":[]}';
  world.ms += 601_000;
  t.match(await refusal(verify()), /^evidenceInvalid: No key/);
});

t.test("sets that are none", async (t) => {
  const many = Array.from({ length: 101 }, () => ({ jwk: key.jwk }));
  const bodies = {
    empty: "",
    HTML: "<html>",
    "an array": "[]",
    null: "null",
    "no keys": "{}",
    "keys no array": '{"keys":{}}',
    "a key no object": '{"keys":[1]}',
    "101 keys": setOf(...many),
    "too large": " ".repeat(65_537),
  };
  for (const [name, body] of Object.entries(bodies)) {
    const { world, verify } = fetched();
    world.body = body;
    const error: unknown = await verify().catch((reason: unknown) => reason);
    t.ok(error instanceof SourceUnavailable, name);
  }
});

t.test("only public keys for signatures are kept", async (t) => {
  const rsa = testKey("rsa", "RS256");
  const unwanted: Record<string, Record<string, unknown>> = {
    symmetric: { kty: "oct", k: "c2VjcmV0", kid: "oct" },
    private: { ...key.privateKey.export({ format: "jwk" }), kid: "private" },
    "for encryption": { ...rsa.jwk, use: "enc" },
    "1024 bits": jwkOf(generateKeyPairSync("rsa", { modulusLength: 1024 })),
    // A verification with it takes as long as a hundred others.
    "an exponent as long as the modulus": { ...rsa.jwk, e: `AQ${"A".repeat(300)}E` },
    "for encryption by its operations": { ...rsa.jwk, key_ops: ["encrypt"] },
    "for operations that are no list": { ...rsa.jwk, key_ops: "verify" },
    X25519: jwkOf(generateKeyPairSync("x25519")),
    "off the curve": { ...key.jwk, x: "AAAA" },
    "unknown type": { kty: "AKP", pub: "AAAA" },
  };
  for (const [name, jwk] of Object.entries(unwanted)) {
    const { keys } = await staticKeys({ keys: [jwk, rsa.jwk] }).jwks();
    t.same(keys, [rsa.jwk], name);
  }
});

t.test("over HTTP", async (t) => {
  let answer = sendKey;
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    answer(request, response);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const verify = () => {
    const here = { ...configuration, jwksUrl: `http://127.0.0.1:${port}/jwks` };
    const keys = openSourceKeys(here, { fetchBody, now: () => now, fetchTimeoutMs: 200 });
    return verifyJwt(item(compact(key, goodClaims())), configureTokenSource(here, keys), context);
  };
  t.ok(await verify());

  const answers: Record<string, RequestListener> = {
    slow: () => undefined,
    "slow in the body": (_request, response) => void response.write("{"),
    huge: (_request, response) => response.end(`{"keys":[],"filler":"${"x".repeat(70_000)}"}`),
    redirecting: (_request, response) => response.writeHead(302, { location: "/elsewhere" }).end(setOf(key)),
    compressed: (_request, response) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(setOf(key))),
    "an error": (_request, response) => response.writeHead(503).end(setOf(key)),
    "cut off": (_request, response) => {
      response.writeHead(200, { "content-length": "1000" }).write("{");
      setImmediate(() => response.destroy());
    },
  };
  for (const [name, listener] of Object.entries(answers)) {
    answer = listener;
    await t.rejects(verify(), SourceUnavailable, name);
  }

  requests = 0;
  answer = (request, response) => {
    if (request.url === "/elsewhere") response.end(setOf(key));
    else response.writeHead(302, { location: "/elsewhere" }).end();
  };
  await t.rejects(verify(), SourceUnavailable, "a redirect");
  t.equal(requests, 1, "which is not followed");
});

t.test("a file", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "jwks-"));
  t.teardown(() => rm(directory, { recursive: true }));
  const jwksFile = join(directory, "jwks.json");
  const options = { fetchBody: () => Promise.reject(new Error("no network here")), now: () => now };
  const open = () => openSourceKeys({ ...configuration, jwksFile }, options);
  t.throws(open, /ENOENT/);
  await writeFile(jwksFile, "not JSON");
  t.throws(open, { message: /is not a JWK Set$/ });
  await writeFile(jwksFile, JSON.stringify({ keys: [key.privateKey.export({ format: "jwk" })] }));
  t.throws(open, { message: /holds no public key/ });
  t.throws(() => openSourceKeys({ ...configuration, jwksFile: directory }, options), /not a regular file/);
  t.throws(() => openSourceKeys(configuration, options), /neither/);

  await writeFile(jwksFile, setOf(key));
  const keys = open();
  const source = configureTokenSource({ ...configuration, jwksFile }, keys);
  const verify = (signer: typeof key) => verifyJwt(item(compact(signer, goodClaims())), source, context);
  t.ok(await verify(key));
  t.equal(await keys.jwks(), await keys.jwks(), "read once");
  t.match(await refusal(verify(rotated)), /^evidenceInvalid: No key/);

  const next = join(directory, "next.json");
  await writeFile(next, setOf(rotated));
  await rename(next, jwksFile);
  t.ok(await verify(rotated), "read again when it changes");
  t.equal(await keys.jwks(), await keys.jwks(), "and then only once");
  t.match(await refusal(verify(key)), /^evidenceInvalid: No key/);

  await writeFile(jwksFile, '{"keys":[');
  await t.rejects(verify(rotated), SourceUnavailable, "half-written");
  await writeFile(jwksFile, " ".repeat(65_537));
  await t.rejects(verify(rotated), SourceUnavailable, "too large");
  await rm(jwksFile);
  await t.rejects(verify(rotated), SourceUnavailable, "gone");
  await writeFile(jwksFile, setOf(key));
  t.ok(await verify(key), "and well again");
});

t.test("the same kid in two sources", async (t) => {
  const twin = testKey("key-1");
  const [mine, theirs] = [key, twin].map((signer) =>
    configureTokenSource(configuration, staticKeys({ keys: [signer.jwk] })),
  );
  const token = item(compact(key, goodClaims()));
  t.ok(mine && (await verifyJwt(token, mine, context)));
  t.match(theirs && (await refusal(verifyJwt(token, theirs, context))), /^evidenceInvalid: .*signature/);
});
