/** Revocations as JSON, and until when what they revoked can still be accepted. */
import type {
  ActionEffect,
  NewRevocation,
  PublishedList,
  RevocationAction,
  RevocationCoverage,
} from "./revocationPorts.ts";
import { reasonName } from "../x509/revocationReason.ts";

export interface Acceptance {
  /** How long a list or a response counts from when it was made, at most; milliseconds. */
  readonly informationLifetimeMs: number;
}

/**
 * The latest instant at which a relying party that does as RFC 5280 §6.3 and RFC 9608 say can still accept one of them: of what says nothing
 * of its revocation the end of its validity; of the rest the end of the information that was made before the one which has the revocation,
 * or of its validity where that is sooner.
 * @param informedAt - when information with all of them was there, or would be at the earliest
 */
function lastAcceptance(
  { uninformedEnd, informedEnd }: Pick<RevocationCoverage, "uninformedEnd" | "informedEnd">,
  informedAt: Date,
  { informationLifetimeMs }: Acceptance,
): Date | null {
  const told = new Date(informedAt.getTime() + informationLifetimeMs);
  const informed = informedEnd !== null && informedEnd > told ? told : informedEnd;
  if (uninformedEnd === null || informed === null) return uninformedEnd ?? informed;
  return informed > uninformedEnd ? informed : uninformedEnd;
}

const hex = (serial: Buffer): string => serial.toString("hex");
const iso = (date: Date | null): string | null => date?.toISOString() ?? null;

/** What stops the issuing of more. */
const stops = {
  certificate: null,
  identity: "the identity is in quarantine",
  key: "the key is blocked",
  account: "the account is revoked",
  grant: "the grant is suspended",
  source: "the source is suspended",
  task: "the task is ended",
  delegator: "what was delegated is ended",
  issuer: "the issuer is suspended",
} as const;

const subjectJson = ({ kind, subject, delegationSource }: NewRevocation): object => ({
  kind,
  subject,
  ...(delegationSource !== null && { delegationSource }),
});

/** What a dry run answers. */
export function coverageJson(
  ordered: NewRevocation,
  covered: RevocationCoverage,
  acceptance: Acceptance,
  now: Date,
): object {
  return {
    ...subjectJson(ordered),
    reason: reasonName(ordered.reason),
    certificates: covered.certificates,
    profiles: covered.profiles,
    withoutInformation: covered.profiles.reduce((sum, { uninformed }) => sum + uninformed, 0),
    serials: covered.serials.map(hex),
    revokedBefore: covered.revokedBefore,
    underWay: covered.underWay,
    stops: stops[ordered.kind],
    quarantine: ordered.quarantine,
    blockKeys: ordered.blockKeys,
    lastNotAfter: iso(latest(covered.uninformedEnd, covered.informedEnd)),
    lastAcceptance: iso(lastAcceptance(covered, now, acceptance)),
  };
}

const latest = (one: Date | null, other: Date | null): Date | null =>
  one === null || (other !== null && other > one) ? other : one;

/** An entry of the list. */
export function listedActionJson(action: RevocationAction, acceptance: Acceptance, now: Date): object {
  const { publishedAt } = action;
  return {
    id: action.id,
    ...subjectJson(action),
    reason: reasonName(action.reason),
    note: action.note,
    createdBy: action.createdBy,
    createdAt: iso(action.createdAt),
    state: action.state,
    closedAt: iso(action.closedAt),
    doneAt: iso(action.doneAt),
    revoked: action.revoked,
    revokedBefore: action.revokedBefore,
    caught: action.caught,
    withoutInformation: action.uninformed,
    stops: stops[action.kind],
    quarantine: action.quarantine,
    quarantined: action.quarantined,
    blockKeys: action.blockKeys,
    blocked: action.blocked,
    publishedAt: iso(publishedAt),
    lastNotAfter: iso(latest(action.uninformedEnd, action.informedEnd)),
    // While it runs nobody knows.
    lastAcceptance: action.state === "done" ? iso(lastAcceptance(action, publishedAt ?? now, acceptance)) : null,
  };
}

/** One action, with where and since when its revocations are to be seen. */
export function actionJson(
  action: RevocationAction,
  lists: readonly PublishedList[],
  effects: readonly ActionEffect[],
  acceptance: Acceptance,
  now: Date,
): object {
  return {
    ...listedActionJson(action, acceptance, now),
    lists: lists.map(({ issuerId, shard, revocations, publishedAt, listNumber }) => ({
      issuer: issuerId,
      shard,
      revocations,
      publishedAt: iso(publishedAt),
      listNumber,
    })),
    processes: effects.map(({ process, name, seenAt, shownAt }) => ({
      process,
      name,
      seenAt: iso(seenAt),
      shownAt: iso(shownAt),
    })),
  };
}
