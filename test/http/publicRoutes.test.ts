import t from "tap";
import { createMetrics } from "../../src/http/metrics.ts";
import { publicRoutes, type PublicRoutesOptions } from "../../src/http/publicRoutes.ts";
import { createServer } from "../../src/http/server.ts";

const home = {
  externalUrl: "https://ca.test",
  revocationUrl: "http://pki.test",
  trustDomain: "mayfly.test",
  roots: () => [{ name: "O=Mayfly, CN=Root", fingerprint: "ab".repeat(32) }],
  development: false,
  termsOfService: undefined,
  directories: ["/acme"],
};

async function serverWith(changes: Partial<PublicRoutesOptions> = {}) {
  const metrics = createMetrics({
    statements: () => 4711,
    siblingsConnected: () => true,
    buckets: () => [{ limit: "one", buckets: 5 }],
    lists: () => [
      {
        issuerId: "i",
        shard: 3,
        number: 1_795_000_000,
        entries: 12,
        thisUpdate: new Date("2026-11-26T12:00:00Z"),
        nextUpdate: new Date("2026-11-27T12:00:00Z"),
      },
    ],
    issuers: () => [{ id: "i1", name: "default", state: "active", notAfter: new Date(2_000_000_000_000) }],
    moves: () => ({
      moves: [{ kind: "root", name: "default", act: "prepare", at: new Date(1_900_000_000_000) }],
      alarms: [{ kind: "issuing", name: "default" }],
    }),
    finalizesUnderWay: () => 3,
    tokens: () => [{ token: "mayfly (HSM)", usable: false }],
    ocspRemembered: () => 5,
  });
  const server = createServer({
    tls: undefined,
    logLevel: "silent",
    bodyLimit: 100,
    maxConnections: 100,
    trustedProxies: [],
    onRequestDone: (request) => metrics.observeRequest(request),
  });
  const options: PublicRoutesOptions = {
    home,
    limits: ["5 <things> a minute"],
    rootPem: () => "-----BEGIN CERTIFICATE-----\n",
    caCertificate: () => undefined,
    bundle: () => ({ keys: [] }),
    postQuantum: { rootPem: () => "-----BEGIN CERTIFICATE-----\nall\n", bundle: () => ({ keys: [1] }) },
    metrics,
    ready: async () => undefined,
    warnings: () => [],
    developmentJwks: undefined,
    ...changes,
  };
  await server.register(publicRoutes(options));
  return { server, metrics };
}

t.test("documents for anybody, with their types; HEAD as GET without the body", async (t) => {
  const { server } = await serverWith();
  const table: [string, string, RegExp][] = [
    ["/", "text/html; charset=utf-8", /^<!doctype html>/],
    ["/limits", "text/html; charset=utf-8", /<li>5 &lt;things&gt; a minute<\/li>/],
    ["/root.pem", "application/x-pem-file", /^-----BEGIN CERTIFICATE-----/],
    ["/spiffe/bundle.json", "application/json", /^\{"keys":\[\]\}$/],
    ["/root-post-quantum.pem", "application/x-pem-file", /^-----BEGIN CERTIFICATE-----\nall\n$/],
    ["/spiffe/bundle-post-quantum.json", "application/json", /^\{"keys":\[1\]\}$/],
    ["/healthz", "application/json", /^\{"status":"ok"\}$/],
    ["/readyz", "application/json; charset=utf-8", /^\{"status":"ready"\}$/],
  ];
  for (const [url, type, body] of table) {
    const reply = await server.inject(url);
    t.match(reply, { statusCode: 200, headers: { "content-type": type }, body }, url);
    const head = await server.inject({ method: "HEAD", url });
    t.match(head, { statusCode: 200, headers: { "content-type": type }, body: "" });
    const post = await server.inject({ method: "POST", url });
    t.match(post, { statusCode: 405, headers: { allow: "GET, HEAD", "content-type": "application/problem+json" } });
  }
  t.match((await server.inject("/")).headers["content-security-policy"], /default-src 'none'/);
});

