/**
 * The part of newOrder's statement that lets an order replace a certificate (RFC 9773 §5): `owner` has a row only where the order may.
 */
import { admittedSigner } from "./orderLimits.ts";

/**
 * `$1` order · `$2`–`$4` signer · `$29` serial · `$30` its id, not used here · `$31` issuers · `$32`–`$34` the order's names by type.
 *
 * The row of `certificate_replacement` settles who replaces. It passes on only from an order that this statement saw ended: one that
 * another newOrder put there meanwhile is not among those, whatever it looked like before. An order whose time has run out is ended
 * here, where it still is waiting when its row is ours: its finalize cannot win beside us.
 */
export const replacingOwner = `signer as (
${admittedSigner(23)}
   ), predecessor as (
     select c.serial from signer join certificate c on c.serial = $29 and c.account_id = signer.id
     where c.issuer_id = any($31::uuid[])
       and (c.dns_names && $32::text[] or c.ip_addresses && $33::text[] or c.spiffe_id = any($34::text[]))
       and not exists (select from certificate successor where successor.replaces = c.serial)
   ), holder as (
     select r.order_id from predecessor p join certificate_replacement r on r.serial = p.serial
   ), run_out as (
     update acme_order o set status = 'invalid', pending_slot = null from holder h
     where o.id = h.order_id and o.status in ('pending', 'ready') and o.expires_at <= now()
     returning o.id
   ), ended as (
     select id from run_out
     union all
     select h.order_id from holder h left join acme_order o on o.id = h.order_id where o.id is null or o.status = 'invalid'
   ), replacing as (
     insert into certificate_replacement as r (serial, order_id) select serial, $1 from predecessor
     on conflict (serial) do update set order_id = excluded.order_id where r.order_id in (select id from ended)
     returning r.serial
   ), owner as (
     select signer.id, signer.slot from signer, replacing
   )`;
