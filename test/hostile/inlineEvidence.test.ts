/** Orders that come with their evidence (H-25, WA rules 1 to 8): whatever challenge and finalize refuse is refused here, and makes nothing. */
import { createHash, createPublicKey, generateKeyPairSync, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import { acmeDriver, clientKey, dns, flattened, uri, type AcmeClient, type Reply } from "../support/acmeDriver.ts";
import {
  audienceOf,
  certificateKey,
  certificateIdOf,
  craftedToken,
  idOf,
  query,
  spiffeIdOf,
  type Attesting,
} from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { binding, externalKey } from "../support/externalAccounts.ts";
import { boundTo, inline, order, type Inline } from "../support/inlineFlows.ts";
import { insides, refused } from "../support/refused.ts";
import { tokenIssuer } from "../support/tokenIssuer.ts";
import { listen } from "../support/validationTargets.ts";

t.setTimeout(120_000);

t.test("orders that come with their evidence", async (t) => {
  const clock = { offsetMs: 0 };
  const away = createServer((_, response) => void response.writeHead(500).end());
  const awayPort = await listen(t, away);
  const platform = await tokenIssuer(t, "https://platform.example");
  const folder = t.testdir();
  const jwksFile = join(folder, "jwks.json");
  await writeFile(jwksFile, platform.jwks);
  const grant = { minBinding: "bearer", profile: "workload" };
  const ca = await certificateAuthority(t, {
    now: () => new Date(Date.now() + clock.offsetMs),
    configuration: {
      attestation: {
        sources: [
          { ref: "away", format: "jwt", issuer: "https://away.example", jwksUrl: `http://127.0.0.1:${awayPort}/` },
          { ref: "once", format: "k8s", issuer: platform.issuer, jwksFile, pinning: { mode: "strict" } },
          { ref: "vouching", format: "atc", issuer: platform.issuer, jwksFile },
        ],
      },
      grants: [
        { ...grant, name: "away", spiffeId: "spiffe://mayfly.localhost/away/{sub}", source: "away" },
        { ...grant, name: "pods", spiffeId: "spiffe://mayfly.localhost/pods/{serviceAccount}", source: "once" },
        {
          ...grant,
          name: "vouched",
          spiffeId: "spiffe://mayfly.localhost/vouched/{path2}",
          source: "vouching",
          minBinding: "key",
        },
      ],
      acme: { rateLimits: { pauseAfterFailures: 3, failedValidationsPerIdentifierBurst: 100 } },
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const bob = await acme.account();
  const now = Math.floor(Date.now() / 1000);
  const made = async (client: AcmeClient): Promise<Record<string, unknown> | undefined> => {
    const [row] = await query(
      ca,
      `select (select count(*)::int from acme_order where account_id = $1) as orders, (select count(*)::int from acme_authorization where account_id = $1) as authorizations,
              (select count(*)::int from evidence_use) as used, (select count(*)::int from issuance_intent) as intents, (select count(*)::int from certificate) as certificates`,
      [idOf(client.account)],
    );
    return row;
  };
  /** Asserts that it was refused for this reason, with an audit entry, and that nothing was made. */
  const evidenceRefused = async (
    t: Test,
    act: () => Promise<Reply>,
    reason: string,
    client = alice,
    what = reason,
  ): Promise<void> => {
    const before = await made(client);
    const document = refused(t, await act(), 400, "badAttestationStatement", what);
    t.match(document, {
      instance: /^urn:uuid:/,
      subproblems: [{ type: `urn:mayfly:workload-attest:error:${reason}`, identifier: { type: "uri" } }],
    });
    t.same(await made(client), before, `${what}: nothing was made or used up`);
    const [entry] = await query(
      ca,
      "select actor, detail from audit_entry where event = 'evidence.refused' and detail->'error'->>'instance' = $1",
      [document["instance"]],
    );
    t.match(
      entry,
      { actor: `account:${idOf(client.account)}`, detail: { identifier: /^spiffe:/, challenge: "workload-attest-01" } },
      `${what}: the audit log has it`,
    );
  };
  const resumed = (): Promise<unknown> => query(ca, "delete from validation_failure");
  const crafted = (one: Inline, claims: object, header?: object): Promise<string> =>
    craftedToken(
      ca,
      { subject: one.subject, boundAudience: one.boundAudience } as unknown as Attesting,
      { ...claims },
      { ...header },
    );
  const withToken = (value: string) => ({ evidence: [{ format: "jwt", ref: "dev", value }] });
  const good = (client = alice, subject?: string): Promise<Inline> => inline(ca, acme, client, subject);

  t.test("good evidence is a valid order with its certificate", async (t) => {
    const one = await good();
    const reply = await order(alice, acme, one);
    t.equal(reply.status, 201, reply.text);
    t.match(reply.json(), { status: "valid", certificateChain: /^-----BEGIN CERTIFICATE-----/ });
  });

  t.test("H-25b H-25c H-25d bad tokens: each with the reason that the challenge gives", async (t) => {
    const audience = audienceOf(ca);
    for (const [what, reason, claims, header] of [
      ["another server's audience", "evidenceInvalid", { aud: "https://other.example/wa" }],
      ["bound to nothing we know", "bindingMismatch", { aud: `${audience}/${"A".repeat(43)}` }],
      ["expired", "evidenceExpired", { iat: now - 600, exp: now - 31 }],
      ["another issuer", "evidenceInvalid", { iss: "https://other.example" }],
      ["another subject", "identityNotDerived", { sub: "somebody-else" }],
      ["alg none", "evidenceInvalid", {}, { alg: "none" }],
    ] as const) {
      const one = await good();
      const value = await crafted(one, claims, header);
      await evidenceRefused(t, () => order(alice, acme, one, withToken(value)), reason, alice, what);
    }
  });

  t.test("H-25a evidence bound to another nonce, account, key, or to a challenge → bindingMismatch", async (t) => {
    const other = await good();
    await evidenceRefused(
      t,
      async () => order(alice, acme, { ...other, nonce: await acme.nonce() }),
      "bindingMismatch",
      alice,
      "another nonce",
    );
    const ofAlice = await good();
    await evidenceRefused(t, () => order(bob, acme, ofAlice), "bindingMismatch", bob, "another account");
    const one = await good();
    const csr = certificateKey().csr({ uri: [one.spiffeId] });
    await evidenceRefused(
      t,
      () => order(alice, acme, one, { csr }),
      "bindingMismatch",
      alice,
      "another key in the CSR",
    );
    const open = await alice.newOrder(uri(one.spiffeId));
    const [challenge] = (await alice.readAuthorization(open.authorizations[0])).challenges;
    const fresh = await good(alice, one.subject);
    const aud = `${audienceOf(ca)}/${boundTo(challenge?.token ?? "", alice.key, fresh.key)}`;
    const value = await crafted(fresh, { aud });
    await evidenceRefused(
      t,
      () => order(alice, acme, fresh, withToken(value)),
      "bindingMismatch",
      alice,
      "a challenge's token",
    );
  });

  t.test(
    "H-06a the request again, to the byte, or with the nonce of another request → badNonce, and no second certificate",
    async (t) => {
      const one = await good();
      t.equal((await order(alice, acme, one)).status, 201);
      refused(t, await order(alice, acme, one), 400, "badNonce");
      const { body } = await ca.inventory(`/certificates?spiffeId=${encodeURIComponent(one.spiffeId)}`);
      t.match(body["certificates"], { length: 1 });
    },
  );

  t.test("H-25a a bearer token is used once: here, there, and in whichever order", async (t) => {
    const subject = randomUUID();
    const token = await ca.devToken(subject, audienceOf(ca));
    const [one, two] = [await good(alice, subject), await good(bob, subject)];
    t.equal((await order(alice, acme, one, withToken(token))).status, 201);
    await evidenceRefused(
      t,
      () => order(bob, acme, two, withToken(token)),
      "evidenceReplayed",
      bob,
      "by another account",
    );
    const open = await alice.newOrder(uri(one.spiffeId));
    const [challenge] = (await alice.readAuthorization(open.authorizations[0])).challenges;
    const reply = await alice.post(challenge?.url ?? "", { spki: one.key.spki, ...withToken(token) });
    t.match(reply.text, "evidenceReplayed", "at a challenge");
  });

  t.test("H-25a 100 parallel orders with one bearer token → exactly one wins", async (t) => {
    const subject = randomUUID();
    const token = await ca.devToken(subject, audienceOf(ca));
    const carols = await Promise.all(Array.from({ length: 100 }, () => acme.account()));
    const all = await Promise.all(carols.map(async (client) => ({ client, one: await good(client, subject) })));
    const replies = await Promise.all(all.map(({ client, one }) => order(client, acme, one, withToken(token))));
    t.equal(replies.filter(({ status }) => status === 201).length, 1);
    t.equal(replies.filter(({ text }) => text.includes("evidenceReplayed")).length, 99);
    const [row] = await query(
      ca,
      "select (select count(*)::int from acme_order where identifiers @> $1) as orders, (select count(*)::int from certificate where spiffe_id = $2) as certificates",
      [JSON.stringify([uri(spiffeIdOf(subject))]), spiffeIdOf(subject)],
    );
    t.same(row, { orders: 1, certificates: 1 });
  });

  t.test("one token twice in one order → evidenceReplayed; two tokens, one bad → that one's reason", async (t) => {
    const one = await good();
    const [item] = one.payload.evidence;
    await evidenceRefused(t, () => order(alice, acme, one, { evidence: [item, item] }), "evidenceReplayed");
    const two = await good();
    const bad = { ...item, value: await crafted(two, { exp: now - 100, iat: now - 200 }) };
    await evidenceRefused(
      t,
      () => order(alice, acme, two, { evidence: [...two.payload.evidence, bad] }),
      "evidenceExpired",
    );
  });

  t.test("H-25c sources that there are not, formats that they do not take", async (t) => {
    for (const [format, ref, reason] of [
      ["jwt", "nobody", "sourceNotConfigured"],
      ["jwt", "__proto__", "sourceNotConfigured"],
      ["k8s", "dev", "formatNotAccepted"],
      ["atc", "vouching", "formatNotAccepted"],
    ] as const) {
      const one = await good();
      await evidenceRefused(
        t,
        () => order(alice, acme, one, { evidence: [{ ...one.payload.evidence[0], format, ref }] }),
        reason,
        alice,
        `${format} ${ref}`,
      );
    }
  });

  t.test("members of the wrong shape → malformed or badCSR, before any evidence is looked at", async (t) => {
    const before = await made(alice);
    const { payload, key, spiffeId } = await good();
    const [item] = payload.evidence;
    const other = certificateKey();
    const rsa1024 = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const wrong: readonly (readonly [string, object, string])[] = [
      ["evidence null", { evidence: null }, "malformed"],
      ["evidence an object", { evidence: item }, "malformed"],
      ["evidence text", { evidence: item?.value }, "malformed"],
      ["an empty list", { evidence: [] }, "malformed"],
      ["five items", { evidence: [item, item, item, item, item] }, "malformed"],
      ["an item null", { evidence: [null] }, "malformed"],
      ["a value over 64 KiB", { evidence: [{ ...item, value: "a".repeat(65_537) }] }, "malformed"],
      ["endorsements a list", { evidence: [{ ...item, endorsements: [] }] }, "malformed"],
      ["endorsements over 256 KiB", { evidence: [{ ...item, endorsements: { a: "x".repeat(262_145) } }] }, "malformed"],
      ["no csr", { csr: undefined }, "malformed"],
      ["csr null", { csr: null }, "malformed"],
      ["csr a list", { csr: [payload.csr] }, "malformed"],
      ["csr with padding", { csr: `${String(payload.csr)}=` }, "malformed"],
      ["csr in PEM", { csr: "-----BEGIN CERTIFICATE REQUEST-----" }, "malformed"],
      ["csr of no octets", { csr: "" }, "badCSR"],
      ["csr garbage", { csr: Buffer.from("garbage").toString("base64url") }, "badCSR"],
      ["csr cut short", { csr: String(payload.csr).slice(0, 200) }, "badCSR"],
      ["csr over 16 KiB", { csr: Buffer.alloc(16_385, 0x30).toString("base64url") }, "badCSR"],
      ["csr with a broken signature", { csr: `${String(payload.csr).slice(0, -8)}AAAAAAAA` }, "badCSR"],
      ["csr without names", { csr: key.csr({}) }, "badCSR"],
      ["csr for another identity", { csr: key.csr({ uri: [spiffeIdOf("other")] }) }, "badCSR"],
      ["csr for two", { csr: key.csr({ uri: [spiffeId, spiffeIdOf("other")] }) }, "badCSR"],
      ["csr with a name beside it", { csr: key.csr({ uri: [spiffeId], dns: ["a.localhost"] }) }, "badCSR"],
      ["csr with a weak key", { csr: certificateKey(rsa1024).csr({ uri: [spiffeId] }) }, "badCSR"],
      ["a name beside the identity", { identifiers: [uri(spiffeId), dns("a.localhost")] }, "malformed"],
      ["two identities", { identifiers: [uri(spiffeId), uri(spiffeIdOf("other"))] }, "malformed"],
      ["a name alone", { identifiers: [dns("a.localhost")], csr: other.csr({ dns: ["a.localhost"] }) }, "malformed"],
      ["no identifier", { identifiers: [] }, "malformed"],
      ["an identity of another domain", { identifiers: [uri("spiffe://other.example/a")] }, "rejectedIdentifier"],
      ["a profile that there is not", { profile: "none" }, "invalidProfile"],
      ["notAfter text", { notAfter: "soon" }, "malformed"],
      ["notAfter too late", { notAfter: new Date(Date.now() + 10 * 86_400_000).toISOString() }, "malformed"],
      ["replaces garbage", { replaces: "x" }, "malformed"],
    ];
    for (const [what, changes, type] of wrong)
      refused(t, await order(alice, acme, { nonce: await acme.nonce(), payload }, changes), 400, type, what);
    t.same(await made(alice), before, "nothing was made or used up");
    t.same(
      await query(ca, "select 1 from validation_failure where account_id = $1 and identifier_value = $2", [
        idOf(alice.account),
        spiffeId,
      ]),
      [],
      "no failure of the evidence",
    );
  });

  t.test("csr without evidence is an unknown member: a plain order", async (t) => {
    const one = await good();
    const reply = await order(alice, acme, one, { evidence: undefined });
    t.match(reply.json(), { status: "pending" });
    t.notOk("certificateChain" in reply.json());
  });

  t.test(
    "a plain order may be as large as any request, one with evidence larger, and none larger than that",
    async (t) => {
      const one = await good();
      const plain = { identifiers: [uri(one.spiffeId)], padding: "x".repeat(60_000) };
      refused(t, await alice.post(acme.directory.newOrder, plain), 413, "malformed", "plain");
      const many = Object.fromEntries(Array.from({ length: 4 }, (_, n) => [`e${n}`, "x".repeat(60_000)]));
      const evidence = [{ ...one.payload.evidence[0], endorsements: many }];
      t.equal((await order(alice, acme, one, { evidence })).status, 201, "evidence");
      refused(
        t,
        await order(alice, acme, { ...one, nonce: await acme.nonce() }, { padding: "x".repeat(1_048_576) }),
        413,
        "malformed",
        "too much",
      );
    },
  );

  t.test(
    "R11.1-1 H-16a the certificate's key is some account's, or was, or is blocked; the account's is blocked",
    async (t) => {
      const carol = await acme.account();
      const before = await made(carol);
      const asKey = ({ privateKey }: AcmeClient["key"]) => certificateKey({ privateKey });
      const block = (digest: string): Promise<unknown> =>
        query(ca, "insert into blocked_key (spki_sha256, reason, blocked_by) values ($1, 'operator', 'test')", [
          Buffer.from(digest, "base64url"),
        ]);
      const subject = randomUUID();
      for (const [what, key] of [
        ["its own", asKey(carol.key)],
        ["another account's", asKey(bob.key)],
      ] as const)
        refused(t, await order(carol, acme, await inline(ca, acme, carol, subject, key)), 400, "badCSR", what);
      const blocked = certificateKey();
      await block(blocked.spki);
      t.match(
        refused(t, await order(carol, acme, await inline(ca, acme, carol, subject, blocked)), 400, "badCSR", "blocked")[
          "detail"
        ],
        /blocked/,
      );
      t.same(await made(carol), before, "nothing was made or used up");

      const former = carol.key;
      const next = clientKey();
      const { keyChange } = acme.directory;
      const inner = flattened(
        next,
        { alg: next.alg, jwk: next.jwk, url: keyChange },
        { account: carol.account, oldKey: former.jwk },
      );
      const stale = await good(carol);
      t.equal((await carol.post(keyChange, inner)).status, 200);
      refused(t, await order(carol, acme, stale), 400, "malformed", "R7.3.5-3 signed with the former key");
      carol.useKey(next);
      refused(
        t,
        await order(carol, acme, await inline(ca, acme, carol, subject, asKey(former))),
        400,
        "badCSR",
        "a former one",
      );
      const aged = { ...(await good(carol)), payload: stale.payload };
      await evidenceRefused(t, () => order(carol, acme, aged), "bindingMismatch", carol, "B of the former key");

      await block(
        createHash("sha256")
          .update(createPublicKey(next.privateKey).export({ type: "spki", format: "der" }))
          .digest("base64url"),
      );
      refused(t, await order(carol, acme, await good(carol)), 400, "badPublicKey", "the account's");
      const wrong = await good(carol);
      refused(
        t,
        await order(carol, acme, wrong, withToken("x")),
        400,
        "badPublicKey",
        "the account's, with bad evidence",
      );
    },
  );

  t.test("H-01b the account is deactivated → unauthorized, whatever the evidence; nothing is used up", async (t) => {
    const carol = await acme.account();
    const [one, two] = [await good(carol), await good(carol)];
    await carol.post(carol.account, { status: "deactivated" });
    const before = await made(carol);
    refused(t, await order(carol, acme, one), 401, "unauthorized");
    refused(t, await order(carol, acme, two, withToken("x")), 401, "unauthorized", "bad evidence");
    t.same(await made(carol), before);
  });

  t.test("H-24 failures count, pause, and a success ends them", async (t) => {
    const subject = randomUUID();
    const failures = (client: AcmeClient) =>
      query(
        ca,
        "select failures, paused_at is not null as paused from validation_failure where account_id = $1 and identifier_value = $2",
        [idOf(client.account), spiffeIdOf(subject)],
      );
    const fail = async (client: AcmeClient): Promise<Reply> =>
      order(client, acme, await good(client, subject), withToken("x"));
    for (let n = 0; n < 2; n++) await evidenceRefused(t, () => fail(alice), "evidenceMalformed");
    t.same(await failures(alice), [{ failures: 2, paused: false }]);
    t.equal((await order(alice, acme, await good(alice, subject))).status, 201);
    t.same(await failures(alice), [], "a success begins a new row");
    for (let n = 0; n < 3; n++) await evidenceRefused(t, () => fail(alice), "evidenceMalformed");
    t.same(await failures(alice), [{ failures: 3, paused: true }]);
    const before = await made(alice);
    t.match(
      refused(t, await order(alice, acme, await good(alice, subject)), 429, "rateLimited", "good evidence")["detail"],
      /paused/,
    );
    refused(t, await fail(alice), 429, "rateLimited", "bad evidence");
    t.same(await made(alice), before);
    t.same(await failures(alice), [{ failures: 3, paused: true }], "what is paused is not counted");
    t.equal((await order(bob, acme, await good(bob, subject))).status, 201, "another account");
    t.same(
      await query(ca, "select detail from audit_entry where event = 'identifier.paused' and subject = $1", [
        `account:${idOf(alice.account)}`,
      ]),
      [{ detail: { type: "uri", value: spiffeIdOf(subject), failures: 3 } }],
    );
    await resumed();
  });

  t.test(
    "WA 4 an instance that belongs to another account → instancePinned, and the evidence is not used up",
    async (t) => {
      const value = (): string => platform.mintProjected(audienceOf(ca), { namespace: "shop", name: "cart" });
      const asked = async (token = value()) => {
        const key = certificateKey();
        const id = "spiffe://mayfly.localhost/pods/cart";
        return {
          nonce: await acme.nonce(),
          payload: {
            identifiers: [uri(id)],
            csr: key.csr({ uri: [id] }),
            evidence: [{ format: "k8s", ref: "once", value: token }],
          },
        };
      };
      t.equal((await order(alice, acme, await asked())).status, 201);
      const token = value();
      await evidenceRefused(t, async () => order(bob, acme, await asked(token)), "instancePinned", bob);
      t.equal((await order(alice, acme, await asked(token))).status, 201, "its own account");
    },
  );

  t.test("WA 7 a source that is away → 503 with Retry-After, nothing made, nothing counted", async (t) => {
    const before = await made(alice);
    const id = "spiffe://mayfly.localhost/away/agent";
    const key = certificateKey();
    const one = await good();
    const value = await crafted(one, { iss: "https://away.example", sub: "agent" });
    const reply = await order(alice, acme, {
      nonce: await acme.nonce(),
      payload: {
        identifiers: [uri(id)],
        csr: key.csr({ uri: [id] }),
        evidence: [{ format: "jwt", ref: "away", value }],
      },
    });
    refused(t, reply, 503, "serverInternal");
    t.match(reply.headers["retry-after"], /^\d+$/);
    t.same(await made(alice), before);
    t.same(await query(ca, "select 1 from validation_failure where identifier_value = $1", [id]), []);
  });

  t.test("an authority token as evidence: bound to the account, and to the key that its cnf fixes", async (t) => {
    const id = "spiffe://mayfly.localhost/vouched/job";
    const fingerprint = (client: AcmeClient): string =>
      `SHA256 ${Buffer.from(client.key.thumbprint, "base64url").toString("hex").toUpperCase().match(/../g)?.join(":")}`;
    const vouch = (client: AcmeClient, more: object = {}): string =>
      platform.mint({ atc: { tktype: "uri", tkvalue: id, fingerprint: fingerprint(client) }, ...more });
    const asked = async (value: string, key = certificateKey()) => ({
      nonce: await acme.nonce(),
      payload: {
        identifiers: [uri(id)],
        csr: key.csr({ uri: [id] }),
        evidence: [{ format: "atc", ref: "vouching", value }],
      },
    });
    t.equal((await order(alice, acme, await asked(vouch(alice)))).status, 201);
    await evidenceRefused(t, async () => order(bob, acme, await asked(vouch(alice))), "bindingMismatch", bob);
    const fixed = certificateKey();
    const { crv, kty, x, y } = fixed.privateKey.export({ format: "jwk" });
    const jkt = createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
    const before = await made(alice);
    const token = vouch(alice, { cnf: { jkt } });
    refused(t, await order(alice, acme, await asked(token)), 400, "badCSR", "another key than its cnf's");
    t.same(await made(alice), before, "and the token is not used up");
    t.equal((await order(alice, acme, await asked(token, fixed))).status, 201);
  });

  t.test("external accounts get what they may have, inline too", async (t) => {
    const key = await externalKey(ca, { identifiers: { spiffe: ["spiffe://mayfly.localhost/dev/mine"] } });
    const carol = acme.client();
    await carol.register({ externalAccountBinding: binding(acme, carol, key) });
    refused(t, await order(carol, acme, await good(carol, "other")), 400, "rejectedIdentifier");
    t.equal((await order(carol, acme, await good(carol, "mine"))).status, 201);
  });

  t.test("R9773-5 R9773-6 R9773-7 replaces: once, one's own, of the same identity", async (t) => {
    const first = await good();
    const predecessor = (await order(alice, acme, first)).json();
    const chain = String(predecessor["certificateChain"]);
    const id = certificateIdOf(chain);
    const wrong = await good(alice);
    refused(t, await order(alice, acme, wrong, { replaces: id }), 400, "malformed", "another identity");
    refused(
      t,
      await order(bob, acme, await good(bob, first.subject), { replaces: id }),
      404,
      "malformed",
      "another's certificate",
    );
    const reply = await order(alice, acme, await good(alice, first.subject), { replaces: id });
    t.match(reply.json(), { status: "valid", replaces: id });
    const [row] = await query(ca, "select encode(replaces, 'hex') as replaces from certificate where serial = $1", [
      Buffer.from(idOf(String(reply.json()["certificate"])), "hex"),
    ]);
    t.equal(row?.["replaces"], idOf(String(predecessor["certificate"])), "recorded as its successor");
    const before = await made(alice);
    refused(
      t,
      await order(alice, acme, await good(alice, first.subject), { replaces: id }),
      409,
      "alreadyReplaced",
      "again",
    );
    t.same(await made(alice), before);
  });

  t.test("an identity in quarantine gets nothing, whatever the evidence; nothing is used up", async (t) => {
    const one = await good();
    const [bad, later] = [await good(alice, one.subject), await good(alice, one.subject)];
    const values = [one.spiffeId, "a test", "operator"];
    await query(ca, "insert into quarantine (identity, reason, created_by) values ($1, $2, $3)", values);
    const before = await made(alice);
    const held = { subproblems: [{ type: "urn:mayfly:error:identityQuarantined" }] };
    t.match(refused(t, await order(alice, acme, one), 403, "unauthorized"), held);
    t.match(refused(t, await order(alice, acme, bad, withToken("x")), 403, "unauthorized", "bad evidence"), held);
    t.same(await made(alice), before);
    await query(ca, "update quarantine set lifted_at = now() where identity = $1", [one.spiffeId]);
    t.equal((await order(alice, acme, later)).status, 201, "lifted");
  });

  t.test("no reply shows our insides, or the evidence", async (t) => {
    for (const value of ["x", "....", ".".repeat(60_000), "bm90anNvbg.e30.AAAA", "a".repeat(65_536)]) {
      const one = await good();
      const reply = await order(alice, acme, one, withToken(value));
      t.notMatch(reply.text, insides);
      if (value.length > 8) t.notOk(reply.text.includes(value));
    }
  });
});
