import t, { type Test } from "tap";
import { acmeDriver, uri } from "../support/acmeDriver.ts";
import { attesting, query, respond } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";

t.setTimeout(120_000);

const team = (change: object = {}) => ({
  spiffeId: "spiffe://mayfly.localhost/team/{sub}",
  source: "dev",
  minBinding: "bearer",
  profile: "workload",
  owner: "team@example.org",
  ...change,
});
const configured = { ...team({ spiffeId: "spiffe://mayfly.localhost/fixed/{sub}" }), name: "fixed" };

/** Requests with the operator's token. */
function rest({ authority, operatorToken }: TestAuthority, token = operatorToken) {
  return (method: "GET" | "PUT" | "DELETE", path: string, payload?: unknown, headers: Record<string, string> = {}) =>
    authority.server.inject({
      method,
      url: `/api/v1/grants${path}`,
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...(payload !== undefined && { payload: payload as object }),
    });
}
type Answer = Awaited<ReturnType<ReturnType<typeof rest>>>;

/** Asserts the status and the type of the problem, and gives its detail. */
function problem(t: Test, answer: Answer, status: number, type: string, detail: RegExp): void {
  const document = answer.json<{ type: string; detail: string }>();
  t.equal(`${answer.statusCode} ${document.type}`, `${status} urn:mayfly:error:${type}`, document.detail);
  t.match(document.detail, detail);
}

