/** Revocation by operators, over REST and on the command line, on two servers with clients that go on asking. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";

import { commands } from "../../src/cli/commands.ts";
import { acmeDriver } from "../support/acmeDriver.ts";
import { attested, issued, leafOf, query, spiffeIdOf } from "../support/acmeFlows.ts";
import { runWords } from "../support/commandLine.ts";
import { inline, order } from "../support/inlineFlows.ts";
import { refused } from "../support/refused.ts";
import { replicas } from "../support/replicas.ts";

t.setTimeout(240_000);

const [one, two] = await replicas(t, {});
const { ca } = one;
const acme = await acmeDriver(t, ca);
const alice = await acme.account();
const aliceAtTwo = await two.as(alice);

type Json = Record<string, unknown>;
async function send(method: "GET" | "DELETE" | "POST", path: string, body?: object, token = ca.operatorToken) {
  const reply = await ca.authority.server.inject({
    method,
    url: `/api/v1${path}`,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { payload: body }),
  });
  return { status: reply.statusCode, location: reply.headers["location"], body: reply.json<Json>() };
}
const revoke = (by: object, more: object = {}) =>
  send("POST", "/revocations", { by, reason: "superseded", note: "a test", ...more });
const stateOf = async (spiffeId: string): Promise<string[]> => {
  const { body } = await ca.inventory(`/certificates?spiffeId=${encodeURIComponent(spiffeId)}`);
  return (body["certificates"] as { state: string }[]).map(({ state }) => state);
};

/** Waits until the action is done, which takes longer than its answer where it is large. */
async function done(id: unknown): Promise<Json> {
  for (;;) {
    const { body } = await send("GET", `/revocations/${String(id)}`);
    if (body["state"] === "done") return body;
    await pause(50);
  }
}

t.test("of an identity: a dry run first, then all of it, on both servers at once", async (t) => {
  const flow = await issued(ca, alice);
  const waiting = await attested(ca, alice, flow.subject);
  const { spiffeId } = flow;
  const dry = await revoke({ identity: spiffeId });
  t.equal(dry.status, 200);
  t.match(dry.body, {
    dryRun: true,
    kind: "identity",
    subject: spiffeId,
    reason: "superseded",
    certificates: 1,
    profiles: [{ profile: "workload", certificates: 1, uninformed: 1 }],
    withoutInformation: 1,
    serials: [/^[0-9a-f]{32}$/],
    underWay: 0,
    revokedBefore: 0,
    quarantine: true,
    blockKeys: false,
  });
  t.equal(
    dry.body["lastAcceptance"],
    dry.body["lastNotAfter"],
    "what says nothing of its revocation ends with its validity",
  );
  t.same(await stateOf(spiffeId), ["valid"]);

  const real = await revoke({ identity: spiffeId }, { dryRun: false, expectAtMost: 1 });
  t.equal(real.status, 201);
  t.equal(real.location, `${ca.url}/api/v1/revocations/${String(real.body["id"])}`);
  t.match(real.body, { state: "done", revoked: 1, createdBy: "operator", note: "a test", stops: /quarantine/ });
  t.same(await stateOf(spiffeId), ["revoked"]);
  for (const client of [alice, aliceAtTwo]) {
    const csr = waiting.key.csr({ uri: [spiffeId] });
    refused(t, await client.post(waiting.order.finalize, { csr }), 403, "unauthorized");
  }
  const [serial] = dry.body["serials"] as string[];
  t.match((await send("GET", `/revocations?certificate=${serial}`)).body, { revocations: [{ id: real.body["id"] }] });
  const { body: certificate } = await ca.inventory(`/certificates/${serial}`);
  t.match(certificate, {
    revokedBy: "operator",
    revocation: { reason: "superseded", note: "a test", action: real.body["id"] },
  });
  t.same((await revoke({ identity: spiffeId })).body["revokedBefore"], 1);
});

t.test("of a key: it is certified no more, by either way of ordering, on either server", async (t) => {
  const flow = await issued(ca, alice);
  const waiting = await attested(ca, alice);
  const digest = Buffer.from(waiting.key.spki, "base64url").toString("hex");
  const real = await revoke({ key: digest.toUpperCase() }, { dryRun: false });
  t.match(real.body, { kind: "key", subject: digest, revoked: 0, stops: "the key is blocked" });
  for (const client of [alice, aliceAtTwo])
    refused(
      t,
      await client.post(waiting.order.finalize, { csr: waiting.key.csr({ uri: [waiting.spiffeId] }) }),
      400,
      "badCSR",
    );
  const spki = Buffer.from(flow.key.spki, "base64url").toString("hex");
  t.match((await revoke({ key: spki }, { dryRun: false, reason: "keyCompromise" })).body, { revoked: 1 });
  t.same(await stateOf(flow.spiffeId), ["revoked"]);
  t.match((await send("GET", `/blocked-keys/${spki}`)).body, { reason: "keyCompromise", note: "a test" });
});

