import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { gzipSync } from "node:zlib";
import t from "tap";
import { http01 } from "../../../src/acme/challenges/http01.ts";
import type { Validation, ValidationOutcome } from "../../../src/acme/challenges/validation.ts";
import { selfSigned } from "../../support/challengeCertificate.ts";
import { startDnsServer } from "../../support/dnsServer.ts";
import {
  addressesAre,
  closedPort,
  httpTarget,
  listen,
  tcpTarget,
  type Teardown,
  testOutbound,
  type OutboundWishes,
  plainly,
} from "../../support/validationTargets.ts";

const signal = new AbortController().signal;
const token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const keyAuthorization = `${token}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI`;
const path = `/.well-known/acme-challenge/${token}`;

function validationOf(value: string, type: "dns" | "ip" = "dns"): Validation {
  return { identifier: { type, value }, token, keyAuthorization, ...plainly };
}

/** Validates `target.example`, which is 127.0.0.1, at this port. */
async function validateAt(
  t: Teardown,
  port: number,
  options: Partial<OutboundWishes> = {},
): Promise<ValidationOutcome> {
  const dns = await addressesAre(t, "127.0.0.1");
  const outbound = testOutbound({ dnsResolver: dns.address, http01Port: port, ...options });
  return http01(validationOf("target.example"), outbound, signal);
}

/** Validates against an HTTP server with this listener. */
async function validate(t: Teardown, listener: RequestListener): Promise<ValidationOutcome> {
  return validateAt(t, await httpTarget(t, listener));
}

const body = (content: string | Buffer) => (_: IncomingMessage, response: ServerResponse) => response.end(content);

function unauthorized(detail: string): ValidationOutcome {
  return { ok: false, problem: "unauthorized", detail, retryable: false };
}

t.test("R8.3-1 the key authorization at the well-known path is enough, asked for in a plain way", async (t) => {
  let seen: IncomingMessage | undefined;
  const port = await httpTarget(t, (request, response) => {
    seen = request;
    response.end(keyAuthorization);
  });
  t.same(await validateAt(t, port), { ok: true });
  t.equal(seen?.method, "GET");
  t.equal(seen?.url, path);
  t.same(seen?.headers, {
    host: `target.example:${port}`,
    "user-agent": "Mayfly-test/1",
    accept: "*/*",
    connection: "close",
  });
});

t.test("R8.3-3 trailing white space is ignored, other additions are not", async (t) => {
  t.same(await validate(t, body(`${keyAuthorization}\r\n \t\n`)), { ok: true });
  t.match(await validate(t, body(` ${keyAuthorization}`)), { ok: false, problem: "unauthorized" });
  t.match(await validate(t, body(`${keyAuthorization}x`)), { ok: false, problem: "unauthorized" });
  t.match(await validate(t, body(keyAuthorization.slice(0, -1))), { ok: false, problem: "unauthorized" });
  t.match(await validate(t, body(keyAuthorization.toUpperCase())), { ok: false, problem: "unauthorized" });
});

t.test("R8738-2 an IP identifier is asked at that address, and is the Host", async (t) => {
  for (const [value, shown] of [
    ["127.0.0.1", "127.0.0.1"],
    ["::1", "[::1]"],
  ] as const) {
    let host: string | undefined;
    const listener: RequestListener = (request, response) => {
      host = request.headers.host;
      response.end(keyAuthorization);
    };
    const http01Port = await httpTarget(t, listener, value);
    t.same(await http01(validationOf(value, "ip"), testOutbound({ http01Port }), signal), { ok: true });
    t.equal(host, `${shown}:${http01Port}`);
  }
});

t.test("R8738-6, H-10a a forbidden address is rejectedIdentifier", async (t) => {
  const outbound = testOutbound({ allowPrivate: false });
  t.same(await http01(validationOf("169.254.169.254", "ip"), outbound, signal), {
    ok: false,
    problem: "rejectedIdentifier",
    detail: "169.254.169.254 has no address that this CA connects to (a cloud metadata service)",
    retryable: false,
  });
  t.match(await validateAt(t, 80, { allowPrivate: false }), {
    ok: false,
    problem: "rejectedIdentifier",
    retryable: false,
  });
});

