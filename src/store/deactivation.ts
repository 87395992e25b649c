/** The end of accounts (RFC 8555 §7.3.6) as a part of statements: what is pending is cancelled, certificates stay as they are. */

/**
 * Common table expressions after a `with`; `gone` has the accounts that this ends.
 * @param which condition on an account `a`
 * @param columns of `account` that `gone` returns, `id` among them
 * @param actor who the audit log says it was: SQL, of a row of `gone`
 */
export const deactivation = (which: string, columns: string, actor: string): string =>
  `gone as (
     update account a set status = 'deactivated' where ${which} and a.status = 'valid' returning ${columns}
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
     insert into audit_entry (event, actor, subject) select 'account.deactivated', ${actor}, 'account:' || id from gone
   )`;
