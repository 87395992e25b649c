/** What the rotation of issuers needs from a store. Every move is one statement that looks for the state it moves from. */
import type { IssuerStore, NewIssuer } from "./ports.ts";

export interface Activation {
  readonly id: string;
  /** The active one of the line, as whoever decided saw it; null where there is none. It is retiring from then on. */
  readonly previous: string | null;
  /** How long it must have been published, by the database's clock. Null: however short, and also where it is only prepared. */
  readonly publishedSeconds: number | null;
  readonly actor: string;
}

/** Each writes its audit entry and event with it; false where the issuer was not as expected, and nothing changed. */
export interface RotationStore extends Pick<IssuerStore, "readIssuers" | "exclusively"> {
  /** The next of its line. False where somebody else made that generation. */
  insertNext(issuer: NewIssuer, actor: string): Promise<boolean>;
  /** prepared → published, where it has its certificate. */
  publish(id: string, actor: string): Promise<boolean>;
  /** published → active, and what was active → retiring: both or neither. */
  activate(activation: Activation): Promise<boolean>;
  /** active → retiring, without another in its place: its line issues nothing then. */
  stop(id: string, actor: string): Promise<boolean>;
  /**
   * retiring → retired, where nothing counts any more that it signed: no certificate in force and no open intent of an issuing CA, no CA below a
   * root that is not retired.
   * @param anyway whatever still counts
   */
  retire(id: string, actor: string, anyway: boolean): Promise<boolean>;
  /** prepared or published → retired: it never issued. */
  discard(id: string, actor: string): Promise<boolean>;
  /** The end of the last certificate in force, or of an open intent, of this issuing CA; null where there is none. */
  lastEnd(id: string): Promise<Date | null>;
  /** Certificates in force, those revoked apart. */
  outstanding(id: string): Promise<number>;
}
