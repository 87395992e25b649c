/**
 * Renewal by possession: whether a certificate of this server, of whose key the client has shown possession, may be renewed once more. The
 * last word has the statement that makes the intent; here a client is told early.
 */
import { EvidenceRefused } from "../../attestation/evidence.ts";
import { clonedDetail, revokedDetail } from "../../problem/renewalRefusals.ts";
import type { AcmeContext, GrantDecision } from "../context.ts";
import type { PlatformRecord, RenewalRecord, ShownCertificate } from "../lineagePorts.ts";
import type { AttestationRecord, DelegationRecord, Identifier } from "../ports.ts";

/** What a renewal passes on, and when all that comes of it ends. */
export interface Continued {
  readonly platform: PlatformRecord;
  readonly renewal: RenewalRecord;
  readonly end: Date;
}

type Continuing = Pick<AcmeContext, "lineages" | "policy" | "profiles" | "now">;

/**
 * Looks at the lineage where the decision is by a grant that renews; undefined where it is by any other.
 * @throws {EvidenceRefused} evidenceInvalid · evidenceExpired · identityNotDerived · instanceCloned, and the clone is then marked
 */
export async function continueLineage(
  { renewal, evidence: [{ renews }] }: GrantDecision,
  asked: { identifier: Identifier; profile: string; accountId: string; delegation: DelegationRecord | undefined },
  context: Continuing,
): Promise<Continued | undefined> {
  if (renewal === undefined) return undefined;
  if (renews === undefined) throw new TypeError("evidence that renews names no certificate");
  const { identifier, profile, accountId, delegation } = asked;
  const shown = await context.lineages.readShown(renews.serial);
  // The very certificate, and for the very identity: a serial number alone says neither.
  if (shown === undefined || !shown.fingerprint.equals(renews.fingerprint) || shown.spiffeId !== identifier.value)
    throw refused("evidenceInvalid", "the certificate is not one that this server gave to this identity");
  if (shown.revoked) throw refused("evidenceInvalid", revokedDetail);
  const before = recordIn(shown);
  if (before?.platform === undefined)
    throw refused("evidenceInvalid", "the certificate was not given for evidence of a platform");
  if (before.delegation !== undefined && delegation === undefined)
    throw refused("identityNotDerived", "what was given on somebody's behalf is renewed on somebody's behalf");
  const { platform } = before;
  requireStanding(platform, context);
  const end = new Date(Date.parse(platform.attestedAt) + renewal.maxChainAgeSeconds * 1000);
  const least = context.profiles.get(profile)?.lifetimeMinSeconds ?? 0;
  if (!(context.now().getTime() + least * 1000 < end.getTime()))
    throw refused("evidenceExpired", "the platform's evidence is too long ago: show evidence of the platform again");
  const { onClone } = renewal;
  if (onClone !== "alert" && (shown.clonedAt !== null || !shown.newest.equals(renews.serial))) {
    const clone = { lineage: shown.lineage, serial: renews.serial, identity: identifier.value, accountId, onClone };
    await context.lineages.markCloned(clone);
    throw refused("instanceCloned", clonedDetail);
  }
  const [lineage, from] = [shown.lineage.toString("hex"), renews.serial.toString("hex")];
  return { platform, renewal: { lineage, from, onClone }, end };
}

/** The grant that accepted the platform's evidence must read as it did: what it allowed is passed on, not decided anew. */
function requireStanding({ grant, grantVersion }: PlatformRecord, { policy }: Continuing): void {
  if (policy.grants().get(grant)?.version !== grantVersion)
    throw refused(
      "identityNotDerived",
      "the policy has changed since the platform's evidence was judged: show evidence of the platform again",
    );
}

/** The attestation record of the certificate's SPIFFE ID. What is of another shape was written by no version that renews. */
function recordIn({ evidence, spiffeId }: ShownCertificate): AttestationRecord | undefined {
  const proofs = (Array.isArray(evidence) ? evidence : []) as readonly {
    readonly identifier?: Identifier;
    readonly proved?: { readonly by?: string; readonly record?: AttestationRecord };
  }[];
  return proofs.find(({ identifier }) => identifier?.type === "uri" && identifier.value === spiffeId)?.proved?.record;
}

const refused = (...of: ConstructorParameters<typeof EvidenceRefused>) => new EvidenceRefused(...of);
