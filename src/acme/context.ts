/** What the handlers of the ACME room work with, and the few refusals they share. */
import type { Issuing } from "../authority/issue.ts";
import type { CurrentGrant } from "../authority/authorize.ts";
import type { GrantOrigin } from "../authority/grants.ts";
import type { CandidateQuestion } from "../authority/policy.ts";
import type { Chain } from "../authority/chain.ts";
import type { Profile } from "../authority/profile.ts";
import type { ActivationOffer, EvidenceItem, VerificationContext, VerifiedEvidence } from "../attestation/evidence.ts";
import type { RenewalTerms } from "../authority/grantRenewal.ts";
import type { Pinning } from "../attestation/format.ts";
import type { JsonObject } from "../encoding/json.ts";
import { Problem, problem } from "../problem/problem.ts";
import type { AttestedOrderStore } from "./attestedOrderPorts.ts";
import type { CaaCheck } from "./challenges/caa.ts";
import type { NameChallenge } from "./challenges/offered.ts";
import type { ValidationRunner } from "./challenges/runner.ts";
import type { Delegations } from "./delegation.ts";
import type { ExternalAccountKeys } from "./externalAccountPorts.ts";
import type { FinalizeQueue } from "./limits/finalizeQueue.ts";
import type { RateLimits } from "./limits/rateLimits.ts";
import type { Turns } from "./limits/turns.ts";
import type { Verified, PipelineParts, SigningAccount } from "./pipeline.ts";
import type { LineageStore } from "./lineagePorts.ts";
import type { RenewalStore } from "./renewalPorts.ts";
import type {
  Accept,
  Authority,
  CertificateStore,
  Challenge,
  Identifier,
  OrderStore,
  Owned,
  Signer,
  SignerStatus,
} from "./ports.ts";

/** The policy for identities, asked by newOrder (would anything do?) and by the challenge (does this do?). */
export interface IdentityPolicy {
  readonly trustDomain: string;
  /**
   * Evidence that would do for this SPIFFE ID or permanent identifier, under this profile or any, for an order with or without a
   * delegation, or any; the token authorities among its sources whose tokens would do by themselves; and the profiles of the grants
   * behind it.
   */
  candidates(identifier: string, asked?: CandidateQuestion): Candidates;
  /** The one of these sources whose authority the token names; nothing of it is verified yet. */
  authorityOf(token: string, refs: readonly string[]): string | undefined;
  /** True when a source of this name is configured. */
  hasSource(ref: string): boolean;
  /** Verifies one item. @throws {EvidenceRefused} · {SourceUnavailable} */
  verify(item: EvidenceItem, context: VerificationContext): Promise<VerifiedEvidence>;
  /** A credential for the TPM that a client names. @throws {EvidenceRefused} */
  activate(ref: string, request: JsonObject, now: Date): ActivationOffer;
  /** The grant that gives this identifier for this evidence. @throws {EvidenceRefused} naming what is missing */
  decide(
    identifier: string,
    order: { profile: string; delegatedBy: string | undefined },
    verified: readonly VerifiedEvidence[],
  ): GrantDecision;
  /** Grants as they read now, by name. */
  grants(): ReadonlyMap<string, CurrentGrant>;
  /** Looks whether grants of the database have changed: asked where a statement found one that does not stand any more. */
  reread(): Promise<void>;
}

export interface Candidates {
  readonly accept: readonly Accept[];
  readonly authorities: readonly Authority[];
  readonly profiles: readonly string[];
}

export interface GrantDecision {
  readonly grant: string;
  readonly grantVersion: string;
  readonly grantOrigin: GrantOrigin;
  /** What makes the identity first, then what the grant asks for beside it. */
  readonly evidence: readonly [VerifiedEvidence, ...VerifiedEvidence[]];
  /** How an instance belongs to the account that showed it, by the source of its evidence. */
  readonly pinning: ReadonlyMap<string, Pinning>;
  /** Where the grant renews certificates of this server. */
  readonly renewal: RenewalTerms | undefined;
  /** The claims that the grant allows to be kept. */
  readonly recordedClaims: VerifiedEvidence["claims"];
}

/** What a directory permits beyond RFC 8555's minimum. */
export interface AcmeOptions {
  /** A valid authorization of one order counts for the account's others too (`dns` and `ip`). */
  readonly reuseAuthorizations: boolean;
  /** An authorization may stand for the names below its own (RFC 9444). */
  readonly subdomainAuthorizations: boolean;
  /** Which challenges may prove DNS names and addresses. */
  readonly challenges: readonly NameChallenge[];
}

export interface AcmeLimits {
  /** Octets of a request's body, evidence apart. */
  readonly bodyLimitBytes: number;
  readonly identifiersPerOrder: number;
  readonly contactsPerAccount: number;
  readonly ordersPerPage: number;
  /** Seconds that a pending order without an attested identifier stays open, and that a validated name counts. */
  readonly orderLifetimeSeconds: number;
  /** Seconds that a challenge answered by evidence stays open; at most 300. */
  readonly attestationChallengeSeconds: number;
  /** Seconds that an attested authorization may be finalized; at most 600. */
  readonly attestedAuthorizationSeconds: number;
}

