/**
 * The SQL of orders and authorizations. Each change is one statement whose WHERE holds the state it starts from (`acme/state.ts`):
 * zero rows mean that somebody else was first. The account's status is looked at inside the statement that acts.
 */
import { pinInstances } from "./instancePins.ts";
import { isBlocked } from "./blockedKeys.ts";
import { statement } from "./database.ts";
import { grantStands } from "./grantStands.ts";
import { admittedSigner, agreed, countFailure, forgetFailures } from "./orderLimits.ts";
import { replacing } from "./replacement.ts";
import { isAccountKey, isOf, isSigner, ofDirectory, signerStatus } from "./signer.ts";

const orderColumns = (o: string): string =>
  `${o}.id, ${o}.status, ${o}.identifiers, ${o}.authorization_ids, ${o}.profile, ${o}.profile_hash, ${o}.not_before, ${o}.not_after,
   ${o}.expires_at, ${o}.error, ${o}.certificate_serial, ${o}.replaces_id`;
const authorizationColumns = (z: string): string =>
  `${z}.id, ${z}.account_id, ${z}.order_id, ${z}.identifier_type, ${z}.identifier_value, ${z}.wildcard, ${z}.subdomains, ${z}.profile, ${z}.status, ${z}.expires_at,
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
       status = case when authorizations_pending = 1 then 'ready' else status end,
       pending_slot = case when authorizations_pending = 1 then null else pending_slot end
   from ${from} z where o.id = z.order_id and o.status = 'pending' and o.authorizations_pending > 0`;

/** What evidence proves. */
const isAttested = (w: string): string => `(${w}.type in ('uri', 'permanent-identifier'))`;

/**
 * Whose authorization may stand for a wanted one: one of newAuthz that no order waits for, or any valid one where orders share
 * (`$reuse`). An attested identity is proved for one order and one profile. Of a name's proof a tenth of the order's time must be left,
 * since the order ends with it and its other names may still have to be proved; of an identity's, whose time is minutes, a few seconds.
 */
const usable = (z: string, w: string, profile: string, reuse: string, orderExpires: string): string =>
  `${z}.expires_at > now() + case when ${isAttested(w)} then interval '5 seconds' else (${orderExpires}::timestamptz - now()) / 10 end
   and ${z}.validating_since is null
   and (not ${isAttested(w)} or ${z}.profile = ${profile})
   and (${z}.order_id is null and ${z}.status in ('pending', 'valid')
        or ${reuse}::boolean and ${z}.status = 'valid' and not ${isAttested(w)})`;

// $1 order · $2-$4 signer · $5 identifiers · $6 $7 profile · $8 $9 validity · $10 expires · $11-$17 wanted authorizations ·
// $18-$20 what else would do for them · $21 identifier → authorization · $22 reuse · $23 account's SPKI · $24-$26 place ·
// $27 terms of service · $28 identity (see admittedSigner)
const insertion = (owner: string, also: { columns: string; values: string }): string =>
  `with ${owner}, wanted as (
     select owner.id as account_id, w.*
     from owner, unnest($11::uuid[], $12::text[], $13::text[], $14::boolean[], $15::boolean[], $16::timestamptz[], $17::jsonb[])
       with ordinality as w(id, type, value, wildcard, subdomains, expires_at, challenges, n)
   ), found as (
     select w.n, z.id, z.status, z.expires_at, z.order_id is null and (z.status = 'pending' or ${isAttested("w")}) as take
     from wanted w cross join lateral (
       select z.id, z.status, z.expires_at, z.order_id
       from unnest($18::integer[], $19::text[], $20::boolean[]) as c(n, value, subdomains)
       join acme_authorization z on z.account_id = w.account_id and z.identifier_value = c.value
       where c.n = w.n and z.identifier_type = w.type and z.wildcard = w.wildcard and z.subdomains = c.subdomains
         and ${usable("z", "w", "$6", "$22", "$10")}
       order by z.status = 'valid' desc, z.expires_at desc limit 1
     ) z
   ), taken as (
     update acme_authorization z set order_id = $1 from found f
     where f.take and z.id = f.id and z.order_id is null and z.status = f.status and z.validating_since is null
     returning z.id
   ), used as (
     select f.n, f.id, f.status, f.expires_at from found f where not f.take or f.id in (select id from taken)
   ), made as (
     insert into acme_authorization
       (id, account_id, order_id, identifier_type, identifier_value, wildcard, subdomains, profile, status, expires_at, challenges)
     select w.id, w.account_id, $1, w.type, w.value, w.wildcard, w.subdomains, $6, 'pending', w.expires_at, w.challenges
     from wanted w where not exists (select from used u where u.n = w.n)
   ), proofs as (
     select w.n, coalesce(u.id, w.id) as id, u.status is distinct from 'valid' as pending,
            case when u.status = 'valid' then u.expires_at end as ends
     from wanted w left join used u on u.n = w.n
   )
   insert into acme_order (id, account_id, status, identifiers, authorization_ids, authorizations_pending, profile, profile_hash,
                           not_before, not_after, expires_at, pending_slot${also.columns})
   select $1, owner.id, case when p.pending = 0 then 'ready' else 'pending' end, $5, p.ids, p.pending, $6, $7, $8, $9, least($10, p.ends),
          case when p.pending > 0 then owner.slot end${also.values}
   from owner, (
     select (select array_agg(q.id order by i.n) from unnest($21::integer[]) with ordinality as i(of, n) join proofs q on q.n = i.of) as ids,
            count(distinct id) filter (where pending) as pending, min(ends) as ends
     from proofs
   ) p
   returning status, authorization_ids, expires_at`;

