/**
 * The SQL of limits that hold for all processes together: places of pending orders, and failures in a row. Most of it is parts of
 * statements in `orderStatements.ts`, so that nothing is counted that did not happen.
 */
import { isBlocked } from "./blockedKeys.ts";
import { statement } from "./database.ts";
import { isQuarantined } from "./quarantines.ts";
import { isSigner } from "./signer.ts";

/** What the store bounds; 0 means no bound. */
export interface OrderLimits {
  /** Orders of one account that wait for authorizations. */
  readonly pendingOrdersPerAccount: number;
  /** Failed validations in a row that pause an account's identifier. */
  readonly pauseAfterFailures: number;
}

/** True where there are no terms of service (`terms` is null), or the account has agreed to these. */
export const agreed = (a: string, terms: string): string =>
  `(${terms}::text is null or ${a}.terms_of_service = ${terms})`;

/**
 * A row with `id` and `slot` where the signer's account is valid and has agreed to the terms, its key is not blocked, it has a free
 * place, its identity is in no quarantine, and none of the wanted identifiers is paused. The signer is $2 to $4, types and values of the wanted identifiers are $12 and $13.
 * @param n the first of six parameters: the account's SPKI, three for the place, the terms of service, the identity's name
 */
export const admittedSigner = (n: number): string => `
     select a.id, place.slot
     from account a cross join lateral (${freePlace("a.id", `$${n + 1}`, `$${n + 2}`, `$${n + 3}`)}) place
     where ${isSigner("a", 2)} and a.status = 'valid' and not ${isBlocked(`$${n}`)} and ${agreed("a", `$${n + 4}`)}
       and not ${isQuarantined(`$${n + 5}`)}
       and not exists (select from ${pausedOf("a.id", "$12", "$13")})`;

/**
 * One free place for a pending order among `limit`, looked for at `tries` of them from `start` on; no row where those are taken, and one
 * with null where there is no limit. Whoever takes a place that another statement takes at the same time violates the index.
 */
function freePlace(accountId: string, limit: string, start: string, tries: string): string {
  return `select null::integer as slot where ${limit}::integer = 0
   union all
   (select c.slot from (select (${start}::integer + i) % nullif(${limit}::integer, 0) as slot
                        from generate_series(0, ${tries}::integer - 1) as i where ${limit}::integer > 0) c
    where not exists (select from acme_order o where o.account_id = ${accountId} and o.pending_slot = c.slot) limit 1)`;
}

/** Name of the index that makes places unique. */
export const placeConstraint = "acme_order_pending";

/**
 * The wanted identifiers that are paused for the account. Written as a join, so that it is looked up by key: as a condition of its own
 * the planner would read the whole table.
 */
export function pausedOf(accountId: string, types: string, values: string): string {
  return `unnest(${types}::text[], ${values}::text[]) as w(type, value)
     join validation_failure f on f.account_id = ${accountId} and f.identifier_type = w.type and f.identifier_value = w.value
     where f.paused_at is not null`;
}

const sameIdentifier = (z: string): string =>
  `f.account_id = ${z}.account_id and f.identifier_type = ${z}.identifier_type and f.identifier_value = ${z}.identifier_value`;

/** A success ends a row of failures, and a pause with it. */
export const forgetFailures = (z: string): string =>
  `delete from validation_failure f using ${z} where ${sameIdentifier(z)}`;

/** One more failure in a row of the authorization in `z`; `limit` of them begin a pause. */
export const countFailure = (z: string, limit: string): string =>
  `insert into validation_failure as f (account_id, identifier_type, identifier_value, paused_at)
   select ${z}.account_id, ${z}.identifier_type, ${z}.identifier_value, case when ${limit}::integer = 1 then now() end from ${z}
   on conflict (account_id, identifier_type, identifier_value) do update
     set failures = f.failures + 1, last_failed_at = now(),
         paused_at = coalesce(f.paused_at, case when ${limit}::integer > 0 and f.failures + 1 >= ${limit}::integer then now() end)
   returning f.account_id, f.identifier_type, f.identifier_value, f.failures, f.paused_at`;

export const pausedAmong = statement("paused_among", `select w.type, w.value from ${pausedOf("$1::uuid", "$2", "$3")}`);

/** How many places are taken, counted in the index alone and no further than the limit; its order keeps the planner in the index. */
export const pendingOrders = statement(
  "pending_orders",
  `select count(*)::int as pending
   from (select from acme_order where account_id = $1 and pending_slot is not null order by pending_slot limit $2) o`,
);

/** Places of orders that ended without anybody's doing. */
export const releasePlaces = statement(
  "release_places",
  `update acme_order set pending_slot = null
   where id in (
     select id from acme_order where pending_slot is not null and (expires_at < $1 or status <> 'pending')
     limit $2 for update skip locked
   )
   returning 1`,
);

export const pruneFailures = statement(
  "prune_validation_failures",
  `delete from validation_failure
   where (account_id, identifier_type, identifier_value) in (
     select account_id, identifier_type, identifier_value from validation_failure
     where paused_at is null and last_failed_at < $1 limit $2
   ) returning 1`,
);