t.test("grants over REST", async (t) => {
  const ca = await certificateAuthority(t, { configuration: { grants: [configured] } });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const send = rest(ca);

  /** What the server makes of a development token for /team/one. */
  async function attest(): Promise<string> {
    const identifiers = [uri("spiffe://mayfly.localhost/team/one")];
    const ordered = await alice.post(acme.directory.newOrder, { identifiers });
    if (ordered.status !== 201) return String(ordered.json()["type"]).split(":").at(-1) ?? "";
    const flow = await attesting(ca, alice, "one", { identifiers });
    const reply = await respond(flow, await ca.devToken("one", flow.boundAudience));
    if (reply.json()["status"] !== "valid") return "invalid";
    const csr = flow.key.csr({ uri: ["spiffe://mayfly.localhost/team/one"] });
    return String((await alice.post(flow.order.finalize, { csr })).json()["status"]);
  }

  t.test("made, changed, removed; each version stays, and the newest decides at once", async (t) => {
    t.equal(await attest(), "rejectedIdentifier", "nobody has it");
    const made = await send("PUT", "/team", { grant: team(), comment: "a first try" });
    t.equal(made.statusCode, 201, made.body);
    t.equal(made.headers["location"], `${ca.url}/api/v1/grants/team`);
    const first = made.json<{ version: string; sequence: number }>();
    t.equal(made.headers["etag"], `"${first.version}"`);
    t.match(made.json(), {
      name: "team",
      origin: "database",
      comment: "a first try",
      createdBy: "operator",
      endedAt: null,
    });
    t.equal(await attest(), "valid");

    const again = await send("PUT", "/team", { grant: team() });
    t.equal(again.statusCode, 200, "the same text again changes nothing");
    t.same(again.json(), made.json());

    const elsewhere = team({ spiffeId: "spiffe://mayfly.localhost/group/{sub}" });
    problem(t, await send("PUT", "/team", { grant: elsewhere }), 428, "preconditionRequired", /If-Match/);
    const stale = { "if-match": '"0123456789abcdef"' };
    problem(t, await send("PUT", "/team", { grant: elsewhere }, stale), 412, "preconditionFailed", /another version/);
    problem(
      t,
      await send("PUT", "/team", { grant: elsewhere }, { "if-none-match": "*" }),
      412,
      "preconditionFailed",
      /another/,
    );
    t.equal(await attest(), "valid", "none of them changed anything");
    const match = { "if-match": `"0123456789abcdef", "${first.version}"` };
    const changed = await send("PUT", "/team", { grant: elsewhere, comment: "moved" }, match);
    t.equal(changed.statusCode, 200, changed.body);
    t.equal(await attest(), "rejectedIdentifier", "the identity is another one now");

    const { version } = changed.json<{ version: string }>();
    t.match((await send("GET", "/team")).json(), {
      version,
      state: "active",
      reason: null,
      owner: "team@example.org",
      grant: elsewhere,
    });
    problem(
      t,
      await send("DELETE", "/team", undefined, { "if-match": `"${first.version}"` }),
      412,
      "preconditionFailed",
      /another/,
    );
    t.equal((await send("DELETE", "/team", undefined, { "if-match": `"${version}"` })).statusCode, 204);
    problem(t, await send("DELETE", "/team"), 404, "notFound", /no such grant/);
    problem(t, await send("GET", "/team"), 404, "notFound", /no such grant/);
    problem(
      t,
      await send("PUT", "/team", { grant: team() }, { "if-match": "*" }),
      412,
      "preconditionFailed",
      /another/,
    );

    const back = await send("PUT", "/team", { grant: team() }, { "if-none-match": "*" });
    t.equal(back.statusCode, 201, "a text may come back, as a version of its own");
    t.equal(back.json<{ version: string }>().version, first.version);
    t.equal(await attest(), "valid");
    const versions = (await send("GET", "/team/versions")).json<{
      versions: { version: string; endedAs: string | null }[];
    }>();
    t.same(
      versions.versions.map(({ version: one, endedAs }) => [one, endedAs]),
      [
        [first.version, null],
        [version, "removed"],
        [first.version, "replaced"],
      ],
    );
    const page = (await send("GET", "/team/versions?limit=2")).json<{ versions: object[]; next: string }>();
    t.equal(page.versions.length, 2);
    t.match((await send("GET", `/team/versions?limit=2&cursor=${page.next}`)).json(), {
      versions: [{ endedAs: "replaced" }],
    });
    t.match((await send("GET", `/team/versions/${version}`)).json(), {
      grant: elsewhere,
      comment: "moved",
      endedBy: "operator",
    });

    const audit = await query(
      ca,
      "select event, detail->>'version' as version, detail->>'replaced' as replaced from audit_entry where subject = 'grant:team' order by id",
    );
    t.same(audit, [
      { event: "grant.created", version: first.version, replaced: null },
      { event: "grant.changed", version, replaced: first.version },
      { event: "grant.removed", version, replaced: null },
      { event: "grant.created", version: first.version, replaced: null },
    ]);
    const [certificate] = (await ca.inventory("/certificates?spiffeId=spiffe://mayfly.localhost/team/one")).body[
      "certificates"
    ] as { rule: string; ruleVersion: string }[];
    t.match(certificate, { rule: "team", ruleVersion: first.version });
    t.match(
      (await send("GET", `/${certificate?.rule}/versions/${certificate?.ruleVersion}`)).json(),
      { grant: team() },
      "why, later",
    );
    t.equal((await send("DELETE", "/team")).statusCode, 204);
  });

  t.test("versions are immutable, in the database too", async (t) => {
    t.equal((await send("PUT", "/stays", { grant: team() })).statusCode, 201);
    for (const change of [
      "configuration = '{}'",
      "version = '0123456789abcdef'",
      "owner = 'me'",
      "name = 'other'",
      "created_at = now()",
    ])
      await t.rejects(query(ca, `update grant_version set ${change} where name = 'stays'`), /is not changed/, change);
    await t.rejects(query(ca, "delete from grant_version where name = 'stays'"), /is not changed/);
    t.equal((await send("DELETE", "/stays")).statusCode, 204);
    await t.rejects(
      query(ca, "update grant_version set ended_at = null, ended_by = null, ended_as = null where name = 'stays'"),
      /is not changed/,
    );
  });

  t.test("those of the configuration are shown, kept, and changed there alone", async (t) => {
    const shown = (await send("GET", "/fixed")).json<{ version: string }>();
    t.match(shown, { name: "fixed", origin: "configuration", state: "active", sequence: null, grant: configured });
    problem(t, await send("PUT", "/fixed", { grant: team() }), 409, "conflict", /configuration/);
    problem(t, await send("DELETE", "/fixed"), 409, "conflict", /configuration/);
    t.match((await send("GET", `/fixed/versions/${shown.version}`)).json(), {
      origin: "configuration",
      grant: configured,
    });
    t.match((await send("GET", "/development/versions")).json(), {
      versions: [{ origin: "configuration", createdBy: "configuration" }],
    });
  });

  t.test("the list: filters and pages", async (t) => {
    for (const name of ["b-two", "a-one", "c-three"])
      t.equal(
        (
          await send("PUT", `/${name}`, {
            grant: team({ owner: name, spiffeId: `spiffe://mayfly.localhost/${name}/{sub}` }),
          })
        ).statusCode,
        201,
      );
    const names = async (path = "") =>
      (await send("GET", path)).json<{ grants: { name: string }[] }>().grants.map(({ name }) => name);
    t.same(
      await names(),
      ["fixed", "development", "a-one", "b-two", "c-three"],
      "in the order in which they are asked",
    );
    t.same(await names("?origin=database"), ["a-one", "b-two", "c-three"]);
    t.same(await names("?spiffeId=spiffe://mayfly.localhost/b-two/x"), ["b-two"]);
    t.same(await names("?owner=a-one"), ["a-one"]);
    t.same(await names("?source=dev&origin=configuration"), ["fixed", "development"]);
    t.same(await names("?source=nothing"), []);
    t.same(await names("?name=c-three&state=active"), ["c-three"]);
    t.same(await names("?state=inactive"), []);
    const seen: string[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined;) {
      const page: { grants: { name: string }[]; next?: string } = (
        await send("GET", `?limit=2${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`)
      ).json();
      seen.push(...page.grants.map(({ name }) => name));
      cursor = page.next;
    }
    t.same(seen, ["fixed", "development", "a-one", "b-two", "c-three"]);
    for (const name of ["a-one", "b-two", "c-three"]) await send("DELETE", `/${name}`);
  });

  t.test("a dry run checks and writes nothing", async (t) => {
    const answer = await send("PUT", "/dry", { grant: team(), dryRun: true });
    t.equal(answer.statusCode, 200);
    t.match(answer.json(), { dryRun: true, name: "dry", version: /^[0-9a-f]{16}$/ });
    problem(t, await send("GET", "/dry"), 404, "notFound", /no such grant/);
    problem(
      t,
      await send("PUT", "/dry", { grant: team({ source: "x" }), dryRun: true }),
      400,
      "invalidRequest",
      /grants\.dry\.source/,
    );
  });

  t.test("what is no grant here is refused, key by key", async (t) => {
    const bad: [change: object, detail: RegExp][] = [
      [{ source: "nowhere" }, /^grants\.bad\.source: "nowhere": expected the ref of a configured source/],
      [{ profile: "nothing" }, /^grants\.bad\.profile: "nothing": expected the name of a profile/],
      [{ profile: "server" }, /^grants\.bad\.profile: "server": expected a profile with uri/],
      [{ spiffeId: "spiffe://other.example/{sub}" }, /^grants\.bad\.spiffeId: .*trust domain mayfly\.localhost/],
      [{ spiffeId: "spiffe://mayfly.localhost/fixed" }, /^grants\.bad\.conditions: \[\]: expected a condition/],
      [{ minBinding: "none" }, /^grants\.bad\.minBinding: "none": expected one of nonce, key, bearer, document/],
      [{ minBinding: undefined }, /^grants\.bad\.minBinding: is missing/],
      [{ regex: ".*" }, /^grants\.bad\.regex: unknown key/],
      [{ conditions: [{ claim: "a", matches: 1 }] }, /^grants\.bad\.conditions\[0\]\.matches: unknown key/],
      [{ conditions: [{ claim: "a", oneOf: [] }] }, /^grants\.bad\.conditions\[0\]\.oneOf: \[\]: expected/],
      [{ allOf: [] }, /^grants\.bad\.allOf: \[\]: expected/],
      [
        { allOf: [{ source: "dev", minBinding: "bearer" }] },
        /^grants\.bad\.allOf\[0\]\.source: "dev": expected a source that this grant names once/,
      ],
      [{ maxLifetimeSeconds: 30 }, /^grants\.bad\.maxLifetimeSeconds: 30: expected/],
      [{ maxLifetimeSeconds: 1_000_000 }, /^grants\.bad\.maxLifetimeSeconds: 1000000: expected 60 to/],
      [{ pinning: { mode: "count" } }, /^grants\.bad\.pinning: .*accounts/],
      [{ name: "other" }, /^grants\.bad\.name: "other": expected bad, or nothing/],
      [{ owner: "a\u0000b" }, /without NUL/],
      [{ owner: "\ud800" }, /without NUL and lone surrogates/],
    ];
    for (const [change, detail] of bad) {
      const answer = await send("PUT", "/bad", { grant: team(change) });
      problem(t, answer, 400, "invalidRequest", detail);
      const { faults } = answer.json<{ faults: { key: string; detail: string }[] }>();
      t.match(faults[0]?.detail, detail);
    }
    const answer = await send("PUT", "/bad", { grant: team({ regex: 1, minBinding: "x" }) });
    t.same(
      answer
        .json<{ faults: { key: string }[] }>()
        .faults.map(({ key }) => key)
        .sort(),
      ["minBinding", "regex"],
      "all of them at once",
    );
    const bodies: unknown[] = [
      {},
      [],
      { grant: [] },
      { grant: team(), comment: "a\nb" },
      { grant: team(), other: 1 },
      { grant: "x" },
    ];
    for (const body of bodies) problem(t, await send("PUT", "/bad", body), 400, "invalidRequest", /./);
    for (const name of ["Upper", "a_b", "-a", "a".repeat(65), "%00", "a%2fb"])
      t.ok([400, 404].includes((await send("PUT", `/${name}`, { grant: team() })).statusCode), name);
    const headers = [
      { "if-match": "95455b789e936ec6" },
      { "if-match": 'W/"x"' },
      { "if-match": '""' },
      { "if-none-match": '"x"' },
      { "if-match": "*", "if-none-match": "*" },
      { "if-match": Array(17).fill('"a"').join(",") },
    ];
    for (const one of headers)
      problem(
        t,
        await send("PUT", "/bad", { grant: team() }, one as Record<string, string>),
        400,
        "invalidRequest",
        /If-/,
      );
    const huge = { grant: team({ conditions: [{ claim: "a", oneOf: Array(80).fill("x".repeat(1000)) }] }) };
    t.equal((await send("PUT", "/bad", huge)).statusCode, 413);
    for (const path of [
      "?limit=0",
      "?limit=1001",
      "?cursor=x",
      "?state=x",
      "?other=1",
      "?name=../x",
      "/fixed/versions?cursor=x",
    ])
      t.equal((await send("GET", path)).statusCode, 400, path);
    for (const path of [
      "/none",
      "/none/versions",
      "/fixed/versions/0123456789abcdef",
      "/fixed/versions/x",
      "/%00/versions",
      "/%00/versions/0123456789abcdef",
      "/%00",
    ])
      problem(t, await send("GET", path), 404, "notFound", /./);
    problem(t, await send("DELETE", "/%00"), 404, "notFound", /./);
    t.same(await query(ca, "select 1 from grant_version where name = 'bad'"), []);
  });

  t.test("nobody without the operator's token reads or writes one", async (t) => {
    const stranger = rest(ca, "x".repeat(43));
    for (const [method, path] of [
      ["GET", ""],
      ["GET", "/fixed"],
      ["PUT", "/team"],
      ["DELETE", "/team"],
      ["GET", "/fixed/versions"],
      ["GET", "/fixed/versions/0123456789abcdef"],
    ] as const)
      t.equal(
        (await stranger(method, path, method === "PUT" ? { grant: team() } : undefined)).statusCode,
        401,
        `${method} ${path}`,
      );
  });

  t.test("of twenty changes to one version exactly one is made; of twenty first ones too", async (t) => {
    const firsts = await Promise.all(
      Array.from({ length: 20 }, (_, n) => send("PUT", "/race", { grant: team({ owner: `o${n}` }) })),
    );
    t.same(
      [201, 428].map((status) => firsts.filter(({ statusCode }) => statusCode === status).length),
      [1, 19],
    );
    const { version } = (await send("GET", "/race")).json<{ version: string }>();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        send("PUT", "/race", { grant: team({ owner: `p${n}` }) }, { "if-match": `"${version}"` }),
      ),
    );
    t.same(
      [200, 412].map((status) => answers.filter(({ statusCode }) => statusCode === status).length),
      [1, 19],
    );
    t.equal((await send("GET", "/race/versions")).json<{ versions: object[] }>().versions.length, 2);
    const removals = await Promise.all(Array.from({ length: 10 }, () => send("DELETE", "/race")));
    t.same(
      [204, 404].map((status) => removals.filter(({ statusCode }) => statusCode === status).length),
      [1, 9],
    );
  });
});

