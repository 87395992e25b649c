/** The plan for what there is of issuers now. */
import { readCertificate } from "../../x509/certificate.ts";
import type { StoredIssuer } from "../ports.ts";
import type { RotationParts } from "./ground.ts";
import { planOf, type Plan, type PlannedIssuer } from "./plan.ts";

export interface RotationState {
  readonly stored: readonly StoredIssuer[];
  readonly plan: Plan;
}

export interface Planning {
  /** What there is, and what is planned. */
  state(): Promise<RotationState>;
  /** The plan as it was when last looked at. */
  latest(): Plan;
  /** The end of the last certificate of this issuer is another than was known. */
  forgetLastEnd(id: string): void;
}

/** After this nothing is under way any more by an issuer that is retiring; the intent's own statement refuses it after ten seconds. */
const settledMs = 30_000;

export function createPlanning({ store, lines, afterlifeSeconds, now }: RotationParts): Planning {
  /** Ends of last certificates: a retiring issuer gets no later ones. */
  const lastEnds = new Map<string, Date | null>();
  let plan: Plan = { moves: [], alarms: [] };

  /** Asked once for each, when nothing can be under way by it any more. */
  async function learnLastEnds(stored: readonly StoredIssuer[]): Promise<void> {
    for (const { id, kind, state, retiringAt } of stored) {
      if (kind !== "issuing" || state !== "retiring" || lastEnds.has(id)) continue;
      if (retiringAt === null || now().getTime() - retiringAt.getTime() < settledMs) continue;
      lastEnds.set(id, await store.lastEnd(id));
    }
  }

  return {
    async state() {
      const stored = await store.readIssuers();
      await learnLastEnds(stored);
      plan = planOf({ issuers: stored.map(plannedOf), lines, lastEnds, afterlifeSeconds, now: now() });
      return { stored, plan };
    },
    latest: () => plan,
    forgetLastEnd: (id) => void lastEnds.delete(id),
  };
}

/** What is planned with of an issuer. */
function plannedOf(stored: StoredIssuer): PlannedIssuer {
  const { certificate, keyLabel } = stored;
  return {
    ...stored,
    validity: certificate === null ? null : readCertificate(certificate, { lenient: true }),
    keyIsHere: keyLabel !== null,
  };
}
