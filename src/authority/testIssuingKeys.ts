/**
 * The self-test of issuing keys, on schedule and for readiness: every key that issues now signs and verifies.
 */
import type { Issuers } from "./issuer.ts";

/** Told of each key that was tried. */
export type OnKeyTested = (outcome: "passed" | "failed") => void;

/**
 * Tries every active issuer's key, the others also after one that failed.
 * @param names - the lines that profiles name: each of them has an issuer that issues
 * @throws {KeyUnavailable} · {SelfTestFailed} the first failure; also where a line has no active issuer whose key is here
 */
export async function testIssuingKeys(
  issuers: Pick<Issuers, "active" | "all">,
  names: Iterable<string>,
  onTested: OnKeyTested = () => undefined,
): Promise<void> {
  const failures: unknown[] = [];
  for (const { key } of issuers.all().filter(({ state }) => state === "active")) {
    try {
      await key.probe();
      onTested("passed");
    } catch (error) {
      failures.push(error);
      onTested("failed");
    }
  }
  if (failures.length > 0) throw failures[0];
  for (const name of names) issuers.active(name);
}
