/** Sizes, shapes and headers that nobody needs (H-21, H-22, H-31, H-32): bounded, refused, and the server goes on. */
import { gzipSync } from "node:zlib";
import { connect } from "node:tls";
import t from "tap";
import { acmeDriver, base64url, dns, type RawRequest, type Reply } from "../support/acmeDriver.ts";
import { attesting, respond } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";

const jose = { "content-type": "application/jose+json" };
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

t.test("hostile input", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;
  const alice = await acme.account();
  const post = (url: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<Reply> =>
    acme.request(url, { method: "POST", headers: { ...jose, ...headers }, body });

  t.test("H-21 rule I a body of the limit is read, one octet more is 413, with or without its length", async (t) => {
    refused(t, await post(directory.newOrder, "x".repeat(50_000)), 400, "malformed", "50000");
    refused(t, await post(directory.newOrder, "x".repeat(50_001)), 413, "malformed", "50001");
    refused(
      t,
      await post(directory.newOrder, "x".repeat(50_001), { "transfer-encoding": "chunked" }),
      413,
      "malformed",
      "chunked",
    );
    const { challenge } = await attesting(ca, alice);
    refused(t, await post(challenge.url, "x".repeat(1_048_576)), 400, "malformed", "a challenge's body of 1 MiB");
    refused(t, await post(challenge.url, "x".repeat(1_048_577)), 413, "malformed", "and one octet more");
    refused(
      t,
      await post(challenge.url, "x".repeat(1_048_577), { "transfer-encoding": "chunked" }),
      413,
      "malformed",
      "chunked",
    );
  });

  t.test("H-21 what is far too large is not waited for", async (t) => {
    const huge: [string, string][] = [
      [
        "10^5 identifiers",
        JSON.stringify({
          payload: base64url(
            JSON.stringify({ identifiers: Array.from({ length: 100_000 }, () => dns("a.localhost")) }),
          ),
        }),
      ],
      [
        "10^6 contacts",
        JSON.stringify({
          payload: base64url(JSON.stringify({ contact: Array.from({ length: 1_000_000 }, () => "mailto:a@b") })),
        }),
      ],
      ["a CSR of 10 MB", JSON.stringify({ payload: base64url(JSON.stringify({ csr: "A".repeat(10_000_000) })) })],
    ];
    for (const [what, body] of huge) {
      // The server closes while the body is still on its way; then the reply may be lost.
      const reply = await post(directory.newOrder, body).catch((error: NodeJS.ErrnoException) => error.code);
      t.match(typeof reply === "object" ? String(reply.status) : reply, /^(413|ECONNRESET|EPIPE)$/, what);
    }
    t.equal((await alice.postAsGet(alice.account)).status, 200, "and the server goes on");
  });

  t.test("H-21 JSON within the size limit and yet too deep, or with very many members", async (t) => {
    const deep = nested(6_000);
    refused(t, await post(directory.newOrder, deep), 400, "malformed", "the body");
    refused(
      t,
      await alice.post(directory.newOrder, {}, { protected: base64url(deep.slice(0, 100)) }),
      400,
      "malformed",
      "the header, cut",
    );
    refused(
      t,
      await alice.post(directory.newOrder, {}, { payload: base64url(nested(5_000)) }),
      400,
      "malformed",
      "the payload",
    );
    refused(
      t,
      await alice.post(
        directory.newOrder,
        {},
        { payload: base64url(`{"a":${"[".repeat(9_000)}${"]".repeat(9_000)}}`) },
      ),
      400,
      "malformed",
      "lists",
    );
    refused(
      t,
      await alice.post(directory.newOrder, {}, { header: { more: JSON.parse(nested(33)) as object } }),
      400,
      "malformed",
      "33 levels in the header",
    );
    const members = Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`m${n}`, n]));
    t.equal((await alice.post(alice.account, members)).status, 200, "3000 unknown members are ignored");
  });

  t.test("H-21 headers of 64 KB → 431, and other octets that are no HTTP", async (t) => {
    const reply = await acme
      .request(ca.directoryUrl, { headers: { "x-large": "x".repeat(65_536) } })
      .catch((error: NodeJS.ErrnoException) => error.code);
    t.match(typeof reply === "object" ? String(reply.status) : reply, /^(431|ECONNRESET|EPIPE)$/);
    if (typeof reply === "object") refused(t, reply, 431, "malformed", "headers");
    const { hostname, port } = new URL(ca.url);
    for (const octets of [
      "GET / HTTP/9.9\r\n\r\n",
      "\0\0\0\0\r\n\r\n",
      "POST /acme/new-order HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]) {
      const answer = await raw(Number(port), hostname, ca.root, octets);
      t.match(answer, /^HTTP\/1\.1 (4|5)\d\d /, JSON.stringify(octets).slice(0, 30));
      t.notMatch(answer, /\bat \S+ \(|node_modules/);
    }
    t.equal((await acme.request(ca.directoryUrl)).status, 200);
  });

  t.test("H-21 a body that says it is compressed is not unpacked", async (t) => {
    const body = gzipSync(Buffer.alloc(20_000_000, 32));
    refused(t, await post(directory.newOrder, body, { "content-encoding": "gzip" }), 400, "malformed");
  });

  t.test("H-21 an abandoned request does not hold anything", async (t) => {
    const { hostname, port } = new URL(ca.url);
    const sockets = Array.from({ length: 50 }, () => connect({ host: hostname, port: Number(port), ca: ca.root }));
    for (const socket of sockets) {
      socket.on("error", () => undefined);
      socket.write(
        "POST /acme/new-order HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose+json\r\nContent-Length: 40000\r\n\r\n{",
      );
    }
    t.equal((await alice.postAsGet(alice.account)).status, 200, "others are served meanwhile");
    for (const socket of sockets) socket.destroy();
  });

  t.test("H-22 __proto__ and constructor are members like any other", async (t) => {
    const payload =
      '{"__proto__":{"onlyReturnExisting":true,"polluted":1},"constructor":{"prototype":{"polluted":1}},"contact":[]}';
    t.equal((await alice.post(alice.account, undefined, { payload: base64url(payload) })).status, 200);
    t.equal(
      (await acme.client().register({}, { payload: base64url(payload) })).status,
      201,
      "onlyReturnExisting was not inherited",
    );
    t.notOk("polluted" in {}, "nothing is polluted");
    const header = { alg: "ES256", nonce: await acme.nonce(), url: alice.account };
    const inherited = JSON.stringify(header).replace("{", `{"__proto__":{"kid":"${alice.account}"},`);
    refused(
      t,
      await alice.postAsGet(alice.account, { protected: base64url(inherited) }),
      400,
      "malformed",
      "an inherited kid",
    );
    const order = '{"identifiers":[{"__proto__":{"type":"dns","value":"a.localhost"}}]}';
    refused(
      t,
      await alice.post(directory.newOrder, {}, { payload: base64url(order) }),
      400,
      "malformed",
      "an inherited type",
    );
    for (const profile of ["__proto__", "constructor", "toString", "hasOwnProperty"])
      refused(
        t,
        await alice.post(directory.newOrder, { identifiers: [dns("a.localhost")], profile }),
        400,
        "invalidProfile",
        profile,
      );
  });

  t.test("H-22 texts that are no JSON, no UTF-8, or JSON of another dialect → malformed", async (t) => {
    const texts: [string, Buffer | string][] = [
      ["a byte order mark", "\uFEFF{}"],
      ["UTF-16", Buffer.from("{}", "utf16le")],
      ["bad UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
      ["overlong UTF-8", Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d])],
      ["an encoded surrogate", Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
      ["NaN", '{"a":NaN}'],
      ["Infinity", '{"a":-Infinity}'],
      ["a comment", '{/*x*/"a":1}'],
      ["a comma behind", '{"a":1,}'],
      ["single quotes", "{'a':1}"],
      ["hexadecimal", '{"a":0x1}'],
      ["a leading zero", '{"a":01}'],
      ["two values", "{}{}"],
      ["NUL behind", "{}\0"],
      ["members twice", '{"a":1,"a":1}'],
      ["twice below", '{"a":[{"b":1,"\\u0062":1}]}'],
    ];
    for (const [what, text] of texts)
      refused(t, await alice.post(alice.account, undefined, { payload: base64url(text) }), 400, "malformed", what);
  });

  t.test("H-22 lone surrogates, NUL and control characters in values", async (t) => {
    const orders = ['"\\ud800"', '"a\\u0000.localhost"', '"\\r\\nx"', '"\\u202e.localhost"', '"<script>"'];
    for (const value of orders) {
      const payload = base64url(`{"identifiers":[{"type":"dns","value":${value}}]}`);
      refused(t, await alice.post(directory.newOrder, {}, { payload }), 400, "malformed", value);
      const odd = base64url(`{"identifiers":[{"type":${value},"value":"x"}]}`);
      refused(
        t,
        await alice.post(directory.newOrder, {}, { payload: odd }),
        400,
        "unsupportedIdentifier",
        `type ${value}`,
      );
      const contact = base64url(`{"contact":[${value}]}`);
      refused(
        t,
        await alice.post(alice.account, {}, { payload: contact }),
        400,
        "unsupportedContact",
        `contact ${value}`,
      );
    }
    const flow = await attesting(ca, alice);
    for (const ref of ["a\0", "\ud800"])
      t.equal(
        (
          await alice.post((await attesting(ca, alice)).challenge.url, {
            spki: flow.key.spki,
            evidence: [{ format: "jwt", ref, value: "x" }],
          })
        ).json()["status"],
        "invalid",
        "an odd ref is an unknown one",
      );
    t.equal((await respond(flow, "\ud800\0")).json()["status"], "invalid");
    t.equal((await alice.readOrder(flow.order.url)).status, "invalid", "and it is recorded");
  });

  t.test("H-32 neither Host nor X-Forwarded-* changes a URL that the server emits or expects", async (t) => {
    const spoofed = {
      host: "attacker.example",
      "x-forwarded-host": "attacker.example",
      "x-forwarded-proto": "http",
      forwarded: "host=attacker.example;proto=http",
      "x-forwarded-port": "1",
    };
    const document = await acme.request(ca.directoryUrl, { headers: spoofed });
    t.equal(document.text, (await acme.request(ca.directoryUrl)).text);
    const replies: Reply[] = [
      await alice.post(directory.newOrder, { identifiers: [dns("a.localhost")] }, { headers: spoofed }),
      await alice.postAsGet(alice.account, { headers: spoofed }),
    ];
    for (const { status, text, headers } of [document, ...replies]) {
      t.ok(status < 300);
      t.notMatch(text + JSON.stringify(headers), "attacker");
    }
    const forAttacker = await alice.postAsGet(alice.account, {
      headers: spoofed,
      header: { url: alice.account.replace(/https:\/\/[^/]+/, "https://attacker.example") },
    });
    refused(t, forAttacker, 403, "unauthorized", "signed for the spoofed host");
    for (const path of ["/", "/spiffe/bundle.json", "/acme/nothing"])
      t.notMatch((await acme.request(ca.url + path, { headers: spoofed })).text, "attacker", path);
  });

  t.test("a request for another origin by its absolute form is refused", async (t) => {
    const request: RawRequest = { method: "POST", headers: jose, body: "{}" };
    t.ok((await acme.request(`${ca.url}//attacker.example/acme/new-order`, request)).status >= 400);
    const { hostname, port } = new URL(ca.url);
    const answer = await raw(
      Number(port),
      hostname,
      ca.root,
      "GET https://attacker.example/acme/directory HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n",
    );
    t.notMatch(answer, "https://attacker.example/");
  });
});

/** Sends octets and resolves to what comes back until the other side closes, or two seconds pass. */
function raw(port: number, host: string, root: string, octets: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ port, host, ca: root }, () => socket.write(octets));
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(done, 2_000);
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      if (answer.includes("\r\n\r\n")) done();
    });
    socket.on("error", done);
    socket.on("close", done);
  });
}
