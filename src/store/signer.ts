/**
 * How statements find the account that signed (`Signer` of the ACME room): three parameters from `$n` on, id, directory and thumbprint.
 * A key change or deactivation that another replica committed counts in the statement itself.
 */
import type { Signer, SignerStatus } from "../acme/ports.ts";

/** The three parameters. */
export const signerValues = ({ id, directory, thumbprint }: Signer): [string, string, Buffer] => [
  id,
  directory,
  thumbprint,
];

/** True of the row that is the signer's account, with the signer's key. */
export const isSigner = (a: string, n: number): string =>
  `${a}.id = $${n} and ${a}.directory = $${n + 1} and ${a}.jwk_thumbprint = $${n + 2}`;

/** True of the row that is the signer's account, whatever key it has by now. */
export const ofDirectory = (a: string, n: number): string => `${a}.id = $${n} and ${a}.directory = $${n + 1}`;

/** The column `account_status` of a read that goes by `ofDirectory`. */
export const signerStatus = (a: string, n: number): string =>
  `case when ${a}.jwk_thumbprint = $${n + 2} then ${a}.status else 'superseded' end as account_status`;

/** True where the key with this thumbprint (a parameter) is or was an account's (RFC 8555 §11.1). */
export const isAccountKey = (thumbprint: string): string =>
  `(exists (select from account k where k.jwk_thumbprint = ${thumbprint})
    or exists (select from account_former_key k where k.jwk_thumbprint = ${thumbprint}))`;

/** A row with that column. */
export type WithSigner<Row> = Row & { account_status: SignerStatus };

/**
 * That an object, which is looked for by its id, is this account's. Not by `=`: plans are made once, on small tables, and must not go by
 * the account's index, which finds all that the account ever ordered.
 */
export const isOf = (object: string, account: string): string => `${object}.account_id is not distinct from ${account}`;
