/**
 * On behalf of whom: a token that names a user and a task, and the workload that acts for them. OAuth token exchange puts the workload
 * into `act` (RFC 8693 §4.1), transaction tokens and orchestrators elsewhere; a source says where. Verified like evidence, and no
 * evidence: it gives no identity, and may be shown as often as the task needs until it expires.
 */
import { createHash } from "node:crypto";
import { type Static, Type } from "typebox";
import { isClaimReference, readClaim } from "./claimReference.ts";
import { claimOf, type Claims, EvidenceRefused, isClaims, malformed, type VerificationContext } from "./evidence.ts";
import type { SourceSurroundings } from "./format.ts";
import { namedIssuer } from "./formats/atc.ts";
import { openSourceKeys } from "./jwks.ts";
import { openedAt } from "./sources.ts";
import { checkTokenSource, configureTokenSource, tokenProperties, type TokenSource } from "./tokenSource.ts";
import { verifyToken, type TokenRules } from "./token.ts";

const pointer = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 256, description }));

/** One entry of `delegation.sources`. What a schema cannot say is checked by `checkDelegationSource`. */
export const delegationSourceSchema = Type.Object(
  {
    ref: Type.String({ pattern: "^[a-z0-9-]{1,40}$", description: "Name of the source in grants and searches." }),
    ...tokenProperties,
    actorClaim: pointer("Claim with the SPIFFE ID that acts: a name or JSON Pointer; /act/sub unless said."),
    subjectClaim: pointer("Claim with whom it acts for; sub unless said."),
    taskClaim: pointer("Claim with the task; txn unless said. A token without it names no task."),
    requireConfirmation: Type.Optional(
      Type.Boolean({ description: "Whether the token must name the account's key (cnf.jkt); false unless said." }),
    ),
  },
  { additionalProperties: false },
);
/** As configured. */
export type DelegationSettings = Static<typeof delegationSourceSchema>;

/** A source with its defaults and keys. */
export interface DelegationSource extends TokenSource {
  readonly actorClaim: string;
  readonly subjectClaim: string;
  readonly taskClaim: string;
  readonly requireConfirmation: boolean;
}

/** What a delegation says. `subject` and `task` are personal: what is kept of them are pseudonyms. */
export interface VerifiedDelegation {
  readonly source: string;
  /** SHA-256 of the token. */
  readonly digest: Buffer;
  readonly subject: string;
  readonly task: string | undefined;
  readonly expires: Date;
}

export interface DelegationVerifier {
  /**
   * Finds the source by the token's issuer and verifies.
   * @throws {EvidenceRefused} · {SourceUnavailable}
   */
  verify(token: string, context: VerificationContext): Promise<VerifiedDelegation>;
  readonly refs: readonly string[];
}

/** A transaction token has no audience of ours unless the issuer is told; where there is one, it must be. */
const delegationToken: TokenRules = { iat: "required", aud: "required", jti: "optional" };
const charactersMax = 1024;

/**
 * Refuses a source that cannot work or must not.
 * @throws {Error} naming key, value and what was expected
 */
export function checkDelegationSource(settings: DelegationSettings, at: string): void {
  checkTokenSource({ ...settings, format: "jwt" }, at);
  for (const key of ["actorClaim", "subjectClaim", "taskClaim"] as const) {
    const claim = settings[key];
    if (claim !== undefined && !isClaimReference(claim))
      throw new Error(`${at}.${key}: ${JSON.stringify(claim)}: expected a claim's name or a JSON Pointer`);
  }
}

/** Settings that passed `checkDelegationSource`, with their keys. */
export function openDelegationSource(settings: DelegationSettings, surroundings: SourceSurroundings): DelegationSource {
  const token = { ...settings, format: "jwt" };
  const keys = openedAt(`delegation.sources.${settings.ref}`, () => openSourceKeys(token, surroundings));
  return {
    ...configureTokenSource(token, keys),
    actorClaim: settings.actorClaim ?? "/act/sub",
    subjectClaim: settings.subjectClaim ?? "sub",
    taskClaim: settings.taskClaim ?? "txn",
    requireConfirmation: settings.requireConfirmation ?? false,
  };
}

/** @throws {Error} when two sources have one issuer: a token could not be told whose it is */
export function createDelegationVerifier(sources: readonly DelegationSource[]): DelegationVerifier {
  const byIssuer = new Map(sources.map((source) => [source.issuer, source]));
  if (byIssuer.size !== sources.length) throw new Error("two delegation sources have the same issuer");
  return {
    refs: sources.map(({ ref }) => ref),
    async verify(token, context) {
      const source = byIssuer.get(namedIssuer(token) ?? "");
      if (source === undefined) {
        throw new EvidenceRefused("sourceNotConfigured", "The delegation names no issuer that is configured");
      }
      return await verifyDelegation(token, source, context);
    },
  };
}

/**
 * Verifies one delegation: for this SPIFFE ID, and where it is bound to a key, for this account.
 * @throws {EvidenceRefused} · {SourceUnavailable}
 */
export async function verifyDelegation(
  value: string,
  source: DelegationSource,
  context: VerificationContext,
): Promise<VerifiedDelegation> {
  const item = { format: source.format, ref: source.ref, value };
  const { claims, expires } = await verifyToken(item, source, context, delegationToken);
  if (readClaim(claims, source.actorClaim) !== context.identifier.value) {
    throw new EvidenceRefused("identityNotDerived", "The delegation is for another workload");
  }
  requireConfirmed(claims, source, context.accountKey);
  const subject = textOf(claims, source.subjectClaim);
  if (subject === undefined) throw malformed("The delegation does not say for whom the workload acts");
  return {
    source: source.ref,
    digest: createHash("sha256").update(value).digest(),
    subject,
    task: textOf(claims, source.taskClaim),
    expires,
  };
}

/** RFC 7800: a token that is bound to a key counts for that key alone; what we cannot check must not be passed over. */
function requireConfirmed(claims: Claims, { requireConfirmation }: DelegationSource, accountKey: Buffer): void {
  const cnf = claimOf(claims, "cnf");
  if (cnf === undefined) {
    if (requireConfirmation) throw new EvidenceRefused("bindingMissing", "The delegation is bound to no account key");
    return;
  }
  const jkt = isClaims(cnf) && Object.keys(cnf).length === 1 ? claimOf(cnf, "jkt") : undefined;
  if (typeof jkt !== "string") throw malformed("The delegation's cnf is not a jkt alone");
  if (jkt !== accountKey.toString("base64url"))
    throw new EvidenceRefused("bindingMismatch", "The delegation is bound to another account key");
}

function textOf(claims: Claims, reference: string): string | undefined {
  const value = readClaim(claims, reference);
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "" || value.length > charactersMax || !value.isWellFormed()) {
    throw malformed(`The delegation's ${reference} is not a text of 1 to ${charactersMax} characters`);
  }
  return value;
}
