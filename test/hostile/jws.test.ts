/** Attacks on signature, nonce and account (H-04 to H-09), and on what belongs to others (H-01, H-02, H-03, H-23). */
import { createHmac, createPublicKey } from "node:crypto";
import t from "tap";
import { ecdsaSigValue } from "../../src/x509/ecdsaSigValue.ts";
import {
  acmeDriver,
  base64url,
  clientKey,
  dns,
  flattened,
  uri,
  type AcmeClient,
  type Overrides,
  type Reply,
} from "../support/acmeDriver.ts";
import {
  attested,
  attesting,
  certificateKey,
  idOf,
  issued,
  leafOf,
  query,
  respond,
  spiffeIdOf,
} from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";

const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const nobody = "00000000-0000-7000-8000-000000000000";

/** Everything of a reply that could tell one refusal from another. */
const shape = ({ status, headers, text }: Reply): unknown => ({ status, text, names: Object.keys(headers).sort() });

t.test("signatures, nonces, accounts", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;
  const [alice, bob] = [await acme.account(), await acme.account()];
  const tampered = (overrides: Overrides): Promise<Reply> => alice.postAsGet(alice.account, overrides);

  t.test("H-04a HS256 with the public key's octets as the secret → badSignatureAlgorithm", async (t) => {
    const publicKey = createPublicKey(alice.key.privateKey);
    for (const secret of [
      publicKey.export({ type: "spki", format: "der" }),
      publicKey.export({ type: "spki", format: "pem" }),
      JSON.stringify(alice.key.jwk),
    ]) {
      const body = (right: string): string => {
        const jws = JSON.parse(right) as { protected: string; payload: string };
        return JSON.stringify({
          ...jws,
          signature: createHmac("sha256", secret).update(`${jws.protected}.${jws.payload}`).digest("base64url"),
        });
      };
      refused(t, await tampered({ header: { alg: "HS256" }, body }), 400, "badSignatureAlgorithm");
    }
  });

  t.test("H-04b private members are refused, x5c is never a source of keys", async (t) => {
    const client = acme.client();
    const all = client.key.privateKey.export({ format: "jwk" });
    refused(t, await client.register({}, { header: { jwk: all } }), 400, "malformed", "the private key");
    for (const member of ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
      refused(
        t,
        await client.register({}, { header: { jwk: { ...client.key.jwk, [member]: "AA" } } }),
        400,
        "malformed",
        member,
      );
    const mallory = clientKey();
    const withX5c = {
      ...client.key.jwk,
      x5c: ["AAAA"],
      x5u: "https://attacker.example",
      kid: mallory.thumbprint,
      use: "enc",
      key_ops: ["sign"],
    };
    refused(
      t,
      await client.register({}, { header: { jwk: withX5c }, key: mallory }),
      400,
      "malformed",
      "signed by another key",
    );
    refused(
      t,
      await client.register(
        {},
        { header: { jwk: client.key.jwk, x5c: ["AAAA"], jku: "https://attacker.example" }, key: mallory },
      ),
      400,
      "malformed",
      "the header's x5c",
    );
    t.equal((await client.register({}, { header: { jwk: withX5c } })).status, 201, "extra members change nothing");
    t.equal((await client.register({ onlyReturnExisting: true })).status, 200, "nor the account");
  });

  t.test("H-04c members twice, at every level → malformed", async (t) => {
    const double = (text: string, member: string): string =>
      text.replace(`"${member}":`, `"${member}":"x","${member}":`);
    for (const member of ["protected", "payload", "signature"])
      refused(t, await tampered({ body: (right) => double(right, member) }), 400, "malformed", member);
    const header = { alg: "ES256", kid: alice.account, nonce: await acme.nonce(), url: alice.account };
    for (const member of ["alg", "kid", "nonce", "url"])
      refused(
        t,
        await tampered({ protected: base64url(double(JSON.stringify(header), member)) }),
        400,
        "malformed",
        member,
      );
    const escaped = JSON.stringify(header).replace('{"alg"', '{"\\u0061lg":"none","alg"');
    refused(t, await tampered({ protected: base64url(escaped) }), 400, "malformed", "escaped");
    const payload = base64url('{"identifiers":[{"type":"dns","type":"uri","value":"a"}]}');
    refused(t, await alice.post(directory.newOrder, {}, { payload }), 400, "malformed", "in the payload");
  });

  t.test(
    "H-04d ECDSA signatures as DER, with zero or too large halves, cut or long → malformed; high s is allowed",
    async (t) => {
      const zero = Buffer.alloc(32);
      const full = Buffer.alloc(32, 255);
      const order = Buffer.from(p256Order.toString(16), "hex");
      const bad: [string, (right: Buffer) => Buffer][] = [
        ["DER", ecdsaSigValue],
        ["r zero", (right) => Buffer.concat([zero, right.subarray(32)])],
        ["s zero", (right) => Buffer.concat([right.subarray(0, 32), zero])],
        ["both zero", () => Buffer.alloc(64)],
        ["r = n", (right) => Buffer.concat([order, right.subarray(32)])],
        ["s too large", (right) => Buffer.concat([right.subarray(0, 32), full])],
        ["cut", (right) => right.subarray(0, 63)],
        ["long", (right) => Buffer.concat([right, Buffer.of(0)])],
        ["none", () => Buffer.alloc(0)],
        ["huge", () => Buffer.alloc(20_000, 1)],
      ];
      for (const [what, spoil] of bad)
        refused(t, await tampered({ signature: (right) => base64url(spoil(right)) }), 400, "malformed", what);
      const highS = (right: Buffer): string => {
        const s = (p256Order - BigInt(`0x${right.subarray(32).toString("hex")}`)).toString(16).padStart(64, "0");
        return base64url(Buffer.concat([right.subarray(0, 32), Buffer.from(s, "hex")]));
      };
      t.equal((await tampered({ signature: highS })).status, 200, "the other s");
    },
  );

  t.test("H-04e H-05 another's kid, or a jwk with another key's signature: like any bad signature", async (t) => {
    const broken = await tampered({ signature: () => base64url(Buffer.alloc(64, 1)) });
    t.same(shape(await tampered({ header: { kid: bob.account } })), shape(broken), "Bob's kid");
    const client = acme.client();
    t.same(
      shape(await client.register({}, { key: clientKey(), header: { jwk: client.key.jwk } })),
      shape(broken),
      "Bob's signature",
    );
    refused(t, broken, 400, "malformed");
  });

  t.test("H-05 requests in flight while their account's key changes: afterwards only the new key counts", async (t) => {
    for (let round = 0; round < 3; round++) {
      const carol = await acme.account();
      const next = clientKey();
      const { keyChange } = directory;
      const inner = flattened(
        next,
        { alg: next.alg, jwk: next.jwk, url: keyChange },
        { account: carol.account, oldKey: carol.key.jwk },
      );
      const inFlight = Array.from({ length: 6 }, () => carol.postAsGet(carol.account));
      const [changed, ...rest] = await Promise.all([carol.post(keyChange, inner), ...inFlight]);
      t.equal(changed.status, 200);
      t.ok(rest.every(({ status }) => status === 200 || status === 400));
      refused(t, await carol.postAsGet(carol.account), 400, "malformed", "the old key");
      t.equal((await carol.postAsGet(carol.account, { key: next })).status, 200, "the new key");
    }
  });

  t.test("H-06a 300 parallel uses of one nonce → exactly one success", async (t) => {
    const nonce = await acme.nonce();
    const replies = await Promise.all(Array.from({ length: 300 }, () => tampered({ header: { nonce } })));
    t.equal(replies.filter(({ status }) => status === 200).length, 1);
    t.ok(replies.filter(({ status }) => status !== 200).every(({ text }) => text.includes("badNonce")));
  });

  t.test("H-06b the nonce of another server → badNonce, and the retry works", async (t) => {
    const other = await certificateAuthority(t);
    const foreign = await (await acmeDriver(t, other)).nonce();
    const reply = await tampered({ header: { nonce: foreign } });
    refused(t, reply, 400, "badNonce");
    t.equal((await tampered({ header: { nonce: reply.headers["replay-nonce"] } })).status, 200);
    const stranger = await (await acmeDriver(t, other)).account();
    refused(
      t,
      await acme.client(stranger.key).postAsGet(alice.account, { header: { kid: stranger.account }, by: "kid" }),
      400,
      "malformed",
      "H-03 another server's account",
    );
  });

  t.test("H-06c a flood of bad signatures spends no nonce", async (t) => {
    const nonce = await acme.nonce();
    const bad = { header: { nonce }, signature: () => base64url(Buffer.alloc(64, 1)) };
    const replies = await Promise.all(Array.from({ length: 200 }, () => tampered(bad)));
    t.ok(replies.every(({ status }) => status === 400));
    t.equal((await tampered({ header: { nonce } })).status, 200);
  });

  t.test("H-07 a request that was signed for another resource → unauthorized", async (t) => {
    const [one, two] = [await attested(ca, alice), await attested(ca, alice)];
    const csr = one.key.csr({ uri: [one.spiffeId] });
    refused(
      t,
      await alice.post(two.order.finalize, { csr }, { header: { url: one.order.finalize } }),
      403,
      "unauthorized",
    );
    refused(
      t,
      await alice.post(one.order.finalize, { csr }, { header: { url: one.order.finalize.replace("https", "http") } }),
      403,
      "unauthorized",
    );
    refused(
      t,
      await alice.post(
        one.order.finalize,
        { csr },
        { header: { url: one.order.finalize.replace("localhost", "127.0.0.1") } },
      ),
      403,
      "unauthorized",
    );
    t.equal((await alice.readOrder(one.order.url)).status, "ready");
  });

  t.test(
    "R10.5-1 H-01a H-23 every URL the server hands out, asked by another account: as if it did not exist",
    async (t) => {
      const { order, authorization, challenge, certificateUrl, key, spiffeId } = await issued(ca, alice);
      const waiting = await attesting(ca, alice);
      const owned: [string, unknown][] = [
        [order.url, undefined],
        [order.finalize, { csr: key.csr({ uri: [spiffeId] }) }],
        [waiting.order.finalize, { csr: key.csr({ uri: [spiffeId] }) }],
        [authorization.url, undefined],
        [waiting.authorization.url, { status: "deactivated" }],
        [challenge.url, undefined],
        [
          waiting.challenge.url,
          {
            spki: waiting.key.spki,
            evidence: [{ format: "jwt", ref: "dev", value: await ca.devToken(waiting.subject, waiting.boundAudience) }],
          },
        ],
        [certificateUrl, undefined],
        [alice.account, undefined],
        [alice.account, { status: "deactivated" }],
        [alice.account, { contact: ["mailto:bob@example.com"] }],
        [`${alice.account}/orders`, undefined],
      ];
      for (const [url, payload] of owned) {
        const id = /[0-9a-f-]{36}|[0-9a-f]{18,40}/.exec(url)?.[0] ?? "";
        const absent = url.replace(id, id.includes("-") ? nobody : "ab".repeat(16));
        const [theirs, none] = [await bob.post(url, payload), await bob.post(absent, payload)];
        refused(t, theirs, 404, "malformed", url.slice(ca.url.length, ca.url.length + 16));
        t.same(shape(theirs), shape(none), "not yours and not there look the same");
      }
      t.equal((await alice.readAuthorization(waiting.authorization.url)).status, "pending", "and nothing changed");
      t.equal((await alice.readOrder(order.url)).status, "valid");
      t.equal(
        (await respond(waiting, await ca.devToken(waiting.subject, waiting.boundAudience))).json()["status"],
        "valid",
        "nor was evidence used up",
      );
    },
  );

  t.test("H-01c the same with an unknown account, with jwk, with GET", async (t) => {
    const { order, authorization, challenge, certificateUrl } = await issued(ca, alice);
    const stranger = acme.client();
    for (const url of [
      order.url,
      order.finalize,
      authorization.url,
      challenge.url,
      certificateUrl,
      alice.account,
      `${alice.account}/orders`,
    ]) {
      const kid = `${ca.url}/acme/account/${nobody}`;
      refused(
        t,
        await stranger.postAsGet(url, { by: "kid", header: { kid } }),
        400,
        "accountDoesNotExist",
        "an unknown account",
      );
      refused(t, await stranger.postAsGet(url), 400, "malformed", "jwk");
      refused(t, await acme.request(url), 405, "malformed", "GET");
    }
  });

  t.test("R10.5-1 H-23 ids are not to be guessed", async (t) => {
    const orders = await Promise.all(Array.from({ length: 30 }, () => alice.newOrder(dns("a.localhost"))));
    const random = orders.map(({ url }) => idOf(url).slice(14));
    t.equal(new Set(random).size, 30);
    t.ok(
      random.every((text) => /^7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(text)),
      "UUIDv7, random behind its time",
    );
    for (const id of [
      "1",
      "..",
      "%2e%2e",
      "' or '1'='1",
      nobody.toUpperCase().replaceAll("0", "A"),
      `${nobody} `,
      `{${nobody}}`,
      nobody.replaceAll("-", ""),
    ])
      refused(t, await alice.postAsGet(`${ca.url}/acme/order/${encodeURIComponent(id)}`), 404, "malformed", id);
  });

  t.test("H-02 an order whose authorizations are another account's is never issued", async (t) => {
    const spiffeId = spiffeIdOf("stolen");
    const mine = await attesting(ca, alice, "stolen");
    const theirs = await attested(ca, bob, "stolen");
    await query(
      ca,
      "update acme_order set status = 'ready', authorizations_pending = 0, authorization_ids = array[$2::uuid] where id = $1",
      [idOf(mine.order.url), idOf(theirs.authorization.url)],
    );
    refused(
      t,
      await alice.post(mine.order.finalize, { csr: theirs.key.csr({ uri: [spiffeId] }) }),
      403,
      "orderNotReady",
    );
    const issuedRows = await query(ca, "select serial from certificate where spiffe_id = $1", [spiffeId]);
    t.equal(issuedRows.length, 0);
  });

  t.test("H-02 an account gains nothing by what another one proved", async (t) => {
    const { spiffeId } = await attested(ca, bob);
    const order = await alice.newOrder(uri(spiffeId));
    t.equal(order.status, "pending");
    t.equal((await alice.readAuthorization(order.authorizations[0])).status, "pending");
  });

  t.test("H-03 the operator's token is nothing to ACME, and an ACME key nothing to REST", async (t) => {
    const authorization = `Bearer ${ca.operatorToken}`;
    refused(t, await acme.request(alice.account, { headers: { authorization } }), 405, "malformed");
    refused(
      t,
      await tampered({ signature: () => base64url(Buffer.alloc(64, 1)), headers: { authorization } }),
      400,
      "malformed",
    );
    const tokens = [
      await ca.devToken("x", "y"),
      alice.key.thumbprint,
      idOf(alice.account),
      "",
      ca.operatorToken.slice(0, -1),
      `${ca.operatorToken}x`,
    ];
    for (const token of tokens) {
      const reply = await acme.request(`${ca.url}/api/v1/certificates`, {
        headers: { authorization: `Bearer ${token}` },
      });
      t.equal(reply.status, 401);
      t.notMatch(reply.text, ca.operatorToken);
    }
    const evidence = await attesting(ca, alice);
    t.equal((await respond(evidence, ca.operatorToken)).json()["status"], "invalid", "nor is it evidence");
  });

  t.test("H-03 RPROF-6 an identity is given under the grant's profile only", async (t) => {
    const order = (profile: string) => alice.post(directory.newOrder, { identifiers: [uri(spiffeIdOf("x"))], profile });
    refused(t, await order("server"), 400, "invalidProfile");
    t.equal((await order("workload")).status, 201);
    refused(
      t,
      await alice.post(directory.newOrder, { identifiers: [dns("a.localhost")], profile: "workload" }),
      400,
      "invalidProfile",
    );
    const moved = await attested(ca, alice);
    await query(ca, "update acme_order set profile = 'server' where id = $1", [idOf(moved.order.url)]);
    refused(
      t,
      await alice.post(moved.order.finalize, { csr: moved.key.csr({ uri: [moved.spiffeId] }) }),
      400,
      "invalidProfile",
      "RPROF-5 the pinned hash",
    );
  });

  t.test("H-26 http-01 for a SPIFFE ID is neither offered nor accepted", async (t) => {
    const { authorization, challenge, order } = await attesting(ca, alice);
    for (const type of ["http-01", "dns-01", "tls-alpn-01", "HTTP-01", "tkauth-01", "device-attest-01"])
      refused(t, await alice.post(challenge.url.replace("workload-attest-01", type), {}), 404, "malformed", type);
    const forged = JSON.stringify([{ type: "http-01", token: "x", status: "valid" }]);
    await query(ca, "update acme_authorization set status = 'valid', challenges = $2 where id = $1", [
      idOf(authorization.url),
      forged,
    ]);
    await query(ca, "update acme_order set status = 'ready', authorizations_pending = 0 where id = $1", [
      idOf(order.url),
    ]);
    refused(
      t,
      await alice.post(order.finalize, { csr: certificateKey().csr({ uri: [spiffeIdOf("x")] }) }),
      400,
      "badCSR",
      "even where the database says so",
    );
  });

  t.test("RDA-5 evidence is nowhere in the database", async (t) => {
    const flow = await attesting(ca, alice);
    const token = await ca.devToken(flow.subject, flow.boundAudience);
    await respond(flow, token);
    await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
    const signature = token.split(".")[2] ?? "";
    const tables = await query(ca, "select table_name from information_schema.tables where table_schema = 'public'");
    t.ok(tables.length > 5);
    for (const { table_name: table } of tables) {
      const [row] = await query(
        ca,
        `select count(*)::int as hits from "${String(table)}" x where to_jsonb(x)::text like '%' || $1 || '%'`,
        [signature],
      );
      t.equal(row?.["hits"], 0, String(table));
    }
  });

  t.test("R7.6-1 H-20a a certificate of another account is not revoked by whoever has a copy", async (t) => {
    const { chain } = await issued(ca, alice);
    refused(t, await bob.post(directory.revokeCert, { certificate: leafOf(chain) }), 403, "unauthorized");
    const mallory: AcmeClient = acme.client();
    refused(t, await mallory.post(directory.revokeCert, { certificate: leafOf(chain) }), 403, "unauthorized");
  });
});
