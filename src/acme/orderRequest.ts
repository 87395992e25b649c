/** What newOrder is asked for (RFC 8555 §7.4): read, and held against what account, grants and profiles allow. */
import { validityOf, ValidityRefused, type Profile } from "../authority/profile.ts";
import type { JsonObject, JsonValue } from "../encoding/json.ts";
import { problem } from "../problem/problem.ts";
import { parseRfc3339 } from "../x509/time.ts";
import type { AcmeContext } from "./context.ts";
import { readDelegation } from "./delegation.ts";
import { isAttested, readIdentifiers, type RequestedIdentifier } from "./identifiers.ts";
import { later } from "./newAuthorization.ts";
import type { SigningAccount } from "./pipeline.ts";
import type { DelegationRecord, Identifier, NewOrder, Replaces } from "./ports.ts";
import { chooseProfile } from "./profileChoice.ts";
import { readReplaces } from "./replaces.ts";
import { allowedProfiles, requireAllowed } from "./restrictions.ts";

export interface OrderRequest extends Pick<NewOrder, "identifiers" | "notBefore" | "notAfter"> {
  /** The identifiers as they were ordered. */
  readonly requested: readonly RequestedIdentifier[];
  readonly profile: Profile;
  readonly replaces: Replaces | null;
  /** On whose behalf; undefined where nobody's. */
  readonly delegation: DelegationRecord | undefined;
}

/**
 * @throws {Problem} malformed · unsupportedIdentifier · rejectedIdentifier · invalidProfile · for `replaces` also notFound · for `delegation`
 *   also unauthorized (403) and unavailable
 */
export async function readOrderRequest(
  payload: JsonObject,
  account: SigningAccount,
  now: Date,
  context: AcmeContext,
): Promise<OrderRequest> {
  // Ignoring it would issue other than ordered (§7.4).
  if ("auto-renewal" in payload) throw problem("malformed", "auto-renewal: STAR (RFC 8739) is not supported");
  const { restrictions } = account;
  const requested = readIdentifiers(payload["identifiers"], context);
  const identifiers = requested.map(({ type, value }) => ({ type, value }));
  requireAllowed(restrictions, identifiers);
  const profiles = allowedProfiles(restrictions, context.profiles);
  const delegation = await readDelegation(payload["delegation"], account, identifiers, context);
  const chosenFrom = { policy: context.policy, profiles, delegatedBy: delegation?.source };
  const profile = chooseProfile(payload["profile"], identifiers, chosenFrom);
  const validity = readValidity(payload, profile, now);
  const replaces = readReplaces(payload["replaces"], context);
  return { requested, identifiers, profile, ...validity, replaces, delegation };
}

/** Until when the order is open. */
export function orderEnd(
  identifiers: readonly Identifier[],
  now: Date,
  { limits: { orderLifetimeSeconds, attestationChallengeSeconds } }: Pick<AcmeContext, "limits">,
): Date {
  const attested = identifiers.some(({ type }) => isAttested(type));
  return later(now, attested ? attestationChallengeSeconds * 2 : orderLifetimeSeconds);
}

/** notBefore and notAfter are honoured or refused (§7.4). A Go program's unset time means absent. */
function readValidity(
  payload: JsonObject,
  profile: Profile,
  now: Date,
): { notBefore: Date | null; notAfter: Date | null } {
  const notBefore = readTime(payload["notBefore"], "notBefore");
  const notAfter = readTime(payload["notAfter"], "notAfter");
  try {
    validityOf(profile, now, { notBefore: notBefore ?? undefined, notAfter: notAfter ?? undefined });
  } catch (error) {
    if (error instanceof ValidityRefused) throw problem("malformed", error.message);
    throw error;
  }
  return { notBefore, notAfter };
}

function readTime(value: JsonValue | undefined, name: string): Date | null {
  if (value === undefined || value === null || value === "0001-01-01T00:00:00Z") return null;
  const time = typeof value === "string" ? parseRfc3339(value) : undefined;
  if (time === undefined) throw problem("malformed", `${name} is not an RFC 3339 time`);
  return time;
}
