/**
 * The part of newOrder's statements that lets an order replace a certificate (RFC 9773 §5): `owner` has a row only where the order may.
 */
import { isOf } from "./signer.ts";

/** Parameters of the statement: the order's id, the certificate's serial and issuers, the order's names by type. */
interface ReplacingParameters {
  readonly order: string;
  readonly serial: string;
  readonly issuers: string;
  readonly dns: string;
  readonly ip: string;
  readonly uri: string;
  readonly devices: string;
}

/**
 * Common table expressions after a `with`, `owner` the last of them: the row of `signer`, a query for the account that signed, where all is well.
 *
 * The row of `certificate_replacement` settles who replaces. It passes on only from an order that this statement saw ended: one that
 * another newOrder put there meanwhile is not among those, whatever it looked like before. An order whose time has run out is ended
 * here, where it still is waiting when its row is ours: its finalize cannot win beside us.
 */
export const replacing = (
  signer: string,
  { order, serial, issuers, dns, ip, uri, devices }: ReplacingParameters,
): string => `signer as (
${signer}
   ), predecessor as (
     select c.serial from signer join certificate c on c.serial = ${serial} and ${isOf("c", "signer.id")}
     where c.issuer_id = any(${issuers}::uuid[])
       and (c.dns_names && ${dns}::text[] or c.ip_addresses && ${ip}::text[] or c.spiffe_id = any(${uri}::text[])
            or c.permanent_identifier = any(${devices}::text[]))
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
     insert into certificate_replacement as r (serial, order_id) select serial, ${order} from predecessor
     on conflict (serial) do update set order_id = excluded.order_id where r.order_id in (select id from ended)
     returning r.serial
   ), owner as (
     select signer.* from signer, replacing
   )`;
