/** Which limits a request for an order, an authorization or a certificate is under, and what it is told over one. */
import { blockedKey, named, quarantined } from "../context.ts";
import type { Identifier, NewAuthorization, NewOrder, OrderOverLimit, OrderStore, Signer } from "../ports.ts";
import { Problem } from "../../problem/problem.ts";
import { identityKey, type RateLimits, type Use } from "./rateLimits.ts";

/** When to look again whether a place for a pending order has become free; seconds. */
const pendingRetrySeconds = 60;
/** A pause ends when somebody ends it: no client need ask more often than once a day. */
const pausedRetrySeconds = 86_400;

/** Failed validations of an account's identifier. */
export const failuresOf = (accountId: string, identifier: { readonly type: string; readonly value: string }): Use => ({
  limit: "failedValidationsPerIdentifier",
  key: `${accountId} ${identityKey(identifier)}`,
});
const certificatesOf = (identifier: Identifier): Use => ({
  limit: "certificatesPerIdentity",
  key: identityKey(identifier),
});

/** An identity with a SPIFFE ID is that alone, one with a device that; otherwise each name counts for itself. */
function identitiesOf(identifiers: readonly Identifier[]): readonly Identifier[] {
  const identity =
    identifiers.find(({ type }) => type === "uri") ?? identifiers.find(({ type }) => type === "permanent-identifier");
  return identity === undefined ? identifiers : [identity];
}

/**
 * Counts an order of its account. What it is for is only looked at here and counted when it is proved and certified: nobody uses up
 * the limit of an identity that is somebody else's.
 * @throws {Problem} rateLimited
 */
export function limitOrder(
  rateLimits: RateLimits,
  by: Signer,
  {
    identifiers,
    authorizations,
  }: Pick<NewOrder, "identifiers"> & {
    readonly authorizations: readonly Pick<NewAuthorization, "identifier">[];
  },
): Counted {
  rateLimits.check([
    ...identitiesOf(identifiers).map(certificatesOf),
    ...authorizations.map(({ identifier }) => failuresOf(by.id, identifier)),
  ]);
  return spent(rateLimits, [{ limit: "ordersPerAccount", key: by.id }]);
}

/** Counts a pre-authorization of its account. @throws {Problem} rateLimited */
export function limitAuthorization(rateLimits: RateLimits, by: Signer, { identifier }: NewAuthorization): Counted {
  rateLimits.check([failuresOf(by.id, identifier)]);
  return spent(rateLimits, [{ limit: "ordersPerAccount", key: by.id }]);
}

/** Counts a certificate of its identity. @throws {Problem} rateLimited */
export function limitCertificate(rateLimits: RateLimits, identifiers: readonly Identifier[]): Counted {
  return spent(rateLimits, identitiesOf(identifiers).map(certificatesOf));
}

/** What was counted before it was done. */
export interface Counted {
  /** Takes it back: it did not come to that, through no doing of the client's. */
  readonly unused: () => void;
}

/** Does what was counted; a failure of ours takes the count back, a refusal does not. */
export async function countedUnlessOurs<T>(counted: Counted, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Problem) || error.status >= 500) counted.unused();
    throw error;
  }
}

function spent(rateLimits: RateLimits, uses: readonly Use[]): Counted {
  rateLimits.spend(uses);
  return {
    unused() {
      for (const use of uses) rateLimits.refund(use);
    },
  };
}

/** The same store, with failed validations counted. */
export function countFailures(orders: OrderStore, rateLimits: RateLimits): OrderStore {
  return {
    ...orders,
    async failed(authorization, challenge) {
      const failure = await orders.failed(authorization, challenge);
      if (failure !== undefined) rateLimits.record(failuresOf(failure.accountId, failure.identifier));
      return failure;
    },
  };
}

/** What a client is told that is over a limit of the store. */
export function overLimit(rateLimits: RateLimits, over: OrderOverLimit): Problem {
  if (over.reason === "blockedKey") return blockedKey();
  if (over.reason === "quarantined") return quarantined();
  if (over.reason === "tooManyPending") {
    const detail = `the account has ${over.limit} orders that wait for authorizations; finish some, or deactivate authorizations`;
    return rateLimits.refusal("pendingOrdersPerAccount", detail, pendingRetrySeconds);
  }
  const which = over.identifiers.map(named).join(", ").slice(0, 300);
  const detail = `paused for this account after too many failed validations in a row: ${which}. An authorization by newAuthz that becomes valid resumes it, and so does the operator of this server`;
  return rateLimits.refusal("pausedIdentifiers", detail, pausedRetrySeconds);
}
