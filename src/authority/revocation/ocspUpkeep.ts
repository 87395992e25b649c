/**
 * OCSP responses ahead of requests: for certificates that point to the responder, from their issuance to their end, each made again when half
 * of its time is over. Several processes share the work: what one has taken, no other takes.
 */
import type { AheadOfRequests, DueResponse, OcspResponseStore } from "../ocspPorts.ts";
import type { ResponseIssuer } from "./prepareResponse.ts";
import { signResponse } from "./signResponse.ts";

export interface OcspUpkeepParts {
  readonly store: OcspResponseStore;
  readonly issuerById: (id: string) => ResponseIssuer | undefined;
  readonly ahead: readonly AheadOfRequests[];
  readonly now: () => Date;
  readonly lifetimeSeconds: number;
  readonly onSigned: (why: "ahead") => void;
  readonly onTrouble: (error: unknown) => void;
}

export interface OcspUpkeep {
  /** One round; what it does not come to is left for the next one. */
  run(): Promise<void>;
}

/** What is due so soon is made now, before somebody who asks has to wait for it. */
const leadMs = 30_000;
/** Nobody else takes what was taken for so long; a signature does not take longer. */
const leaseSeconds = 30;
const batch = 100;
/** A round ends after so many batches: a server that stops waits for it. */
const batchesMax = 20;
/** Signatures at a time: a token has room for others beside them. */
const parallel = 4;
/** Certificates are looked for from this far before the last round: one may be committed later than its time says. */
const overlapMs = 60_000;
/** And from this far back in the first round of a process; what was issued before has its response when somebody asks. */
const firstLookMs = 3_600_000;

export function createOcspUpkeep(parts: OcspUpkeepParts): OcspUpkeep {
  const { store, now } = parts;
  let lookedAt = now().getTime() - firstLookMs;

  async function mark(): Promise<void> {
    if (parts.ahead.length === 0) return;
    const started = now().getTime();
    const since = new Date(Math.min(lookedAt, started) - overlapMs);
    for (let round = 0; round < batchesMax; round++) {
      if ((await store.markAhead(parts.ahead, since, batch)) < batch) {
        lookedAt = started;
        return;
      }
    }
  }

  async function make(due: DueResponse): Promise<void> {
    const issuer = parts.issuerById(due.issuerId);
    const at = now();
    if (issuer === undefined || due.notAfter < at) return; // It has ended, or its key is not here.
    try {
      const response = await signResponse({ ...due, issuer, nonce: undefined }, at, parts.lifetimeSeconds);
      parts.onSigned("ahead");
      await store.keep(response, new Date(at.getTime() + leadMs));
    } catch (error) {
      parts.onTrouble(error);
    }
  }

  return {
    async run() {
      await mark();
      for (let round = 0; round < batchesMax; round++) {
        const due = await store.takeDue(new Date(now().getTime() + leadMs), leaseSeconds, batch);
        const left = due.values();
        const worker = async (): Promise<void> => {
          for (const one of left) await make(one);
        };
        await Promise.all(Array.from({ length: parallel }, worker));
        if (due.length < batch) return;
      }
    },
  };
}
