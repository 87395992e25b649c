/**
 * The self-test of issuing keys, on schedule and for readiness: every key that issues now signs and verifies.
 */
import { defaultIssuerName, type Issuers } from "./issuer.ts";

/** Told of each key that was tried. */
export type OnKeyTested = (outcome: "passed" | "failed") => void;

/**
 * Tries every active issuer's key, the others also after one that failed.
 * @throws {KeyUnavailable} · {SelfTestFailed} the first failure; also where the default issuer has no key here
 */
export async function testIssuingKeys(
  issuers: Pick<Issuers, "active" | "all">,
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
  issuers.active(defaultIssuerName);
}
