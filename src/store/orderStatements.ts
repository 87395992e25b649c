/**
 * The SQL of orders and authorizations. Each change is one statement whose WHERE holds the state it starts from (`acme/state.ts`):
 * zero rows mean that somebody else was first. The account's status is looked at inside the statement that acts.
 */
import { statement } from "./database.ts";

const orderColumns = (o: string): string =>
  `${o}.id, ${o}.status, ${o}.identifiers, ${o}.authorization_ids, ${o}.profile, ${o}.profile_hash, ${o}.not_before, ${o}.not_after,
   ${o}.expires_at, ${o}.error, ${o}.certificate_serial`;
const authorizationColumns = (z: string): string =>
  `${z}.id, ${z}.account_id, ${z}.order_id, ${z}.identifier_type, ${z}.identifier_value, ${z}.wildcard, ${z}.profile, ${z}.status, ${z}.expires_at,
   ${z}.challenges, ${z}.attestation`;

/** The challenges with the one of type $n replaced by $m: a challenge's URL is its authorization and its type. */
const withChallenge = (z: string, type: string, value: string): string =>
  `(select jsonb_agg(case when c->>'type' = ${type} then ${value}::jsonb else c end order by n)
    from jsonb_array_elements(${z}.challenges) with ordinality as e(c, n))`;

/**
 * The order of an authorization comes one step nearer to `ready`; its row lock makes exactly one caller the last. It does not
 * outlive the authorization (RFC 8555 §7.1.6): an order that reads as `ready` can be finalized.
 */
const countDown = (from: string): string =>
  `update acme_order o
   set authorizations_pending = authorizations_pending - 1,
       expires_at = least(o.expires_at, z.expires_at),
       status = case when authorizations_pending = 1 then 'ready' else status end
   from ${from} z where o.id = z.order_id and o.status = 'pending' and o.authorizations_pending > 0`;

export const insertOrder = statement(
  "order_insert",
  `with owner as (
     select id from account where id = $2 and status = 'valid'
   ), authorizations as (
     insert into acme_authorization
       (id, account_id, order_id, identifier_type, identifier_value, wildcard, profile, status, expires_at, challenges)
     select z.id, owner.id, $1, z.type, z.value, z.wildcard, $4, 'pending', z.expires_at, z.challenges
     from owner, unnest($9::uuid[], $10::text[], $11::text[], $12::boolean[], $13::timestamptz[], $14::jsonb[])
       as z(id, type, value, wildcard, expires_at, challenges)
   )
   insert into acme_order (id, account_id, status, identifiers, authorization_ids, authorizations_pending, profile, profile_hash,
                           not_before, not_after, expires_at)
   select $1, owner.id, 'pending', $3, $9, cardinality($9::uuid[]), $4, $5, $6, $7, $8 from owner
   returning id`,
);

export const readOrder = statement(
  "order_read",
  `select a.status as account_status, ${orderColumns("o")} from account a
   left join acme_order o on o.id = $2 and o.account_id = a.id
   where a.id = $1`,
);

export const listOrders = statement(
  "order_list",
  `select a.status as account_status,
     coalesce((select array_agg(o.id order by o.id) from (
       select id from acme_order
       where account_id = a.id and status <> 'invalid' and ($2::uuid is null or id > $2) order by id limit $3
     ) o), '{}') as ids
   from account a where a.id = $1`,
);

export const readForFinalize = statement(
  "order_read_for_finalize",
  `select a.status as account_status, ${orderColumns("o")},
     coalesce((select jsonb_agg(to_jsonb(z) order by array_position(o.authorization_ids, z.id)) from acme_authorization z
               where z.id = any(o.authorization_ids) and z.account_id = a.id), '[]') as authorizations,
     exists (select from account k where k.jwk_thumbprint = $3) as key_is_account_key
   from account a left join acme_order o on o.id = $2 and o.account_id = a.id
   where a.id = $1`,
);

export const readAuthorization = statement(
  "authorization_read",
  `select a.status as account_status, ${authorizationColumns("z")}
   from account a left join acme_authorization z on z.id = $2 and z.account_id = a.id
   where a.id = $1`,
);

export const deactivateAuthorization = statement(
  "authorization_deactivate",
  `with ended as (
     update acme_authorization z set status = 'deactivated'
     where z.id = $2 and z.account_id = $1 and z.status in ('pending', 'valid')
       and exists (select from account where id = $1 and status = 'valid')
     returning ${authorizationColumns("z")}
   ), orders as (
     update acme_order o set status = 'invalid' from ended where o.id = ended.order_id and o.status in ('pending', 'ready')
   )
   select * from ended`,
);

export const beginValidation = statement(
  "authorization_begin_validation",
  `update acme_authorization z set challenges = ${withChallenge("z", "$3", "$4")}, validating_since = now()
   where z.id = $2 and z.account_id = $1 and z.status = 'pending' and z.expires_at > now() and z.validating_since is null
     and exists (select from account where id = $1 and status = 'valid')
   returning ${authorizationColumns("z")}`,
);

export const validated = statement(
  "authorization_validated",
  `with z as (
     update acme_authorization z
     set status = 'valid', challenges = ${withChallenge("z", "$2", "$3")}, expires_at = $4, validating_since = null
     where z.id = $1 and z.status = 'pending' and z.expires_at > now()
       and exists (select from account where id = z.account_id and status = 'valid')
     returning z.id, z.order_id, z.expires_at
   ), orders as (${countDown("z")})
   select id from z`,
);

export const failed = statement(
  "authorization_failed",
  `with z as (
     update acme_authorization z
     set status = 'invalid', challenges = ${withChallenge("z", "$2", "$3")}, validating_since = null
     where z.id = $1 and z.status = 'pending'
     returning z.id, z.order_id, z.account_id, z.identifier_value
   ), orders as (
     update acme_order o set status = 'invalid', error = $4 from z where o.id = z.order_id and o.status in ('pending', 'ready')
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'authorization.failed', 'account:' || account_id, 'authorization:' || id,
            jsonb_build_object('identifier', identifier_value, 'challenge', $2::text, 'error', $4::jsonb)
     from z
   )
   select id from z`,
);

// Evidence, authorization and order move together or not at all: evidence that is there already violates its key, and the whole
// statement with it. Evidence is looked at only where the authorization moves, so a request that came second uses nothing up.
export const attested = statement(
  "authorization_attested",
  `with z as (
     update acme_authorization z
     set status = 'valid', challenges = ${withChallenge("z", "$3", "$4")}, expires_at = $5, attestation = $6
     where z.id = $2 and z.account_id = $1 and z.status = 'pending' and z.expires_at > now()
       and exists (select from account where id = $1 and status = 'valid')
     returning z.id, z.order_id, z.expires_at
   ), used as (
     insert into evidence_use (one_time_id, source, authorization_id, replay_until)
     select e.id, e.source, z.id, e.until from z, unnest($7::bytea[], $8::text[], $9::timestamptz[]) as e(id, source, until)
   ), orders as (${countDown("z")})
   select id from z`,
);

export const reclaimValidations = statement(
  "authorization_reclaim_validations",
  `update acme_authorization z set validating_since = now()
   where z.id in (
     select id from acme_authorization
     where validating_since < $1 and status = 'pending' and expires_at > now()
     order by validating_since limit $2 for update skip locked
   )
   returning ${authorizationColumns("z")}`,
);
