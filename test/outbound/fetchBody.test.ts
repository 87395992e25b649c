import { createServer as createHttpsServer } from "node:https";
import type { IncomingHttpHeaders, RequestListener } from "node:http";
import { gzipSync } from "node:zlib";
import t from "tap";
import { createFetchBody, type FetchOptions } from "../../src/outbound/fetchBody.ts";
import { selfSigned } from "../support/challengeCertificate.ts";
import {
  addressesAre,
  closedPort,
  httpTarget,
  listen,
  tcpTarget,
  type Teardown,
  testOutbound,
  type OutboundWishes,
} from "../support/validationTargets.ts";

const options: FetchOptions = { maxBytes: 1000, timeoutMs: 400 };
const failure = (problem: string, message: RegExp) => ({ name: "OutboundFailure", problem, message });
const fetcher = (wishes: Partial<OutboundWishes> = {}) => createFetchBody(testOutbound(wishes), "Mayfly-test/1");

/** An HTTPS server of issuer.example, and what fetches from it by that name. */
async function issuer(t: Teardown, listener: RequestListener) {
  const { key, cert } = selfSigned({ dns: ["issuer.example"] });
  const port = await listen(t, createHttpsServer({ key, cert }, listener));
  const dns = await addressesAre(t, "127.0.0.1");
  return { url: `https://issuer.example:${port}/jwks`, port, cert, fetchBody: fetcher({ dnsResolver: dns.address }) };
}

t.test("the body of a verified server, asked for by a name of ours", async (t) => {
  let headers: IncomingHttpHeaders = {};
  const { url, port, cert, fetchBody } = await issuer(t, (request, response) => {
    headers = request.headers;
    response.end('{"keys":[]}');
  });
  t.equal((await fetchBody(url, { ...options, trust: cert })).toString(), '{"keys":[]}');
  t.match(headers, { "user-agent": "Mayfly-test/1", host: `issuer.example:${port}`, connection: "close" });
  t.notOk("accept-encoding" in headers, "nothing compressed is asked for");
});

t.test("a certificate that is not trusted, or of another name", async (t) => {
  let requests = 0;
  const { url, port, cert, fetchBody } = await issuer(t, () => (requests += 1));
  await t.rejects(fetchBody(url, options), failure("tls", /certificate is not trusted: [A-Z_]+$/));
  const other = selfSigned({ dns: ["issuer.example"], issuer: "somebody else" }).cert;
  await t.rejects(fetchBody(url, { ...options, trust: other }), failure("tls", /not trusted/));
  const named = `https://other.example:${port}/jwks`;
  await t.rejects(fetchBody(named, { ...options, trust: cert }), failure("tls", /ERR_TLS_CERT_ALTNAME_INVALID/));
  const addressed = `https://127.0.0.1:${port}/jwks`;
  await t.rejects(fetchBody(addressed, { ...options, trust: cert }), failure("tls", /ERR_TLS_CERT_ALTNAME_INVALID/));
  t.equal(requests, 0, "and nothing is asked");
});

t.test("an issuer that is reached by its address", async (t) => {
  const { key, cert } = selfSigned({ ip: ["127.0.0.1"] });
  const server = createHttpsServer({ key, cert }, (_, response) => response.end("here"));
  const port = await listen(t, server);
  const body = await fetcher()(`https://127.0.0.1:${port}/`, { ...options, trust: cert });
  t.equal(body.toString(), "here");
});