t.test("of a grant and of a source: nothing rests on them until they are resumed", async (t) => {
  for (const by of [{ grant: "development" }, { source: "dev" }]) {
    const { body: found } = await send("GET", "/grants");
    const [grant] = found["grants"] as { name: string }[];
    const asked = "grant" in by ? { grant: grant?.name } : by;
    const bob = await acme.account();
    const flow = await issued(ca, bob);
    const waiting = await attested(ca, bob);
    const real = await done((await revoke(asked, { dryRun: false })).body["id"]);
    t.ok(Number(real["revoked"]) >= 1);
    t.same(await stateOf(flow.spiffeId), ["revoked"]);
    const csr = waiting.key.csr({ uri: [waiting.spiffeId] });
    const bobAtTwo = await two.as(bob);
    for (const client of [bob, bobAtTwo]) {
      const reply = refused(t, await client.post(waiting.order.finalize, { csr }), 403, "unauthorized");
      t.match(reply, { subproblems: [{ type: "urn:mayfly:error:issuanceSuspended" }] });
    }
    refused(t, await order(bob, acme, await inline(ca, acme, bob)), 403, "unauthorized");
    const { body } = await send("GET", "/suspensions?open=true");
    const [suspension] = body["suspensions"] as { id: string }[];
    t.match(suspension, { action: real["id"], createdBy: "operator", liftedAt: null });
    t.match(await send("DELETE", `/suspensions/${suspension?.id ?? ""}`), {
      status: 200,
      body: { liftedBy: "operator" },
    });
    t.match(
      (await bobAtTwo.post(waiting.order.finalize, { csr })).json(),
      { status: "valid" },
      "the same order goes on",
    );
  }
});

t.test("of an account: it can do nothing more", async (t) => {
  const carol = await acme.account();
  const flow = await issued(ca, carol);
  const id = carol.account.slice(carol.account.lastIndexOf("/") + 1);
  t.match((await revoke({ account: id }, { dryRun: false })).body, { revoked: 1, stops: "the account is revoked" });
  t.same(await stateOf(flow.spiffeId), ["revoked"]);
  refused(t, await carol.postAsGet(flow.certificateUrl), 401, "unauthorized");
});

t.test("of one certificate, by the client too: listed in one place", async (t) => {
  const [flow, other] = [await issued(ca, alice), await issued(ca, alice)];
  const serialOf = async ({ spiffeId }: { spiffeId: string }): Promise<string> => {
    const { body } = await ca.inventory(`/certificates?spiffeId=${encodeURIComponent(spiffeId)}`);
    return (body["certificates"] as { serial: string }[])[0]?.serial ?? "";
  };
  const serial = await serialOf(flow);
  const real = await revoke({ certificate: serial }, { dryRun: false, reason: "affiliationChanged" });
  t.match(real.body, { kind: "certificate", subject: serial, revoked: 1, state: "done", stops: null });
  t.equal((await attested(ca, alice, flow.subject)).spiffeId, flow.spiffeId, "its identity goes on");
  t.equal((await revoke({ certificate: "4f".repeat(16) })).status, 400);
  t.equal((await alice.post(acme.directory.revokeCert, { certificate: leafOf(other.chain), reason: 4 })).status, 200);
  const listed = await send("GET", `/revocations?certificate=${await serialOf(other)}`);
  t.match(listed.body["revocations"], [
    { kind: "certificate", createdBy: /^account:/, reason: "superseded", revoked: 1 },
  ]);
});

t.test("a count that has grown is no reason to go on", async (t) => {
  const flow = await issued(ca, alice);
  await issued(ca, alice, flow.subject);
  const reply = await revoke({ identity: flow.spiffeId }, { dryRun: false, expectAtMost: 1 });
  t.match(reply, {
    status: 409,
    body: {
      type: "urn:mayfly:error:conflict",
      detail: /^2 certificates .* more than 1$/,
    },
  });
  t.same(await stateOf(flow.spiffeId), ["valid", "valid"]);
});