/**
 * For an account that has made no pre-authorization, and where orders share none: nothing is there that could be taken up. A third of the
 * price of the other one, which decides where this one makes no order.
 * $1 to $17 as above · $18 the authorization of each identifier · $19 to $24 see `admittedSigner`
 */
export const insertPlainOrder = statement(
  "order_insert_plain",
  `with owner as (${admittedSigner(19)} and not a.pre_authorizes
   ), made as (
     insert into acme_authorization
       (id, account_id, order_id, identifier_type, identifier_value, wildcard, subdomains, profile, status, expires_at, challenges)
     select z.id, owner.id, $1, z.type, z.value, z.wildcard, z.subdomains, $6, 'pending', z.expires_at, z.challenges
     from owner, unnest($11::uuid[], $12::text[], $13::text[], $14::boolean[], $15::boolean[], $16::timestamptz[], $17::jsonb[])
       as z(id, type, value, wildcard, subdomains, expires_at, challenges)
   )
   insert into acme_order (id, account_id, status, identifiers, authorization_ids, authorizations_pending, profile, profile_hash,
                           not_before, not_after, expires_at, pending_slot)
   select $1, owner.id, 'pending', $5, $18, cardinality($11::uuid[]), $6, $7, $8, $9, $10, owner.slot from owner
   returning status, authorization_ids, expires_at`,
);

export const insertOrder = statement(
  "order_insert",
  insertion(`owner as (${admittedSigner(23)})`, { columns: "", values: "" }),
);

/** $29 serial · $30 its id · $31 issuers · $32-$35 the order's names by type. */
export const insertReplacingOrder = statement(
  "order_insert_replacing",
  insertion(
    replacing(admittedSigner(23), {
      order: "$1",
      serial: "$29",
      issuers: "$31",
      dns: "$32",
      ip: "$33",
      uri: "$34",
      devices: "$35",
    }),
    { columns: ", replaces, replaces_id", values: ", $29, $30" },
  ),
);

// That the account has one is written down with it: only then newOrder looks for some.
export const insertAuthorization = statement(
  "authorization_insert",
  `with owner as (
     select a.id, a.pre_authorizes from account a
     where ${isSigner("a", 1)} and a.status = 'valid' and ${agreed("a", "$11")}
   ), noted as (
     update account a set pre_authorizes = true from owner where a.id = owner.id and not owner.pre_authorizes
   )
   insert into acme_authorization
     (id, account_id, identifier_type, identifier_value, wildcard, subdomains, profile, status, expires_at, challenges)
   select $4, owner.id, $5, $6, false, $7, $8, 'pending', $9, $10 from owner
   returning id`,
);

export const readOrder = statement(
  "order_read",
  `select ${signerStatus("a", 1)}, ${orderColumns("o")} from account a
   left join acme_order o on o.id = $4 and ${isOf("o", "a.id")}
   where ${ofDirectory("a", 1)}`,
);

export const listOrders = statement(
  "order_list",
  `select ${signerStatus("a", 1)},
     coalesce((select array_agg(o.id order by o.id) from (
       select id from acme_order
       where account_id = a.id and status <> 'invalid' and ($4::uuid is null or id > $4) order by id limit $5
     ) o), '{}') as ids
   from account a where ${ofDirectory("a", 1)}`,
);

export const readForFinalize = statement(
  "order_read_for_finalize",
  `select ${signerStatus("a", 1)}, ${orderColumns("o")},
     coalesce((select jsonb_agg(to_jsonb(z)) from acme_authorization z
               where z.id = any(o.authorization_ids) and ${isOf("z", "a.id")}), '[]') as authorizations,
     ${isAccountKey("$5")} as key_is_account_key,
     ${isBlocked("$6")} as key_is_blocked, ${isBlocked("$7")} as account_key_is_blocked
   from account a left join acme_order o on o.id = $4 and ${isOf("o", "a.id")}
   where ${ofDirectory("a", 1)}`,
);

export const readAuthorization = statement(
  "authorization_read",
  `select ${signerStatus("a", 1)}, ${authorizationColumns("z")}
   from account a left join acme_authorization z on z.id = $4 and ${isOf("z", "a.id")}
   where ${ofDirectory("a", 1)}`,
);

// A valid authorization may stand behind several orders: all that are not finished end with it. They are locked in the order of their
// ids: two authorizations of the same orders may end at the same time.
export const deactivateAuthorization = statement(
  "authorization_deactivate",
  `with ended as (
     update acme_authorization z set status = 'deactivated'
     where z.id = $4 and ${isOf("z", "$1")} and z.status in ('pending', 'valid')
       and exists (select from account a where ${isSigner("a", 1)} and a.status = 'valid')
     returning ${authorizationColumns("z")}
   ), orders as (
     update acme_order set status = 'invalid', pending_slot = null
     where id in (
       select o.id from ended join acme_order o on o.account_id = ended.account_id and ended.id = any(o.authorization_ids)
       where o.status in ('pending', 'ready') order by o.id for update of o
     )
   )
   select * from ended`,
);

