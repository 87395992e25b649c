/**
 * newOrder with evidence and CSR (docs/workload-attest-01.md, "One request"): the nonce of the request stands in for the challenge's token,
 * and the answer is the `valid` order with its certificate. What holds for challenge and finalize holds here, by the same functions.
 */
import { EvidenceRefused, SourceUnavailable, type EvidenceItem } from "../attestation/evidence.ts";
import type { Intend } from "../authority/issue.ts";
import { problem, problemDocument } from "../problem/problem.ts";
import type { CertificationRequest } from "../x509/csr.ts";
import type { Admission, AttestedOrder } from "./attestedOrderPorts.ts";
import { issuedChain } from "./certificate.ts";
import {
  authorizationEnd,
  isSameGrant,
  evidenceProblem,
  recordOf,
  sourceAway,
  usedUp,
  usesOf,
  type Judged,
} from "./challenges/verdict.ts";
import { judgeEvidence, readEvidence } from "./challenges/workloadAttest01.ts";
import { blockedKey, signer, stateIsChanging, suspended, type AcmeContext, type AcmeRequest } from "./context.ts";
import { requireProvedKeys } from "./finalizeOrder.ts";
import { authorizedBy, issueOrder } from "./issueOrder.ts";
import { thumbprintOf } from "./jwk.ts";
import { countedUnlessOurs, failuresOf, limitOrder, overLimit } from "./limits/orderLimits.ts";
import { newAuthorization } from "./newAuthorization.ts";
import {
  keyIsAccountKey,
  keyIsBlocked,
  keyIsUsed,
  readOrderCsr,
  requireAllowedKey,
  requireSameNames,
} from "./orderCsr.ts";
import { orderEnd, readOrderRequest, type OrderRequest } from "./orderRequest.ts";
import type { SigningAccount } from "./pipeline.ts";
import type { Authorization, Challenge, Identifier, NewAuthorization, Order } from "./ports.ts";
import { alreadyReplaced, requirePredecessor } from "./replaces.ts";
import { orderReply, timestamp, type Reply } from "./resources.ts";
import { requireAgreed } from "./termsOfService.ts";

interface Asked {
  readonly account: SigningAccount;
  readonly ordered: OrderRequest;
  readonly identifier: Identifier;
  readonly csr: CertificationRequest;
  readonly evidence: readonly EvidenceItem[];
  /** As newOrder would make it, with the nonce for a token. */
  readonly toProve: NewAuthorization;
}

/**
 * Judges the evidence and issues. Nothing is made, and nothing used up, unless the certificate's intent is written.
 * @throws {Problem} as newOrder, challenge and finalize do; badAttestationStatement for refused evidence, which makes no order
 */
export async function attestedOrder(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const asked = await readAsked(request, context);
  const { account, ordered, identifier, toProve } = asked;
  const counted = limitOrder(context.rateLimits, account, {
    identifiers: ordered.identifiers,
    authorizations: [toProve],
  });
  return await countedUnlessOurs(counted, async () => {
    try {
      const judged = await judge(asked, context);
      return await context.finalizes.run(() => conclude(asked, judged, context));
    } catch (error) {
      if (error instanceof SourceUnavailable) throw sourceAway(error);
      if (error instanceof EvidenceRefused)
        return await refuse(error, admissionOf(account, identifier, context), account, context);
      throw error;
    }
  });
}

/** Everything that the request itself says, before any evidence is looked at. */
async function readAsked(request: AcmeRequest, context: AcmeContext): Promise<Asked> {
  const account = signer(request);
  const { payload = {}, nonce } = request;
  const now = context.now();
  const ordered = await readOrderRequest(payload, account, now, context);
  const [identifier, ...others] = ordered.identifiers;
  if (identifier?.type !== "uri" || others.length > 0)
    throw problem("malformed", "an order with evidence has exactly one identifier, of type uri");
  const evidence = readEvidence(payload["evidence"]);
  const csr = readOrderCsr(payload["csr"]);
  requireSameNames(csr, ordered.identifiers);
  requireAllowedKey(csr, ordered.profile);
  const expiresAt = orderEnd(ordered.identifiers, now, context);
  const facts = { profile: ordered.profile.name, expiresAt, now, nonce, delegation: ordered.delegation };
  return {
    account,
    ordered,
    identifier,
    csr,
    evidence,
    toProve: newAuthorization({ identifier, subdomains: false }, facts, context),
  };
}

async function judge(
  { account, ordered, identifier, csr, evidence, toProve }: Asked,
  context: AcmeContext,
): Promise<Judged> {
  const { token, accept = [] } = challengeIn(toProve);
  const { profile, delegation } = ordered;
  const toAttest = { account, identifier, profile: profile.name, token, accept, delegation };
  return await judgeEvidence({ spki: csr.publicKey.sha256, evidence }, toAttest, context);
}

function challengeIn({ challenges }: NewAuthorization): Challenge {
  const challenge = challenges.find(({ type }) => type === "workload-attest-01");
  if (challenge === undefined) throw new Error("no challenge for evidence");
  return challenge;
}

/** A grant may be changed in this very moment: then the evidence is judged by what it says now. */
const decisionsMax = 3;

async function conclude(asked: Asked, judged: Judged, context: AcmeContext): Promise<Reply> {
  let { decision } = judged;
  for (let round = 1; round <= decisionsMax; round++) {
    const reply = await act(asked, { ...judged, decision }, context);
    if (reply !== undefined) return reply;
    const before = decision;
    if (before.grantOrigin === "database") {
      await context.policy.reread();
      decision = judged.decideAgain();
    }
    if (isSameGrant(decision, before)) break;
  }
  throw asked.ordered.replaces === null ? stateIsChanging() : alreadyReplaced();
}