t.test("names that a URL would take for something else are rejected", async (t) => {
  for (const value of ["127.1", "0x7f.1", "2130706433", "a b", "user@host", "a/b", "a?b", "A.example"]) {
    const outcome = await http01(validationOf(value), testOutbound({}), signal);
    t.match(outcome, { ok: false, problem: "rejectedIdentifier", retryable: false }, value);
  }
});

t.test("a status other than 200 is named", async (t) => {
  for (const status of [404, 500, 204, 300, 304, 206]) {
    const outcome = await validate(t, (_, response) => response.writeHead(status).end());
    t.same(outcome, unauthorized(`the answer has status ${status}, not 200`));
  }
});

t.test("H-13 what the target sends is quoted safely", async (t) => {
  const hostile = Buffer.concat([Buffer.from('\x1b[31m<b>"hi"</b>\r\n\0'), Buffer.from([0xff, 0xfe])]);
  t.same(
    await validate(t, body(hostile)),
    unauthorized('the body is "?[31m?b??hi??/b??????", not the key authorization'),
  );
  const long = await validate(t, body("x".repeat(1000)));
  t.same(long, unauthorized(`the body is "${"x".repeat(80)}...", not the key authorization`));
});

t.test("a compressed answer is not unpacked", async (t) => {
  const outcome = await validate(t, (_, response) => {
    response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(keyAuthorization));
  });
  t.match(outcome, { ok: false, problem: "unauthorized" });
});

const endless: RequestListener = (_, response) => {
  const more = () => {
    while (!response.destroyed && response.write("x".repeat(65_536)));
  };
  response.on("drain", more);
  more();
};

t.test("H-12 more than 1 KiB is too much: with a length, in chunks, without end", async (t) => {
  const tooLarge = unauthorized("the body has more than 1024 bytes");
  t.same(await validate(t, body(keyAuthorization + " ".repeat(1024))), tooLarge);
  t.same(await validate(t, endless), tooLarge);
  const port = await tcpTarget(t, (socket) =>
    socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5f5e100\r\n${"x".repeat(2000)}`),
  );
  t.same(await validateAt(t, port), tooLarge);
});

t.test("H-12 slow targets: silence, an unfinished header, one byte at a time", async (t) => {
  const late = {
    ok: false,
    problem: "connection",
    detail: "no complete answer within 600 ms",
    retryable: true,
  } as const;
  let open = 0;
  const slowly = (bytes: string) => async () => {
    const port = await tcpTarget(t, (socket) => {
      open += 1;
      socket.resume();
      socket.once("close", () => (open -= 1));
      const timer = setInterval(() => socket.write(bytes), 50);
      socket.once("close", () => clearInterval(timer));
    });
    return validateAt(t, port);
  };
  const silent = await tcpTarget(t, () => {});
  const outcomes = await Promise.all([
    validateAt(t, silent),
    slowly("H")(),
    slowly("")(),
    validate(t, (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write("x"), 50);
      response.once("close", () => clearInterval(timer));
    }),
  ]);
  t.same(outcomes[0], late);
  t.match(outcomes[1], { ok: false, problem: "connection" });
  t.same(outcomes[2], late);
  t.same(outcomes[3], late);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(open, 0, "and no connection stays open");
});

t.test("H-12 what is not HTTP, or too much of it", async (t) => {
  const cases: [answer: string, expected: Partial<ValidationOutcome> & { detail?: RegExp }][] = [
    ["SSH-2.0-OpenSSH_9.2\r\n", { problem: "connection", retryable: false, detail: /not HTTP that we accept: HPE_/ }],
    [
      `HTTP/1.1 200 OK\r\n${"X-Filler: xxxxxxxxxxxxxxxx\r\n".repeat(1000)}`,
      { problem: "connection", detail: /HPE_HEADER_OVERFLOW/ },
    ],
    ["HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100), { problem: "unauthorized", detail: /interim/ }],
    [
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
      { problem: "unauthorized", detail: /upgrade/ },
    ],
    [
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      { problem: "connection", detail: /HPE_/ },
    ],
  ];
  for (const [answer, expected] of cases) {
    const port = await tcpTarget(t, (socket) => socket.once("data", () => socket.write(answer)));
    t.match(await validateAt(t, port), { ok: false, ...expected }, JSON.stringify(answer.slice(0, 40)));
  }
});

function broken(detail: RegExp) {
  return { ok: false, problem: "connection", retryable: true, detail };
}

t.test("connections that break: refused, reset, closed too early", async (t) => {
  t.match(await validateAt(t, await closedPort()), broken(/connection refused/));
  const resetting = await tcpTarget(t, (socket) => socket.resetAndDestroy());
  t.match(await validateAt(t, resetting), broken(/connection reset/));
  const closing = await tcpTarget(t, (socket) => socket.end());
  t.match(await validateAt(t, closing), broken(/connection reset/));
  const cut = await tcpTarget(t, (socket) => {
    socket.once("data", () => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n${keyAuthorization}`));
  });
  t.match(await validateAt(t, cut), broken(/connection reset/), "a cut body does not count, even when it would match");
});

