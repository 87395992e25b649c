/** What ceremonies write: implements `CertificateStore`, `ChainStore` and `FirstActivation` of the authority. */
import type { CertificateStore, ChainStore, FirstActivation, StoredChain } from "../authority/ceremonyPorts.ts";
import { statement, type Database } from "./database.ts";
import { issuerColumns, issuerRows, issuerValues } from "./issuers.ts";

// The CAs above are written only where the issuer still waits. Whatever is not `prepared` was published.
const certify = statement(
  "issuer_certify",
  `with waiting as (
     select id from issuer where id = $14 and kind = 'issuing' and state = 'prepared' and certificate is null for update
   ), above as (
     insert into issuer (${issuerColumns}, published_at, activated_at)
     select i.*, now(), case when i.state = 'active' then now() end from ${issuerRows}, waiting
   ), certified as (
     update issuer set certificate = $15, not_after = $16, parent_id = $17 from waiting where issuer.id = waiting.id
     returning issuer.id, name, generation, certificate, issuer.not_after
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'issuer.certified', $18, 'issuer:' || id,
            jsonb_build_object('name', name, 'generation', generation, 'sha256', encode(sha256(certificate), 'hex'), 'notAfter', not_after)
     from certified
   ), event as (
     insert into outbox (topic, payload)
     select 'issuer.certified', jsonb_build_object('id', id, 'name', name, 'generation', generation) from certified
   )
   select id from certified`,
);

// What comes later in a line takes over from the one before it, which is the rotation's affair.
const activateFirst = statement(
  "issuer_activate_first",
  `with activated as (
     update issuer i set state = 'active', published_at = coalesce(published_at, now()), activated_at = now()
     where id = $1 and kind = 'issuing' and state in ('prepared', 'published') and certificate is not null
       and not exists (select from issuer o where o.kind = i.kind and o.name = i.name and o.state in ('active', 'retiring'))
     returning id, name, generation
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'issuer.activated', $2, 'issuer:' || id, jsonb_build_object('name', name, 'generation', generation) from activated
   ), event as (
     insert into outbox (topic, payload)
     select 'issuer.activated', jsonb_build_object('id', id, 'name', name, 'generation', generation) from activated
   )
   select id from activated`,
);

const readChains = statement(
  "alternate_chain_read",
  "select id, certificates from alternate_chain order by created_at, id",
);

const insertChain = statement(
  "alternate_chain_insert",
  `with made as (
     insert into alternate_chain (id, certificates) values ($1, $2::bytea[]) on conflict (id) do nothing returning id, certificates
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'chain.offered', $3, 'chain:' || id, jsonb_build_object('sha256', encode(sha256(certificates[1]), 'hex')) from made
   ), event as (
     insert into outbox (topic, payload) select 'chain.offered', jsonb_build_object('id', id) from made
   )
   select id from made`,
);

/** Implements `CertificateStore`, `ChainStore` and `FirstActivation`. */
export function createIssuerCertificates(db: Database): CertificateStore & ChainStore & FirstActivation {
  return {
    async certify({ id, certificate, notAfter, parentId, above, actor }) {
      const rows = await db.run(certify, [...issuerValues(above), id, certificate, notAfter, parentId, actor]);
      return rows.length > 0;
    },
    activateFirst: async (id, actor) => (await db.run(activateFirst, [id, actor])).length > 0,
    readChains: () => db.run<StoredChain & object>(readChains, []),
    async insertChain({ id, certificates }, actor) {
      return (await db.run(insertChain, [id, certificates, actor])).length > 0;
    },
  };
}
