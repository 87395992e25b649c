/** Which certificates an incident covers: the one condition that renewal information, inventory and dry runs share. */

/**
 * True of a certificate `c` that the open incident `i` covers. What an incident does not say, it does not ask for. Successors are issued
 * after `issued_before`, so that they are not covered again.
 */
export const covers = (i: string, c: string): string => `${i}.ended_at is null and ${selects(i, c)}`;

/** The same of any incident, open or not. */
export const selects = (i: string, c: string): string =>
  `${c}.issued_at < ${i}.issued_before
   and (${i}.issued_after is null or ${c}.issued_at >= ${i}.issued_after)
   and (${i}.serials is null or ${c}.serial = any(${i}.serials))
   and (${i}.identity_id is null or ${c}.identity_id = ${i}.identity_id)
   and (${i}.spki_sha256 is null or ${c}.spki_sha256 = ${i}.spki_sha256)
   and (${i}.account_id is null or ${c}.account_id = ${i}.account_id)
   and (${i}.issuer_id is null or ${c}.issuer_id = ${i}.issuer_id)`;