t.test("H-15a a name that does not resolve is dns, worth another try", async (t) => {
  const dns = await startDnsServer(() => "NXDOMAIN");
  t.teardown(() => dns.close());
  const outcome = await http01(validationOf("gone.example"), testOutbound({ dnsResolver: dns.address }), signal);
  t.same(outcome, {
    ok: false,
    problem: "dns",
    detail: "address lookup of gone.example failed: the name does not exist",
    retryable: true,
  });
});

t.test("R8.3-3 redirects are followed, of each kind, relative and absolute", async (t) => {
  for (const status of [301, 302, 303, 307, 308]) {
    const hosts: unknown[] = [];
    const port = await httpTarget(t, (request, response) => {
      hosts.push(request.headers.host);
      if (request.url === "/final?x=1") response.end(keyAuthorization);
      else if (request.url === "/second") response.writeHead(status, { location: "/final?x=1" }).end();
      else response.writeHead(status, { location: `http://other.example:${port}/second` }).end();
    });
    t.same(await validateAt(t, port), { ok: true }, String(status));
    t.same(hosts, [`target.example:${port}`, `other.example:${port}`, `other.example:${port}`]);
  }
});

/** Redirects this many times before it answers. */
function chain(length: number): RequestListener {
  return (request, response) => {
    const step = Number(/^\/step(\d+)$/.exec(request.url ?? "")?.[1] ?? 0);
    if (step === length) response.end(keyAuthorization);
    else response.writeHead(302, { location: `/step${step + 1}` }).end();
  };
}

t.test("H-11a ten redirects are followed, eleven are not, loops are seen", async (t) => {
  t.same(await validate(t, chain(10)), { ok: true });
  t.same(await validate(t, chain(11)), unauthorized("more than 10 redirects"));

  let requests = 0;
  const loop = await validate(t, (_, response) => {
    requests += 1;
    response.writeHead(302, { location: requests === 1 ? "/a" : path }).end();
  });
  t.same(loop, unauthorized("the redirects go round in a loop"));
  t.equal(requests, 2);
});

t.test("H-11a redirects to where a client must not send us", async (t) => {
  const port = await httpTarget(t, (request, response) => {
    const location = decodeURIComponent(request.headers["user-agent"]?.split(" ")[1] ?? "");
    response.writeHead(302, location === "" ? {} : { location }).end();
  });
  const cases: [location: string, why: RegExp][] = [
    ["", /without Location/],
    ["http://127.0.0.1/", /an IP address instead of a name/],
    ["http://2130706433/", /an IP address instead of a name/],
    ["http://0x7f.1/", /an IP address instead of a name/],
    ["http://127.0.0.1./", /an IP address instead of a name/],
    ["http://[::1]/", /an IP address instead of a name/],
    ["http://[::ffff:169.254.169.254]/", /an IP address instead of a name/],
    ["http://other.example:22/", /not a port/],
    ["http://other.example:0/", /not a port/],
    ["https://other.example:8443/", /not a port/],
    ["file:///etc/passwd", /neither http nor https/],
    ["ftp://other.example/", /neither http nor https/],
    ["gopher://other.example/", /neither http nor https/],
    ["javascript:alert(1)", /neither http nor https/],
    ["http://user@other.example/", /user information/],
    ["http://:pass@other.example/", /user information/],
    [`http://other.example:${port}/#fragment`, /fragment/],
    [`/${"x".repeat(2000)}`, /longer than 2000/],
    [`http://other.example:${port}/${"<".repeat(900)}`, /longer than 2000/],
    ["http://", /not a URL/],
    ["http://a b/", /not a URL/],
  ];
  for (const [location, why] of cases) {
    const outcome = await validateAt(t, port, { userAgent: `Mayfly ${encodeURIComponent(location)}` });
    t.match(outcome, { ok: false, problem: "unauthorized", retryable: false, detail: why }, location.slice(0, 60));
    t.ok("detail" in outcome && outcome.detail.length <= 300);
  }
});

