/** Why a renewal by possession comes to nothing once it comes to the certificate: told to whoever asks, and kept with the order. */
import { problem, type Problem } from "./problem.ts";

/** For the client of a renewal that lost against another one of the same certificate, or whose lineage has seen such a one. */
export const clonedDetail =
  "the certificate, or another one of its lineage, was shown twice for renewal: show evidence of the platform again";

const refusals = {
  cloned: { code: "instanceCloned", detail: clonedDetail },
  revoked: { code: "evidenceInvalid", detail: "the certificate that was to be renewed is revoked" },
} as const;

/** The refusal; the order has ended with it. */
export const notRenewed = (reason: keyof typeof refusals): Problem =>
  problem("badAttestationStatement", refusals[reason].detail, { status: 403, subproblems: [refusals[reason]] });
