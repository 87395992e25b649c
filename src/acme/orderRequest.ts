/** What newOrder is asked for (RFC 8555 §7.4): read, and held against what account, grants and profiles allow. */
import { validityOf, ValidityRefused, type Profile } from "../authority/profile.ts";
import type { JsonObject, JsonValue } from "../encoding/json.ts";
import { problem } from "../problem/problem.ts";
import { parseRfc3339 } from "../x509/time.ts";
import type { AcmeContext } from "./context.ts";
import { readIdentifiers, type RequestedIdentifier } from "./identifiers.ts";
import type { SigningAccount } from "./pipeline.ts";
import type { NewOrder, Replaces } from "./ports.ts";
import { chooseProfile } from "./profileChoice.ts";
import { readReplaces } from "./replaces.ts";
import { allowedProfiles, requireAllowed } from "./restrictions.ts";

/** Members that ask for something this server does not do; ignoring them would issue other than ordered (§7.4). */
const refusedMembers = { "auto-renewal": "STAR (RFC 8739)", delegation: "delegation" } as const;

export interface OrderRequest extends Pick<NewOrder, "identifiers" | "notBefore" | "notAfter"> {
  /** The identifiers as they were ordered. */
  readonly requested: readonly RequestedIdentifier[];
  readonly profile: Profile;
  readonly replaces: Replaces | null;
}

/** @throws {Problem} malformed · unsupportedIdentifier · rejectedIdentifier · invalidProfile · for `replaces` also notFound */
export function readOrderRequest(
  payload: JsonObject,
  { restrictions }: SigningAccount,
  now: Date,
  context: AcmeContext,
): OrderRequest {
  for (const [member, what] of Object.entries(refusedMembers)) {
    if (member in payload) throw problem("malformed", `${member}: ${what} is not supported`);
  }
  const requested = readIdentifiers(payload["identifiers"], context);
  const identifiers = requested.map(({ type, value }) => ({ type, value }));
  requireAllowed(restrictions, identifiers);
  const profiles = allowedProfiles(restrictions, context.profiles);
  const profile = chooseProfile(payload["profile"], identifiers, { policy: context.policy, profiles });
  const validity = readValidity(payload, profile, now);
  return { requested, identifiers, profile, ...validity, replaces: readReplaces(payload["replaces"], context) };
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
