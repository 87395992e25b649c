/** Kill -9 in the middle of a large revocation: the next process goes on with it, and nothing is revoked twice or left out. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";

import { putCertificates } from "../../bench/manyCertificates.ts";
import { commands } from "../../src/cli/commands.ts";
import { runWords } from "../support/commandLine.ts";
import { openPool } from "../support/database.ts";
import { askDatabase } from "../support/processFlows.ts";
import { embeddedDatabaseUrl, serverPlace, startServer } from "../support/serverProcess.ts";

t.setTimeout(240_000);

const place = await serverPlace(t);
const server = await startServer(t, place);
const count = 30_000;

const [issuer] = await askDatabase<{ id: string }>(place, "select id from issuer where kind = 'issuing'");
const db = openPool(t, embeddedDatabaseUrl(place), 2);
await putCertificates(db, {
  count,
  lifetimeSeconds: 7_200,
  source: "cluster",
  grant: "agents",
  accountId: randomUUID(),
  issuerId: issuer?.id ?? "",
  identities: 100,
});
const inForce = async (): Promise<number> => {
  const [row] = await askDatabase<{ n: number }>(
    place,
    `select count(*)::int as n from certificate c where c.profile = 'workload' and c.not_after > now()
       and not exists (select from revocation r where r.serial = c.serial)`,
  );
  return row?.n ?? -1;
};
const mayfly = (...words: string[]) => runWords(commands, words, { env: place.env });

t.test("killed in the middle, resumed by the next", async (t) => {
  t.ok((await inForce()) > count * 0.9);
  const revoking = mayfly("revoke", "--source", "cluster", "--note", "taken over", "--yes");
  let revoked = 0;
  while (revoked < 2_000) {
    await pause(20);
    const [row] = await askDatabase<{ n: number }>(place, "select revoked::int as n from revocation_action");
    revoked = row?.n ?? 0;
  }
  await server.stop("SIGKILL");
  t.equal((await revoking).status, 1, "the command has lost its server");
  const left = await inForce();
  t.ok(left > 0 && left < count, `${left} are left`);

  await startServer(t, place);
  const until = Date.now() + 120_000;
  let listed = await mayfly("revocations", "list", "--running");
  while (listed.stdout.includes("running") && Date.now() < until) {
    await pause(200);
    listed = await mayfly("revocations", "list", "--running");
  }
  t.equal(await inForce(), 0);
  const [told] = await askDatabase(
    place,
    `select a.state, a.revoked = (select count(*) from revocation r where r.action_id = a.id) as counted,
       (select count(*) from audit_entry e where e.event = 'certificate.revoked') = a.revoked as audited,
       (select count(*)::int from audit_entry e where e.event in ('revocation.ordered', 'revocation.done')) as whole
     from revocation_action a`,
  );
  t.same(told, { state: "done", counted: true, audited: true, whole: 2 });
  const [one] = JSON.parse(`[${(await mayfly("revocations", "list", "--json")).stdout.trim()}]`) as { id: string }[];
  t.match((await mayfly("revocations", "show", one?.id ?? "")).stdout, /: done\.\n[^]*the source is suspended since/);
});
