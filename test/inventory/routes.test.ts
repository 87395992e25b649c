import { X509Certificate } from "node:crypto";
import t from "tap";
import { newId } from "../../src/acme/id.ts";
import { createCertificateStore } from "../../src/store/certificates.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { makeCertificate, openPool, query, spiffe } from "../support/database.ts";

const ca = await certificateAuthority(t);
const db = openPool(t, ca.databaseUrl, 4);
const { server } = ca.authority;
const bearer = { authorization: `Bearer ${ca.operatorToken}` };
const td = "spiffe://mayfly.localhost";

const get = (url: string, headers: Record<string, string> = {}) =>
  server.inject({ url: `/api/v1${url}`, headers: { ...bearer, ...headers } });

interface Page {
  certificates: { serial: string; state: string; identity: { name: string }; [member: string]: unknown }[];
  next?: string;
}
const page = async (parameters: string): Promise<Page> => (await get(`/certificates?${parameters}`)).json<Page>();
/** Names of the identities that a query finds, sorted. */
const names = async (parameters: string): Promise<string[]> =>
  (await page(parameters)).certificates.map(({ identity }) => identity.name).sort();

/** A problem of the REST interface: status, content type and closed set of members. */
function isProblem(
  test: Pick<typeof t, "equal" | "same" | "match">,
  reply: Awaited<ReturnType<typeof get>>,
  status: number,
  detail?: RegExp,
): void {
  test.equal(reply.statusCode, status, reply.body);
  test.equal(reply.headers["content-type"], "application/problem+json");
  const body = reply.json<Record<string, unknown>>();
  test.same(Object.keys(body).sort(), ["detail", "status", "title", "type"]);
  test.equal(body["status"], status);
  if (detail !== undefined) test.match(body["detail"], detail);
}

const issuerId = ca.authority.issuers.active("default").id;
const agent = await makeCertificate(db, { ...spiffe(`${td}/agent/one`), issuerId });
const proof = {
  proved: {
    by: "attestation",
    record: { source: "dev", format: "jwt", digest: "ab12", bindingLevel: "nonce", grant: "dev", grantVersion: "0123" },
  },
};
const attested = await makeCertificate(db, { ...spiffe(`${td}/agent/two`), issuerId, evidence: [proof] });
const web = await makeCertificate(db, { identityName: "web.test", dnsNames: ["web.test", "*.web.test"], issuerId });
const old = await makeCertificate(db, {
  identityName: "old.test",
  dnsNames: ["old.test"],
  issuerId,
  notBefore: new Date("2026-01-01T00:00:00Z"),
  notAfter: new Date("2026-01-01T01:00:00Z"),
});
const revoked = await makeCertificate(db, { identityName: "revoked.test", dnsNames: ["revoked.test"], issuerId });
await createCertificateStore(db).revoke({
  id: newId(new Date()),
  ...revoked,
  reason: 4,
  revokedBy: "key",
  requireAccount: undefined,
});
await query(db, "update certificate set issued_at = '2026-01-01T00:00:30Z' where serial = $1", [old.serial]);

t.test("each filter, and all of them together", async (t) => {
  t.same(await names(`spiffeId=${td}/agent/one`), [`${td}/agent/one`]);
  t.same(await names(`spiffeId=${td}/agent`), []);
  t.same(await names(`spiffeIdPrefix=${td}/agent`), [`${td}/agent/one`, `${td}/agent/two`]);
  t.same(await names(`spiffeIdPrefix=${encodeURIComponent(`${td}/%`)}`), []);
  t.same(await names("dnsName=WEB.test"), ["web.test"], "DNS names have no case");
  t.same(await names("dnsName=*.web.test"), ["web.test"]);
  t.same(await names("dnsName=x.web.test"), [], "what is asked for is the name in the certificate");
  t.same(await names("state=expired"), ["old.test"]);
  t.same(await names("state=revoked"), ["revoked.test"]);
  t.same(await names("state=valid&dnsName=web.test"), ["web.test"]);
  t.same(await names("issuedBefore=2026-01-01T00:00:31Z"), ["old.test"]);
  t.same(await names("issuedBefore=2026-01-01T01:00:31%2B01:00"), ["old.test"], "times with an offset");
  t.same(await names("issuedBefore=2026-01-01T00:00:30Z"), [], "a window is open at its end");
  t.same(await names("issuedAfter=2026-01-01T00:00:30Z&expiresBefore=2026-01-02T00:00:00Z"), ["old.test"]);
  t.notOk((await names("expiresAfter=2026-01-01T01:00:01Z")).includes("old.test"));
  const all = `state=valid&spiffeId=${td}/agent/one&spiffeIdPrefix=${td}&serial=${agent.serial.toString("hex")}`;
  t.same(await names(`${all}&issuedAfter=2026-01-01T00:00:00Z&expiresAfter=2026-01-01T00:00:00Z`), [`${td}/agent/one`]);
});

t.test("a serial in any of its usual forms", async (t) => {
  const hex = agent.serial.toString("hex");
  const colons = hex.match(/../g)?.join(":") ?? "";
  for (const form of [hex, hex.toUpperCase(), colons, colons.toUpperCase()]) {
    t.same(await names(`serial=${form}`), [`${td}/agent/one`], form);
    t.equal((await get(`/certificates/${form}`)).json<{ serial: string }>().serial, hex);
  }
});

