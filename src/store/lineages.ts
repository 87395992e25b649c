/**
 * Lineages: certificates that were renewed by possession of the one before. One row for each, made by the first renewal; its lock settles which
 * of two renewals of one certificate comes second.
 */
import type { LineageStore } from "../acme/lineagePorts.ts";
import type { Renewal } from "../authority/ports.ts";
import { statement, type Database } from "./database.ts";
import { problemDocument } from "../problem/problem.ts";
import { notRenewed } from "../problem/renewalRefusals.ts";
import { isBlocked } from "./blockedKeys.ts";
import { grantStands } from "./grantStands.ts";
import { intentParameters } from "./intents.ts";
import { quarantineFrom } from "./quarantines.ts";
import { notSuspended } from "./revocationSelection.ts";

/** Whose certificate this is, issued or on its way. */
const accountOf = (serial: string): string =>
  `coalesce((select account_id from certificate where serial = ${serial}), (select account_id from issuance_intent where serial = ${serial}))`;

/**
 * CTEs that tell of a clone. `cloned` has a row with `lineage`, `shown` and `newest` (serials) and `account_id` (who showed it); `identity` and
 * `policy` are parameters.
 */
const tellCloned = (identity: string, policy: string): string => `facts as (
     select c.*, jsonb_build_object('identity', ${identity}::text, 'lineage', encode(lineage, 'hex'), 'policy', ${policy}::text,
       'shown', encode(shown, 'hex'), 'shownBy', account_id, 'newest', encode(newest, 'hex'), 'newestOf', ${accountOf("newest")}) as detail
     from cloned c
   ), cloned_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'instance.cloned', 'account:' || account_id, 'identity:' || ${identity}::text, detail from facts
   ), cloned_event as (
     insert into outbox (topic, payload) select 'instance.cloned', detail from facts
   ), to_quarantine as (
     select from cloned where ${policy}::text = 'quarantine'
   ), ${quarantineFrom("to_quarantine", identity, "'a certificate was shown for renewal that had been renewed before'")}`;

/** The nth parameter behind those of the intent. */
const $ = (n: number): string => `$${intentParameters + n}`;

/**
 * True where a certificate of the lineage was revoked because its key is compromised, or has a key that is blocked: whatever was renewed by that key
 * may be a thief's.
 */
const isCompromised = (lineage: string): string =>
  `exists (select from certificate m left join revocation v on v.serial = m.serial
     where (m.serial = ${lineage} or m.lineage = ${lineage}) and (v.reason = 1 or ${isBlocked("m.spki_sha256")}))`;

/** The parameters of a renewal's intent behind those of any intent; see `advance`. */
export const renewalValues = ({ lineage, previous, onClone, platformGrant }: Renewal): unknown[] => [
  lineage,
  previous,
  onClone,
  platformGrant?.name ?? null,
  platformGrant?.version ?? null,
  endings,
];

/** What an order keeps that ends here, by reason. */
const endings = JSON.stringify({
  cloned: problemDocument(notRenewed("cloned")),
  revoked: problemDocument(notRenewed("revoked")),
});

/** True where the certificate shown, `p`, renews nothing any more. */
export const isRevoked = `(exists (select from revocation r where r.serial = p.serial) or ${isCompromised(`${$(1)}::bytea`)})`;

/** Parameter with the serial of the certificate shown. */
export const shownSerial = $(2);
/** What a renewal's intent has beside the columns of any. */
export const renewedColumns = { columns: ", lineage, renewed_from", values: `, ${$(1)}, ${$(2)}` };

/** True where the grant still stands by which the platform's evidence was accepted, and nothing that this rests on is suspended. */
export const platformStands = `${grantStands($(4), $(5))} and ${notSuspended("$15", "$3::uuid", `${$(1)}::bytea`)}`;

const mayAdvance = `(${$(3)}::text = 'alert' or (l.newest_serial = excluded.before_serial and l.cloned_at is null))`;
const isClone = `l.newest_serial <> excluded.before_serial`;

