/**
 * The state machines under random and concurrent actions, against two real servers of one authority, whose turns alternate. A case is a number of
 * accounts and of actors that act at the same time; afterwards the transitions that the database saw, ACME's own words and the inventory must agree with each other.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { AcmeDriver } from "../support/acmeDriver.ts";
import { http01Target, type Http01Target } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { sibling, wanderingDriver } from "../support/replicas.ts";
import { caseSeed, createRandom } from "../fuzz/random.ts";
import { holds, type Target, type Verdict } from "../fuzz/target.ts";
import { watchTransitions, type Transitions } from "./transitions.ts";
import { act, sane, type World } from "./world.ts";

interface Ground {
  readonly ca: TestAuthority;
  readonly driver: AcmeDriver;
  readonly target: Http01Target;
  readonly transitions: Transitions;
  readonly clock: { aheadMs: number };
  readonly teardowns: (() => void | Promise<void>)[];
}

const clockMsMax = 5 * 86_400_000;

let ground: Promise<Ground> | undefined;

async function open(): Promise<Ground> {
  const teardowns: Ground["teardowns"] = [];
  const owner = { teardown: (action: () => void | Promise<void>) => void teardowns.unshift(action) };
  const clock = { aheadMs: 0 };
  const target = await http01Target(owner);
  const options = {
    now: () => new Date(Date.now() + clock.aheadMs),
    configuration: { validation: { http01Port: target.port, timeoutMs: 2000, attempts: 1 } },
  };
  const ca = await certificateAuthority(owner, options);
  const { ca: second } = await sibling(owner, ca, options);
  const transitions = await watchTransitions(ca.databaseUrl);
  teardowns.unshift(() => transitions.close());
  return { ca, driver: await wanderingDriver(owner, ca, second), target, transitions, clock, teardowns };
}

interface Case {
  readonly seed: number;
  readonly accounts: number;
  readonly actors: number;
  /** Of each actor. */
  readonly actions: number;
}

/** How often each arrow was taken since the process began: a property that never sees a state says nothing of it. */
export const arrows = new Map<string, number>();

async function play(
  { seed, accounts: count, actors, actions }: Case,
  { ca, driver, target, transitions, clock }: Ground,
): Promise<World> {
  const accounts = await Promise.all(Array.from({ length: count }, () => driver.account()));
  const jumpAhead = (hours: number): void => void (clock.aheadMs += hours * 3_600_000);
  const now = (): Date => new Date(Date.now() + clock.aheadMs);
  const world: World = { ca, driver, target, accounts, orders: [], alone: [], log: [], now, jumpAhead };
  const outcomes = await Promise.allSettled(
    Array.from({ length: actors }, async (_, actor) => {
      const random = createRandom(caseSeed(seed, actor));
      for (let round = 0; round < actions; round++) await act(world, random);
    }),
  );
  await quiet(transitions);
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) {
    const { message } = failed.reason as Error;
    throw new Error(
      `${message} (deadlocks so far: ${await deadlocks(transitions)}; ${world.log.slice(-40).join(", ")})`,
      { cause: failed.reason },
    );
  }
  return world;
}

/** Until no validation runs and no issuance is open. */
async function quiet({ client }: Transitions): Promise<void> {
  for (let round = 0; round < 300; round++) {
    const { rows } = await client.query<{ busy: number }>(
      `select ((select count(*) from acme_authorization where validating_since is not null and status = 'pending')
             + (select count(*) from issuance_intent where abandoned_at is null))::int as busy`,
    );
    if (rows[0]?.busy === 0) return;
    await pause(100);
  }
  const { rows } = await client.query(
    `select id::text, 'validation' as what, validating_since as since, challenges::text as more from acme_authorization
     where validating_since is not null and status = 'pending'
     union all select order_id::text, 'issuance', tried_at, '' from issuance_intent where abandoned_at is null`,
  );
  throw new Error(`validations or issuances do not end: ${JSON.stringify(rows)}`);
}