t.test("CA certificates at their paths, each with a link to those above", async (t) => {
  const [above, below] = [Buffer.from("above"), Buffer.from("below")];
  const published = new Map([
    ["/ca/1.cer", { certificate: above, up: [] }],
    ["/ca/2.cer", { certificate: below, up: ["/ca/1.cer"] }],
  ]);
  const { server } = await serverWith({
    caCertificate: (path) => published.get(path),
  });
  const [first, second] = [await server.inject("/ca/1.cer"), await server.inject("/ca/2.cer")];
  t.same([first.rawPayload, second.rawPayload], [above, below]);
  t.equal(first.headers["content-type"], "application/pkix-cert");
  t.notOk("link" in first.headers);
  t.same(second.headers["link"], ['<https://ca.test/ca/1.cer>;rel="up"']);
  t.equal((await server.inject("/ca/3.cer")).statusCode, 404);
});

t.test("the development source's key is there only where the source is", async (t) => {
  const url = "/dev/jwks.json";
  t.equal((await (await serverWith()).server.inject(url)).statusCode, 404);
  const { server } = await serverWith({ developmentJwks: { keys: [{ kty: "EC" }] } });
  t.match(await server.inject(url), { statusCode: 200, body: '{"keys":[{"kty":"EC"}]}' });
});

t.test("readyz is red without telling why; healthz does not care", async (t) => {
  const { server } = await serverWith({ ready: () => Promise.reject(new Error("password=hunter2")) });
  const reply = await server.inject("/readyz");
  t.match(reply, { statusCode: 503, headers: { "content-type": "application/problem+json", "retry-after": "5" } });
  t.notMatch(reply.body, /hunter2/);
  t.equal((await server.inject("/healthz")).statusCode, 200);
});

t.test("readyz tells what needs somebody, and stays green", async (t) => {
  const { server } = await serverWith({ warnings: () => ["revocation list 3 is late"] });
  const reply = await server.inject("/readyz");
  t.match(reply, { statusCode: 200, body: '{"status":"ready","warnings":["revocation list 3 is late"]}' });
});

t.test("metrics in Prometheus' text format, labelled by route and not by URL", async (t) => {
  const { server, metrics } = await serverWith();
  metrics.certificateIssued("workload", "acme");
  metrics.challengeAnswered({ type: "http-01", status: "valid" });
  metrics.issuanceUnfinished();
  metrics.limitRefused("ordersPerAccount");
  metrics.certificateListFailed();
  await server.inject("/healthz?secret");
  await server.inject("/none/secret");
  const { headers, body } = await server.inject("/metrics");
  t.match(headers["content-type"], /^text\/plain; version=0\.0\.4; charset=utf-8$/);
  for (const line of body.split("\n").filter((text) => text !== "")) {
    t.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? (\d[\d.e+-]*|Nan|\+Inf))$/);
  }
  for (const line of [
    'mayfly_certificates_issued_total{profile="workload",door="acme"} 1',
    'mayfly_challenges_total{type="http-01",status="valid"} 1',
    "mayfly_issuance_unfinished_total 1",
    'mayfly_limit_refused_total{limit="ordersPerAccount"} 1',
    'mayfly_limit_buckets{limit="one"} 5',
    'mayfly_crl_number{issuer="i",shard="3"} 1795000000',
    'mayfly_crl_entries{issuer="i",shard="3"} 12',
    'mayfly_crl_this_update_seconds{issuer="i",shard="3"} 1795694400',
    'mayfly_crl_next_update_seconds{issuer="i",shard="3"} 1795780800',
    "mayfly_crl_failures_total 1",
    'mayfly_issuer_not_after_seconds{issuer="i1",name="default",state="active"} 2000000000',
    'mayfly_issuer_next_move_seconds{name="root",move="prepare"} 1900000000',
    'mayfly_issuer_alarms{name="default"} 1',
    "mayfly_finalizes_under_way 3",
    "mayfly_ocsp_remembered 5",
    "mayfly_sql_statements 4711",
    'mayfly_http_request_duration_seconds_count{route="/healthz",method="GET",status="200"} 1',
    'mayfly_http_request_duration_seconds_count{route="none",method="GET",status="404"} 1',
  ]) {
    t.ok(body.includes(`${line}\n`), line);
  }
  t.match(body, /^process_resident_memory_bytes \d+$/m);
  t.notMatch(body, /secret/);
});
