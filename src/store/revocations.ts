/** Revocations, writing: the part of every statement that revokes. */

/**
 * Revokes what `rows` has: a query or CTE with `serial`, `issuer_id` and `not_after` of certificates, none of which is revoked. Returns
 * `serial` and `reason`.
 * @param reason SQL of a CRLReason (RFC 5280 §5.3.1) or null
 * @param by SQL of who revokes
 * @param action SQL of the id of the action that it is a part of
 */
export const revokeAll = (
  rows: string,
  {
    reason,
    by,
    action = "null",
    once = "",
  }: { reason: string; by: string; action?: string; once?: "on conflict do nothing" | "" },
): string =>
  `insert into revocation (serial, issuer_id, not_after, revoked_at, reason, revoked_by, action_id, shard)
   select v.serial, v.issuer_id, v.not_after, date_trunc('second', now()), ${reason}::smallint, ${by}::text, ${action}::uuid,
          coalesce((select get_byte(v.serial, 2) % i.crl_shards from issuer i where i.id = v.issuer_id), 0)
   from ${rows} v ${once}
   returning serial, reason`;
