/** Validation as the composition opens it: the way out with the operator's limits, the retries, and CAA where it is looked at. */
import { createCaaCheck, type CaaCheck } from "./acme/challenges/caa.ts";
import { createValidationRunner, type ValidationRunner, type ValidationRunnerParts } from "./acme/challenges/runner.ts";
import { createValidate } from "./acme/challenges/validators.ts";
import { createTurns, type Turns } from "./acme/limits/turns.ts";
import type { AcmeContext } from "./acme/context.ts";
import type { Urls } from "./acme/urls.ts";
import type { OutboundFailure } from "./outbound/failure.ts";
import { createOutbound } from "./outbound/outbound.ts";
import type { Parts } from "./parts.ts";

/** The runner, and CAA for finalize; `urlsOf` are those of each directory. */
export function openValidations(
  { configuration: { validation, acme, externalUrl }, foundation: { log }, now }: Parts,
  {
    accounts,
    orders,
    validate,
    onChallengeEnded,
    urlsOf,
  }: Pick<AcmeContext, "accounts" | "orders" | "onChallengeEnded"> & {
    validate: (real: ValidationRunnerParts["validate"]) => ValidationRunnerParts["validate"];
    urlsOf: ReadonlyMap<string, Urls>;
  },
): { validations: ValidationRunner; caa: CaaCheck | undefined; validationTurns: Turns } {
  const { http01Port, tlsAlpn01Port, timeoutMs, attempts, retryDelayMs } = validation;
  const ground = {
    // A lookup leaves a part of the time for what it was made for.
    ...createOutbound({ ...validation, lookupTimeoutMs: Math.ceil(timeoutMs * 0.8) }),
    http01Port,
    tlsAlpn01Port,
    timeoutMs,
    userAgent: `Mayfly (ACME validation; +${externalUrl})`,
    now,
  };
  const caa = acme.caaIdentities.length > 0 ? createCaaCheck(ground, acme.caaIdentities) : undefined;
  const turns = createTurns(acme.rateLimits.validationsPerAccount);
  const validations = createValidationRunner({
    orders,
    validate: validate(createValidate(ground, caa)),
    retries: { attempts, retryDelayMs },
    turns,
    accountOf({ directory, id, thumbprint }) {
      const urls = urlsOf.get(directory);
      if (urls === undefined) throw new Error(`the directory ${directory} is not configured any more`);
      return {
        url: urls.account(id),
        hashPrefix: urls.accountHashPrefix,
        thumbprints: async () => [thumbprint, ...(await accounts.formerKeys(id))],
      };
    },
    now,
    patienceMs: validation.patienceMs,
    validSeconds: acme.orderLifetimeSeconds,
    onError: (error) => log.error({ err: error }, "a validation could not be finished and will be taken up again"),
    onOwnTrouble: atMostEvery(10_000, (error: OutboundFailure, others) =>
      log.warn({ err: error, others }, "validations wait for what this server needs for them"),
    ),
    onEnded: onChallengeEnded,
  });
  return { validations, caa, validationTurns: turns };
}

/** Calls `tell` no more often than that, with how many calls were left out since. */
function atMostEvery<T>(ms: number, tell: (what: T, others: number) => void): (what: T) => void {
  let toldAt = -Infinity;
  let others = 0;
  return (what) => {
    if (performance.now() - toldAt < ms) {
      others += 1;
      return;
    }
    tell(what, others);
    toldAt = performance.now();
    others = 0;
  };
}