/** The one act: the order comes into being with its certificate's intent. Undefined when nothing came of it, for no reason that is left. */
async function act(asked: Asked, judged: Judged, context: AcmeContext): Promise<Reply | undefined> {
  const { account, ordered, csr, identifier, toProve } = asked;
  const { profile, replaces } = ordered;
  const now = context.now();
  const valid: Challenge = { ...challengeIn(toProve), status: "valid", validated: timestamp(now) };
  // The intent of such an order looks at no lineage, and none may go past it.
  if (judged.decision.renewal !== undefined)
    throw new EvidenceRefused(
      "formatNotAccepted",
      "a certificate is renewed by answering a challenge, not with its order",
    );
  const facts = { delegation: ordered.delegation, continued: undefined, now };
  const attestation = recordOf(judged.decision, judged.bound, facts);
  const challenges = toProve.challenges.map((one) => (one.type === valid.type ? valid : one));
  const proved = { ...toProve, challenges, attestation, expiresAt: authorizationEnd(judged.verified, now, context) };
  const order = orderOf(ordered, proved, now, context);
  const authorization: Authorization = { ...proved, orderId: order.id, profile: order.profile, status: "valid" };
  requireProvedKeys(csr, account, authorization);
  const attested: AttestedOrder = {
    ...admissionOf(account, identifier, context),
    ...usesOf(judged.verified, judged.decision),
    order: { ...order, replaces },
    authorization: proved,
    key: { thumbprint: thumbprintOf(csr.publicKey), spkiSha256: csr.publicKey.sha256 },
  };
  const finalizing = { accountId: account.id, order, proved: [{ identifier, authorization }], csr, profile };
  const authorized = authorizedBy(finalizing, context);
  const outcome = await issueOrder(authorized, finalizing, context, intendBy(account, attested, context));
  if (outcome.outcome === "notReady") return undefined;
  if (outcome.outcome === "suspended") throw suspended();
  context.onChallengeEnded(valid);
  if (outcome.outcome !== "issued") return orderReply(order, context.urls, now, 201); // The settling job finishes it.
  const issued = orderReply({ ...order, status: "valid", certificateSerial: outcome.serial }, context.urls, now, 201);
  const certificateChain = issuedChain(outcome.certificate, outcome.issuer.id, context);
  return { ...issued, body: { ...Object(issued.body), certificateChain } };
}

function orderOf(
  { identifiers, profile, notBefore, notAfter, replaces }: OrderRequest,
  { id, expiresAt }: NewAuthorization,
  now: Date,
  context: AcmeContext,
): Order {
  const end = orderEnd(identifiers, now, context);
  return {
    id: context.newId(),
    status: "processing",
    identifiers,
    authorizationIds: [id],
    profile: profile.name,
    profileHash: profile.hash,
    notBefore,
    notAfter,
    expiresAt: end < expiresAt ? end : expiresAt, // As an order that waited would end with its authorization.
    error: null,
    certificateSerial: null,
    replaces: replaces?.id ?? null,
  };
}

const admissionOf = ({ key }: SigningAccount, identifier: Identifier, { termsOfService }: AcmeContext): Admission => ({
  identifier,
  accountSpkiSha256: key.spkiSha256,
  termsOfService,
});

/** What stood in the way may have passed by the time it is looked for: then it is tried once more. */
const attempts = 2;

function intendBy(account: SigningAccount, attested: AttestedOrder, context: AcmeContext): Intend {
  return async (intent) => {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const outcome = await context.attestedOrders.intend(account, attested, intent);
      if (outcome === "intended" || outcome === "notIssuing" || outcome === "suspended") return outcome;
      if (outcome === "keyIsUsed") throw keyIsUsed(intent.keyReuse);
      if (outcome !== "notIntended") throw usedUp(outcome);
      await requireAdmitted(account, attested, context, attested.key);
      const { replaces, identifiers } = attested.order;
      if (replaces !== null) await requirePredecessor(context, account, replaces, identifiers);
    }
    return "notReady";
  };
}

/** Says why a statement did nothing; resolves when nothing stands in the way by now. */
async function requireAdmitted(
  account: SigningAccount,
  admission: Admission,
  context: AcmeContext,
  key?: AttestedOrder["key"],
): Promise<void> {
  const why = await context.attestedOrders.whyNotAdmitted(account, admission, key);
  switch (why?.reason) {
    case "blockedKey":
      throw blockedKey();
    case "quarantined":
    case "paused":
      throw overLimit(context.rateLimits, why);
    case "keyIsAccountKey":
      throw keyIsAccountKey();
    case "keyIsBlocked":
      throw keyIsBlocked();
    case undefined:
      await requireAgreed(context, account);
  }
}

/** Counted and written down as the end of a challenge is. An account that may not order is told that instead. */
async function refuse(
  refusal: EvidenceRefused,
  admission: Admission,
  account: SigningAccount,
  context: AcmeContext,
): Promise<never> {
  const refused = evidenceProblem(refusal, "badAttestationStatement", admission.identifier, context);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    if (await context.attestedOrders.refused(account, admission, problemDocument(refused))) {
      context.rateLimits.record(failuresOf(account.id, admission.identifier));
      context.onChallengeEnded({ type: "workload-attest-01", token: "", status: "invalid" });
      throw refused;
    }
    await requireAdmitted(account, admission, context);
  }
  throw stateIsChanging();
}
