/** The end of accounts (RFC 8555 §7.3.6) as a part of statements: what is pending is cancelled, certificates stay as they are. */

/**
 * Common table expressions after a `with`; `gone` has the accounts that this ends.
 * @param which condition on an account `a`
 * @param columns of `account` that `gone` returns, `id` among them
 * @param actor who the audit log says it was: SQL, of a row of `gone`
 * @param to `deactivated` by its owner or with its key for binding, `revoked` by the server (RFC 8555 §7.1.2)
 */
export const deactivation = (
  which: string,
  columns: string,
  actor: string,
  to: "deactivated" | "revoked" = "deactivated",
): string =>
  `gone as (
     update account a set status = '${to}' where ${which} and a.status = 'valid' returning ${columns}
   ), authorizations as (
     update acme_authorization set status = 'deactivated'
     where id in (
       select z.id from gone join acme_authorization z on z.account_id = gone.id
       where z.status in ('pending', 'valid') order by z.id for update of z
     )
   ), orders as (
     update acme_order set status = 'invalid', pending_slot = null
     where id in (
       select o.id from gone join acme_order o on o.account_id = gone.id
       where o.status in ('pending', 'ready') order by o.id for update of o
     )
   ), audit as (
     insert into audit_entry (event, actor, subject) select 'account.${to}', ${actor}, 'account:' || id from gone
   )`;