t.test("an entry tells who was given what, on which evidence, by which rule", async (t) => {
  const entry = (await get(`/certificates/${attested.serial.toString("hex")}`)).json<Record<string, unknown>>();
  t.match(entry, {
    state: "valid",
    spkiSha256: attested.spkiSha256.toString("hex"),
    identity: { name: `${td}/agent/two` },
    spiffeId: `${td}/agent/two`,
    dnsNames: [],
    ipAddresses: [],
    door: "listener",
    profile: "server",
    issuer: issuerId,
    evidenceDigest: "ab12",
    evidenceSource: "dev",
    evidenceFormat: "jwt",
    bindingLevel: "nonce",
    rule: "dev",
    ruleVersion: "0123",
    evidence: [proof],
    notBefore: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
    issuedAt: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    revokedAt: null,
    revocationReason: null,
    pem: /^-----BEGIN CERTIFICATE-----\n/,
  });
  const [shown] = (await page("state=revoked")).certificates;
  t.match(shown, {
    state: "revoked",
    revocationReason: 4,
    revokedBy: "key",
    revokedAt: /Z$/,
    evidenceDigest: null,
    rule: null,
  });
});

t.test("JSON, PEM or DER as the request accepts (RFC 9110 §12.5.1)", async (t) => {
  const own = (await page("limit=1000")).certificates.find(({ profile }) => profile === "listener");
  const as = (accept?: string) => get(`/certificates/${own?.serial}`, accept === undefined ? {} : { accept });
  const [json, pem, der] = [
    "application/json; charset=utf-8",
    "application/pem-certificate-chain",
    "application/pkix-cert",
  ];
  const table: [string | undefined, string][] = [
    [undefined, json],
    ["*/*", json],
    ["application/*", json],
    ["application/json", json],
    ["application/pem-certificate-chain", pem],
    ["application/x-pem-file", pem],
    ["Application/PKIX-Cert", der],
    ["text/html, application/pkix-cert;q=0.5, */*;q=0.1", der],
    ["application/pkix-cert;q=0.2, application/pem-certificate-chain;q=0.9", pem],
  ];
  for (const [accept, type] of table) {
    const reply = await as(accept);
    t.equal(reply.headers["content-type"], type, accept ?? "nothing said");
    t.equal(reply.headers["vary"], "Accept");
    t.equal(reply.headers["cache-control"], "no-store");
  }
  isProblem(t, await as("text/html"), 406, /application\/json/);
  isProblem(t, await as("application/json;q=0"), 406);

  const leaf = new X509Certificate((await as(der)).rawPayload);
  t.equal(leaf.serialNumber.toLowerCase(), own?.serial);
  t.equal(leaf.fingerprint256.replaceAll(":", "").toLowerCase(), own?.["fingerprintSha256"]);
  const chain = (await as(pem)).body.match(/-----BEGIN[^]*?END CERTIFICATE-----\n/g) ?? [];
  t.equal(chain.length, 2, "the leaf and its issuer");
  t.equal(new X509Certificate(chain[0] ?? "").fingerprint256, leaf.fingerprint256);
  t.ok(leaf.verify(new X509Certificate(chain[1] ?? "").publicKey));
});

t.test("pages: every entry once, newest first; the last has no next", async (t) => {
  const [all, seen] = [(await page("limit=1000")).certificates, [] as string[]];
  let next: string | undefined = "";
  for (let pages = 0; next !== undefined; pages++) {
    const found: Page = await page(`limit=2${next && `&cursor=${next}`}`);
    t.ok(found.certificates.length <= 2 && pages < 10);
    seen.push(...found.certificates.map(({ serial }) => serial));
    next = found.next;
  }
  t.same(
    seen,
    all.map(({ serial }) => serial),
  );
  t.equal(seen.at(-1), old.serial.toString("hex"));

  const identities: string[] = [];
  next = "";
  while (next !== undefined) {
    interface Identities {
      identities: { name: string; certificates: string }[];
      next?: string;
    }
    const found: Identities = (await get(`/identities?limit=1${next && `&cursor=${next}`}`)).json();
    identities.push(...found.identities.map(({ name }) => name));
    next = found.next;
  }
  t.same(identities, [...new Set(identities)].sort());
  t.ok(identities.includes(`${td}/agent/one`) && identities.includes("web.test"));
});

t.test("identities by prefix, each with a URL that finds its certificates", async (t) => {
  interface Identity {
    name: string;
    kind: string;
    certificateCount: number;
    newestSerial: string;
    certificates: string;
  }
  const read = async (prefix: string) =>
    (await get(`/identities?prefix=${encodeURIComponent(prefix)}`)).json<{ identities: Identity[] }>().identities;
  const [one, two] = await read(`${td}/agent/`);
  t.match(one, {
    name: `${td}/agent/one`,
    kind: "spiffe",
    certificateCount: 1,
    newestSerial: agent.serial.toString("hex"),
  });
  t.equal(two?.name, `${td}/agent/two`);
  t.same(await read("%"), []);
  const [dns] = await read("web");
  t.match(dns, { name: "web.test", kind: "names", newestSerial: web.serial.toString("hex") });
  for (const identity of [one, dns]) {
    t.ok(identity?.certificates.startsWith(`${ca.url}/api/v1/`));
    const reply = await get(identity?.certificates.slice(`${ca.url}/api/v1`.length) ?? "");
    t.match(reply.body, identity?.newestSerial ?? "?");
  }
});