t.test("revoked while clients go on issuing: afterwards none is valid, and none can be made", async (t) => {
  const subject = randomUUID();
  const seen = { stopped: false, made: 0, refusals: 0 };
  const clients = [alice, aliceAtTwo];
  const issuing = clients.flatMap((client) =>
    Array.from({ length: 3 }, async () => {
      while (!seen.stopped) {
        const flow = await attested(ca, client, subject).catch(() => undefined);
        if (flow === undefined) {
          seen.refusals++;
          continue;
        }
        const reply = await client.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
        if (reply.status === 200) seen.made++;
        else seen.refusals++;
      }
    }),
  );
  while (seen.made < 20) await pause(20);
  const real = await revoke({ identity: spiffeIdOf(subject) }, { dryRun: false });
  const before = seen.made;
  await pause(500);
  seen.stopped = true;
  await Promise.all(issuing);
  await done(real.body["id"]);
  t.ok(seen.made - before <= clients.length * 3, "at most what was under way was answered afterwards");
  t.ok(seen.refusals > 0);
  t.same([...new Set(await stateOf(spiffeIdOf(subject)))], ["revoked"]);
  t.same(
    await query(ca, "select 1 from issuance_intent where identity_name = $1 and abandoned_at is null", [
      spiffeIdOf(subject),
    ]),
    [],
  );
});

t.test("mayfly revoke, revocations list, show and resume", async (t) => {
  const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
  const mayfly = (...words: string[]) => runWords(commands, words, { env });
  const flow = await issued(ca, alice);
  const asked = ["revoke", "--identity", flow.spiffeId, "--note", "looked into"];
  const dry = await mayfly(...asked);
  t.match(dry, { status: 0, stdout: /^This would revoke 1 certificate in force\.$/m });
  t.match(dry.stdout, /^ {2}profile workload: 1, 1 of them without a word on where/m);
  t.match(dry.stdout, /^Nothing was done: with --confirm 1 /m);
  t.match(await mayfly(...asked, "--confirm", "0"), {
    status: 1,
    stderr: /1 certificates would be revoked, which is more than 0/,
  });
  t.same(await stateOf(flow.spiffeId), ["valid"]);
  const real = await mayfly(...asked, "--confirm", "1", "--reason", "keyCompromise");
  t.match(real, { status: 0, stdout: new RegExp(`^Revocation \\S+ of identity ${flow.spiffeId}: done\\.$`, "m") });
  t.match(
    real.stdout,
    /1 certificate revoked, 1 of them without a word on where that can be learned; before: 0; caught under way: 0$/m,
  );
  t.match(real.stdout, /0 identities put in quarantine, 1 keys blocked|1 identities put in quarantine, 1 keys blocked/);
  t.same(await stateOf(flow.spiffeId), ["revoked"]);
  const [serial] = /[0-9a-f]{32}/.exec(dry.stdout) ?? [""];
  const byOpenssl = `serial=${serial.toUpperCase()}`;
  t.match((await mayfly("revoke", "--certificate", byOpenssl, "--note", "x")).stdout, /^Nothing was done/m);
  const id = /^Revocation (\S+)/.exec(real.stdout)?.[1] ?? "";
  t.match(
    (await mayfly("revocations", "list")).stdout,
    new RegExp(`^${id} .* operator +done +1 +identity +${flow.spiffeId}`, "m"),
  );
  t.match((await mayfly("revocations", "show", id)).stdout, /looked into/);
  t.match(JSON.parse((await mayfly("revocations", "show", id, "--json")).stdout), { id });
  t.match(await mayfly("revocations", "show", randomUUID()), { status: 1, stderr: /no such revocation/ });

  const source = await mayfly("revoke", "--source", "dev", "--note", "x", "--yes");
  t.match(source.stdout, /the source is suspended since/);
  const suspended = await mayfly("revocations", "list", "--suspensions");
  const suspension = /^(\S+) +\S+Z +source +dev/m.exec(suspended.stdout)?.[1] ?? "";
  t.match((await mayfly("revocations", "resume", suspension)).stdout, /^Lifted at \S+Z: source dev\.$/m);
  t.match(await mayfly("revocations", "resume", randomUUID()), { status: 1 });

  for (const words of [
    ["--note", "x"],
    ["--identity", "a", "--key", "00".repeat(32), "--note", "x"],
    ["--identity", "a"],
    ["--identity", "a", "--note", "x", "--yes", "--confirm", "1"],
    ["--identity", "a", "--note", "x", "--confirm", "many"],
    ["--task", "a", "--note", "x"],
    ["--identity", "a", "--delegation-source", "idp", "--note", "x"],
    ["--issuer", "default", "--note", "x"],
    ["--account", "a", "--note", "x"],
    ["--key", "00", "--note", "x"],
    ["--certificate", "leaf.pem", "--note", "x"],
  ])
    t.equal((await mayfly("revoke", ...words)).status, 2, words.join(" "));
  t.match(await mayfly("revoke", "--source", "deb", "--note", "x", "--yes"), {
    status: 1,
    stderr: /by\.source: no source/,
  });
});

