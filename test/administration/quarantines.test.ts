/** An identity in quarantine gets nothing, on any server, from the moment at which it is put there. */
import { randomUUID } from "node:crypto";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { acmeDriver, dns, uri } from "../support/acmeDriver.ts";
import { attested, certificateKey, http01Target, issued, query, spiffeIdOf, validate } from "../support/acmeFlows.ts";
import { runWords } from "../support/commandLine.ts";
import { refused } from "../support/refused.ts";
import { replicas } from "../support/replicas.ts";

t.test("quarantine", async (t) => {
  const target = await http01Target(t);
  const [one, two] = await replicas(t, { configuration: { validation: { http01Port: target.port } } });
  const { ca } = one;
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const send = (method: "GET" | "DELETE" | "POST", path: string, body?: object, token = ca.operatorToken) =>
    ca.authority.server.inject({
      method,
      url: `/api/v1/quarantines${path}`,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { payload: body }),
    });
  const quarantined = { subproblems: [{ type: "urn:mayfly:error:identityQuarantined" }] };
  const idIn = (reply: { json(): unknown }): string => (reply.json() as { id: string }).id;

  t.test(
    "newOrder and finalize are refused at once on the other server too; lifted, the same order goes on",
    async (t) => {
      const flow = await attested(ca, alice);
      const untouched = await attested(ca, alice);
      const made = await send("POST", "", { spiffeId: flow.spiffeId, reason: "strange traffic" });
      t.equal(made.statusCode, 201);
      t.equal(made.headers["location"], `${ca.url}/api/v1/quarantines/${idIn(made)}`);
      t.match(made.json(), {
        identity: flow.spiffeId,
        reason: "strange traffic",
        createdBy: "operator",
        liftedAt: null,
      });
      const again = await send("POST", "", { spiffeId: flow.spiffeId, reason: "another" });
      t.equal(again.statusCode, 200, "once is enough");
      t.match(again.json(), { id: idIn(made), reason: "strange traffic" });

      const elsewhere = await two.as(alice);
      const csr = flow.key.csr({ uri: [flow.spiffeId] });
      for (const client of [alice, elsewhere]) {
        t.match(refused(t, await client.post(flow.order.finalize, { csr }), 403, "unauthorized"), quarantined);
        const order = await client.post(acme.directory.newOrder, { identifiers: [uri(flow.spiffeId)] });
        t.match(refused(t, order, 403, "unauthorized"), quarantined);
      }
      t.match((await alice.readOrder(flow.order.url)).status, "ready", "the order waits");
      const left = await query(ca, "select 1 from issuance_intent where identity_name = $1", [flow.spiffeId]);
      t.equal(left.length, 0, "and nothing was begun");
      const other = await alice.post(untouched.order.finalize, {
        csr: untouched.key.csr({ uri: [untouched.spiffeId] }),
      });
      t.match(other.json(), { status: "valid" }, "other identities are none of its business");

      const lifted = await send("DELETE", `/${idIn(made)}`);
      t.match(lifted.json(), { liftedBy: "operator", liftedAt: /Z$/ });
      t.same((await send("DELETE", `/${idIn(made)}`)).json(), lifted.json(), "once");
      t.match((await elsewhere.post(flow.order.finalize, { csr })).json(), { status: "valid" });
      const audit = await query(
        ca,
        "select event, actor from audit_entry where subject = $1 and event like 'identity.%' order by id",
        [`identity:${flow.spiffeId}`],
      );
      t.same(
        audit,
        ["identity.quarantined", "identity.released"].map((event) => ({ event, actor: "operator" })),
      );
    },
  );

  t.test("it revokes nothing", async (t) => {
    const flow = await issued(ca, alice);
    await send("POST", "", { spiffeId: flow.spiffeId, reason: "x" });
    t.equal((await alice.postAsGet(flow.certificateUrl)).status, 200);
    t.equal((await query(ca, "select 1 from revocation")).length, 0);
  });

  t.test("a set of names is quarantined as that set, in whatever order it is written", async (t) => {
    const [a, b] = [`a-${randomUUID()}.localhost`, `b-${randomUUID()}.localhost`];
    const order = await alice.newOrder(dns(b), dns(a));
    await validate(target, alice, order);
    const made = await send("POST", "", { dns: [b.toUpperCase(), a], reason: "x" });
    t.match(made.json(), { identity: `${a},${b}` });
    const both = await alice.post(acme.directory.newOrder, { identifiers: [dns(a), dns(b)] });
    t.match(refused(t, both, 403, "unauthorized"), quarantined);
    const csr = certificateKey().csr({ dns: [a, b] });
    t.match(refused(t, await alice.post(order.finalize, { csr }), 403, "unauthorized"), quarantined);
    t.equal((await alice.post(acme.directory.newOrder, { identifiers: [dns(a)] })).status, 201, "another set is not");
  });

  t.test("of a hundred finalizes beside a quarantine none is issued that began after it", async (t) => {
    const subject = randomUUID();
    const flows = await Promise.all(Array.from({ length: 20 }, () => attested(ca, alice, subject)));
    const elsewhere = await two.as(alice);
    const finalize = async (flow: (typeof flows)[number], client = alice): Promise<string> => {
      const reply = await client.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
      return reply.status === 200 ? "issued" : String(reply.status);
    };
    const early = flows.slice(0, 10).map((flow, i) => finalize(flow, i % 2 ? alice : elsewhere));
    const made = await send("POST", "", { spiffeId: spiffeIdOf(subject), reason: "x" });
    const late = await Promise.all(flows.slice(10).map((flow, i) => finalize(flow, i % 2 ? alice : elsewhere)));
    t.equal(made.statusCode, 201);
    t.same(new Set(late), new Set(["403"]));
    const issuedEarly = (await Promise.all(early)).filter((outcome) => outcome === "issued").length;
    const [row] = await query(ca, "select count(*)::int as n from certificate where spiffe_id = $1", [
      spiffeIdOf(subject),
    ]);
    t.same(row, { n: issuedEarly });
  });

  t.test("mayfly quarantine create, list and lift", async (t) => {
    const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
    const mayfly = (...words: string[]) => runWords(commands, ["quarantine", ...words], { env });
    const spiffeId = spiffeIdOf(randomUUID());
    const made = await mayfly("create", "--spiffe-id", spiffeId, "--reason", "looked into");
    t.match(made.stdout, new RegExp(`^Quarantine \\d+: nothing is issued to ${spiffeId}\\.$`, "m"));
    const id = /\d+/.exec(made.stdout)?.[0] ?? "";
    t.match(
      (await mayfly("list", "--open")).stdout,
      new RegExp(`^${id} +\\S+Z +operator +holds +${spiffeId} +looked into$`, "m"),
    );
    t.match(JSON.parse((await mayfly("list", "--identity", spiffeId, "--json")).stdout), { id });
    t.match((await mayfly("lift", "--id", id)).stdout, new RegExp(`^Lifted at \\S+Z: ${spiffeId}\\.$`, "m"));
    t.notMatch((await mayfly("list", "--open")).stdout, spiffeId);
    t.match((await mayfly("list")).stdout, new RegExp(`^${id} .* lifted +${spiffeId}`, "m"));
    t.match(await mayfly("create", "--reason", "x"), { status: 2, stderr: /--spiffe-id, or --dns/ });
    t.match(await mayfly("lift", "--id", "999999"), { status: 1, stderr: /no such quarantine/ });
    t.match(
      (await mayfly("create", "--dns", "c.localhost", "--ip", "127.0.0.9", "--reason", "x")).stdout,
      /127\.0\.0\.9,c\.localhost/,
    );
  });

  t.test("bad requests, pages", async (t) => {
    const spiffeId = spiffeIdOf("bad");
    for (const body of [
      {},
      { reason: "x" },
      { spiffeId },
      { reason: "", spiffeId },
      { reason: "a\nb", spiffeId },
      { reason: "x", spiffeId, dns: ["a.example"] },
      { reason: "x", spiffeId: "spiffe://example.org" },
      { reason: "x", spiffeId: "https://example.org/a" },
      { reason: "x", dns: [] },
      { reason: "x", dns: ["a b"] },
      { reason: "x", ip: ["127.1"] },
      { reason: "x", ip: ["10.0.0.0/8"] },
      { reason: "x", spiffeId, more: 1 },
    ])
      t.equal((await send("POST", "", body)).statusCode, 400, JSON.stringify(body));
    for (const path of ["/0", "/x", "/-1", "/99999999999999999999", "/999999"]) {
      t.equal((await send("GET", path)).statusCode, 404, path);
      t.equal((await send("DELETE", path)).statusCode, 404, path);
    }
    for (const bad of ["?cursor=x", "?open=1", "?limit=0"]) t.equal((await send("GET", bad)).statusCode, 400, bad);
    const seen: number[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined;) {
      const page: { quarantines: { id: string }[]; next?: string } = (
        await send("GET", `?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`)
      ).json();
      seen.push(...page.quarantines.map(({ id }) => Number(id)));
      cursor = page.next;
    }
    t.ok(seen.length >= 5);
    t.same(
      seen,
      [...new Set(seen)].sort((x, y) => y - x),
      "newest first",
    );
    for (const [method, path] of [
      ["GET", ""],
      ["GET", "/1"],
      ["DELETE", "/1"],
      ["POST", ""],
    ] as const)
      t.equal(
        (await send(method, path, method === "POST" ? { spiffeId, reason: "x" } : undefined, "no")).statusCode,
        401,
      );
  });
});
