/** Which profile an order is made under (draft-ietf-acme-profiles-01 §4). */
import type { Profile } from "../authority/profile.ts";
import { commonNameFor, SubjectRefused } from "../authority/subject.ts";
import type { JsonValue } from "../encoding/json.ts";
import { problem } from "../problem/problem.ts";
import { named, type AcmeContext } from "./context.ts";
import { isAttested } from "./identifiers.ts";
import type { Identifier } from "./ports.ts";

/**
 * The profile asked for, or the first of the directory that fits the identifiers.
 * @throws {Problem} invalidProfile for one that is not there or does not fit · rejectedIdentifier when none fits
 */
export function chooseProfile(
  asked: JsonValue | undefined,
  identifiers: readonly Identifier[],
  context: Pick<AcmeContext, "policy" | "profiles"> & { delegatedBy: string | undefined },
): Profile {
  const order = { delegatedBy: context.delegatedBy };
  const granted = identifiers
    .filter(({ type }) => isAttested(type))
    .map(({ value }) => context.policy.candidates(value, { order }).profiles);
  const hasUri = identifiers.some(({ type }) => type === "uri");
  const fits = (profile: Profile): boolean =>
    identifiers.every(({ type }) => profile.identifiers.includes(type)) &&
    (hasUri || !profile.identifiers.includes("uri")) &&
    granted.every((profiles) => profiles.includes(profile.name)) &&
    hasSubject(profile, identifiers);
  if (asked === undefined) {
    const first = [...context.profiles.values()].find(fits);
    if (first === undefined)
      throw problem("rejectedIdentifier", `no profile allows ${identifiers.map(named).join(", ").slice(0, 200)}`);
    return first;
  }
  const profile = typeof asked === "string" ? context.profiles.get(asked) : undefined;
  if (profile === undefined) throw problem("invalidProfile", "there is no such profile; the directory lists them");
  if (!fits(profile)) throw problem("invalidProfile", `profile ${profile.name} does not allow these identifiers`);
  return profile;
}

/** Whether the names have the subject in them that the profile wants. */
function hasSubject(profile: Profile, identifiers: readonly Identifier[]): boolean {
  try {
    commonNameFor(
      profile,
      identifiers.filter(({ type }) => type === "dns").map(({ value }) => value),
    );
    return true;
  } catch (error) {
    if (error instanceof SubjectRefused) return false;
    throw error;
  }
}
