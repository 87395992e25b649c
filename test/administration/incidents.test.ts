import t from "tap";
import { acmeDriver } from "../support/acmeDriver.ts";
import { certificateIdOf, idOf, issued, leafOf, query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";

interface Selected {
  readonly dryRun?: boolean;
  readonly certificates: number;
  readonly replaced: number;
  readonly serials: readonly string[];
}
interface IncidentJson {
  readonly id: string;
  readonly selection: Readonly<Record<string, unknown>>;
  readonly endedAt: string | null;
  readonly [member: string]: unknown;
}

t.test("incidents over REST", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const [alice, bob] = [await acme.account(), await acme.account()];
  const first = await issued(ca, alice);
  const second = await issued(ca, alice);
  const third = await issued(ca, bob);
  const serialOf = ({ certificateUrl }: { certificateUrl: string }): string => idOf(certificateUrl);
  const bearer = { authorization: `Bearer ${ca.operatorToken}` };
  const send = (method: "GET" | "POST", path: string, body?: unknown, headers: Record<string, string> = bearer) =>
    ca.authority.server.inject({
      method,
      url: `/api/v1/incidents${path}`,
      headers,
      ...(body !== undefined && { payload: body as object }),
    });
  const dryRun = async (certificates: object): Promise<Selected> =>
    (await send("POST", "", { reason: "r", certificates })).json<Selected>();
  const create = async (certificates: object, more: object = {}): Promise<IncidentJson> => {
    const reply = await send("POST", "", { reason: "key exposed", certificates, dryRun: false, ...more });
    t.equal(reply.statusCode, 201, reply.body);
    const made = reply.json<IncidentJson>();
    t.equal(reply.headers["location"], `${ca.url}/api/v1/incidents/${made.id}`);
    return made;
  };
  const end = async ({ id }: { id: string }) => (await send("POST", `/${id}/end`)).json<IncidentJson>();
  const renewal = async (chain: string) =>
    (await acme.request(`${acme.directory.renewalInfo}/${certificateIdOf(chain)}`)).json() as {
      suggestedWindow: { start: string; end: string };
      explanationURL?: string;
    };
  const isPast = async (chain: string): Promise<boolean> =>
    Date.parse((await renewal(chain)).suggestedWindow.end) < Date.now();
  const entryOf = async (one: { certificateUrl: string }) =>
    (await ca.inventory(`/certificates/${serialOf(one)}`)).body;

  t.test("a dry run is what happens unless something else is asked for, and changes nothing", async (t) => {
    const entry = await entryOf(first);
    const account = entry["account"] as string;
    const selections: [object, string[]][] = [
      [{ serials: [serialOf(first), serialOf(third).toUpperCase()] }, [serialOf(first), serialOf(third)]],
      [{ identity: first.spiffeId }, [serialOf(first)]],
      [{ spkiSha256: entry["spkiSha256"] }, [serialOf(first)]],
      [{ account }, [serialOf(first), serialOf(second)]],
      [{ account, serials: [serialOf(second), serialOf(third)] }, [serialOf(second)]],
      [{ account, issuedAfter: entry["issuedAt"] }, [serialOf(first), serialOf(second)]],
      [{ account, issuedBefore: entry["issuedAt"] }, []],
      [{ issuer: entry["issuer"], identity: third.spiffeId }, [serialOf(third)]],
      [{ issuer: "00000000-0000-0000-0000-000000000000" }, []],
    ];
    for (const [certificates, serials] of selections) {
      const found = await dryRun(certificates);
      t.match(found, { dryRun: true, certificates: serials.length, replaced: 0 }, JSON.stringify(certificates));
      t.same(new Set(found.serials), new Set(serials));
    }
    t.ok((await dryRun({ issuer: entry["issuer"] })).certificates >= 3, "the listener's own as well");
    t.same(await query(ca, "select 1 from incident"), []);
    t.equal(await isPast(first.chain), false);
  });

  t.test("R9773-4 an incident is told at once, with its explanation, and is over when it ends", async (t) => {
    const explanationUrl = "https://ca.example/incidents/7";
    const before = await query(ca, "select * from certificate order by serial");
    const made = await create({ identity: first.spiffeId }, { explanationUrl });
    t.match(made, { reason: "key exposed", explanationUrl, endedAt: null, selection: { identity: first.spiffeId } });
    t.ok(await isPast(first.chain));
    t.equal((await renewal(first.chain)).explanationURL, explanationUrl);
    t.equal(await isPast(second.chain), false);
    t.same((await entryOf(first))["incidents"], [made.id], "the inventory shows it");
    t.same((await entryOf(second))["incidents"], []);
    const covered = (await ca.inventory(`/certificates?incident=${made.id}`)).body["certificates"] as {
      serial: string;
    }[];
    t.same(
      covered.map(({ serial }) => serial),
      [serialOf(first)],
      "and finds what it covers",
    );
    t.equal((await entryOf(first))["state"], "valid", "nothing is revoked");
    t.same(await query(ca, "select * from certificate order by serial"), before, "and no row of it was touched");

    const successor = await issued(ca, alice, first.subject, { replaces: certificateIdOf(first.chain) });
    t.equal(await isPast(successor.chain), false, "what was renewed is not covered again");
    const read = (await send("GET", `/${made.id}`)).json<IncidentJson>();
    t.match(read, { id: made.id, certificates: 1, replaced: 1 });

    t.match(await end(made), { id: made.id, endedAt: /Z$/ });
    t.same(await end(made), await end(made), "ended once");
    t.equal(await isPast(first.chain), false);
    t.notOk("explanationURL" in (await renewal(first.chain)));
    t.same((await entryOf(first))["incidents"], []);
    const audit = await query(ca, "select event, actor from audit_entry where subject = $1 order by id", [
      `incident:${made.id}`,
    ]);
    t.same(audit, [
      { event: "incident.created", actor: "operator" },
      { event: "incident.ended", actor: "operator" },
    ]);
  });

  t.test("revoked certificates are not counted; an incident without an explanation explains nothing", async (t) => {
    const gone = await issued(ca, bob);
    await bob.post(acme.directory.revokeCert, { certificate: leafOf(gone.chain) });
    t.equal((await dryRun({ serials: [serialOf(gone)] })).certificates, 0);
    const made = await create({ serials: [serialOf(third)] });
    t.ok(await isPast(third.chain));
    t.notOk("explanationURL" in (await renewal(third.chain)));
    await end(made);
  });

  t.test("the list: newest first, page by page, open ones alone", async (t) => {
    const made = [];
    for (let n = 0; n < 3; n++) made.push(await create({ serials: ["00"] }));
    await end(made[1] ?? { id: "" });
    interface Page {
      incidents: IncidentJson[];
      next?: string;
    }
    const all: string[] = [];
    let next: string | undefined = "";
    while (next !== undefined) {
      const page: Page = (await send("GET", `?limit=2${next && `&cursor=${next}`}`)).json();
      t.ok(page.incidents.length <= 2);
      all.push(...page.incidents.map(({ id }) => id));
      next = page.next;
    }
    t.same(all, all.toSorted().toReversed());
    t.same(all.slice(0, 3), made.map(({ id }) => id).toReversed());
    const open = (await send("GET", "?open=true")).json<Page>().incidents.map(({ id }) => id);
    t.same(open, [made[2]?.id, made[0]?.id]);
    t.ok((await send("GET", "?open=false")).json<Page>().incidents.every(({ endedAt }) => endedAt !== null));
  });

  t.test("what is no incident is refused, and nothing is made", async (t) => {
    const before = await query(ca, "select count(*) from incident");
    const certificates = { serials: ["00"] };
    const good = { reason: "r", certificates, dryRun: false };
    const bad: [string, unknown][] = [
      ["nothing selected", { ...good, certificates: {} }],
      ["no selection", { reason: "r" }],
      ["no reason", { certificates }],
      ["an empty reason", { ...good, reason: "" }],
      ["a reason of two lines", { ...good, reason: "a\nb" }],
      ["a long reason", { ...good, reason: "x".repeat(1001) }],
      ["an unknown member", { ...good, dryrun: false }],
      ["an unknown selection", { ...good, certificates: { serial: "00" } }],
      ["no serial", { ...good, certificates: { serials: ["xyz"] } }],
      ["no serials", { ...good, certificates: { serials: [] } }],
      ["too many serials", { ...good, certificates: { serials: Array.from({ length: 1001 }, () => "00") } }],
      ["an identity that there is not", { ...good, certificates: { identity: "spiffe://mayfly.localhost/nobody" } }],
      ["NUL in a name", { ...good, certificates: { identity: "a\0" } }],
      ["half a key", { ...good, certificates: { spkiSha256: "ab" } }],
      ["no account", { ...good, certificates: { account: "alice" } }],
      ["no time", { ...good, certificates: { issuedAfter: "yesterday" } }],
      ["the future", { ...good, certificates: { issuedBefore: "2999-01-01T00:00:00Z" } }],
      ["a script", { ...good, explanationUrl: "javascript:alert(1)" }],
      ["no URL", { ...good, explanationUrl: "https://[" }],
      ["no object", []],
    ];
    for (const [name, body] of bad) {
      const reply = await send("POST", "", body);
      t.equal(reply.statusCode, 400, `${name}: ${reply.body}`);
      t.equal(reply.json<{ type: string }>().type, "urn:mayfly:error:invalidRequest", name);
    }
    const json = { ...bearer, "content-type": "application/json" };
    const raw = (payload: string, headers: Record<string, string>) =>
      ca.authority.server.inject({ method: "POST", url: "/api/v1/incidents", headers, payload });
    t.equal((await raw("{", json)).statusCode, 400);
    t.equal((await raw("x=1", { ...bearer, "content-type": "application/x-www-form-urlencoded" })).statusCode, 415);
    t.equal((await raw(JSON.stringify({ ...good, reason: "x".repeat(70_000) }), json)).statusCode, 413);
    for (const path of ["?open=maybe", "?limit=0", "?limit=1001", "?cursor=x", "?x=1"])
      t.equal((await send("GET", path)).statusCode, 400, path);
    const unknown = "00000000-0000-0000-0000-000000000000";
    for (const [method, path] of [
      ["GET", `/${unknown}`],
      ["GET", "/x"],
      ["POST", `/${unknown}/end`],
      ["POST", "/x/end"],
    ] as const)
      t.equal((await send(method, path)).statusCode, 404, path);
    t.same(await query(ca, "select count(*) from incident"), before);
  });

  t.test("without the operator's token: 401, whatever was asked", async (t) => {
    for (const [method, path] of [
      ["POST", ""],
      ["GET", ""],
      ["GET", "/x"],
      ["POST", "/x/end"],
    ] as const) {
      const reply = await send(method, path, method === "POST" ? { reason: 1 } : undefined, {});
      t.equal(reply.statusCode, 401, `${method} ${path}`);
    }
  });
});