t.test("H-11a every hop passes the address policy, and the refusal is not the identifier's", async (t) => {
  const dns = await startDnsServer((name, type) =>
    type === "A" ? [{ type: "A", data: name === "target.example" ? "127.0.0.1" : "169.254.169.254" }] : [],
  );
  t.teardown(() => dns.close());
  const http01Port = await httpTarget(t, (_, response) => {
    response.writeHead(302, { location: "http://metadata.example/latest" }).end();
  });
  const outcome = await http01(
    validationOf("target.example"),
    testOutbound({ dnsResolver: dns.address, http01Port }),
    signal,
  );
  t.same(
    outcome,
    unauthorized("at redirect 1: metadata.example has no address that this CA connects to (a cloud metadata service)"),
  );
});

t.test("H-11a a header that smuggles another is no redirect target", async (t) => {
  const port = await tcpTarget(t, (socket) => {
    socket.once("data", () => socket.write("HTTP/1.1 302 Found\r\nLocation: /a\rX-Injected: 1\r\n\r\n"));
  });
  t.match(await validateAt(t, port), { ok: false, problem: "connection", detail: /HPE_/ });
});

t.test("H-11b a redirect to https is followed without asking who signed the certificate", async (t) => {
  const { key, cert } = selfSigned({ dns: ["somebody-else.example"] });
  const secure = createHttpsServer({ key, cert }, (request, response) => {
    response.end(request.headers.host === `other.example:${port}` ? keyAuthorization : "wrong host");
  });
  // The redirect must go to the one port that the test may choose, so the first answer comes from another address.
  const port = await listen(t, secure, "127.0.0.2");
  const plain = createServer((_, response) => {
    response.writeHead(302, { location: `https://other.example:${port}${path}` }).end();
  });
  plain.listen(port, "127.0.0.1");
  await once(plain, "listening");
  t.teardown(() => plain.close());
  const dns = await startDnsServer((name, type) =>
    type === "A" ? [{ type: "A", data: name === "target.example" ? "127.0.0.1" : "127.0.0.2" }] : [],
  );
  t.teardown(() => dns.close());
  const outbound = testOutbound({ dnsResolver: dns.address, http01Port: port });
  t.same(await http01(validationOf("target.example"), outbound, signal), { ok: true });
});

t.test("a redirect to https where there is no TLS is a tls failure", async (t) => {
  const port = await httpTarget(t, (_, response) => {
    response.writeHead(302, { location: `https://target.example:${port}/` }).end();
  });
  t.match(await validateAt(t, port), {
    ok: false,
    problem: "tls",
    detail: /^at redirect 1: the TLS handshake failed/,
  });
});

t.test("many validations at once leave no listener warnings and all succeed", async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on("warning", note);
  t.teardown(() => process.off("warning", note));
  const port = await httpTarget(t, body(keyAuthorization));
  const dns = await addressesAre(t, "127.0.0.1");
  const outbound = testOutbound({ dnsResolver: dns.address, http01Port: port, timeoutMs: 5000 });
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, () => http01(validationOf("target.example"), outbound, signal)),
  );
  t.ok(outcomes.every(({ ok }) => ok));
  t.same(warnings, []);
});