t.test("a grant that fits no more does not count, and says why; a name of the configuration wins", async (t) => {
  const other = {
    ref: "other",
    format: "jwt",
    issuer: "https://issuer.example",
    jwksUrl: "https://issuer.example/jwks",
  };
  const first = await certificateAuthority(t, { configuration: { attestation: { sources: [other] } } });
  const send = rest(first);
  t.equal((await send("PUT", "/of-other", { grant: team({ source: "other" }) })).statusCode, 201);
  t.equal((await send("PUT", "/clash", { grant: team() })).statusCode, 201);
  t.equal((await send("PUT", "/good", { grant: team() })).statusCode, 201);
  await first.close();

  const clash = { ...configured, name: "clash" };
  const second = await certificateAuthority(t, {
    dataDir: first.dataDir,
    databaseUrl: first.databaseUrl,
    configuration: { grants: [clash] },
  });
  const ask = rest(second);
  const inactive = (await ask("GET", "?state=inactive")).json<{
    grants: { name: string; reason: string; origin: string }[];
  }>().grants;
  t.match(inactive, [
    { name: "clash", origin: "database", reason: /configuration has this name/ },
    {
      name: "of-other",
      origin: "database",
      reason: /^grants\.of-other\.source: "other": expected the ref of a configured source/,
    },
  ]);
  t.match((await ask("GET", "/clash")).json(), { origin: "configuration", grant: clash });
  t.match((await ask("GET", "?state=active&origin=database")).json(), { grants: [{ name: "good" }] });
  t.equal((await ask("DELETE", "/clash")).statusCode, 204, "the one in the database can go");
  t.match((await ask("GET", "?state=inactive")).json(), { grants: [{ name: "of-other" }] });
});
