/** The limits of the configuration as objects: what this process counts, and how many finalize requests it takes at once. */
import { createFinalizeQueue, type FinalizeQueue } from "./acme/limits/finalizeQueue.ts";
import type { Rate } from "./acme/limits/gcra.ts";
import { failuresOf } from "./acme/limits/orderLimits.ts";
import { createRateLimits, limitNames, type RateLimits } from "./acme/limits/rateLimits.ts";
import type { PausedIdentifier, RateAdministration } from "./administration/limitPorts.ts";
import type { Configuration } from "./config/load.ts";

export interface Limits {
  readonly rates: RateLimits;
  readonly finalizes: FinalizeQueue;
}

/** @param onRefused told of every refusal, by the limit's name */
export function openLimits(
  { acme: { rateLimits: limits }, externalUrl }: Configuration,
  now: () => Date,
  onRefused: (limit: string) => void,
): Limits {
  const rates = createRateLimits({
    rates: {
      requestsPerAddress: rate(limits.requestsPerAddressPerSecond, 1_000, limits.requestsPerAddressBurst),
      newAccountsPerAddress: rate(limits.newAccountsPerAddressPerMinute, 60_000, limits.newAccountsPerAddressBurst),
      ordersPerAccount: rate(limits.ordersPerAccountPerMinute, 60_000, limits.ordersPerAccountBurst),
      certificatesPerIdentity: rate(
        limits.certificatesPerIdentityPerMinute,
        60_000,
        limits.certificatesPerIdentityBurst,
      ),
      failedValidationsPerIdentifier: rate(
        limits.failedValidationsPerIdentifierPerHour,
        3_600_000,
        limits.failedValidationsPerIdentifierBurst,
      ),
    },
    bucketsMax: limits.bucketsMax,
    helpUrl: limits.helpUrl ?? `${externalUrl}/limits`,
    now,
    onRefused,
  });
  return { rates, finalizes: createFinalizeQueue(limits.finalizesUnderWay, () => onRefused("finalizesUnderWay")) };
}

/** The same for people (`http/limitsPage.ts`). */
export function limitSentences({ rates }: Limits, { acme: { rateLimits } }: Configuration): string[] {
  const { pendingOrdersPerAccount: pending, pauseAfterFailures: pause } = rateLimits;
  return [
    ...rates.list(0).flatMap(({ sentence }) => (sentence === undefined ? [] : [sentence])),
    ...(pending > 0 ? [`orders of one account that wait for authorizations: ${pending}`] : []),
    ...(pause > 0 ? [`failed validations in a row that pause an identifier for an account: ${pause}`] : []),
  ];
}

/** The rates as an operator administers them. */
export const administrationOf = ({ rates }: Limits): RateAdministration => ({
  list: (most) => rates.list(most),
  reset: (name, key) => {
    const limit = limitNames.find((known) => known === name);
    return limit && rates.reset(limit, key);
  },
});

/** What this process counted against an account's identifier does not outlive its pause. */
export function forgetFailures({ rates }: Limits, { accountId, identifier }: FailedPair): void {
  const { limit, key } = failuresOf(accountId, identifier);
  rates.reset(limit, key);
}

type FailedPair = Pick<PausedIdentifier, "accountId" | "identifier">;

/** 0 switches a rate off. */
const rate = (count: number, periodMs: number, burst: number): Rate | undefined =>
  count === 0 ? undefined : { count, periodMs, burst };
