/** RFC 8555 §6: how messages travel. */
import { createHmac, generateKeyPairSync } from "node:crypto";
import t, { type Test } from "tap";
import {
  acmeDriver,
  base64url,
  clientKey,
  type AcmeClient,
  type Overrides,
  type Reply,
} from "../../support/acmeDriver.ts";
import { attested, issued, leafOf, spiffeIdOf } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { problems } from "../../../src/problem/problem.ts";
import { refused, registeredTypes } from "../../support/refused.ts";

t.test("RFC 8555 §6", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;
  const alice = await acme.account();
  const { order, authorization, challenge, certificateUrl, chain } = await issued(ca, alice);

  /** newOrder by Alice with some parts in place of the good ones; nothing is made when it is refused. */
  const tampered = (overrides: Overrides): Promise<Reply> =>
    alice.post(directory.newOrder, { identifiers: [{ type: "uri", value: spiffeIdOf("x") }] }, overrides);
  const postEverywhere = [
    directory.newAccount,
    directory.newOrder,
    directory.revokeCert,
    directory.keyChange,
    alice.account,
    `${alice.account}/orders`,
    order.url,
    order.finalize,
    authorization.url,
    challenge.url,
    certificateUrl,
  ];

  t.test("R6.1-1 every URL that the server hands out is https", async (t) => {
    const seen = [JSON.stringify(directory), JSON.stringify(order), JSON.stringify(authorization)].join();
    t.notMatch(seen, /http:\/\//);
  });

  t.test("R6.1-3 R6.1-4 base64url with padding, another alphabet, white space or stray bits → malformed", async (t) => {
    const spoil = (text: string): [string, string][] => [
      ["padding", `${text}=`],
      ["plus", `+${text.slice(1)}`],
      ["slash", `/${text.slice(1)}`],
      ["space", `${text.slice(0, 4)} ${text.slice(4)}`],
      ["newline", `${text}\n`],
    ];
    const nonce = await acme.nonce();
    const header = base64url(JSON.stringify({ alg: "ES256", kid: alice.account, nonce, url: directory.newOrder }));
    for (const [what, text] of spoil(header))
      refused(t, await tampered({ protected: text }), 400, "malformed", `protected: ${what}`);
    for (const [what, text] of spoil(base64url("{}")))
      refused(t, await tampered({ payload: text }), 400, "malformed", `payload: ${what}`);
    for (const at of [0, 1, 2, 3, 4]) {
      const signature = (right: Buffer): string => spoil(base64url(right))[at]?.[1] ?? "";
      refused(t, await tampered({ signature }), 400, "malformed", `signature ${at}`);
    }
    for (const [what, text] of spoil(nonce))
      refused(t, await tampered({ header: { nonce: text } }), 400, "malformed", `nonce: ${what}`);
    const ready = await attested(ca, alice);
    for (const [what, text] of spoil(ready.key.csr({ uri: [ready.spiffeId] }))) {
      refused(t, await alice.post(ready.order.finalize, { csr: text }), 400, "malformed", `csr: ${what}`);
    }
    for (const [what, text] of spoil(leafOf(chain))) {
      refused(
        t,
        await alice.post(directory.revokeCert, { certificate: text }),
        400,
        "malformed",
        `certificate: ${what}`,
      );
    }
    // 43 characters hold 258 bits of which 256 count: another last character is another text for the same octets.
    const strayBits = (right: Buffer): string => {
      const text = base64url(right);
      const last = text.at(-1) === "A" ? "B" : String.fromCharCode((text.codePointAt(text.length - 1) ?? 65) + 1);
      return text.slice(0, -1) + (/[A-Za-z0-9_-]/.test(last) ? last : "B");
    };
    refused(t, await tampered({ signature: strayBits }), 400, "malformed", "stray bits");
  });

  t.test("R6.2-1 the body is a flattened JWS, not compact, not general, not a list, not empty", async (t) => {
    const compact = (body: string): string => {
      const jws = JSON.parse(body) as { protected: string; payload: string; signature: string };
      return `${jws.protected}.${jws.payload}.${jws.signature}`;
    };
    const general = (body: string): string => {
      const { payload, ...signature } = JSON.parse(body) as Record<string, string>;
      return JSON.stringify({ payload, signatures: [signature] });
    };
    const bodies: [string, (right: string) => string | Buffer][] = [
      ["compact", compact],
      ["general", general],
      ["a list", (body) => `[${body}]`],
      ["empty", () => ""],
      ["null", () => "null"],
      ["text", (body) => JSON.stringify(body)],
      ["no JSON", () => "}{"],
      ["two objects", (body) => body + body],
      ["cut", (body) => body.slice(0, -1)],
      ["a byte order mark", (body) => `\uFEFF${body}`],
      ["UTF-16", (body) => Buffer.from(body, "utf16le")],
    ];
    for (const [what, body] of bodies) refused(t, await tampered({ body }), 400, "malformed", what);
    for (const member of ["protected", "payload", "signature"]) {
      for (const value of [undefined, null, 7, {}, ["e30"]]) {
        refused(
          t,
          await tampered({ jws: { [member]: value } }),
          400,
          "malformed",
          `${member}: ${JSON.stringify(value)}`,
        );
      }
    }
  });

  t.test("R6.2-2 no second signature, no unprotected header, no crit, no b64 → malformed", async (t) => {
    refused(t, await tampered({ jws: { signatures: [] } }), 400, "malformed", "signatures");
    refused(t, await tampered({ jws: { header: {} } }), 400, "malformed", "an unprotected header");
    refused(t, await tampered({ jws: { header: { kid: alice.account } } }), 400, "malformed", "kid unprotected");
    refused(t, await tampered({ header: { crit: ["exp"], exp: 1 } }), 400, "malformed", "crit");
    refused(t, await tampered({ header: { crit: [] } }), 400, "malformed", "an empty crit");
    refused(t, await tampered({ header: { b64: false, crit: ["b64"] } }), 400, "malformed", "b64 false");
    refused(t, await tampered({ header: { b64: true } }), 400, "malformed", "b64 true");
  });

  t.test("R6.2-3 the protected header has alg, nonce, url and exactly one of jwk and kid", async (t) => {
    refused(t, await tampered({ header: { alg: undefined } }), 400, "malformed", "no alg");
    refused(t, await tampered({ header: { url: undefined } }), 400, "malformed", "no url");
    refused(t, await tampered({ header: { nonce: undefined } }), 400, "badNonce", "no nonce (R6.5-4)");
    refused(t, await tampered({ header: { kid: undefined } }), 400, "malformed", "neither jwk nor kid");
    refused(t, await tampered({ header: { jwk: alice.key.jwk } }), 400, "malformed", "both jwk and kid");
    for (const header of [
      { alg: 7 },
      { url: 7 },
      { nonce: 7 },
      { nonce: "" },
      { kid: 7 },
      { kid: undefined, jwk: "x" },
      { kid: undefined, jwk: [] },
    ])
      refused(t, await tampered({ header }), 400, "malformed", JSON.stringify(header));
  });

  t.test("R6.2-4 R6.2-7 alg none, a MAC or an unsupported one → badSignatureAlgorithm with the list", async (t) => {
    const pem = "public key as a secret";
    const mac = (body: string): string => {
      const jws = JSON.parse(body) as { protected: string; payload: string };
      const signature = createHmac("sha256", pem).update(`${jws.protected}.${jws.payload}`).digest("base64url");
      return JSON.stringify({ ...jws, signature });
    };
    for (const alg of [
      "none",
      "None",
      "NONE",
      "",
      "HS256",
      "ES256K",
      "PS256",
      "es256",
      "RS1",
      "__proto__",
      "constructor",
    ]) {
      const document = refused(
        t,
        await tampered({ header: { alg }, body: mac }),
        400,
        "badSignatureAlgorithm",
        alg || "empty",
      );
      t.same(document["algorithms"], ["ES256", "ES384", "ES512", "EdDSA", "RS256"], "the list of what would do");
    }
  });

  for (const [id, alg] of [
    ["R6.2-5", "ES256"],
    ["R6.2-6", "EdDSA"],
    ["R6.2", "ES384"],
    ["R6.2", "ES512"],
    ["R6.2", "RS256"],
  ] as const) {
    t.test(`${id} an account with ${alg} is registered and used`, async (t) => {
      const client = acme.client(clientKey(alg));
      t.equal((await client.register()).status, 201);
      t.equal((await client.postAsGet(client.account)).status, 200);
      const broken = (right: Buffer): string =>
        base64url(Buffer.concat([right.subarray(0, -1), Buffer.of((right.at(-1) ?? 0) ^ 1)]));
      refused(t, await client.postAsGet(client.account, { signature: broken }), 400, "malformed", "one bit wrong");
    });
  }

  t.test("R6.2-8 a key that is not acceptable, or not of the alg → badPublicKey", async (t) => {
    const rsa = (modulusLength: number, publicExponent = 65537) =>
      generateKeyPairSync("rsa", { modulusLength, publicExponent });
    const asKey = ({ privateKey, publicKey }: ReturnType<typeof rsa>) => ({
      ...clientKey("RS256"),
      privateKey,
      jwk: publicKey.export({ format: "jwk" }) as Record<string, string>,
    });
    const registration = (overrides: Overrides): Promise<Reply> => acme.client().register({}, overrides);
    refused(t, await registration({ key: asKey(rsa(1024)) }), 400, "badPublicKey", "RSA-1024");
    refused(t, await registration({ key: asKey(rsa(2048, 3)) }), 400, "badPublicKey", "e = 3");
    const good = clientKey();
    const off = Buffer.from(good.jwk["x"] ?? "", "base64url");
    off.writeUInt8((off.at(-1) ?? 0) ^ 1, 31);
    const jwk = (change: Record<string, unknown>): Overrides => ({
      header: { jwk: { ...good.jwk, ...change } },
      key: good,
    });
    refused(t, await registration(jwk({ x: base64url(off) })), 400, "badPublicKey", "off the curve");
    refused(
      t,
      await registration(jwk({ x: base64url(Buffer.alloc(32)), y: base64url(Buffer.alloc(32)) })),
      400,
      "badPublicKey",
      "zero point",
    );
    refused(t, await registration(jwk({ crv: "secp256k1" })), 400, "badPublicKey", "another curve");
    refused(t, await registration(jwk({ crv: "P-384" })), 400, "badPublicKey", "a P-256 point as P-384");
    refused(t, await registration(jwk({ x: undefined })), 400, "badPublicKey", "no x");
    refused(t, await registration(jwk({ kty: "oct", k: undefined })), 400, "badPublicKey", "kty oct");
    refused(t, await registration(jwk({ kty: undefined })), 400, "badPublicKey", "no kty");
    refused(
      t,
      await registration({ key: { ...clientKey("ES384"), alg: "ES256" } }),
      400,
      "badPublicKey",
      "ES256 by a P-384 key",
    );
    refused(
      t,
      await registration({ key: { ...clientKey("ES256"), alg: "RS256" } }),
      400,
      "badPublicKey",
      "RS256 by an EC key",
    );
    refused(
      t,
      await registration({ key: { ...clientKey("EdDSA"), alg: "ES256" } }),
      400,
      "badPublicKey",
      "ES256 by an Ed25519 key",
    );
  });

  t.test("R6.2-9 newAccount takes jwk, revokeCert both, everything else kid", async (t) => {
    refused(t, await alice.post(directory.newAccount, {}, { by: "kid" }), 400, "malformed", "newAccount by kid");
    for (const url of postEverywhere.filter((one) => one !== directory.newAccount && one !== directory.revokeCert))
      refused(
        t,
        await alice.post(url, {}, { by: "jwk" }),
        400,
        "malformed",
        url.slice(ca.url.length).replace(/[0-9a-f]{12}/g, ""),
      );
  });

  t.test("R6.2-10 the kid is an account URL of this server", async (t) => {
    const id = alice.account.split("/").at(-1) ?? "";
    const foreign = [
      `https://other.example/acme/account/${id}`,
      alice.account.replace("https:", "http:"),
      alice.account.toUpperCase(),
      `${alice.account}/`,
      `${alice.account}?x`,
      ` ${alice.account}`,
      `${ca.url}/acme/order/${id}`,
      id,
      "",
    ];
    for (const kid of foreign) refused(t, await tampered({ header: { kid } }), 400, "malformed", kid.replace(id, "ID"));
    const nobody = `${ca.url}/acme/account/00000000-0000-7000-8000-000000000000`;
    refused(t, await tampered({ header: { kid: nobody } }), 400, "accountDoesNotExist", "unknown account");
    const bob = await acme.account();
    refused(
      t,
      await tampered({ header: { kid: bob.account } }),
      400,
      "malformed",
      "another's account: the signature fails",
    );
  });

  t.test("R6.2-11 a content type other than application/jose+json → 415", async (t) => {
    for (const type of [
      "application/json",
      "text/plain",
      "application/jose",
      "application/jose+json; charset=utf-8",
      "application/jose+json;",
      "multipart/form-data; boundary=x",
      "*/*",
    ])
      refused(t, await tampered({ headers: { "content-type": type } }), 415, "malformed", type);
    const bare = await acme.request(directory.newOrder, { method: "POST", body: "{}" });
    refused(t, bare, 415, "malformed", "none at all");
    const upper = await tampered({ headers: { "content-type": "Application/JOSE+json" } });
    t.equal(upper.status, 201, "compared without regard to case");
  });

  t.test("R6.3-1 GET, HEAD and other methods on anything but directory and newNonce → 405", async (t) => {
    for (const url of postEverywhere) {
      for (const method of ["GET", "PUT", "PATCH", "DELETE"])
        t.match(refused(t, await acme.request(url, { method }), 405, "malformed", method), { status: 405 });
      const head = await acme.request(url, { method: "HEAD" });
      t.equal(head.status, 405, "HEAD");
      t.equal(head.headers.allow, "OPTIONS, POST");
    }
  });

  t.test("R6.3-2 POST-as-GET has a payload of no octets", async (t) => {
    for (const url of [order.url, certificateUrl, `${alice.account}/orders`]) {
      refused(t, await alice.post(url, {}), 400, "malformed", "{}");
      refused(t, await alice.post(url, undefined, { payload: base64url(" ") }), 400, "malformed", "a space");
      t.equal((await alice.postAsGet(url)).status, 200);
    }
    for (const url of [
      directory.newAccount,
      directory.newOrder,
      order.finalize,
      directory.revokeCert,
      directory.keyChange,
    ]) {
      const by = url === directory.newAccount ? "jwk" : "kid";
      refused(t, await alice.postAsGet(url, { by }), 400, "malformed", "an empty payload where there must be one");
    }
    for (const payload of ["[]", "7", '"x"', "null", "{", ""])
      refused(t, await tampered({ payload: base64url(payload) }), 400, "malformed", `payload ${payload}`);
  });

  t.test("R6.3-3 directory and newNonce answer GET and POST-as-GET", async (t) => {
    t.equal((await acme.request(directory.newNonce)).status, 204);
    t.same((await alice.postAsGet(ca.directoryUrl)).json(), (await acme.request(ca.directoryUrl)).json());
    const nonce = await alice.postAsGet(directory.newNonce);
    t.match(nonce.headers["replay-nonce"], /^[\w-]{22,}$/);
    t.equal(nonce.status, 200);
  });

  t.test("R6.4-1 the signed url is the requested one, character for character → unauthorized otherwise", async (t) => {
    const { host, port, hostname } = new URL(ca.url);
    const others = [
      directory.newOrder.replace(host, "other.example"),
      directory.newOrder.replace(host, `${hostname}:${Number(port) + 1}`),
      directory.newOrder.replace(host, hostname),
      directory.newOrder.replace("https:", "http:"),
      directory.newOrder.replace("/acme/", "/ACME/"),
      directory.newOrder.replace("new-order", "new%2Dorder"),
      directory.newOrder.replace("/acme/", "/acme//"),
      directory.newOrder.replace("localhost", "LOCALHOST"),
      `${directory.newOrder}/`,
      `${directory.newOrder}?a=b`,
      `${directory.newOrder}#a`,
      directory.newAccount,
      "/acme/new-order",
      "",
    ];
    for (const url of others) refused(t, await tampered({ header: { url } }), 403, "unauthorized", url || "empty");
    const query = await alice.post(`${directory.newOrder}?a=b`, {}, { header: { url: directory.newOrder } });
    refused(t, query, 403, "unauthorized", "a query that is not signed");
  });

  t.test(
    "R6.5-1 R6.5-2 R7.1-1 every reply to a POST carries a fresh nonce and the directory's link, errors too",
    async (t) => {
      const bob = await acme.account();
      const replies: [string, Reply][] = [];
      for (const url of postEverywhere) replies.push([url, await alice.post(url, {})], [url, await bob.postAsGet(url)]);
      replies.push(
        ["415", await tampered({ headers: { "content-type": "text/plain" } })],
        ["413", await tampered({ body: () => "x".repeat(60_000) })],
        ["405", await alice.post(directory.newOrder, {}, { method: "PUT" })],
        ["404", await alice.post(`${ca.url}/acme/nothing-here`, {})],
        ["404 below", await alice.post(`${ca.url}/acme/order/00000000-0000-7000-8000-000000000000`, undefined)],
        ["badNonce", await tampered({ header: { nonce: base64url("gone") } })],
      );
      for (const [what, { headers, status }] of replies) {
        t.match(headers["replay-nonce"], /^[\w-]{22,}$/, `${status} ${what}: a nonce`);
        t.match(headers.link, `<${ca.directoryUrl}>;rel="index"`, `${status} ${what}: the index`);
        t.match(headers["cache-control"], "no-store", `${status} ${what}: not to be kept`);
      }
      const nonces = replies.map(([, { headers }]) => headers["replay-nonce"]);
      t.equal(new Set(nonces).size, nonces.length, "each one another");
    },
  );

  t.test("R6.5-3 a nonce is good once, even if that request failed past its signature", async (t) => {
    const nonce = await acme.nonce();
    t.equal((await alice.postAsGet(alice.account, { header: { nonce } })).status, 200);
    refused(t, await alice.postAsGet(alice.account, { header: { nonce } }), 400, "badNonce", "after a success");
    const second = await acme.nonce();
    refused(
      t,
      await alice.post(directory.newOrder, {}, { header: { nonce: second } }),
      400,
      "malformed",
      "the request fails",
    );
    refused(t, await alice.postAsGet(alice.account, { header: { nonce: second } }), 400, "badNonce", "after a failure");
    const third = await acme.nonce();
    const unsigned = await alice.postAsGet(alice.account, {
      header: { nonce: third },
      signature: () => base64url(Buffer.alloc(64, 1)),
    });
    refused(t, unsigned, 400, "malformed", "a bad signature");
    t.equal(
      (await alice.postAsGet(alice.account, { header: { nonce: third } })).status,
      200,
      "did not spend it (rule H)",
    );
  });

  t.test("R6.5-4 an unknown nonce → badNonce with a fresh one that works", async (t) => {
    for (const nonce of [base64url("unknown"), "A".repeat(43), base64url(Buffer.alloc(32, 255)), "A".repeat(2000)]) {
      const reply = await tampered({ header: { nonce } });
      refused(t, reply, 400, "badNonce", nonce.slice(0, 30));
      t.equal((await tampered({ header: { nonce: reply.headers["replay-nonce"] } })).status, 201, "the retry succeeds");
    }
  });

  t.test("R6.5-5 nonces are unpredictable base64url", async (t) => {
    const nonces = await Promise.all(
      Array.from({ length: 64 }, async () => (await acme.request(directory.newNonce)).headers["replay-nonce"]),
    );
    t.equal(new Set(nonces).size, 64);
    t.ok(nonces.every((nonce) => /^[\w-]+$/.test(String(nonce))));
    const tails = nonces.map((nonce) => Buffer.from(String(nonce), "base64url").subarray(-15));
    const ones = tails.reduce(
      (sum, tail) => sum + [...tail].reduce((bits, octet) => bits + octet.toString(2).replaceAll("0", "").length, 0),
      0,
    );
    t.ok(ones > 3500 && ones < 4180, `about half of 7680 bits are set: ${ones}`);
    const next = Buffer.from(String(nonces[0]), "base64url");
    next.writeUIntBE(next.readUIntBE(10, 6) + 1, 10, 6);
    refused(
      t,
      await tampered({ header: { nonce: base64url(next) } }),
      400,
      "badNonce",
      "the next number with this tag",
    );
  });

  t.test("R6.7-1 R6.7-4 the framework's own errors are problems too", async (t) => {
    refused(t, await acme.request(`${ca.url}/acme/nothing-here`), 404, "malformed", "404");
    refused(t, await acme.request(`${ca.url}/nothing-here`), 404, "malformed", "404 outside");
    refused(
      t,
      await acme.request(`${ca.url}/acme/order/%zz`, { method: "POST" }),
      400,
      "malformed",
      "a path that cannot be decoded",
    );
    refused(t, await tampered({ body: () => "x".repeat(50_001) }), 413, "malformed", "413");
    refused(t, await alice.post(`${ca.url}/acme/order/${"x".repeat(300)}`, {}), 400, "malformed", "a long parameter");
  });

  t.test("R6.7-2 RURI-4 nothing unregistered in the ACME namespace, and our own types elsewhere", async (t) => {
    const types = Object.values(problems).map(({ type }) => type);
    for (const type of types)
      t.ok(registeredTypes.has(type) || /^urn:mayfly:([a-z-]+:)*error:[A-Za-z]+$/.test(type), type);
  });

  t.test("R6.7-3 several bad identifiers → one subproblem each, and no identifier outside them", async (t) => {
    const identifiers = ["a..b", "good.localhost", "-x.localhost"].map((value) => ({ type: "dns", value }));
    const document = refused(t, await alice.post(directory.newOrder, { identifiers }), 400, "malformed");
    t.match(document["subproblems"], [{ identifier: identifiers[0] }, { identifier: identifiers[2] }]);
    t.equal((document["subproblems"] as unknown[]).length, 2);
  });

  t.test("rule B nothing of another account is there: 404, like what does not exist", async (t) => {
    const bob: AcmeClient = await acme.account();
    for (const url of [
      order.url,
      authorization.url,
      challenge.url,
      certificateUrl,
      alice.account,
      `${alice.account}/orders`,
    ])
      await notThere(t, await bob.postAsGet(url), url);
  });
});

async function notThere(t: Test, reply: Reply, what: string): Promise<void> {
  refused(t, reply, 404, "malformed", what.replace(/[0-9a-f-]{30,}/, "ID"));
}
