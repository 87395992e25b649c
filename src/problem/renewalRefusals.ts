/** Why a renewal by possession comes to nothing once it comes to the certificate: told to whoever asks, and kept with the order. */
import { problem, type Problem } from "./problem.ts";

/** For the client of a renewal that lost against another one of the same certificate, or whose lineage has seen such a one. */
export const clonedDetail =
  "the certificate, or another one of its lineage, was shown twice for renewal: show evidence of the platform again";

/** For the client of one that is revoked, or whose lineage has a key that is blocked or was revoked as compromised. */
export const revokedDetail =
  "the certificate that was to be renewed is revoked, or a key of its lineage is known to be compromised";

const refusals = {
  cloned: { code: "instanceCloned", detail: clonedDetail },
  revoked: { code: "evidenceInvalid", detail: revokedDetail },
} as const;

/** The refusal; the order has ended with it. */
export const notRenewed = (reason: keyof typeof refusals): Problem =>
  problem("badAttestationStatement", refusals[reason].detail, { status: 403, subproblems: [refusals[reason]] });
