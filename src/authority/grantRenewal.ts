/** Renewal as grants allow it: by possession of the certificate before. Pure. */
import { type Static, Type } from "typebox";
import type { OnClone } from "./ports.ts";

/** What happens when a certificate is shown for renewal that is not the newest of its lineage. */
const onClone = ["alert", "refuse", "quarantine"] as const satisfies readonly OnClone[];

/** Of a grant by which certificates of this server are renewed. */
export const renewalSchema = Type.Object(
  {
    maxChainAgeSeconds: Type.Integer({
      minimum: 60,
      maximum: 31_536_000,
      description: "How long after the platform's evidence certificates may be renewed, and at which they end.",
    }),
    onClone: Type.Enum(onClone, {
      description: "When a certificate is shown that has been renewed already: alert, refuse, or quarantine.",
    }),
  },
  {
    additionalProperties: false,
    description:
      "With a source of this server's own certificates, and with no other: the same identity again, by possession.",
  },
);
export type RenewalTerms = Readonly<Static<typeof renewalSchema>>;

/** Why a grant with this renewal and a source that renews or not is none, or undefined. */
export function renewalFault(renewal: RenewalTerms | undefined, renews: boolean): string | undefined {
  if (renews === (renewal !== undefined)) return undefined;
  return renews
    ? "expected maxChainAgeSeconds and onClone, since the source takes this server's own certificates"
    : "expected none, since only a source of this server's own certificates (x509-pop, kind own) renews";
}
