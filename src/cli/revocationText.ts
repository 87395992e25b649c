/** What the commands about revocations print of what the server answers. */
import { tableOf } from "./rest.ts";

export interface Coverage {
  readonly kind: string;
  readonly subject: string;
  readonly certificates: number;
  readonly profiles: readonly { profile: string; certificates: number; uninformed: number }[];
  readonly withoutInformation: number;
  readonly serials: readonly string[];
  readonly revokedBefore: number;
  readonly underWay: number;
  readonly stops: string | null;
  readonly quarantine: boolean;
  readonly blockKeys: boolean;
  readonly lastNotAfter: string | null;
  readonly lastAcceptance: string | null;
}

export interface Revocation {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly reason: string | null;
  readonly note: string | null;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly state: "running" | "done";
  readonly closedAt: string | null;
  readonly doneAt: string | null;
  readonly revoked: number;
  readonly revokedBefore: number;
  readonly caught: number;
  readonly withoutInformation: number;
  readonly stops: string | null;
  readonly quarantined: number;
  readonly blocked: number;
  readonly publishedAt: string | null;
  readonly lastNotAfter: string | null;
  readonly lastAcceptance: string | null;
  readonly lists?: readonly { issuer: string; shard: number; publishedAt: string | null; listNumber: number | null }[];
  readonly processes?: readonly { process: string; name: string; seenAt: string; shownAt: string | null }[];
}

const counted = (count: number): string => `${count} ${count === 1 ? "certificate" : "certificates"}`;
const lines = (each: readonly (string | undefined | false)[]): string =>
  each.map((line) => (typeof line === "string" ? `${line}\n` : "")).join("");

/** What a dry run found. */
export function coverageText(found: Coverage): string {
  const { certificates, profiles, revokedBefore, underWay, stops } = found;
  return lines([
    `This would revoke ${counted(certificates)} in force.`,
    ...profiles.map(
      (one) =>
        `  profile ${one.profile}: ${one.certificates}, ${one.uninformed} of them without a word on where revocation can be learned`,
    ),
    revokedBefore > 0 && `${counted(revokedBefore)} in force beside them, revoked already.`,
    underWay > 0 && `${underWay} issuances under way would be caught.`,
    stops !== null && `From then on ${stops}: nothing more is issued by it until that is lifted.`,
    found.quarantine && found.kind !== "identity" && "Their identities would be in quarantine.",
    found.blockKeys && found.kind !== "key" && "Their keys would be blocked.",
    found.lastNotAfter !== null && `The last of them ends at ${found.lastNotAfter}.`,
    found.lastAcceptance !== null && `The last possible acceptance, were it done now, is at ${found.lastAcceptance}.`,
    found.serials.length > 0 && "The first to end:",
    ...found.serials.map((serial) => `  ${serial}`),
  ]);
}

/** One revocation, as far as it has come. */
export function revocationText(one: Revocation): string {
  const { lists = [], processes = [] } = one;
  return lines([
    `Revocation ${one.id} of ${one.kind} ${one.subject}: ${one.state}.`,
    `  by ${one.createdBy} at ${one.createdAt}${one.reason === null ? "" : `, ${one.reason}`}${one.note === null ? "" : `: ${one.note}`}`,
    `  ${counted(one.revoked)} revoked, ${one.withoutInformation} of them without a word on where that can be learned; before: ${one.revokedBefore}; caught under way: ${one.caught}`,
    (one.quarantined > 0 || one.blocked > 0) &&
      `  ${one.quarantined} identities put in quarantine, ${one.blocked} keys blocked`,
    one.stops !== null && `  ${one.stops} since ${one.createdAt}`,
    one.closedAt !== null && `  nothing that was under way is left since ${one.closedAt}`,
    one.doneAt !== null && `  all revoked at ${one.doneAt}`,
    `  in published lists: ${one.publishedAt ?? `not yet; mayfly revocations show ${one.id} says when`}`,
    ...lists.map((list) => `    issuer ${list.issuer} shard ${list.shard}: list ${list.listNumber ?? "to come"}`),
    ...processes.map((each) => `  shown by ${each.name}: ${each.shownAt ?? "not yet"}`),
    one.lastNotAfter !== null && `  the last of them ends at ${one.lastNotAfter}`,
    one.lastAcceptance !== null && `  last possible acceptance: ${one.lastAcceptance}`,
  ]);
}

/** A table of revocations. */
export const revocationTable = (found: readonly Revocation[]): string =>
  tableOf(
    ["ID", "AT", "BY", "STATE", "REVOKED", "KIND", "SUBJECT", "NOTE"],
    found.map((one) => [
      one.id,
      one.createdAt,
      one.createdBy,
      one.state,
      String(one.revoked),
      one.kind,
      one.subject,
      one.note ?? "",
    ]),
  );