t.test("H-12 H-11a answers that are slow, endless, huge, redirecting or compressed", async (t) => {
  const dribbling: RequestListener = (_, response) => {
    const timer = setInterval(() => response.write("x"), 20);
    response.once("close", () => clearInterval(timer));
  };
  const endless: RequestListener = (_, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.on("drain", more);
    more();
  };
  let redirected = 0;
  const answers: Record<string, [listener: RequestListener, problem: string, message: RegExp]> = {
    silent: [() => undefined, "connection", /no complete answer within 400 ms/],
    "one byte at a time": [dribbling, "connection", /no complete answer within 400 ms/],
    endless: [endless, "answer", /more than 1000 bytes/],
    huge: [(_, response) => response.end("x".repeat(1001)), "answer", /more than 1000 bytes/],
    "a chunk of 100 MB announced": [
      (_, response) =>
        void response.socket?.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5F5E100\r\nxxxx"),
      "connection",
      /reading the answer failed/,
    ],
    "huge headers": [
      (_, response) => response.writeHead(200, { filler: "x".repeat(20_000) }).end(),
      "connection",
      /HPE_HEADER_OVERFLOW/,
    ],
    redirecting: [
      (request, response) => {
        if (request.url === "/elsewhere") redirected += 1;
        response.writeHead(302, { location: "/elsewhere" }).end();
      },
      "answer",
      /redirects \(status 302\)/,
    ],
    compressed: [
      (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(1_000_000))),
      "answer",
      /compressed/,
    ],
    "not there": [(_, response) => response.writeHead(404).end("no"), "answer", /status 404/],
    "cut off": [
      (_, response) => {
        response.writeHead(200, { "content-length": "500" }).write("x");
        setImmediate(() => response.destroy());
      },
      "connection",
      /reading the answer failed/,
    ],
  };
  for (const [name, [listener, problem, message]] of Object.entries(answers)) {
    const { url, cert, fetchBody } = await issuer(t, listener);
    const begun = Date.now();
    await t.rejects(fetchBody(url, { ...options, trust: cert }), failure(problem, message), name);
    t.ok(Date.now() - begun < 1500, `${name}: in time`);
  }
  t.equal(redirected, 0, "no redirect is followed");
});

t.test("H-12 a handshake that never ends, and nobody there", async (t) => {
  const silent = await tcpTarget(t, () => {});
  await t.rejects(fetcher()(`https://127.0.0.1:${silent}/`, options), failure("connection", /within 400 ms/));
  const closed = await closedPort();
  await t.rejects(fetcher()(`https://localhost:${closed}/`, options), failure("connection", /connection refused/));
});

t.test("H-10a the address policy counts for what the operator configured, too", async (t) => {
  let requests = 0;
  const port = await httpTarget(t, () => (requests += 1));
  for (const address of ["169.254.169.254", "224.0.0.1", "0.0.0.0", "::ffff:7f00:1"]) {
    const dns = await addressesAre(t, address);
    const fetchBody = fetcher({ dnsResolver: dns.address });
    await t.rejects(fetchBody("https://issuer.example/", options), failure("forbidden", /no address/), address);
  }
  const strict = fetcher({ allowPrivate: false });
  for (const url of [`http://127.0.0.1:${port}/`, `http://localhost:${port}/`, `https://10.0.0.1:${port}/`]) {
    await t.rejects(
      strict(url, options),
      failure("forbidden", /no address/),
      `${url} where private ones are not allowed`,
    );
  }
  t.equal(requests, 0);
});

t.test("H-10b one lookup, and the connection goes to what it found", async (t) => {
  const { key, cert } = selfSigned({ dns: ["issuer.example"] });
  const port = await listen(
    t,
    createHttpsServer({ key, cert }, (_, response) => response.end("here")),
  );
  const dns = await addressesAre(t, "::1", "127.0.0.1");
  const fetchBody = fetcher({ dnsResolver: dns.address });
  const body = await fetchBody(`https://issuer.example:${port}/`, { ...options, trust: cert });
  t.equal(body.toString(), "here", "IPv4 where IPv6 does not answer");
  t.same(dns.questions.toSorted(), ["A issuer.example over udp", "AAAA issuer.example over udp"]);
});

t.test("plain http for loopback alone; nothing else that is no https", async (t) => {
  const port = await httpTarget(t, (_, response) => response.end("here"));
  for (const host of ["127.0.0.1", "localhost", "issuer.localhost"]) {
    t.equal((await fetcher()(`http://${host}:${port}/`, options)).toString(), "here", host);
  }
  for (const url of [
    "http://issuer.example/",
    "http://10.0.0.1/",
    "http://localhost.example/",
    "http://127.0.0.1.example/",
    "file:///etc/passwd",
    "not a URL",
  ]) {
    await t.rejects(fetcher()(url, options), failure("forbidden", /not an https URL/), url);
  }
});

t.test("it ends when the caller gives up", async (t) => {
  const port = await httpTarget(t, () => {});
  const controller = new AbortController();
  const asked = fetcher()(`http://127.0.0.1:${port}/`, { ...options, signal: controller.signal });
  controller.abort(new Error("gave up"));
  await t.rejects(asked, { message: "gave up" });
});