export interface AcmeContext extends PipelineParts {
  readonly orders: OrderStore;
  readonly attestedOrders: AttestedOrderStore;
  readonly certificates: CertificateStore;
  readonly renewals: RenewalStore;
  readonly lineages: LineageStore;
  readonly externalAccounts: ExternalAccountKeys;
  readonly policy: IdentityPolicy;
  /** Undefined where no source of delegations is configured. */
  readonly delegations: Delegations | undefined;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly issuing: Issuing;
  /** Issuing CAs whose key has this identifier. */
  readonly issuerIdsOf: (keyIdentifier: Buffer) => readonly string[];
  /** What may follow a certificate of this issuer now, the default chain first; none for an issuer that is not ours. */
  readonly chainsOf: (issuerId: string) => readonly Chain[];
  readonly validations: ValidationRunner;
  readonly rateLimits: RateLimits;
  readonly finalizes: FinalizeQueue;
  /** Names of this CA, for dns-persist-01. */
  readonly issuerDomainNames: readonly string[];
  /** Undefined where CAA records are not looked at. */
  readonly caa: CaaCheck | undefined;
  /** What leaves the machine for an account, so much at once. */
  readonly validationTurns: Turns;
  readonly limits: AcmeLimits;
  readonly options: AcmeOptions;
  /** Audience of workload-attest-01 evidence. */
  readonly audience: string;
  readonly termsOfService: string | undefined;
  /** Where people read how to agree to them. */
  readonly termsInstructions: string;
  /** New accounts need an external account binding (RFC 8555 §7.3.4). */
  readonly externalAccountRequired: boolean;
  /** Told of every challenge of ours that became valid or invalid; validated ones are the runner's. */
  readonly onChallengeEnded: (challenge: Challenge) => void;
  readonly now: () => Date;
  readonly newId: () => string;
  readonly newToken: () => string;
}

/** A verified request with the parameters of its path. */
export interface AcmeRequest extends Verified {
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  /** The Accept header. */
  readonly accept: string | undefined;
  /** Where the request came from, as limits count it (`limits/sourceAddress.ts`). */
  readonly source: string;
}

/** The account of a request that was signed by `kid`. */
export function signer(request: AcmeRequest): SigningAccount {
  if (request.account === undefined) throw problem("malformed", "this resource needs a kid");
  return request.account;
}

/**
 * Unwraps an owned object: what belongs to another account does not exist (H-01).
 * @throws {Problem} accountDoesNotExist · unauthorized (401, RFC 8555 §7.3.6) · notFound
 */
export function required<T>({ status, object }: Owned<T>): T {
  requireValid(status);
  if (object === undefined) throw noSuchResource();
  return object;
}

/** The account has another key than the one that verified the request: the pipeline forgets that key. */
export class KeySuperseded extends Problem {
  constructor() {
    super("malformed", "the JWS signature does not verify: the account has another key by now");
  }
}

/** @throws {Problem} unauthorized with status 401 for a deactivated or revoked account (RFC 8555 §7.3.6) */
export function requireValid(status: SignerStatus | undefined): void {
  if (status === undefined) throw problem("accountDoesNotExist", "there is no such account");
  if (status === "superseded") throw new KeySuperseded();
  if (status !== "valid") throw problem("unauthorized", `the account is ${status}`, { status: 401 });
}

/** Asks again for the signer's account. @throws {Problem} where it is not valid, or has another key by now */
export async function requireSigner({ accounts }: Pick<AcmeContext, "accounts">, by: Signer): Promise<void> {
  const account = await accounts.findAccount(by.directory, by.id);
  requireValid(account?.status);
  if (!account?.thumbprint.equals(by.thumbprint)) throw new KeySuperseded();
}

/** What stood in the way of a request is gone as often as it was looked for: other requests of the account are faster. */
export const stateIsChanging = () =>
  problem("unavailable", "the account's orders are changing; try again", { retryAfterSeconds: 1 });

/** The refusal of an object that is not there, or not this account's. */
export const noSuchResource = () => problem("notFound", "there is no such resource");

/** The refusal of an account key that is blocked; the account can still revoke, and be rolled over to another key (R7.6-6). */
export const blockedKey = () =>
  problem("badPublicKey", "the key is blocked: it is known to be compromised, or the operator does not accept it");

/** The refusal of an identity that gets no certificates for now; an order that was made before stays as it is. */
export const quarantined = () =>
  problem("unauthorized", "nothing is issued to this identity for now", {
    subproblems: [{ code: "identityQuarantined", detail: "the identity is in quarantine" }],
  });

/** The refusal of what rests on a grant, a source or an issuer that an operator has suspended; the order stays as it is. */
export const suspended = () =>
  problem(
    "unauthorized",
    "nothing is issued for now by the grant, the evidence source or the issuer that this rests on",
    {
      subproblems: [{ code: "issuanceSuspended", detail: "an operator has suspended it" }],
    },
  );

/** How an identifier reads in a sentence. */
export const named = ({ type, value }: Identifier): string => `${type} ${value}`;

/** The refusal of a body over the limit of its resource, worded as the server's own. */
export const bodyTooLarge = (): Problem => problem("payloadTooLarge", "the request body is too large");
