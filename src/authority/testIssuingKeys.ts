/**
 * The self-test of issuing keys, on schedule and for readiness: every key that issues now signs and verifies.
 */
import type { Issuers } from "./issuer.ts";

/** Told of each key that was tried. */
export type OnKeyTested = (outcome: "passed" | "failed") => void;

/** Lines by which nothing is issued now. The message names them and no more; why the first of them does not sign is its cause. */
export class LinesNotIssuing extends Error {
  override readonly name = "LinesNotIssuing";
}

/**
 * Tries every active issuer's key, the others also after one that failed.
 * @param names - the lines of the configuration: each of them has an issuer that issues
 * @throws {LinesNotIssuing} also where a line has no active issuer whose key is here
 */
export async function testIssuingKeys(
  issuers: Pick<Issuers, "active" | "all">,
  names: Iterable<string>,
  onTested: OnKeyTested = () => undefined,
): Promise<void> {
  const failures: { what: string; cause: unknown }[] = [];
  for (const { name, key } of issuers.all().filter(({ state }) => state === "active")) {
    try {
      await key.probe();
      onTested("passed");
    } catch (cause) {
      failures.push({ what: `the issuer of the line ${name} cannot sign`, cause });
      onTested("failed");
    }
  }
  for (const name of names) {
    try {
      issuers.active(name);
    } catch (cause) {
      failures.push({ what: `no issuer of the line ${name} is active here`, cause });
    }
  }
  const [first] = failures;
  if (first !== undefined)
    throw new LinesNotIssuing(failures.map(({ what }) => what).join("; "), { cause: first.cause });
}