/**
 * CTEs that make the certificate of the intent the newest of its lineage: `advanced` has a row with `won`, and `cloned` one where the certificate
 * shown was not the newest. `ready` is a CTE with `id` and `replaces` of the order, locked, and `revoked` and `previous_ends` of the certificate
 * shown. `moved` has a row where the order is `processing` now; where the renewal is refused the order ends with the reason.
 * Parameters behind those of an intent: 1 lineage · 2 serial shown · 3 what a clone leads to · 4 5 grant of the platform's evidence ·
 * 6 problems by reason
 */
export const advance = `advanced as (
     insert into renewal_lineage as l (id, newest_serial, before_serial, expires_at)
     select ${$(1)}, $1, ${$(2)}, greatest($17, previous_ends) from ready
     where not revoked and (${$(1)}::bytea = ${$(2)}::bytea or exists (select from renewal_lineage where id = ${$(1)}))
     on conflict (id) do update set
       newest_serial = case when ${mayAdvance} then excluded.newest_serial else l.newest_serial end,
       before_serial = case when ${mayAdvance} then l.newest_serial else l.before_serial end,
       renewals = l.renewals + (${mayAdvance})::integer,
       clones = l.clones + (${isClone})::integer,
       cloned_at = case when ${isClone} then coalesce(l.cloned_at, now()) else l.cloned_at end,
       expires_at = greatest(l.expires_at, excluded.expires_at)
     returning newest_serial = $1 as won, case when newest_serial = $1 then before_serial else newest_serial end as newest
   ), cloned as (
     select ${$(1)}::bytea as lineage, ${$(2)}::bytea as shown, newest, $6::uuid as account_id from advanced where newest <> ${$(2)}
   ), moved as (
     update acme_order o set status = 'processing' from ready, advanced where o.id = ready.id and advanced.won
     returning o.id, ready.replaces
   ), ended as (
     update acme_order o set status = 'invalid', error = ${$(6)}::jsonb -> (case when revoked then 'revoked' else 'cloned' end)
     from ready where o.id = ready.id and not exists (select from advanced where won)
   ), ${tellCloned("$8", $(3))}`;

/** What an abandoned renewal gives back, where nothing came behind it. */
export const giveBack = (ended: string): string => `update renewal_lineage l
     set newest_serial = l.before_serial, renewals = l.renewals - 1
     from ${ended} where l.id = ${ended}.lineage and l.newest_serial = ${ended}.serial`;

const readShown = statement(
  "lineage_read_shown",
  `select c.fingerprint, c.spiffe_id, coalesce(c.lineage, c.serial) as lineage, c.evidence, 
          r.serial is not null or ${isCompromised("coalesce(c.lineage, c.serial)")} as revoked,
          coalesce(l.newest_serial, c.serial) as newest, l.cloned_at
   from certificate c
   left join revocation r on r.serial = c.serial
   left join renewal_lineage l on l.id = coalesce(c.lineage, c.serial)
   where c.serial = $1`,
);

const markCloned = statement(
  "lineage_mark_cloned",
  `with marked as (
     update renewal_lineage set clones = clones + 1, cloned_at = coalesce(cloned_at, now())
     where id = $1 and newest_serial <> $2 returning id, newest_serial
   ), cloned as (
     select id as lineage, $2::bytea as shown, newest_serial as newest, $3::uuid as account_id from marked
   ), ${tellCloned("$4", "$5")}
   select from marked`,
);

/** Rows of lineages whose certificates have all expired: none of them can be shown any more. */
export const pruneLineages = statement(
  "prune_renewal_lineage",
  `delete from renewal_lineage
   where id in (select id from renewal_lineage where expires_at < $1 limit $2 for update skip locked) returning 1`,
);

interface ShownRow {
  fingerprint: Buffer;
  spiffe_id: string | null;
  lineage: Buffer;
  evidence: unknown;
  revoked: boolean;
  newest: Buffer;
  cloned_at: Date | null;
}

/** Implements `LineageStore` of the ACME room. */
export function createLineageStore(db: Database): LineageStore {
  return {
    async readShown(serial) {
      const [row] = await db.run<ShownRow>(readShown, [serial]);
      if (row === undefined) return undefined;
      const { spiffe_id: spiffeId, cloned_at: clonedAt, ...shown } = row;
      return { ...shown, spiffeId, clonedAt };
    },
    async markCloned({ lineage, serial, accountId, identity, onClone }) {
      await db.run(markCloned, [lineage, serial, accountId, identity, onClone]);
    },
  };
}
