import { createHash, randomBytes } from "node:crypto";
import t from "tap";
import { acmeDriver, clientKey } from "../support/acmeDriver.ts";
import { query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";

t.test("blocked keys over REST", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const send = (method: "GET" | "DELETE" | "POST", path: string, body?: unknown, token = ca.operatorToken) =>
    ca.authority.server.inject({
      method,
      url: `/api/v1/blocked-keys${path}`,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { payload: body as object }),
    });

  t.test("H-16a a key is blocked, listed and unblocked, with its audit entries", async (t) => {
    const key = clientKey();
    const point = ["x", "y"].map((name) => Buffer.from(key.jwk[name] ?? "", "base64url"));
    const prefix = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");
    const digest = createHash("sha256")
      .update(Buffer.concat([prefix, ...point]))
      .digest("hex");
    const made = await send("POST", "", { spkiSha256: digest.toUpperCase(), note: "found in a repository" });
    t.equal(made.statusCode, 201);
    t.equal(made.headers["location"], `${ca.url}/api/v1/blocked-keys/${digest}`);
    t.match(made.json(), {
      spkiSha256: digest,
      reason: "operator",
      note: "found in a repository",
      blockedBy: "operator",
    });
    const again = await send("POST", "", { spkiSha256: digest, note: "another note" });
    t.equal(again.statusCode, 200, "once is enough");
    t.match(again.json(), { note: "found in a repository" });
    refused(t, await acme.client(key).register(), 400, "badPublicKey");
    t.same((await send("GET", `/${digest}`)).json(), made.json());
    t.same((await send("GET", "")).json(), { blockedKeys: [made.json()] });
    t.equal((await send("DELETE", `/${digest.toUpperCase()}`)).statusCode, 204);
    t.equal((await send("DELETE", `/${digest}`)).statusCode, 404);
    t.equal((await acme.client(key).register()).status, 201);
    const events = await query(ca, "select event, subject from audit_entry where event like 'key.%' order by id");
    t.same(
      events,
      ["key.blocked", "key.unblocked"].map((event) => ({ event, subject: `key:${digest}` })),
    );
  });

  t.test("twenty at once block it once; pages follow each other", async (t) => {
    const digest = randomBytes(32).toString("hex");
    const statuses = (
      await Promise.all(Array.from({ length: 20 }, () => send("POST", "", { spkiSha256: digest })))
    ).map(({ statusCode }) => statusCode);
    t.same(
      [201, 200].map((status) => statuses.filter((one) => one === status).length),
      [1, 19],
    );
    for (let i = 0; i < 4; i++) await send("POST", "", { spkiSha256: randomBytes(32).toString("hex") });
    const seen: string[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined;) {
      const page: { blockedKeys: { spkiSha256: string }[]; next?: string } = (
        await send("GET", `?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`)
      ).json();
      seen.push(...page.blockedKeys.map(({ spkiSha256 }) => spkiSha256));
      cursor = page.next;
    }
    t.equal(seen.length, 5);
    t.same(seen, [...new Set(seen)].sort());
  });

  t.test("bad requests", async (t) => {
    const digest = "ab".repeat(32);
    const bodies: unknown[] = [
      {},
      { spkiSha256: "ab" },
      { spkiSha256: `${digest}0` },
      { spkiSha256: digest, note: "" },
      { spkiSha256: digest, note: "a\nb" },
      { spkiSha256: digest, reason: "x" },
      { spkiSha256: 1 },
      [],
    ];
    for (const body of bodies) t.equal((await send("POST", "", body)).statusCode, 400, JSON.stringify(body));
    for (const path of ["/xyz", "/%00", `/${digest}`, `/${digest}00`])
      t.equal((await send("GET", path)).statusCode, 404, path);
    t.equal((await send("GET", "?cursor=1")).statusCode, 400);
    for (const [method, path] of [
      ["GET", ""],
      ["POST", ""],
      ["GET", `/${digest}`],
      ["DELETE", `/${digest}`],
    ] as const)
      t.equal(
        (await send(method, path, method === "POST" ? { spkiSha256: digest } : undefined, "x".repeat(43))).statusCode,
        401,
      );
  });
});
