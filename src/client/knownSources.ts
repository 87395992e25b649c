/**
 * Evidence goes with the order ("One request" in docs/workload-attest-01.md) where the server's sources are known. No directory names them, so a
 * caller does, or a challenge did once.
 */
import { AcmeProblem } from "./errors.ts";
import type { Accept, Evidence } from "./evidence.ts";

/** What a request says that matters here. */
interface Wanted {
  readonly spiffeId: string;
  readonly profile?: string;
  readonly evidence: Evidence;
  readonly accept?: readonly Accept[];
  readonly inline?: boolean;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
}

/** Identities whose sources are remembered; an agent has one or a few. */
const acceptedMax = 256;

/** What challenges accepted, by identity and profile. */
export class KnownSources {
  readonly #accepted = new Map<string, readonly Accept[]>();

  remember(wanted: Wanted, accept: readonly Accept[]): void {
    if (this.#accepted.size >= acceptedMax) this.#accepted.clear();
    this.#accepted.set(keyOf(wanted), accept);
  }

  /** What would do for this request; undefined where evidence cannot go with its order. Evidence at hand has a source already. */
  of(wanted: Wanted): readonly Accept[] | undefined {
    const { evidence, accept, inline = true, dns = [], ip = [] } = wanted;
    if (!inline || dns.length + ip.length > 0) return undefined;
    return accept ?? (typeof evidence === "function" ? this.#accepted.get(keyOf(wanted)) : []);
  }

  /**
   * True where an attempt ended so that a challenge is to be asked: for an activation, or because the server takes nothing of that source so, or not
   * any more. What was remembered is then forgotten.
   */
  isChallengeWanted(error: unknown, wanted: Wanted): boolean {
    if (error instanceof NeedsChallenge) return true;
    if (!(error instanceof AcmeProblem) || !namesSource(error)) return false;
    this.#accepted.delete(keyOf(wanted));
    return true;
  }
}

/** Activation takes an exchange with a challenge, before there is any evidence. */
class NeedsChallenge extends Error {}

/** `activate` where there is no challenge. */
export const wantsChallenge = (): Promise<never> => Promise.reject(new NeedsChallenge("activation needs a challenge"));

const keyOf = ({ spiffeId, profile = "" }: Wanted): string => `${profile} ${spiffeId}`;

/** The evidence was refused because of its source, and not for what it says. */
const namesSource = ({ subproblems }: AcmeProblem): boolean =>
  subproblems.some(({ type }) => /:(?:sourceNotConfigured|formatNotAccepted)$/.test(type));
