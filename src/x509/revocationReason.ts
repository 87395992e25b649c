/** CRLReason (RFC 5280 §5.3.1) by name, as far as this CA gives one: nothing is put on hold, and no list is a delta. */

const codes = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const;

export type RevocationReason = keyof typeof codes;
export const revocationReasons = Object.keys(codes) as readonly RevocationReason[];
export const keyCompromise: RevocationReason = "keyCompromise";

/** CRLReason. */
export const reasonCode = (reason: RevocationReason): number => codes[reason];

/** The name of a code; null for none. */
export const reasonName = (code: number | null): RevocationReason | null =>
  revocationReasons.find((reason) => codes[reason] === code) ?? null;
