/** Issuing CAs revoked by their roots: implements `IssuerRevocationStore` of the authority. */
import type { IssuerRevocationStore } from "../authority/issuerRevocationPorts.ts";
import { statement, type Database } from "./database.ts";

// Of two at once the second finds it revoked, or in another state. What follows it is active with it or not at all: the row of the one that was active
// is written first, so that the index of active issuers sees one at a time.
const revoke = statement(
  "issuer_revoke",
  `with target as (
     select i.id, i.kind, i.name, i.state from issuer i join issuer r on r.id = i.parent_id
     where i.id = $1 and i.kind = 'issuing' and i.state = $2 and i.certificate is not null and i.revoked_at is null
       and r.kind = 'root' and r.key_label is not null and r.state in ('published', 'active', 'retiring')
     for update of i
   ), next as (
     select n.id from issuer n join target t on n.kind = t.kind and n.name = t.name
     where n.id = $3 and t.state = 'active' and n.state in ('prepared', 'published') and n.certificate is not null for update of n
   ), revoked as (
     update issuer i set revoked_at = now(), revocation_reason = $4,
       state = case when i.state in ('active', 'retiring') then 'retiring' else 'retired' end,
       retiring_at = case when i.state = 'active' then now() else i.retiring_at end,
       retired_at = case when i.state in ('prepared', 'published') then now() else i.retired_at end
     from target t where i.id = t.id and ($3::uuid is null or exists (select from next))
     returning i.id, i.kind, i.name, i.generation, i.parent_id, i.not_after
   ), activated as (
     update issuer i set state = 'active', activated_at = now(), published_at = coalesce(i.published_at, now())
     from next n where i.id = n.id and exists (select from revoked)
     returning i.id, i.kind, i.name, i.generation
   ), listed as (
     insert into revocation (serial, issuer_id, not_after, revoked_at, reason, revoked_by, shard)
     select $5, parent_id, not_after, date_trunc('second', now()), $4, $6, 0 from revoked
   ), facts as (
     select 'issuer.revoked' as topic, id, jsonb_build_object('kind', kind, 'name', name, 'generation', generation,
              'serial', encode($5::bytea, 'hex'), 'reason', $4::smallint, 'note', $7::text) as detail from revoked
     union all
     select 'issuer.active', id, jsonb_build_object('kind', kind, 'name', name, 'generation', generation) from activated
   ), audit as (
     insert into audit_entry (event, actor, subject, detail) select topic, $6, 'issuer:' || id, detail from facts
   ), told as (
     insert into outbox (topic, payload) select topic, detail || jsonb_build_object('id', id) from facts
   )
   select id from revoked`,
);

/** Implements `IssuerRevocationStore`. */
export function createIssuerRevocationStore(db: Database): IssuerRevocationStore {
  return {
    async revokeIssuer({ id, state, nextId, reason, serialNumber, actor, note }) {
      return (await db.run(revoke, [id, state, nextId, reason, serialNumber, actor, note])).length === 1;
    },
  };
}
