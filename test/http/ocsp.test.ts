/** OCSP of a whole server, asked by OpenSSL's client and by hand. */
import { X509Certificate, randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { certIdOf } from "../../src/authority/revocation/prepareResponse.ts";
import { encodeOcspRequest } from "../../src/x509/ocspRequest.ts";
import { readOcspResponse } from "../../src/x509/ocspResponse.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { acmeDriver, type AcmeClient, type AcmeDriver } from "../support/acmeDriver.ts";
import { issued, leafOf, query } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { opensslClient, opensslRequest, type Ran } from "../support/ocspExchange.ts";
import { issue } from "../support/platformCertificates.ts";
import { replicas } from "../support/replicas.ts";

const { authority, ...ca } = await certificateAuthority(t);
const acme = await acmeDriver(t, ca);
const alice = await acme.account();
const [issuing] = authority.issuers.all();
if (issuing === undefined) throw new Error("there is an issuing CA");
const issuer = pemEncode("CERTIFICATE", issuing.certificate);

const pemOf = (chain: string): string => /-----BEGIN[^]+?-----END CERTIFICATE-----\n/.exec(chain)?.[0] ?? "";
const serialOf = (pem: string): Buffer => Buffer.from(new X509Certificate(pem).serialNumber, "hex");
const requestFor = (serial: Buffer, nonce?: Buffer): Buffer =>
  encodeOcspRequest({ certIds: [certIdOf(issuing, "sha1", serial)], nonce });

/** The whole of OpenSSL's client, over HTTP, trusting the root. */
function client(url: string, root: string, certificate: string, ...options: string[]): Promise<Ran> {
  const asked = ["-issuer", "issuer", "-cert", "leaf", "-url", url, "-CAfile", "root"];
  return opensslClient({ issuer, root, leaf: certificate }, [...options, ...asked]);
}

const post = (driver: AcmeDriver, url: string, body: Buffer, type = "application/ocsp-request") =>
  driver.request(url, { method: "POST", headers: { "content-type": type }, body });
const said = (octets: Buffer): string | undefined => {
  const response = readOcspResponse(octets);
  return response.error ?? response.basic.responses[0]?.status;
};

t.test("OpenSSL's client: good, with and without a nonce, by either hash, at both URLs", async (t) => {
  const pem = pemOf((await issued(ca as TestAuthority, alice)).chain);
  t.equal(issuing.ocspUrl, `${ca.url}/ocsp/${issuing.id}`);
  for (const url of [`${ca.url}/ocsp`, issuing.ocspUrl]) {
    for (const options of [["-no_nonce"], ["-nonce"], ["-sha256", "-no_nonce"], ["-sha256", "-nonce"]]) {
      const { stdout, stderr } = await client(url, ca.root, pem, ...options);
      t.match(stderr, /Response verify OK/, `${url} ${options.join(" ")}`);
      t.match(stdout, /leaf: good\n\tThis Update: [^\n]+\n\tNext Update: /);
      if (options.includes("-nonce")) t.match(stderr, /WARNING: no nonce in response/, "it was signed before");
    }
  }
});

t.test("by GET, in every form in which clients write a path", async (t) => {
  const pem = pemOf((await issued(ca as TestAuthority, alice)).chain);
  const request = opensslRequest(issuer, [pem], "-no_nonce");
  const base64 = request.toString("base64");
  const first = await acme.request(`${ca.url}/ocsp/${encodeURIComponent(base64)}`);
  t.equal(first.status, 200);
  t.equal(said(first.body), "good");
  t.equal(first.headers["content-type"], "application/ocsp-response");
  t.match(first.headers, {
    "cache-control": /^max-age=(300|299), public, no-transform, must-revalidate$/,
    etag: /^"[0-9a-f]{64}"$/,
    "content-length": String(first.body.length),
  });
  const { basic } = readOcspResponse(first.body) as { basic: { producedAt: Date } };
  const [modified, expires] = ["last-modified", "expires"].map((name) => new Date(String(first.headers[name])));
  t.same(modified, basic.producedAt);
  t.equal((expires?.getTime() ?? 0) - basic.producedAt.getTime(), 7_200_000);
  for (const path of [
    base64,
    `/${base64}`,
    `//${encodeURIComponent(base64)}`,
    base64.replaceAll("=", ""),
    base64.replaceAll("+", "%20"),
    base64.replaceAll("/", "%2f").replaceAll("=", "%3d"),
    `${base64}?x=1`,
    `${issuing.id}/${encodeURIComponent(base64)}`,
    `/${issuing.id}//${base64}`,
  ]) {
    const { status, body } = await acme.request(`${ca.url}/ocsp/${path}`);
    t.equal(status, 200, path);
    t.same(body, first.body, "the same octets");
  }
  const etag = String(first.headers["etag"]);
  for (const tags of [etag, `"other", W/${etag}`, "*"]) {
    const { status, body, headers } = await acme.request(`${ca.url}/ocsp/${base64}`, {
      headers: { "if-none-match": tags },
    });
    t.same([status, body.length, headers["etag"]], [304, 0, etag], tags);
  }
  t.equal((await acme.request(`${ca.url}/ocsp/${base64}`, { headers: { "if-none-match": '"other"' } })).status, 200);
  const head = await acme.request(`${ca.url}/ocsp/${base64}`, { method: "HEAD" });
  t.same([head.status, head.body.length, head.headers["content-length"]], [200, 0, String(first.body.length)]);
  t.match(await post(acme, `${ca.url}/ocsp`, request), { headers: { "cache-control": "no-store" }, body: first.body });
});

t.test("requests with slashes and plus signs in their base64", async (t) => {
  let seen = "";
  for (let n = 0; n < 20; n++) {
    const base64 = requestFor(Buffer.concat([Buffer.from([0x4f]), randomBytes(15)]), randomBytes(100)).toString(
      "base64",
    );
    seen += base64;
    t.equal(said((await acme.request(`${ca.url}/ocsp/${base64}`)).body), "unauthorized");
  }
  t.match(seen, /[/]/);
  t.match(seen, /[+]/);
});

t.test("a revocation by ACME counts a second later", async (t) => {
  const { chain } = await issued(ca as TestAuthority, alice);
  const pem = pemOf(chain);
  const base64 = opensslRequest(issuer, [pem], "-no_nonce").toString("base64");
  t.equal(said((await acme.request(`${ca.url}/ocsp/${base64}`)).body), "good");
  const { status } = await alice.post(acme.directory.revokeCert, { certificate: leafOf(chain), reason: 4 });
  t.equal(status, 200);
  const [row] = await query(ca as TestAuthority, "select revoked_at from revocation where serial = $1", [
    serialOf(pem),
  ]);
  const since = performance.now();
  for (;;) {
    if (said((await acme.request(`${ca.url}/ocsp/${base64}`)).body) === "revoked") break;
    if (performance.now() - since > 10_000) throw new Error("the revocation does not count");
    await pause(20);
  }
  const took = performance.now() - since;
  t.ok(took < 3_000, `after ${Math.round(took)} ms; a job each second, on a busy machine`);
  const { stdout, stderr } = await client(`${ca.url}/ocsp`, ca.root, pem, "-no_nonce");
  t.match(stderr, /Response verify OK/);
  t.match(stdout, /leaf: revoked\n[^]*Reason: superseded\n/);
  t.equal(
    new Date(/Revocation Time: (.+)/.exec(stdout)?.[1] ?? "").getTime(),
    (row?.["revoked_at"] as Date | undefined)?.getTime(),
  );
});

t.test("without a reason none is said", async (t) => {
  const { chain } = await issued(ca as TestAuthority, alice);
  await alice.post(acme.directory.revokeCert, { certificate: leafOf(chain) });
  const { stdout } = await client(`${ca.url}/ocsp`, ca.root, pemOf(chain), "-no_nonce");
  t.match(stdout, /leaf: revoked\n/);
  t.notMatch(stdout, /Reason/);
});

t.test("of others' certificates, unknown and expired ones nothing is said", async (t) => {
  const { chain } = await issued(ca as TestAuthority, alice);
  const serial = serialOf(pemOf(chain));
  const foreign = issue({ commonName: "foreign" });
  const about = async (request: Buffer): Promise<unknown> => said((await post(acme, `${ca.url}/ocsp`, request)).body);
  t.equal(await about(requestFor(randomBytes(16).fill(0x4f, 0, 1))), "unauthorized", "unknown");
  t.equal(await about(opensslRequest(foreign.pem, [pemOf(chain)], "-no_nonce")), "unauthorized", "another issuer");
  t.equal(await about(opensslRequest(ca.root, [issuer], "-no_nonce")), "unauthorized", "the root does not answer");
  t.equal(await about(opensslRequest(issuer, [pemOf(chain)], "-sha512", "-no_nonce")), "unauthorized", "another hash");
  t.equal(await about(requestFor(serial)), "good");
  await query(ca as TestAuthority, "update certificate set not_after = now() - interval '1 second' where serial = $1", [
    serial,
  ]);
  await pause(1000);
  const other = encodeOcspRequest({ certIds: [certIdOf(issuing, "sha256", serial)], nonce: undefined });
  t.equal(await about(other), "unauthorized", "expired");
});

t.test("what is no request, in OCSP's words where it may be one and in HTTP's where not", async (t) => {
  const url = `${ca.url}/ocsp`;
  for (const [what, body] of [
    ["empty", Buffer.alloc(0)],
    ["text", Buffer.from("hello")],
    ["cut short", requestFor(Buffer.alloc(16, 0x4f)).subarray(0, -1)],
    ["longer", Buffer.concat([requestFor(Buffer.alloc(16, 0x4f)), Buffer.alloc(1)])],
    ["an empty nonce", requestFor(Buffer.alloc(16, 0x4f), Buffer.alloc(0))],
    ["a nonce of 129 octets", requestFor(Buffer.alloc(16, 0x4f), Buffer.alloc(129))],
  ] as const) {
    const { status, body: answer, headers } = await post(acme, url, body);
    t.same([status, said(answer), headers["cache-control"]], [200, "malformedRequest", "no-store"], what);
  }
  for (const path of ["", "/", "abc!", "a=b", "%25zz", "MEMwQTA_", "A".repeat(9000)]) {
    const { status, body: answer, headers } = await acme.request(`${url}/${path}`);
    t.same([status, said(answer), headers["cache-control"]], [200, "malformedRequest", "no-store"], path.slice(0, 20));
  }
  const refusals = async (
    t: Test,
    reply: Promise<{ status: number; headers: object; text: string }>,
    status: number,
  ) => {
    const { headers, text, status: got } = await reply;
    t.equal(got, status, text);
    t.match(headers, { "content-type": "application/problem+json" });
  };
  await refusals(t, post(acme, url, Buffer.alloc(16_385)), 413);
  await refusals(t, post(acme, url, Buffer.alloc(5), "application/json"), 415);
  await refusals(t, post(acme, url, Buffer.alloc(5), "text/plain"), 415);
  await refusals(t, acme.request(url, { method: "POST" }), 415);
  await refusals(t, acme.request(`${url}/%FF`), 400);
  await refusals(t, acme.request(url), 405);
  await refusals(t, acme.request(`${url}/x/y`, { method: "PUT" }), 405);
  await refusals(t, post(acme, `${url}/00000000-0000-4000-8000-000000000000`, requestFor(Buffer.alloc(16, 0x4f))), 404);
  await refusals(t, acme.request(`${url}/00000000-0000-4000-8000-000000000000/MAAA`), 404);
});

t.test("metrics", async (t) => {
  const { text } = await acme.request(`${ca.url}/metrics`);
  for (const outcome of ["good", "revoked", "unauthorized", "malformedRequest"])
    t.match(text, new RegExp(`mayfly_ocsp_responses_total\\{outcome="${outcome}",method="POST"\\} [1-9]`));
  t.match(text, /mayfly_ocsp_responses_total\{outcome="good",method="GET"\} [1-9]/);
  t.match(text, /mayfly_ocsp_signed_total\{why="asked"\} [1-9]/);
  t.match(text, /mayfly_ocsp_remembered [1-9]/);
});

t.test("two servers give the same octets, and both know of a revocation", async (t) => {
  const [one, two] = await replicas(t);
  const bob: AcmeClient = await one.acme.account();
  const certificates = await Promise.all(Array.from({ length: 5 }, () => issued(one.ca, bob)));
  const [first] = one.ca.authority.issuers.all();
  if (first === undefined) throw new Error("there is an issuing CA");
  const askBoth = async (pem: string, hash: "sha1" | "sha256"): Promise<Buffer[]> => {
    const request = encodeOcspRequest({ certIds: [certIdOf(first, hash, serialOf(pem))], nonce: undefined });
    const replies = await Promise.all(
      [one, two, one, two].map(({ acme: driver, ca: { url } }) => post(driver, `${url}/ocsp`, request)),
    );
    return replies.map(({ body }) => body);
  };
  for (const { chain } of certificates) {
    for (const hash of ["sha1", "sha256"] as const) {
      const [octets = Buffer.alloc(0), ...others] = await askBoth(pemOf(chain), hash);
      t.equal(said(octets), "good");
      for (const other of others) t.same(other, octets, "asked at the same moment, before there was a response");
    }
  }
  const [{ chain } = { chain: "" }] = certificates;
  await bob.post(one.acme.directory.revokeCert, { certificate: leafOf(chain) });
  await pause(2_500);
  const [octets = Buffer.alloc(0), ...others] = await askBoth(pemOf(chain), "sha1");
  t.equal(said(octets), "revoked");
  for (const other of others) t.same(other, octets);
});

t.test("a server that answers nonces", async (t) => {
  const noncing = await certificateAuthority(t, { configuration: { revocation: { ocspNonce: "answer" } } });
  const driver = await acmeDriver(t, noncing);
  const [own] = noncing.authority.issuers.all();
  const pem = pemOf((await issued(noncing, await driver.account())).chain);
  const files = {
    issuer: pemEncode("CERTIFICATE", own?.certificate ?? Buffer.alloc(0)),
    root: noncing.root,
    leaf: pem,
  };
  const asked = ["-issuer", "issuer", "-cert", "leaf", "-url", `${noncing.url}/ocsp`, "-CAfile", "root", "-nonce"];
  const { stdout, stderr } = await opensslClient(files, asked);
  t.match(stdout, /leaf: good\n/);
  t.equal(stderr, "Response verify OK\n", "and no word about a nonce that is missing");
});

t.test("certificates that point to the responder have their response before anybody asks", async (t) => {
  const profile = {
    description: "long",
    identifiers: ["uri"],
    lifetimeDefaultSeconds: 172_800,
    lifetimeMinSeconds: 60,
    lifetimeMaxSeconds: 172_800,
    backdateSeconds: 0,
    keyKinds: ["ec-p256"],
    extendedKeyUsage: ["serverAuth", "clientAuth"],
    revocation: { ocsp: true },
  };
  const ahead = await certificateAuthority(t, { configuration: { profiles: { workload: profile } } });
  const driver = await acmeDriver(t, ahead);
  const { chain } = await issued(ahead, await driver.account());
  const serial = serialOf(pemOf(chain));
  const rows = () =>
    query(ahead, "select der, ahead from ocsp_response where serial = $1 and der is not null", [serial]);
  for (let n = 0; (await rows()).length === 0 && n < 200; n++) await pause(100);
  const [row] = await rows();
  t.equal(row?.["ahead"], true);
  const base64 = encodeOcspRequest({
    certIds: [certIdOf(ahead.authority.issuers.all()[0] ?? issuing, "sha1", serial)],
    nonce: undefined,
  });
  t.same((await driver.request(`${ahead.url}/ocsp/${base64.toString("base64")}`)).body, row?.["der"]);
  const { text } = await driver.request(`${ahead.url}/metrics`);
  t.match(text, /mayfly_ocsp_signed_total\{why="ahead"\} 1\n/);
  t.notMatch(text, /why="asked"/);
});
