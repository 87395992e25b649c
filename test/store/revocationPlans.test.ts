/**
 * How Postgres finds what revocation lists and OCSP are made from. A connection keeps its plans: one that is made on a server of few rows must be
 * right on one of a million.
 */
import { randomUUID } from "node:crypto";
import t from "tap";
import { putCertificates } from "../../bench/manyCertificates.ts";
import * as lists from "../../src/store/certificateLists.ts";
import type { Database, Statement } from "../../src/store/database.ts";
import { outstanding } from "../../src/store/issuerMoves.ts";
import * as ocsp from "../../src/store/ocspResponses.ts";
import { lists as listsOfAction } from "../../src/store/revocationActions.ts";
import { makeIssuer, migratedDatabase, query } from "../support/database.ts";

t.setTimeout(240_000);

const byShard = "certificate_list_shard_pkey: issuer_id, shard";
const unpublished = "revocation_unpublished: issuer_id, shard";
const response = "ocsp_response_pkey: hash, serial";
const revocation = "revocation_pkey: serial";

/** Where a revocation is that gets its list: by either of these. */
const settled = /^revocation_(pkey: serial|unpublished: issuer_id, serial, shard)$/;

/** What each of them reads, by which index, and the columns that are looked up in it; of issuers there are always few. */
const readings: readonly (readonly [Statement, ...string[]])[] = [
  [lists.takeTurn, "certificate_list_shard_pkey: issuer_id", byShard, unpublished],
  [lists.settle, byShard, unpublished],
  [lists.readPage, "revocation_listed: issuer_id, serial, shard"],
  [lists.readLate, "revocation_unpublished: issuer_id, serial, shard"],
  [lists.publish, "certificate_list_pkey: issuer_id, number, shard", byShard, unpublished],
  [ocsp.markAhead, "certificate_issued: issued_at", response],
  [ocsp.takeDue, "ocsp_response: its place", "ocsp_response_due: refresh_at", revocation],
  [ocsp.pruneOcspResponses, "ocsp_response: its place", "ocsp_response_over: not_after"],
  [listsOfAction, "revocation_of_action: action_id"],
  [outstanding, "certificate_not_after: not_after", revocation],
];

interface PlanNode {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Index Cond"?: string;
  Plans?: PlanNode[];
}

/** A read without a condition is one of all rows. */
function* readsOf(node: PlanNode): Generator<string> {
  const { "Node Type": type, "Relation Name": relation = "", "Index Name": index, "Index Cond": condition = "" } = node;
  if (index !== undefined) {
    const names = condition.matchAll(
      /\b(issuer_id|shard|serial|hash|number|refresh_at|not_after|issued_at|action_id)\b(?! FROM)/g,
    );
    yield `${index}: ${[...new Set([...names].map(([name]) => name))].sort().join(", ")}`;
  } else if (type === "Tid Scan") yield `${relation}: its place`;
  else if (type.endsWith("Scan") && relation !== "" && type !== "Bitmap Heap Scan") yield `${relation}: ${type}`;
  for (const each of node.Plans ?? []) yield* readsOf(each);
}

async function readsOfStatement(db: Database, { text }: Statement): Promise<string[]> {
  const [row] = await query<{ "QUERY PLAN": [{ Plan: PlanNode }] }>(db, `explain (generic_plan, format json) ${text}`);
  return row === undefined ? [] : [...new Set(readsOf(row["QUERY PLAN"][0].Plan))].sort();
}

async function fill(db: Database, count: number, told: string): Promise<void> {
  const issuerId = randomUUID();
  await makeIssuer(db, issuerId);
  const many = { lifetimeSeconds: 86_400, source: "cluster", grant: "agents", accountId: randomUUID(), identities: 10 };
  await putCertificates(db, { ...many, issuerId, count });
  await query(
    db,
    `insert into revocation (serial, revoked_at, reason, revoked_by, issuer_id, not_after, shard)
     select serial, now(), 1, 'test', issuer_id, not_after, 0 from certificate`,
  );
  await query(
    db,
    `insert into ocsp_response (serial, hash, issuer_id, not_after, revoked, ahead, refresh_at)
     select serial, 'sha1', issuer_id, not_after, true, true, now() from certificate`,
  );
  await query(db, "insert into certificate_list_shard (issuer_id, shard) select id, 0 from issuer");
  await query(db, told);
}

// Vacuumed or not: whether an index alone has all, without a look at the rows, weighs in a plan.
for (const [count, told] of [
  [0, "nothing"],
  [1, "analyze"],
  [1, "vacuum (analyze)"],
  [60, "analyze"],
  [60, "vacuum (analyze)"],
  [5_000, "vacuum (analyze)"],
] as const)
  t.test(`each row is looked up by its key, in a plan from when there were ${count}, after ${told}`, async (t) => {
    const db = await migratedDatabase(t);
    if (count > 0) await fill(db, count, told);
    for (const [statement, ...expected] of readings) {
      const found = (await readsOfStatement(db, statement)).filter(
        (each) => !each.startsWith("issuer_") && (statement !== lists.settle || !settled.test(each)),
      );
      t.same(found, expected.toSorted(), statement.name);
    }
  });
