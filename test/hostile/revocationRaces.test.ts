/** Revocations that come at the same moment, on two servers over one database: each certificate is revoked once, and counted by who did it. */
import { X509Certificate } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import t from "tap";

import { issued, leafOf, query } from "../support/acmeFlows.ts";
import { replicas, type Replica } from "../support/replicas.ts";

t.setTimeout(240_000);

const [one, two] = await replicas(t);
const { ca } = one;
const alice = await one.acme.account();
const aliceAtTwo = await two.as(alice);

type Json = Record<string, unknown>;
async function revoke({ ca: { authority } }: Replica, by: object): Promise<Json> {
  const reply = await authority.server.inject({
    method: "POST",
    url: "/api/v1/revocations",
    headers: { authorization: `Bearer ${ca.operatorToken}` },
    payload: { by, reason: "superseded", note: "a race", dryRun: false },
  });
  return reply.json<Json>();
}

/** A certificate's serial number as the database and REST write it. */
const serialOf = (leaf: string): string =>
  new X509Certificate(Buffer.from(leaf, "base64url")).serialNumber.toLowerCase().replace(/^(?=[89a-f])/, "00");

/** Resolves once some statement waits for another one's transaction. */
async function somebodyWaits(): Promise<void> {
  const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
  while ((await query(ca, waiting)).length === 0) await pause(10);
}

async function done(id: unknown): Promise<Json> {
  for (;;) {
    const { body } = await ca.inventory(`/revocations/${String(id)}`);
    if (body["state"] === "done") return body;
    await pause(50);
  }
}

t.test("revoked by somebody else between the look and the write: counted as revoked before", async (t) => {
  const flow = await issued(ca, alice);
  const serial = serialOf(leafOf(flow.chain));
  const rival = new pg.Client({ connectionString: ca.databaseUrl });
  await rival.connect();
  t.teardown(() => rival.end());
  await rival.query("begin");
  await rival.query(
    `insert into revocation (serial, issuer_id, not_after, revoked_at, reason, revoked_by, shard)
     select serial, issuer_id, not_after, now(), 4, 'a rival', 0 from certificate where serial = decode($1, 'hex')`,
    [serial],
  );
  const revoking = revoke(one, { certificate: serial });
  await somebodyWaits();
  await rival.query("commit");
  t.match(await done((await revoking)["id"]), { revoked: 0, revokedBefore: 1, withoutInformation: 0 });
});

t.test("overlapping revocations and clients' own at the same time: one of them has each certificate", async (t) => {
  const flows = [];
  for (let round = 0; round < 8; round++) flows.push(await issued(ca, alice));
  const identity = flows[0]?.spiffeId;
  const leaves = flows.map(({ chain }) => leafOf(chain));
  const byClients = leaves.flatMap((certificate) =>
    [alice, aliceAtTwo].map(async (client, index) => {
      const { directory } = (index === 0 ? one : two).acme;
      return (await client.post(directory.revokeCert, { certificate })).status;
    }),
  );
  const byOperators = [
    ...leaves.map((leaf) => revoke(two, { certificate: serialOf(leaf) })),
    ...[one, two].flatMap((server) => [revoke(server, { source: "dev" }), revoke(server, { identity })]),
  ];
  const statuses = await Promise.all(byClients);
  t.same(
    statuses.filter((status) => status !== 200 && status !== 400),
    [],
    "revoked, or revoked already",
  );
  for (const { id } of await Promise.all(byOperators)) await done(id);
  const [counts] = await query(
    ca,
    `select (select count(*)::int from certificate c where c.door = 'acme' and not exists (select from revocation r where r.serial = c.serial)) as left,
       (select count(*)::int from revocation_action a
        where a.revoked <> (select count(*) from revocation r where r.action_id = a.id)) as miscounted,
       (select sum(revoked)::int from revocation_action) as said, (select count(action_id)::int from revocation) as revoked,
       (select count(*)::int from audit_entry where event = 'certificate.revoked') as audited`,
  );
  t.equal(counts?.["left"], 0);
  t.equal(counts?.["miscounted"], 0, "each action says how many it revoked");
  t.equal(counts?.["said"], counts?.["revoked"]);
  t.equal(counts?.["audited"], counts?.["revoked"]);
});
