/** Which certificates say where their revocation can be learned: as their profile had it, which is kept for as long as they are. */

/** True of a certificate `c` (columns `profile_hash`, `not_before`, `not_after`) that points to a list or a responder. */
export const isInformed = (c: string): string =>
  `exists (select from profile f where f.hash = ${c}.profile_hash
     and ((f.configuration #>> '{revocation,crl}')::boolean or (f.configuration #>> '{revocation,ocsp}')::boolean)
     and extract(epoch from ${c}.not_after - ${c}.not_before) + 1 > (f.configuration #>> '{revocation,shortLivedMaxSeconds}')::integer)`;