/** What must be empty, whatever was done. */
const contradictions: Readonly<Record<string, string>> = {
  "an order with several certificates": `select order_id from certificate where order_id is not null group by order_id having count(*) > 1`,
  "an order that is valid without its certificate, or has one and is not": `
    select o.id from acme_order o left join certificate c on c.order_id = o.id
    where (o.status = 'valid') <> (c.serial is not null) or (o.status = 'valid' and o.certificate_serial is distinct from c.serial)`,
  "a certificate whose order is not there, or another account's": `
    select c.serial from certificate c left join acme_order o on o.id = c.order_id
    where c.door = 'acme' and (o.id is null or o.account_id is distinct from c.account_id)`,
  "a certificate for other names than its order's": `
    select c.serial from certificate c join acme_order o on o.id = c.order_id
    where (select coalesce(array_agg(i ->> 'value' order by i ->> 'value'), '{}') from jsonb_array_elements(o.identifiers) i)
      <> (select array_agg(name order by name)
          from unnest(c.dns_names || c.ip_addresses || array_remove(array[c.spiffe_id::text], null)) name)`,
  // An order that takes up an authorization at the very moment at which that ends may not end with it. It is never issued.
  "an order that is open with an authorization that ended after it was made": `
    select o.id, z.status from acme_order o join acme_authorization z on z.id = any (o.authorization_ids)
    join observed e on e.kind = 'authorization' and e.id = z.id::text and e.after = z.status
    where o.status in ('pending', 'ready') and z.status not in ('pending', 'valid') and abs(extract(epoch from o.created_at - e.at)) > 3`,
  "an order that is ready with an authorization that is not proved": `
    select o.id from acme_order o join acme_authorization z on z.id = any (o.authorization_ids) where o.status = 'ready' and z.status = 'pending'`,
  "a certificate whose authorization had ended when it was begun": `
    select c.serial from certificate c join acme_order o on o.id = c.order_id
    join observed e on e.kind = 'authorization' and e.id = any (o.authorization_ids::text[]) and e.before = 'valid'
    join observed p on p.kind = 'order' and p.id = o.id::text and p.after = 'processing' where p.at > e.at + interval '3 seconds'`,
  "an order that is pending with nothing left to prove": `
    select o.id from acme_order o where o.status = 'pending'
    and not exists (select from acme_authorization z where z.id = any (o.authorization_ids) and z.status <> 'valid')`,
  // What is ordered while the account ends may come too late to end with it. Nobody can reach it then, and it is never issued.
  "an order or authorization that is open though its account ended after it was made": `
    select o.id from acme_order o join observed a on a.kind = 'account' and a.id = o.account_id::text and a.after = 'deactivated'
    where o.status in ('pending', 'ready') and o.created_at < a.at - interval '1 second'
    union select z.id from acme_authorization z join observed a on a.kind = 'account' and a.id = z.account_id::text and a.after = 'deactivated'
    where z.status = 'pending' and z.created_at < a.at - interval '1 second'`,
  "a certificate whose account had ended when it was begun": `
    select c.serial from certificate c join observed a on a.kind = 'account' and a.id = c.account_id::text and a.after = 'deactivated'
    join observed o on o.kind = 'order' and o.id = c.order_id::text and o.after = 'processing' where o.at > a.at + interval '1 second'`,
  "an authorization whose challenges say otherwise": `
    select z.id from acme_authorization z cross join lateral (
      select bool_or(c ->> 'status' = 'valid') as proved, bool_or(c ->> 'status' = 'invalid') as failed from jsonb_array_elements(z.challenges) c
    ) c where (z.status = 'valid' and not c.proved) or (z.status = 'invalid' and not c.failed) or (z.status = 'pending' and (c.proved or c.failed))`,
  "an order that uses another account's authorization": `
    select o.id from acme_order o join acme_authorization z on z.id = any (o.authorization_ids) where z.account_id <> o.account_id`,
  "an attested authorization behind two certificates": `
    select z.id from acme_authorization z join acme_order o on z.id = any (o.authorization_ids) where z.identifier_type = 'uri' and o.status = 'valid'
    group by z.id having count(*) > 1`,
};

