/**
 * Revocation of everything that rests on one source of evidence: `node bench/revocation.ts [COUNT]`. On the tests' PostgreSQL: how long the beginning
 * takes, after which nothing more is issued; the dry run; and the walk, with issuances beside it.
 */
import { randomUUID } from "node:crypto";

import { newId } from "../src/acme/id.ts";
import { createCarryingOut } from "../src/authority/revocation/carryOut.ts";
import { migrate } from "../src/store/migrate.ts";
import { createRevocationActionStore } from "../src/store/revocationActions.ts";
import { createRevocationProgress } from "../src/store/revocationProgress.ts";
import { makeCertificate, makeIssuer, openPool, spiffe } from "../test/support/database.ts";
import { temporaryPostgres } from "../test/support/postgres.ts";
import { putCertificates } from "./manyCertificates.ts";

const endings: (() => void | Promise<void>)[] = [];
const owner = { teardown: (action: () => void | Promise<void>) => void endings.unshift(action) };
const count = Number(process.argv[2] ?? 1_000_000);
const since = (began: number): number => Math.round(performance.now() - began);

const db = openPool(owner, (await temporaryPostgres(owner)).url);
await migrate(db.kysely);
const issuerId = randomUUID();
await makeIssuer(db, issuerId);
await putCertificates(db, {
  count,
  lifetimeSeconds: 86_400,
  source: "cluster",
  grant: "agents",
  accountId: randomUUID(),
  issuerId,
  identities: 10_000,
});
const store = createRevocationActionStore(db);
const order = {
  id: newId(new Date()),
  kind: "source",
  subject: "cluster",
  delegationSource: null,
  reason: 1,
  note: "measured",
  quarantine: false,
  blockKeys: false,
} as const;

const dry = performance.now();
const covered = await store.coverage(order, new Date());
console.log(`dry run: ${covered.certificates} certificates in ${since(dry)} ms`);

const issue = () => makeCertificate(db, { ...spiffe(`spiffe://mayfly.test/${randomUUID()}`), issuerId });
const latencies = async (while_: () => boolean): Promise<string> => {
  const all: number[] = [];
  do {
    const began = performance.now();
    await issue();
    all.push(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, 20));
  } while (while_());
  const at = (part: number): string => (all.sort((a, b) => a - b)[Math.floor(part * (all.length - 1))] ?? 0).toFixed(1);
  return `${all.length} issuances, median ${at(0.5)} ms, 99 % within ${at(0.99)} ms`;
};
const quietUntil = performance.now() + 5_000;
console.log(`before: ${await latencies(() => performance.now() < quietUntil)}`);

const began = performance.now();
const action = await store.begin(order, new Date());
console.log(`nothing more is issued after ${since(began)} ms`);
const progress = createRevocationProgress(db);
const carryingOut = createCarryingOut({
  progress,
  statementTimeoutMs: 10_000,
  now: () => new Date(),
  onFailure: (_id, error) => console.error(error),
});
const state = { running: true };
const walk = carryingOut.begin(action).then(() => (state.running = false));
console.log(`beside it: ${await latencies(() => state.running)}`);
await walk;
const done = await store.read(order.id);
console.log(
  `${done?.revoked} revoked after ${since(began)} ms: ${Math.round((done?.revoked ?? 0) / (since(began) / 1000))} a second`,
);
for (const end of endings) await end();
