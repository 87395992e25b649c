/** What caches and relying parties see of a revocation list. */
import t from "tap";
import { certificateListRoutes, type ListFacts } from "../../src/http/certificateLists.ts";
import { createServer } from "../../src/http/server.ts";

const issuer = "0193a9c0-0000-7000-8000-000000000000";
const der = Buffer.from("3003020101", "hex");
const facts: ListFacts = {
  thisUpdate: new Date("2026-11-26T12:00:00Z"),
  nextUpdate: new Date("2026-11-27T12:00:00Z"),
  sha256: Buffer.alloc(32, 0xab),
  size: der.length,
};
const tag = `"${"ab".repeat(32)}"`;

async function serverWith(options: { now?: string; cacheSeconds?: number; unmade?: boolean } = {}) {
  const reads: number[] = [];
  const server = createServer({
    tls: undefined,
    logLevel: "silent",
    bodyLimit: 100,
    maxConnections: 100,
    trustedProxies: [],
    onRequestDone: () => undefined,
  });
  await server.register(
    certificateListRoutes({
      async find(id, shard) {
        if (id !== issuer || shard > 15) return undefined;
        return options.unmade === true ? "none" : facts;
      },
      async read(_id, shard) {
        reads.push(shard);
        return options.unmade === true ? undefined : { list: facts, der, release: () => undefined };
      },
      cacheSeconds: options.cacheSeconds ?? 300,
      now: () => new Date(options.now ?? "2026-11-26T13:00:00.500Z"),
    }),
  );
  const get = (url: string, headers = {}, method: "GET" | "HEAD" | "POST" = "GET") =>
    server.inject({ method, url, headers });
  return { get, reads };
}

const path = `/crl/${issuer}/3.crl`;

t.test("a list with its type, validators and lifetime; HEAD as GET without the body", async (t) => {
  const { get } = await serverWith();
  const expected = {
    statusCode: 200,
    headers: {
      "content-type": "application/pkix-crl",
      "content-length": "5",
      etag: tag,
      "last-modified": "Thu, 26 Nov 2026 12:00:00 GMT",
      "cache-control": "public, max-age=300",
      expires: "Thu, 26 Nov 2026 13:05:00 GMT",
      "access-control-allow-origin": "*",
    },
  };
  const reply = await get(path);
  t.match(reply, expected);
  t.ok(reply.rawPayload.equals(der));
  t.match(await get(path, {}, "HEAD"), { ...expected, body: "" });
  t.match(await get(path, {}, "POST"), { statusCode: 405, headers: { allow: "GET, HEAD" } });
  t.match(await get(`${path}?anything`), { statusCode: 200 });
});

t.test("no cache keeps it beyond nextUpdate", async (t) => {
  for (const [now, cacheControl] of [
    ["2026-11-27T11:58:30Z", "public, max-age=90"],
    ["2026-11-27T11:59:59.500Z", "no-cache"],
    ["2026-11-28T00:00:00Z", "no-cache"],
  ] as const) {
    const { get } = await serverWith({ now });
    t.match(await get(path), { statusCode: 200, headers: { "cache-control": cacheControl } }, now);
  }
  const { get } = await serverWith({ cacheSeconds: 0 });
  t.match(await get(path), { headers: { "cache-control": "no-cache" } });
});

t.test("who has it already gets 304 and no octets are read", async (t) => {
  const { get, reads } = await serverWith();
  const later = "Thu, 26 Nov 2026 12:00:01 GMT";
  for (const headers of [
    { "if-none-match": tag },
    { "if-none-match": `W/${tag}` },
    { "if-none-match": `"x", ${tag}` },
    { "if-none-match": "*" },
    { "if-modified-since": "Thu, 26 Nov 2026 12:00:00 GMT" },
    { "if-modified-since": later },
  ]) {
    const reply = await get(path, headers);
    t.match(reply, { statusCode: 304, body: "", headers: { etag: tag, "cache-control": "public, max-age=300" } });
    t.equal((await get(path, headers, "HEAD")).statusCode, 304);
  }
  t.same(reads, []);
  for (const headers of [
    { "if-none-match": '"x"' },
    { "if-none-match": '"x"', "if-modified-since": later }, // The tag decides (RFC 9110 §13.2.2).
    { "if-modified-since": "Thu, 26 Nov 2026 11:59:59 GMT" },
    { "if-modified-since": "yesterday" },
  ]) {
    t.equal((await get(path, headers)).statusCode, 200, JSON.stringify(headers));
  }
});

t.test("what no certificate names is 404, and a list that is still to be made 503 with a time", async (t) => {
  const { get } = await serverWith();
  const other = issuer.replace("1", "2");
  for (const url of [
    `/crl/${issuer}/16.crl`,
    `/crl/${issuer}/256.crl`,
    `/crl/${issuer}/03.crl`,
    `/crl/${issuer}/-1.crl`,
    `/crl/${issuer}/3`,
    `/crl/${issuer}/3.CRL`,
    `/crl/${issuer}/3.crl.crl`,
    `/crl/${issuer}/`,
    `/crl/${issuer.toUpperCase()}/3.crl`,
    `/crl/${other}/3.crl`,
    "/crl/x/3.crl",
    "/crl",
  ]) {
    t.match(await get(url), { statusCode: 404, headers: { "content-type": "application/problem+json" } }, url);
  }
  const unmade = await serverWith({ unmade: true });
  t.match(await unmade.get(path), { statusCode: 503, headers: { "retry-after": "5" } });
  t.match(await unmade.get(path, { "if-none-match": "*" }), { statusCode: 503 });
});
