/** The REST interface under attack (H-30): what a query holds is data, whatever it looks like. */
import t from "tap";
import { acmeDriver, dns, type Reply } from "../support/acmeDriver.ts";
import { certificateKey, http01Target, issued, query, spiffeIdOf, validate } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";

const insides = /\bat \S+ \(|node_modules|select |syntax|operator|unterminated|\/tmp\//i;

t.test("H-30 the inventory", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, { configuration: { validation: { http01Port: target.port } } });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  await Promise.all(["a", "ab", "a_b", "b-1"].map((subject) => issued(ca, alice, subject)));
  const order = await alice.newOrder(dns("web.localhost"));
  await validate(target, alice, order);
  await alice.post(order.finalize, { csr: certificateKey().csr({ dns: ["web.localhost"] }) });

  const authorization = `Bearer ${ca.operatorToken}`;
  const get = (
    path: string,
    parameters: Record<string, string> = {},
    headers: Record<string, string> = { authorization },
  ): Promise<Reply> =>
    acme.request(`${ca.url}/api/v1${path}?${new URLSearchParams(parameters).toString()}`, { headers });
  const listed = (reply: Reply): readonly Record<string, unknown>[] =>
    (reply.json()["certificates"] ?? reply.json()["identities"]) as Record<string, unknown>[];
  const all = listed(await get("/certificates")).length;
  t.equal(all, 6, "five and the listener's own");

  /** Refused as a bad request, or answered with nothing: never an error of ours, never more than was asked. */
  const harmless = (t: typeof import("tap").default | import("tap").Test, reply: Reply, what: string): void => {
    t.ok(
      reply.status === 400 || (reply.status === 200 && listed(reply).length === 0),
      `${what}: ${reply.status} ${reply.text.slice(0, 80)}`,
    );
    t.notMatch(reply.text, insides, `${what}: shows nothing of our insides`);
  };
  const attacks = [
    "' or '1'='1",
    "'; drop table certificate; --",
    "\\",
    "%",
    "_",
    "spiffe://%",
    spiffeIdOf("_"),
    spiffeIdOf("%"),
    "a\0b",
    "\0",
    "\ud800",
    "$1",
    "{}",
    "null",
    "\u202e",
    "x".repeat(2048),
  ];

  t.test("SQL, wildcards, NUL and odd text in filters", async (t) => {
    for (const value of attacks) {
      for (const filter of ["spiffeId", "spiffeIdPrefix", "dnsName", "serial"])
        harmless(t, await get("/certificates", { [filter]: value }), `${filter}=${JSON.stringify(value).slice(0, 30)}`);
      harmless(t, await get("/identities", { prefix: value }), `prefix=${JSON.stringify(value).slice(0, 30)}`);
    }
    t.equal(
      listed(await get("/certificates", { spiffeIdPrefix: spiffeIdOf("a") })).length,
      1,
      "a prefix ends at a segment",
    );
    t.equal(listed(await get("/certificates", { spiffeId: spiffeIdOf("a_b") })).length, 1);
    t.equal((await query(ca, "select 1 from certificate")).length, 6, "and nothing was dropped");
  });

  t.test("parameters that are unknown, repeated, empty or of another form → 400", async (t) => {
    const bad: readonly Readonly<Record<string, string>>[] = [
      { limit: "0" },
      { limit: "-1" },
      { limit: "1001" },
      { limit: "99999999999" },
      { limit: "1e3" },
      { limit: " 5" },
      { limit: "" },
      { limit: "NaN" },
      { state: "all" },
      { state: "" },
      { order: "1" },
      { issuedAfter: "yesterday" },
      { issuedAfter: "2026-13-45T99:99:99Z" },
      { serial: "zz" },
      { serial: "0".repeat(81) },
      { spiffeId: "" },
      { spiffeId: "x".repeat(2049) },
      { __proto__x: "1" },
    ];
    for (const parameters of bad) {
      const reply = await get("/certificates", parameters);
      t.equal(reply.status, 400, JSON.stringify(parameters).slice(0, 60));
      t.notMatch(reply.text, insides);
    }
    for (const text of [
      "limit=1&limit=2",
      "spiffeId=a&spiffeId=b",
      "spiffeId[]=a",
      "spiffeId[a]=b",
      "__proto__=1",
      "constructor=1",
      "limit=%zz",
    ]) {
      const reply = await acme.request(`${ca.url}/api/v1/certificates?${text}`, { headers: { authorization } });
      t.equal(reply.status, 400, text);
    }
  });

  t.test("a page has its limit, and pages neither lose nor repeat", async (t) => {
    const seen: unknown[] = [];
    let cursor: string | undefined;
    do {
      const reply = await get("/certificates", { limit: "2", ...(cursor !== undefined && { cursor }) });
      t.ok(listed(reply).length <= 2);
      seen.push(...listed(reply).map(({ serial }) => serial));
      cursor = reply.json()["next"] as string | undefined;
    } while (cursor !== undefined);
    t.equal(new Set(seen).size, all);
    t.equal(seen.length, all);
  });

  t.test("cursors that were tampered with", async (t) => {
    const cursor = (value: unknown): string =>
      Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
    const at = new Date().toISOString();
    const forged = [
      "",
      "x",
      "!!!",
      cursor("[]"),
      cursor([at]),
      cursor([at, 7]),
      cursor(["never", "aa"]),
      cursor([at, "' or 1=1 --"]),
      cursor([at, "\0"]),
      cursor([at, "\ud800"]),
      cursor({ 0: at, 1: "aa" }),
      cursor(["+275760-09-13T00:00:00.000Z", "ff"]),
      cursor(["-271821-04-20T00:00:00.000Z", "ff"]),
      cursor(["0000-01-01T00:00:00Z", "ff"]),
      cursor([at, "a".repeat(3000)]),
      cursor("null"),
      "A".repeat(5000),
    ];
    for (const [n, value] of forged.entries()) {
      for (const path of ["/certificates", "/identities"]) {
        const reply = await get(path, { cursor: value });
        t.ok(reply.status === 400 || reply.status === 200, `${path} ${n}: ${reply.status} ${reply.text.slice(0, 80)}`);
        t.notMatch(reply.text, insides);
      }
    }
  });

  t.test("serials in the path", async (t) => {
    for (const serial of [
      "0",
      "zz",
      "..",
      "%2e%2e",
      "' or 1=1",
      "00".repeat(21),
      "\0",
      "ab".repeat(16),
      "a".repeat(199),
    ]) {
      const reply = await acme.request(`${ca.url}/api/v1/certificates/${encodeURIComponent(serial)}`, {
        headers: { authorization },
      });
      t.ok([400, 404].includes(reply.status), `${JSON.stringify(serial).slice(0, 20)}: ${reply.status}`);
      t.equal(reply.headers["content-type"], "application/problem+json");
      t.notMatch(reply.text, insides);
    }
  });

  t.test(
    "no token, another token, another scheme → 401 with a challenge, before anything else is looked at",
    async (t) => {
      const { operatorToken } = ca;
      for (const value of [
        "",
        "Bearer",
        "Bearer ",
        `Basic ${operatorToken}`,
        operatorToken,
        `Bearer ${operatorToken} x`,
        `Bearer ${operatorToken.slice(0, -1)}`,
        `Bearer ${operatorToken}${operatorToken}`,
        `Bearer ${"x".repeat(8000)}`,
        `Bearer ${operatorToken.toUpperCase()}1`,
      ]) {
        for (const path of ["/certificates", "/certificates/aa", "/identities", "/nothing-here"]) {
          const reply = await get(path, { limit: "x" }, value === "" ? {} : { authorization: value });
          t.ok(
            reply.status === 401 || (path === "/nothing-here" && reply.status === 404),
            `${path} ${value.slice(0, 12)}: ${reply.status}`,
          );
          t.notMatch(reply.text, operatorToken);
        }
      }
      t.match((await get("/certificates", {}, {})).headers["www-authenticate"], /^Bearer/);
    },
  );

  t.test("nothing can be written", async (t) => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"])
      for (const path of ["/certificates", "/certificates/aa", "/identities"])
        t.equal(
          (await acme.request(`${ca.url}/api/v1${path}`, { method, headers: { authorization } })).status,
          405,
          `${method} ${path}`,
        );
  });
});