t.test("without the operator's token: 401 with a challenge, whatever was asked (RFC 6750 §3)", async (t) => {
  const serial = agent.serial.toString("hex");
  for (const url of [
    "/certificates",
    `/certificates/${serial}`,
    "/certificates/zz",
    "/identities",
    "/identities?x=1",
  ]) {
    for (const authorization of [undefined, "Bearer wrong", `Basic ${ca.operatorToken}`]) {
      const reply = await server.inject({
        url: `/api/v1${url}`,
        headers: authorization === undefined ? {} : { authorization },
      });
      isProblem(t, reply, 401);
      t.equal(reply.headers["www-authenticate"], 'Bearer realm="mayfly"');
      t.notMatch(reply.body, serial);
    }
  }
});

t.test("queries that are not ones: 400 with what is wrong", async (t) => {
  const cursor = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const bad = [
    "unknown=1",
    "spiffeid=x",
    "limit=0",
    "limit=-1",
    "limit=1001",
    "limit=1e3",
    "limit=",
    "limit=1&limit=2",
    "state=issued",
    "state=",
    "serial=xyz",
    "serial=abc",
    `serial=${"ab".repeat(21)}`,
    "serial=",
    "dnsName=a..b",
    "dnsName=",
    "spiffeId=",
    "spiffeId=a&spiffeId=b",
    `spiffeIdPrefix=${"x".repeat(2049)}`,
    "issuedAfter=yesterday",
    "issuedAfter=2026-13-01T00:00:00Z",
    "issuedAfter=2026-01-01T00:00:00",
    "expiresBefore=1700000000",
    "cursor=",
    "cursor=%00",
    "cursor=bm90IGpzb24",
    `cursor=${cursor([])}`,
    `cursor=${cursor(["2026-01-01T00:00:00Z"])}`,
    `cursor=${cursor(["never", "00"])}`,
    `cursor=${cursor(["+275760-09-13T00:00:00.000Z", "00"])}`,
    `cursor=${cursor(["-271821-04-20T00:00:00.000Z", "00"])}`,
    `cursor=${cursor(["2026-01-01T00:00:00Z", 7])}`,
    `cursor=${cursor(["2026-01-01T00:00:00Z", "a\u0000"])}`,
    `cursor=${"x".repeat(4201)}`,
  ];
  for (const parameters of bad) {
    const reply = await get(`/certificates?${parameters}`);
    isProblem(t, reply, 400);
    t.match(reply.json(), { type: "urn:mayfly:error:invalidRequest" }, parameters);
  }
  for (const parameters of ["prefix=", "unknown=1", "limit=1001", "cursor=!!", "prefix=%00"]) {
    isProblem(t, await get(`/identities?${parameters}`), 400);
  }
  isProblem(t, await get("/certificates?spiffeId=%00"), 400);
  isProblem(t, await get("/certificates?limit=1001"), 400, /at most 1000/);
  t.equal((await get("/certificates?limit=1000")).statusCode, 200);
});

t.test("a cursor that was altered only starts somewhere else; the ends of time are times", async (t) => {
  for (const value of [
    ["2026-01-01T00:00:00Z", ""],
    ["9999-12-31T23:59:59.999Z", "zz"],
    ["1000-01-01T00:00:00Z", "00"],
  ]) {
    const altered = Buffer.from(JSON.stringify(value)).toString("base64url");
    t.equal((await get(`/certificates?cursor=${altered}`)).statusCode, 200, value[0] ?? "");
  }
  for (const time of ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00"]) {
    t.equal((await get(`/certificates?issuedAfter=${time}&limit=1`)).statusCode, 200, time);
  }
});

t.test("what is not there is 404, a method that is not there is 405 with Allow", async (t) => {
  isProblem(t, await get(`/certificates/${"00".repeat(16)}`), 404, /no certificate has this serial/);
  isProblem(t, await get("/nothing"), 404);
  isProblem(t, await get("/certificates/"), 400);
  isProblem(t, await get("/certificates/ab/cd"), 404);
  isProblem(t, await get(`/certificates/${"a".repeat(201)}`), 400);
  isProblem(t, await get("/certificates/%zz"), 400);
  for (const url of ["/certificates", `/certificates/${agent.serial.toString("hex")}`, "/identities?limit=1"]) {
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const) {
      const reply = await server.inject({ method, url: `/api/v1${url}`, headers: bearer });
      isProblem(t, reply, 405);
      t.equal(reply.headers["allow"], "GET, HEAD");
    }
    t.equal((await server.inject({ method: "HEAD", url: `/api/v1${url}`, headers: bearer })).statusCode, 200);
  }
});
