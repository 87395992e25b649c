/** Where revocation lists are kept, and what they are made from. */

/** One of an issuer's lists. */
export interface ListPlace {
  readonly issuerId: string;
  readonly shard: number;
}

/** A list that it is this process's turn to make. */
export interface ListTurn extends ListPlace {
  /** Above every number that this place ever had; of nobody else. */
  readonly number: number;
  /** The list that stands; undefined where there is none. */
  readonly newest: { readonly number: number; readonly thisUpdate: Date } | undefined;
}

/** A signed list. */
export interface SignedList {
  readonly turn: ListTurn;
  /** DER CertificateList. */
  readonly der: Buffer;
  readonly sha256: Buffer;
  readonly entries: number;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** When the next one is to be made though nothing changed. */
  readonly dueAt: Date;
}

/** A list that stands. */
export interface PublishedList extends ListPlace {
  readonly number: number;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly dueAt: Date;
  readonly entries: number;
  /** Of its DER. */
  readonly sha256: Buffer;
  /** Octets of its DER. */
  readonly size: number;
  readonly publishedAt: Date;
}

/** Is shown a revoked certificate: the serial number in `octets`, seconds since 1970, and the CRLReason where one was given. */
export type VisitRevoked = (
  octets: Buffer,
  start: number,
  end: number,
  revokedAt: number,
  reason: number | undefined,
) => void;

/** What is left out of a list: certificates that ended before a time. */
export interface ListBounds {
  readonly expiredBefore: Date;
  /** Serial numbers of certificates that end then or later are above it, octet by octet. */
  readonly firstSerial: Buffer;
}

export interface CertificateListStore {
  /**
   * Takes a list of one of these issuers that is due at `now`: there is none yet, it is old, it is from the future, or something was revoked
   * that no list has. Nobody else gets the same one for 30 seconds. Undefined where nothing is due.
   * Before that the places are made of issuers that have been published, and of roots whose key is ours, whoever makes their lists: all of them, so
   * that no URL in a certificate leads nowhere.
   */
  takeTurn(issuerIds: readonly string[], now: Date): Promise<ListTurn | undefined>;
  /** The list was not made: it is due again in a while. */
  giveBack(turn: ListTurn): Promise<void>;
  /**
   * Settles what the list will have, and shows it in the order of serial numbers, octet by octet: what did not expire before these bounds, or was on
   * no list yet. Of what is new not more than one statement can publish; the rest makes the list due again. Resolves to how many it showed.
   */
  readRevoked(turn: ListTurn, bounds: ListBounds, visit: VisitRevoked): Promise<number>;
  /**
   * Atomic: the list stands, what it has is published by it, audit entry and event, or nothing. False where another attempt came between: then
   * that one counts, and this list is never shown to anybody.
   */
  publish(list: SignedList): Promise<boolean>;
  /** The lists that stand. */
  readPublished(): Promise<PublishedList[]>;
  /** DER of a list; undefined where a newer one took its place long ago. */
  readOctets(place: ListPlace, number: number): Promise<Buffer | undefined>;
}