t.test("bad requests, pages, and nobody without the token", async (t) => {
  const identity = spiffeIdOf("nobody");
  const bad: [object, RegExp | undefined][] = [
    [{}, undefined],
    [{ by: {}, reason: "superseded", note: "x" }, undefined],
    [{ by: { identity, key: "00".repeat(32) }, reason: "superseded", note: "x" }, undefined],
    [{ by: { everything: true }, reason: "superseded", note: "x" }, undefined],
    [{ by: { identity }, reason: "superseded", note: "x" }, /by\.identity: no identity has this name/],
    [{ by: { account: randomUUID() }, reason: "superseded", note: "x" }, /by\.account: there is no such account/],
    [{ by: { issuer: randomUUID() }, reason: "superseded", note: "x" }, /by\.issuer: there is no such issuer/],
    [{ by: { grant: "no-such" }, reason: "superseded", note: "x" }, /by\.grant: no grant/],
    [{ by: { source: "no-such" }, reason: "superseded", note: "x" }, /by\.source: no source/],
    [{ by: { source: "../x" }, reason: "superseded", note: "x" }, /by\.source must be the ref of a source of evidence/],
    [{ by: { certificate: "xyz" }, reason: "superseded", note: "x" }, /serial/],
    [{ by: { key: "00" }, reason: "superseded", note: "x" }, /by\.key must be SHA-256 in hexadecimal, 64 digits/],
    [{ by: { key: "00".repeat(32) }, reason: "superseded", note: "a\nb" }, /note must be one line of text/],
    [{ by: { task: "a" }, reason: "superseded", note: "x" }, undefined],
    [
      { by: { task: { source: "idp", name: "a" } }, reason: "superseded", note: "x" },
      /no delegation source has this ref/,
    ],
    [{ by: { key: "00".repeat(32) }, reason: "superseded" }, undefined],
    [{ by: { key: "00".repeat(32) }, reason: 4, note: "x" }, undefined],
    [{ by: { key: "00".repeat(32) }, reason: "certificateHold", note: "x" }, undefined],
    [{ by: { key: "00".repeat(32) }, reason: "removeFromCRL", note: "x" }, undefined],
    [{ by: { key: "00".repeat(32) }, reason: "superseded", note: "a\nb" }, undefined],
    [{ by: { key: "00".repeat(32) }, reason: "superseded", note: "x".repeat(1001) }, undefined],
    [{ by: { key: "00".repeat(32) }, reason: "superseded", note: "x", blockKeys: false }, /^blockKeys: /],
    [{ by: { key: "00".repeat(32) }, reason: "superseded", note: "x", expectAtMost: -1 }, undefined],
    [{ by: { key: "00".repeat(32) }, reason: "superseded", note: "x", dryRun: "no" }, undefined],
    [{ by: { key: "00".repeat(32) }, reason: "superseded", note: "x", more: 1 }, undefined],
  ];
  const before = (await query(ca, "select count(*)::int as n from revocation_action"))[0];
  for (const [body, detail] of bad) {
    const reply = await send("POST", "/revocations", { dryRun: false, ...body });
    t.equal(reply.status, 400, JSON.stringify(body).slice(0, 120));
    t.equal(reply.body["type"], "urn:mayfly:error:invalidRequest");
    if (detail !== undefined) t.match(reply.body["detail"], detail);
  }
  t.same((await query(ca, "select count(*)::int as n from revocation_action"))[0], before, "and nothing was begun");

  for (const path of ["/x", `/${randomUUID()}`]) {
    t.equal((await send("GET", `/revocations${path}`)).status, 404);
    t.equal((await send("DELETE", `/suspensions${path}`)).status, 404);
  }
  for (const search of ["?kind=x", "?state=x", "?limit=0", "?limit=1001", "?cursor=x", "?certificate=zz", "?more=1"])
    t.equal((await send("GET", `/revocations${search}`)).status, 400, search);

  const seen: string[] = [];
  for (let cursor: string | undefined = ""; cursor !== undefined;) {
    const page: Json = (await send("GET", `/revocations?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`)).body;
    seen.push(...(page["revocations"] as { id: string }[]).map(({ id }) => id));
    cursor = page["next"] as string | undefined;
  }
  t.ok(seen.length >= 6);
  t.same(seen, [...new Set(seen)].sort().toReversed(), "newest first");
  const { body: accounts } = await send("GET", "/revocations?kind=account");
  t.same(
    (accounts["revocations"] as { kind: string }[]).map(({ kind }) => kind),
    ["account"],
  );

  for (const [method, path] of [
    ["GET", "/revocations"],
    ["POST", "/revocations"],
    ["GET", `/revocations/${randomUUID()}`],
    ["GET", "/suspensions"],
    ["DELETE", `/suspensions/${randomUUID()}`],
  ] as const)
    t.equal((await send(method, path, method === "POST" ? {} : undefined, "no")).status, 401, `${method} ${path}`);
});
