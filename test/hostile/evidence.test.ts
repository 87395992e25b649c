/** Evidence that must not do (H-25, WA rules 1 to 8): each kind refused with its own reason, and the order with it. */
import { generateKeyPairSync } from "node:crypto";
import t from "tap";
import { testKey } from "../attestation/testIssuer.ts";
import { acmeDriver, clientKey, flattened, uri } from "../support/acmeDriver.ts";
import {
  attested,
  attesting,
  audienceOf,
  bindingOf,
  certificateKey,
  craftedToken,
  respond,
  spiffeIdOf,
} from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { evidenceRefused, refused } from "../support/refused.ts";

t.test("evidence", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const bob = await acme.account();
  const now = Math.floor(Date.now() / 1000);
  const audience = audienceOf(ca);

  const badTokens: readonly {
    readonly what: string;
    readonly reason: string;
    readonly claims?: Readonly<Record<string, unknown>>;
    readonly header?: Readonly<Record<string, unknown>>;
  }[] = [
    { what: "H-25b another server's audience", reason: "evidenceInvalid", claims: { aud: "https://other.example/wa" } },
    {
      what: "H-25b our audience and another's",
      reason: "evidenceInvalid",
      claims: { aud: [audience, "https://other.example"] },
    },
    {
      what: "H-25b an audience that only begins like ours",
      reason: "evidenceInvalid",
      claims: { aud: `${audience}x` },
    },
    { what: "H-25b no audience", reason: "evidenceInvalid", claims: { aud: undefined } },
    {
      what: "H-25a bound to another challenge, account or key",
      reason: "bindingMismatch",
      claims: { aud: `${audience}/${"A".repeat(43)}` },
    },
    { what: "H-25a an empty binding", reason: "bindingMismatch", claims: { aud: `${audience}/` } },
    { what: "H-25b expired", reason: "evidenceExpired", claims: { iat: now - 600, exp: now - 31 } },
    { what: "H-25b without an end", reason: "evidenceInvalid", claims: { exp: undefined } },
    { what: "H-25b with an end that is text", reason: "evidenceInvalid", claims: { exp: String(now + 300) } },
    { what: "H-25b not yet valid", reason: "evidenceInvalid", claims: { nbf: now + 90 } },
    { what: "H-25b from the future", reason: "evidenceInvalid", claims: { iat: now + 90, exp: now + 390 } },
    { what: "H-25b issued too long ago", reason: "evidenceExpired", claims: { iat: now - 4000, exp: now + 300 } },
    { what: "H-25c another issuer", reason: "evidenceInvalid", claims: { iss: "https://other.example" } },
    { what: "H-25d another subject", reason: "identityNotDerived", claims: { sub: "somebody-else" } },
    { what: "H-25d no subject", reason: "identityNotDerived", claims: { sub: undefined } },
    { what: "H-25d a subject that climbs", reason: "identityNotDerived", claims: { sub: "../admin" } },
    { what: "H-25d a subject with a slash", reason: "identityNotDerived", claims: { sub: "a/b" } },
    { what: "H-25d a subject with look-alike letters", reason: "identityNotDerived", claims: { sub: "рayments" } },
    { what: "H-25c alg none", reason: "evidenceInvalid", header: { alg: "none" } },
    { what: "H-25c a MAC", reason: "evidenceInvalid", header: { alg: "HS256" } },
    { what: "H-25c jku at the attacker", reason: "evidenceInvalid", header: { jku: "https://attacker.example/jwks" } },
    { what: "H-25c x5u at the attacker", reason: "evidenceInvalid", header: { x5u: "https://attacker.example/x5u" } },
    { what: "H-25c its own key", reason: "evidenceInvalid", header: { jwk: testKey("own").jwk } },
    { what: "H-25c a kid that is a path", reason: "evidenceInvalid", header: { kid: "../../../../etc/passwd" } },
    { what: "H-25c a kid that is SQL", reason: "evidenceInvalid", header: { kid: "' or 1=1 --" } },
    { what: "H-25c crit", reason: "evidenceInvalid", header: { crit: ["b64"], b64: false } },
  ];
  for (const { what, reason, claims, header } of badTokens) {
    t.test(`RDA-3 ${what} → ${reason}`, async (t) => {
      const flow = await attesting(ca, alice);
      evidenceRefused(t, await respond(flow, await craftedToken(ca, flow, claims, header)), reason);
      t.equal(
        (await alice.readAuthorization(flow.authorization.url)).status,
        "invalid",
        "rule 7: the authorization too",
      );
      const order = await alice.postAsGet(flow.order.url);
      t.match(order.json(), { status: "invalid", error: { status: 400 } }, "rule 7: and the order, with the reason");
      refused(
        t,
        await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) }),
        403,
        "orderNotReady",
      );
    });
  }

  t.test("H-25c a token by a key of the attacker's, under the real key's id → evidenceInvalid", async (t) => {
    const flow = await attesting(ca, alice);
    const { kid } = JSON.parse(
      Buffer.from((await craftedToken(ca, flow)).split(".")[0] ?? "", "base64url").toString(),
    ) as { kid: string };
    evidenceRefused(t, await respond(flow, await craftedToken(ca, flow, {}, {}, testKey(kid))), "evidenceInvalid");
  });

  t.test(
    "H-25c the token of an unknown source → sourceNotConfigured, of another format → formatNotAccepted",
    async (t) => {
      for (const [format, ref, reason] of [
        ["jwt", "nobody", "sourceNotConfigured"],
        ["jwt", "__proto__", "sourceNotConfigured"],
        ["k8s", "dev", "formatNotAccepted"],
      ] as const) {
        const flow = await attesting(ca, alice);
        const value = await ca.devToken(flow.subject, flow.boundAudience);
        const reply = await alice.post(flow.challenge.url, { spki: flow.key.spki, evidence: [{ format, ref, value }] });
        evidenceRefused(t, reply, reason, `${format} ${ref}`);
      }
    },
  );

  t.test("H-25a a bound token is of no use for another key, account or challenge → bindingMismatch", async (t) => {
    const otherKey = await attesting(ca, alice);
    const token = await ca.devToken(otherKey.subject, otherKey.boundAudience);
    evidenceRefused(t, await respond(otherKey, token, certificateKey().spki), "bindingMismatch", "another key");

    const ofAlice = await attesting(ca, alice);
    const ofBob = await attesting(ca, bob, ofAlice.subject);
    const stolen = await ca.devToken(ofAlice.subject, ofAlice.boundAudience);
    evidenceRefused(t, await respond(ofBob, stolen, ofAlice.key.spki), "bindingMismatch", "another account");

    const earlier = await attesting(ca, alice);
    const later = await attesting(ca, alice, earlier.subject);
    const old = await ca.devToken(earlier.subject, earlier.boundAudience);
    evidenceRefused(t, await respond(later, old, earlier.key.spki), "bindingMismatch", "an older challenge");
  });

  t.test(
    "H-25a a token is used once: by the same account, by another, after a failure → evidenceReplayed",
    async (t) => {
      const first = await attesting(ca, alice);
      const token = await ca.devToken(first.subject, audience);
      t.equal((await respond(first, token)).json()["status"], "valid", "the first use counts");
      evidenceRefused(
        t,
        await respond(await attesting(ca, alice, first.subject), token),
        "evidenceReplayed",
        "same account",
      );
      evidenceRefused(
        t,
        await respond(await attesting(ca, bob, first.subject), token),
        "evidenceReplayed",
        "another account",
      );
      const again = await respond(first, token);
      t.equal(
        again.json()["status"],
        "valid",
        "a repeat at the same challenge shows the outcome, as after a lost reply",
      );
    },
  );

  t.test("H-25a one jti in two tokens is one use", async (t) => {
    const [one, two] = [await attesting(ca, alice), await attesting(ca, alice)];
    t.equal((await respond(one, await craftedToken(ca, one, { jti: "same" }))).json()["status"], "valid");
    evidenceRefused(t, await respond(two, await craftedToken(ca, two, { jti: "same" })), "evidenceReplayed");
  });

  t.test("H-25a the same signed text with the other ECDSA signature is the same evidence", async (t) => {
    const flow = await attesting(ca, alice);
    const token = await craftedToken(ca, flow, { aud: audience, jti: undefined });
    t.equal((await respond(flow, token)).json()["status"], "valid");
    const [header, payload, signature = ""] = token.split(".");
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const raw = Buffer.from(signature, "base64url");
    const s = order - BigInt(`0x${raw.subarray(32).toString("hex")}`);
    const twin = Buffer.concat([raw.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex")]);
    const replay = [header, payload, twin.toString("base64url")].join(".");
    evidenceRefused(t, await respond(await attesting(ca, bob, flow.subject), replay), "evidenceReplayed");
  });

  t.test("H-25a 100 parallel uses of one bearer token → exactly one wins", async (t) => {
    const subject = "worker-7";
    const flows = await Promise.all(
      Array.from({ length: 100 }, (_, n) => attesting(ca, n % 2 === 0 ? alice : bob, subject)),
    );
    const token = await ca.devToken(subject, audience);
    const replies = await Promise.all(flows.map((flow) => respond(flow, token)));
    const statuses = replies.map((reply) => reply.json()["status"]);
    t.equal(statuses.filter((status) => status === "valid").length, 1, "one is valid");
    const losers = replies.filter((_, n) => statuses[n] !== "valid");
    t.equal(losers.length, 99);
    t.ok(
      losers.every(({ text }) => text.includes("evidenceReplayed")),
      "the others are told why",
    );
    const orders = await Promise.all(flows.map(({ alice: owner, order }) => owner.readOrder(order.url)));
    t.equal(orders.filter(({ status }) => status === "ready").length, 1, "one order is ready");
    t.equal(orders.filter(({ status }) => status === "invalid").length, 99, "the others are invalid");
  });

  t.test("H-25a many tokens at one challenge at the same time → one outcome", async (t) => {
    const flow = await attesting(ca, alice);
    const tokens = await Promise.all(Array.from({ length: 10 }, () => ca.devToken(flow.subject, flow.boundAudience)));
    const replies = await Promise.all(tokens.map((token) => respond(flow, token)));
    t.same([...new Set(replies.map((reply) => reply.json()["status"]))], ["valid"]);
    t.equal((await alice.readOrder(flow.order.url)).status, "ready");
  });

  t.test(
    "RDA-4 finalize with another key than the evidence vouched for → badCSR, and the order stays ready",
    async (t) => {
      const { order, spiffeId, key } = await attested(ca, alice);
      const other = refused(
        t,
        await alice.post(order.finalize, { csr: certificateKey().csr({ uri: [spiffeId] }) }),
        400,
        "badCSR",
      );
      t.match(other["detail"], /evidence vouched/, "its own reason");
      t.equal((await alice.readOrder(order.url)).status, "ready");
      t.equal(
        (await alice.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) })).status,
        200,
        "the committed key does",
      );
    },
  );

  t.test("RDA-4 finalize with another URI, none or two → badCSR, and the order stays ready", async (t) => {
    const { order, spiffeId, key } = await attested(ca, alice);
    for (const uris of [
      [spiffeIdOf("somebody-else")],
      [],
      [spiffeId, spiffeIdOf("second")],
      [spiffeId, spiffeId],
      [spiffeId.toUpperCase()],
    ]) {
      const reply = await alice.post(order.finalize, { csr: key.csr({ uri: uris }) });
      t.notMatch(
        refused(t, reply, 400, "badCSR", uris.join(" ") || "none")["detail"],
        /evidence vouched/,
        "its own reason",
      );
    }
    t.equal((await alice.readOrder(order.url)).status, "ready");
    t.equal((await alice.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) })).status, 200);
  });

  t.test("WA 8 one certificate per attested authorization", async (t) => {
    const { order, spiffeId, key } = await attested(ca, alice);
    const csr = key.csr({ uri: [spiffeId] });
    t.equal((await alice.post(order.finalize, { csr })).status, 200);
    refused(t, await alice.post(order.finalize, { csr }), 403, "orderNotReady");
    t.equal((await alice.newOrder(uri(spiffeId))).status, "pending", "a new order wants fresh evidence");
  });

  t.test("R7.5.1-2 a response of the wrong shape → malformed, and the challenge stays pending", async (t) => {
    const flow = await attesting(ca, alice);
    const value = await ca.devToken(flow.subject, flow.boundAudience);
    const item = { format: "jwt", ref: "dev", value };
    const { spki } = flow.key;
    const wrong: readonly (readonly [string, unknown])[] = [
      ["no members", {}],
      ["no spki", { evidence: [item] }],
      ["spki with padding", { spki: `${spki}=`, evidence: [item] }],
      ["spki of 31 octets", { spki: "A".repeat(42), evidence: [item] }],
      ["spki in hexadecimal", { spki: Buffer.from(spki, "base64url").toString("hex"), evidence: [item] }],
      ["spki a number", { spki: 7, evidence: [item] }],
      ["no evidence", { spki }],
      ["an empty list", { spki, evidence: [] }],
      ["five items", { spki, evidence: [item, item, item, item, item] }],
      ["evidence an object", { spki, evidence: item }],
      ["an item that is text", { spki, evidence: [value] }],
      ["an item that is null", { spki, evidence: [null] }],
      ["no format", { spki, evidence: [{ ...item, format: undefined }] }],
      ["ref a list", { spki, evidence: [{ ...item, ref: ["dev"] }] }],
      ["value empty", { spki, evidence: [{ ...item, value: "" }] }],
      ["value over 64 KiB", { spki, evidence: [{ ...item, value: "a".repeat(65_537) }] }],
      ["ref over 64 characters", { spki, evidence: [{ ...item, ref: "r".repeat(65) }] }],
    ];
    for (const [what, payload] of wrong)
      refused(t, await alice.post(flow.challenge.url, payload), 400, "malformed", what);
    t.equal((await alice.readAuthorization(flow.authorization.url)).status, "pending");
    const reply = await alice.post(flow.challenge.url, { spki, evidence: [{ ...item, more: 1 }], more: { a: [] } });
    t.equal(reply.json()["status"], "valid", "unknown members are ignored, and the token was not used up");
  });

  t.test("a malformed token in a well-formed response → evidenceMalformed", async (t) => {
    for (const value of ["x", "a.b", "....", ".".repeat(60_000), "bm90anNvbg.e30.AAAA"]) {
      evidenceRefused(t, await respond(await attesting(ca, alice), value), "evidenceMalformed", value.slice(0, 20));
    }
  });

  t.test("two items, one of them bad: every item must verify", async (t) => {
    const flow = await attesting(ca, alice);
    const value = await ca.devToken(flow.subject, flow.boundAudience);
    const bad = await craftedToken(ca, flow, { exp: now - 100, iat: now - 200 });
    const items = [value, bad].map((token) => ({ format: "jwt", ref: "dev", value: token }));
    evidenceRefused(
      t,
      await alice.post(flow.challenge.url, { spki: flow.key.spki, evidence: items }),
      "evidenceExpired",
    );
  });

  t.test("one token twice in one response → evidenceReplayed", async (t) => {
    const flow = await attesting(ca, alice);
    const item = { format: "jwt", ref: "dev", value: await ca.devToken(flow.subject, flow.boundAudience) };
    evidenceRefused(
      t,
      await alice.post(flow.challenge.url, { spki: flow.key.spki, evidence: [item, item] }),
      "evidenceReplayed",
    );
  });

  t.test(
    "R7.3.5-3 the binding follows the account's key: B of the old key is worth nothing after keyChange",
    async (t) => {
      const carol = await acme.account();
      const flow = await attesting(ca, carol);
      const token = await ca.devToken(flow.subject, flow.boundAudience);
      const next = clientKey("EdDSA");
      const { keyChange } = acme.directory;
      const inner = flattened(
        next,
        { alg: next.alg, jwk: next.jwk, url: keyChange },
        { account: carol.account, oldKey: carol.key.jwk },
      );
      t.equal((await carol.post(keyChange, inner)).status, 200);
      carol.useKey(next);
      t.not(bindingOf(flow.challenge, next, flow.key.spki), flow.boundAudience.split("/").at(-1));
      evidenceRefused(t, await respond(flow, token), "bindingMismatch");
    },
  );

  t.test("H-25b an RSA key of the attacker's cannot be slipped in by alg confusion", async (t) => {
    const flow = await attesting(ca, alice);
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const key = { kid: "dev", alg: "RS256", privateKey, jwk: {} };
    evidenceRefused(t, await respond(flow, await craftedToken(ca, flow, {}, {}, key)), "evidenceInvalid");
  });
});
