/**
 * `delegation` of newOrder and newAuthz: a token that says on whose behalf the workload acts, and for which task (docs/delegation.md).
 * RFC 9115 has a member of this name that is a URL; that is not supported, and not mistaken for a token.
 */
import type { DelegationVerifier } from "../attestation/delegation.ts";
import { EvidenceRefused, SourceUnavailable } from "../attestation/evidence.ts";
import type { JsonValue } from "../encoding/json.ts";
import { problem } from "../problem/problem.ts";
import type { AcmeContext } from "./context.ts";
import type { SigningAccount } from "./pipeline.ts";
import type { DelegationRecord, Identifier } from "./ports.ts";
import { timestamp } from "./resources.ts";

/** A token longer than this is not looked at; octets. */
const tokenLimit = 16 * 1024;
const sourceRetrySeconds = 5;

export interface Delegations {
  readonly verifier: DelegationVerifier;
  /** Keyed hash of a person or task as a source names it: the same in, the same out, and no way back. */
  readonly pseudonym: (kind: "delegator" | "task", source: string, name: string) => Buffer;
  /**
   * Makes the two known, so that they can be ended. True where one of them is ended already; undefined where something is ended that cannot be
   * compared, because its pseudonym was made with another key.
   */
  readonly isEnded: (
    source: string,
    subjects: readonly { readonly kind: "delegator" | "task"; readonly pseudonym: Buffer }[],
  ) => Promise<boolean | undefined>;
}

/**
 * Reads and verifies it; undefined where there is none.
 * @throws {Problem} malformed · unauthorized (403) with the reason as its subproblem · unavailable (503) when the issuer's keys are away
 */
export async function readDelegation(
  value: JsonValue | undefined,
  account: SigningAccount,
  identifiers: readonly Identifier[],
  context: AcmeContext,
): Promise<DelegationRecord | undefined> {
  const spiffeId = identifiers.find(({ type }) => type === "uri");
  if (value === undefined) {
    if (spiffeId !== undefined) requireNoneAsked(spiffeId, context);
    return undefined;
  }
  const { delegations } = context;
  if (delegations === undefined) throw problem("malformed", "delegation: delegation is not supported");
  if (typeof value !== "string" || value === "" || value.length > tokenLimit)
    throw problem("malformed", `delegation is not a token of 1 to ${tokenLimit} octets`);
  if (spiffeId === undefined) throw problem("malformed", "a delegation needs a uri identifier: the workload that acts");
  const record = await verify(value, delegations, account, spiffeId, context);
  const subjects = (["delegator", "task"] as const).flatMap((kind) => {
    const hex = record[kind];
    return hex === undefined ? [] : [{ kind, pseudonym: Buffer.from(hex, "hex") }];
  });
  const ended = await delegations.isEnded(record.source, subjects);
  if (ended === undefined)
    throw problem("unavailable", "whether the delegation has been ended cannot be told right now", {
      retryAfterSeconds: sourceRetrySeconds,
      cause: new Error("delegations were ended with another key than the one in delegation.pseudonymKeyFile"),
    });
  if (ended) throw problem("unauthorized", "what the workload was to act for has been ended");
  if (context.policy.candidates(spiffeId.value, { order: { delegatedBy: record.source } }).accept.length === 0)
    throw problem("rejectedIdentifier", "this identity is not given for a delegation of that issuer");
  return record;
}

/** Said at once, in place of a challenge that nothing could meet. */
function requireNoneAsked({ value }: Identifier, { policy }: AcmeContext): void {
  if (policy.candidates(value, { order: { delegatedBy: undefined } }).accept.length === 0)
    throw problem(
      "rejectedIdentifier",
      "this identity is given on somebody's behalf only: the order needs a delegation",
    );
}

async function verify(
  token: string,
  { verifier, pseudonym }: Delegations,
  account: SigningAccount,
  identifier: Identifier,
  { audience, now }: AcmeContext,
): Promise<DelegationRecord> {
  const asked = { now: now(), audience, binding: undefined, identifier, accountKey: account.thumbprint };
  try {
    const { source, digest, subject, task, expires } = await verifier.verify(token, asked);
    return {
      source,
      reference: digest.toString("hex"),
      delegator: pseudonym("delegator", source, subject).toString("hex"),
      ...(task !== undefined && { task: pseudonym("task", source, task).toString("hex") }),
      expires: timestamp(expires),
    };
  } catch (error) {
    if (error instanceof EvidenceRefused)
      throw problem("unauthorized", "the delegation was refused", {
        subproblems: [{ code: error.code, detail: error.message, identifier }],
      });
    if (error instanceof SourceUnavailable)
      throw problem("unavailable", "the issuer of the delegation cannot be reached right now", {
        retryAfterSeconds: sourceRetrySeconds,
        cause: error,
      });
    throw error;
  }
}