/** Statements that lock rows in different orders: PostgreSQL ends one of them, and its client is told to come back. */
async function deadlocks({ client }: Transitions): Promise<number> {
  const { rows } = await client.query<{ deadlocks: string }>(
    "select deadlocks from pg_stat_database where datname = current_database()",
  );
  return Number(rows[0]?.deadlocks ?? 0);
}

/** ACME's own words against the inventory's, through the front doors. */
async function agree({ ca, orders, accounts }: World): Promise<void> {
  const alive = new Set<unknown>();
  for (const account of accounts) if ((await account.postAsGet(account.account)).status === 200) alive.add(account);
  for (const { owner, url, finalized } of orders) {
    const reply = sane(url, await owner.postAsGet(url));
    if (!alive.has(owner)) {
      holds(reply.status === 401, `${url}: the account has ended, and yet ${reply.status}`);
      continue;
    }
    holds(reply.status === 200, `${url}: ${reply.status} for its owner`);
    const { status, certificate } = reply.json() as { status: string; certificate?: string };
    holds((status === "valid") === (certificate !== undefined), `${url}: ${status}, certificate ${certificate}`);
    holds(finalized === 0 || status === "valid", `${url}: finalize said 200, and the order is ${status}`);
    if (certificate === undefined) continue;
    const serial = certificate.split("/").at(-1) ?? "";
    const { status: found, body } = await ca.inventory(`/certificates/${serial}`);
    holds(
      found === 200 && body["order"] === url.split("/").at(-1),
      `${url}: the inventory says ${JSON.stringify(body).slice(0, 300)}`,
    );
  }
}

async function judged(asked: Case, opened: Ground): Promise<Verdict> {
  const before = await deadlocks(opened.transitions);
  const world = await play(asked, opened);
  holds((await deadlocks(opened.transitions)) === before, "statements waited for each other in a circle");
  const { forbidden, seen } = await opened.transitions.forbidden();
  for (const [arrow, count] of seen) arrows.set(arrow, (arrows.get(arrow) ?? 0) + count);
  holds(forbidden.length === 0, `forbidden: ${forbidden.join("; ")}`);
  for (const [what, statement] of Object.entries(contradictions)) {
    const { rows } = await opened.transitions.client.query<object>(statement);
    holds(rows.length === 0, `${what}: ${rows.length}, ${JSON.stringify(rows.slice(0, 3)).slice(0, 500)}`);
  }
  await agree(world);
  return world.orders.some(({ finalized }) => finalized > 0) ? "accepted" : "refused";
}

export const states: Target = {
  name: "states",
  about: "accounts, orders, authorizations and challenges under random actions of several at once; not a parser",
  cases: 9,
  slowMs: 120_000,
  make(random) {
    const concurrent = random.chance(0.75);
    const made: Case = {
      seed: random.below(2 ** 32),
      accounts: 2 + random.below(3),
      actors: concurrent ? 2 + random.below(10) : 1,
      actions: concurrent ? 20 + random.below(20) : 150,
    };
    return Buffer.from(JSON.stringify(made));
  },
  async check(input) {
    // The clock only goes forward, as those of servers do; before the first orders are old enough to be pruned there is a new authority.
    if (ground !== undefined && (await ground).clock.aheadMs > clockMsMax) await states.close?.();
    const opened = await (ground ??= open());
    try {
      return await judged(JSON.parse(input.toString("utf8")) as Case, opened);
    } catch (error) {
      await states.close?.(); // What is wrong in this database would be found again and again.
      throw error;
    }
  },
  async close() {
    const opened = await ground;
    ground = undefined;
    for (const teardown of opened?.teardowns ?? []) await teardown();
  },
};
