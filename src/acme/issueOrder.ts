/** From an order whose names are proved to its certificate: policy as it reads now, the limit of its identity, and the one act. */
import { authorizeOrder, NotAuthorized, type Authorized, type Proof } from "../authority/authorize.ts";
import type { Intend, IssueOutcome } from "../authority/issue.ts";
import { ValidityRefused, type Profile } from "../authority/profile.ts";
import { SubjectRefused } from "../authority/subject.ts";
import { problem } from "../problem/problem.ts";
import type { CertificationRequest } from "../x509/csr.ts";
import type { AcmeContext } from "./context.ts";
import { limitCertificate } from "./limits/orderLimits.ts";
import type { Authorization, Identifier, Order } from "./ports.ts";

export interface Proved {
  readonly identifier: Identifier;
  readonly authorization: Authorization;
}

export interface Finalizing {
  readonly accountId: string;
  readonly order: Order;
  readonly proved: readonly Proved[];
  readonly csr: CertificationRequest;
  readonly profile: Profile;
}

/** @throws {Problem} rejectedIdentifier when policy as it reads now does not allow the names */
export function authorizedBy({ accountId, order, proved, profile }: Finalizing, { policy }: AcmeContext): Authorized {
  const validity = { notBefore: order.notBefore ?? undefined, notAfter: order.notAfter ?? undefined };
  try {
    return authorizeOrder({ id: order.id, accountId, validity }, proved.map(proofOf), profile, policy.grants());
  } catch (error) {
    if (error instanceof NotAuthorized) throw problem("rejectedIdentifier", error.message);
    throw error;
  }
}

/**
 * Issues, unless a limit is in the way.
 * @param intend see `Issuing`
 * @throws {Problem} rateLimited · malformed where the validity that was asked for cannot be had (any more) · and whatever `intend` throws
 */
export async function issueOrder(
  authorized: Authorized,
  { order, csr }: Pick<Finalizing, "order" | "csr">,
  context: AcmeContext,
  intend?: Intend,
): Promise<IssueOutcome> {
  return await issueWithinLimit(order, () => issue(authorized, csr, context, intend), context);
}

function proofOf({ identifier, authorization }: Proved): Proof {
  const { attestation, challenges, subdomains } = authorization;
  if (attestation !== null) return { identifier, proved: { by: "attestation", record: attestation } };
  const valid = challenges.find(({ status }) => status === "valid");
  if (valid === undefined) throw problem("orderNotReady", "an authorization is not valid");
  const proved = { by: "challenge", challenge: valid.type, at: valid.validated ?? "" } as const;
  return { identifier, proved: subdomains ? { ...proved, of: authorization.identifier.value } : proved };
}

/** What was not issued does not count. */
async function issueWithinLimit(
  { identifiers }: Finalizing["order"],
  act: () => Promise<IssueOutcome>,
  { rateLimits }: AcmeContext,
): Promise<IssueOutcome> {
  const counted = limitCertificate(rateLimits, identifiers);
  let issued = false;
  try {
    const outcome = await act();
    issued = outcome.outcome === "issued" || outcome.outcome === "unfinished";
    return outcome;
  } finally {
    if (!issued) counted.unused();
  }
}

async function issue(
  authorized: Authorized,
  { publicKey }: CertificationRequest,
  { issuing }: AcmeContext,
  intend: Intend | undefined,
): Promise<IssueOutcome> {
  try {
    return await issuing.issue(authorized, publicKey, intend);
  } catch (error) {
    if (error instanceof ValidityRefused)
      throw problem("malformed", `the order cannot be fulfilled any more: ${error.message}`);
    if (error instanceof SubjectRefused) throw problem("rejectedIdentifier", error.message);
    throw error;
  }
}