export const beginValidation = statement(
  "authorization_begin_validation",
  `update acme_authorization z set challenges = ${withChallenge("z", "$5", "$6")}, validating_since = now()
   where z.id = $4 and ${isOf("z", "$1")} and z.status = 'pending' and z.expires_at > now() and z.validating_since is null
     and exists (select from account a where ${isSigner("a", 1)} and a.status = 'valid')
   returning ${authorizationColumns("z")}`,
);

export const activationOffered = statement(
  "authorization_activation_offered",
  `update acme_authorization z set challenges = ${withChallenge("z", "$5", "$6")}
   where z.id = $4 and ${isOf("z", "$1")} and z.status = 'pending' and z.expires_at > now()
     and exists (select from account a where ${isSigner("a", 1)} and a.status = 'valid')
   returning z.id`,
);

export const retrying = statement(
  "authorization_retrying",
  `update acme_authorization z set challenges = ${withChallenge("z", "$2", "$3")}, validating_since = now()
   where z.id = $1 and z.status = 'pending' and z.expires_at > now() and z.validating_since is not null
     and exists (select from account where id = z.account_id and status = 'valid')
   returning z.id`,
);

// Whatever holds one of them just now is about to end it, or has heard of it: nobody waits here, and nobody is locked out.
export const keepValidations = statement(
  "authorization_keep_validations",
  `update acme_authorization z set validating_since = now()
   where z.id in (
     select id from acme_authorization
     where id = any($1::uuid[]) and status = 'pending' and validating_since is not null for update skip locked
   )`,
);

export const validated = statement(
  "authorization_validated",
  `with z as (
     update acme_authorization z
     set status = 'valid', challenges = ${withChallenge("z", "$2", "$3")}, expires_at = $4, validating_since = null
     where z.id = $1 and z.status = 'pending' and z.expires_at > now()
       and exists (select from account where id = z.account_id and status = 'valid')
     returning z.id, z.order_id, z.expires_at, z.account_id, z.identifier_type, z.identifier_value
   ), resumed as (${forgetFailures("z")}), orders as (${countDown("z")})
   select id from z`,
);

export const failed = statement(
  "authorization_failed",
  `with z as (
     update acme_authorization z
     set status = 'invalid', challenges = ${withChallenge("z", "$2", "$3")}, validating_since = null
     where z.id = $1 and z.status = 'pending' and z.order_id is not distinct from $6
     returning z.id, z.order_id, z.account_id, z.identifier_type, z.identifier_value
   ), counted as (${countFailure("z", "$5")}
   ), orders as (
     update acme_order o set status = 'invalid', error = $4, pending_slot = null from z where o.id = z.order_id and o.status in ('pending', 'ready')
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'authorization.failed', 'account:' || account_id, 'authorization:' || id,
            jsonb_build_object('identifier', identifier_value, 'challenge', $2::text, 'error', $4::jsonb)
     from z
     union all
     select 'identifier.paused', 'mayfly', 'account:' || account_id,
            jsonb_build_object('type', identifier_type, 'value', identifier_value, 'failures', failures)
     from counted where paused_at = now()
   )
   select account_id, identifier_type, identifier_value from z`,
);

// Evidence, authorization and order move together or not at all: evidence that is there already violates its key, and the whole
// statement with it. Evidence is looked at only where the authorization moves, so a request that came second uses nothing up.
export const attested = statement(
  "authorization_attested",
  `with z as (
     update acme_authorization z
     set status = 'valid', challenges = ${withChallenge("z", "$6", "$7")}, expires_at = $8, attestation = $9
     where z.id = $4 and ${isOf("z", "$1")} and z.order_id is not distinct from $5 and z.status = 'pending' and z.expires_at > now()
       and exists (select from account a where ${isSigner("a", 1)} and a.status = 'valid') and ${grantStands("$18", "$19")}
     returning z.id, z.order_id, z.expires_at, z.account_id, z.identifier_type, z.identifier_value
   ), used as (
     insert into evidence_use (one_time_id, source, authorization_id, replay_until)
     select e.id, e.source, z.id, e.until from z, unnest($10::bytea[], $11::text[], $12::timestamptz[]) as e(id, source, until)
   ), ${pinInstances("z", 13)}, resumed as (${forgetFailures("z")}), orders as (${countDown("z")})
   select id from z`,
);

export const reclaimValidations = statement(
  "authorization_reclaim_validations",
  `update acme_authorization z set validating_since = now()
   from account a
   where a.id = z.account_id and z.id in (
     select id from acme_authorization
     where validating_since < $1 and status = 'pending' and expires_at > now()
     order by validating_since limit $2 for update skip locked
   )
   returning ${authorizationColumns("z")}, a.directory, a.jwk_thumbprint`,
);
