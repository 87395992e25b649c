/** What the administration of incidents asks of a store. Each method is one statement. */

/** Which certificates an incident covers: all that is said must hold. */
export interface Selection {
  readonly serials: readonly Buffer[] | null;
  /** Name of an identity. */
  readonly identity: string | null;
  readonly spkiSha256: Buffer | null;
  readonly accountId: string | null;
  readonly issuerId: string | null;
  readonly issuedAfter: Date | null;
  /** Null for the time at which the incident is made: what is issued from then on is not covered. */
  readonly issuedBefore: Date | null;
}

export interface NewIncident {
  readonly id: string;
  readonly reason: string;
  readonly explanationUrl: string | null;
  readonly selection: Selection;
}

export interface Incident extends NewIncident {
  readonly createdAt: Date;
  readonly endedAt: Date | null;
}

/** Certificates that a selection covers, among those that have not expired and are not revoked. */
export interface Coverage {
  readonly certificates: number;
  /** Of these, how many have a successor already. */
  readonly replaced: number;
  /** The newest of them, a few. */
  readonly serials: readonly Buffer[];
}

export interface IncidentStore {
  /** Undefined where the selection names an identity that there is not: nothing was made. */
  createIncident(incident: NewIncident): Promise<Incident | undefined>;
  /** Undefined as for `createIncident`. */
  coverage(selection: Selection, now: Date): Promise<Coverage | undefined>;
  readIncident(id: string): Promise<Incident | undefined>;
  /** Newest first, after the id `after`. */
  listIncidents(filter: { open?: boolean }, after: string | undefined, limit: number): Promise<Incident[]>;
  /** The incident as it has ended, now or before; undefined where there is none. */
  endIncident(id: string): Promise<Incident | undefined>;
}
