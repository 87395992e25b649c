/** A line of issuers that follow each other, as configuration has it. The roots of the trust domain are a line of their own. */
import type { KeyKind } from "../keys/signer.ts";
import type { NameConstraints } from "../x509/nameConstraints.ts";

export interface IssuerLine {
  readonly kind: "root" | "issuing";
  readonly name: string;
  readonly keyKind: KeyKind;
  /** Of the CA certificates that are made from now on. */
  readonly lifetimeSeconds: number;
  /** How long one is published, at least, before it is active. */
  readonly publishedSeconds: number;
  /** The longest lifetime that the active one must be able to give at every moment. */
  readonly longestSeconds: number;
  /** False where it moves by command alone. */
  readonly automatic: boolean;
  readonly nameConstraints?: NameConstraints;
}

/** The lines of a deployment. */
export interface IssuerLines {
  readonly root: IssuerLine;
  /** By name; `default` first. */
  readonly issuing: ReadonlyMap<string, IssuerLine>;
}

/**
 * What is added to every time that is counted back from an issuer's end, in seconds: a token or a database may be away for a while, and
 * clocks differ.
 */
export const marginSeconds = 3600;
