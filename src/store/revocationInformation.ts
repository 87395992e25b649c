/** Which certificates say where their revocation can be learned. */

/** True of a certificate `c` (columns `profile_hash`, `not_before`, `not_after`) that points to a list or a responder. */
export const isInformed = (_c: string): string => `false`;
