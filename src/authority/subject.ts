/** The subject that a profile gives its certificates. Pure. */
import type { Profile } from "./profile.ts";

/** Characters of a commonName (ub-common-name, RFC 5280 appendix A.1). */
const commonNameMax = 64;

/** The subject that the profile wants cannot be had from these names; `message` is fit for the client. */
export class SubjectRefused extends Error {
  override readonly name = "SubjectRefused";
}

/**
 * The commonName of a certificate for these DNS names: the first of up to 64 characters, where the profile wants one. What it repeats is
 * in the SAN as well.
 * @throws {SubjectRefused}
 */
export function commonNameFor(
  { name, subject }: Pick<Profile, "name" | "subject">,
  dnsNames: readonly string[],
): string | undefined {
  if (subject === "empty") return undefined;
  const fits = dnsNames.find(({ length }) => length <= commonNameMax);
  if (fits !== undefined) return fits;
  throw new SubjectRefused(
    `profile ${name} wants a DNS name of up to ${commonNameMax} characters for the common name, and there is none`,
  );
}
