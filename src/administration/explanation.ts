/**
 * What evidence would do: verified, and held against every grant, as the challenge would. Nothing is issued, marked as used, pinned or kept.
 */
import {
  EvidenceRefused,
  SourceUnavailable,
  type BindingLevel,
  type Claims,
  type EvidenceItem,
  type EvidenceRefusal,
  type VerificationContext,
  type VerifiedEvidence,
} from "../attestation/evidence.ts";
import type { Pinning } from "../attestation/format.ts";
import type { Verifier } from "../attestation/verify.ts";
import type { AcceptedEvidence, GrantAllows } from "../authority/grantDecision.ts";
import { explainGrants, type Explanation } from "../authority/grantExplanation.ts";
import type { StandingGrants } from "../authority/standingGrants.ts";
import type { EvidenceUseStore } from "./explainPorts.ts";
import type { InstancePin, InstancePinStore } from "./pinPorts.ts";
import type { Quarantine, QuarantineStore } from "./quarantinePorts.ts";

/** Claims that somebody wrote down in place of evidence. */
export interface WrittenClaims {
  readonly ref: string;
  readonly claims: Claims;
  readonly bindingLevel: BindingLevel;
  readonly instance?: string;
}

export interface Question {
  readonly spiffeId: string;
  readonly profile: string | undefined;
  readonly delegatedBy: string | undefined;
  /** `ref` undefined where the only source of that format that a grant takes is meant. */
  readonly evidence: readonly (Omit<EvidenceItem, "ref"> & { readonly ref: string | undefined })[];
  readonly claims: readonly WrittenClaims[];
  readonly binding: string | undefined;
  readonly account: Buffer | undefined;
  readonly at: Date;
}

/** What became of one piece. */
export interface JudgedItem {
  readonly format: string;
  readonly ref: string;
  /** True for claims that were written down: nothing was verified. */
  readonly written: boolean;
  readonly verified: VerifiedEvidence | undefined;
  readonly refused: { readonly code: EvidenceRefusal | "sourceUnavailable"; readonly message: string } | undefined;
  readonly used: boolean;
  readonly pin: InstancePin | undefined;
}

export interface Answer extends Explanation {
  readonly items: readonly JudgedItem[];
  readonly quarantine: Quarantine | undefined;
  /** Why the challenge would fail although a grant allows, or the first refusal; undefined where a certificate would be made. */
  readonly refused: { readonly code: string; readonly message: string } | undefined;
}

export interface ExplainParts {
  readonly verifier: Pick<Verifier, "verify" | "sources">;
  readonly accept: (
    spiffeId: string,
    profile: string | undefined,
    delegatedBy: string | undefined,
  ) => readonly AcceptedEvidence[];
  readonly standing: StandingGrants;
  readonly audience: string;
  readonly uses: EvidenceUseStore;
  readonly pins: InstancePinStore;
  readonly quarantines: QuarantineStore;
}

/** Explains. Items whose `ref` cannot be told are the caller's to refuse: `sourceOf`. */
export async function explain(question: Question, parts: ExplainParts): Promise<Answer> {
  const { spiffeId, profile, delegatedBy } = question;
  await parts.standing.reread();
  const items = [
    ...(await verifyAll(question, parts)),
    ...question.claims.map((one) => writtenItem(one, question, parts)),
  ];
  const verified = items.flatMap((item) => item.verified ?? []);
  const explained = explainGrants(parts.standing.active(), spiffeId, { profile, delegatedBy }, verified);
  const states = await withStates(items, parts);
  const [quarantine] = await parts.quarantines.listQuarantines({ open: true, identity: spiffeId }, undefined, 1);
  return {
    ...explained,
    items: states,
    quarantine,
    refused: refusalOf(explained, states, quarantine, question.account),
  };
}

/** The source that evidence of this format and no name is of; undefined where there is none, or more than one. */
export function sourceOf(format: string, accept: readonly AcceptedEvidence[]): string | undefined {
  const refs = new Set(flat(accept).flatMap((one) => (one.format === format ? [one.ref] : [])));
  return refs.size === 1 ? [...refs][0] : undefined;
}

/** Why `sourceOf` finds none, for people. */
export function whyNoSource(format: string, accept: readonly AcceptedEvidence[]): string {
  if (accept.length === 0) return "no grant ever makes this SPIFFE ID";
  const all = [...new Set(flat(accept).map((one) => `${one.format}:${one.ref}`))];
  const fitting = all.filter((one) => one.startsWith(`${format}:`));
  return fitting.length === 0
    ? `grants for this SPIFFE ID ask for ${all.join(", ")}`
    : `grants for this SPIFFE ID ask for each of ${fitting.join(", ")}`;
}

const flat = (accept: readonly AcceptedEvidence[]) => accept.flatMap((one) => [one, ...(one.with ?? [])]);

async function verifyAll(question: Question, parts: ExplainParts): Promise<JudgedItem[]> {
  const { spiffeId, profile, delegatedBy, binding, account, at } = question;
  const accept = parts.accept(spiffeId, profile, delegatedBy);
  const context: VerificationContext = {
    now: at,
    audience: parts.audience,
    binding,
    identifier: { type: "uri", value: spiffeId },
    // Evidence that names an account's key names this one of none.
    accountKey: account ?? Buffer.alloc(32),
  };
  const judged: JudgedItem[] = [];
  for (const { format, value, endorsements, ref = sourceOf(format, accept) ?? "" } of question.evidence) {
    const item = { format, ref, value, ...(endorsements !== undefined && { endorsements }) };
    judged.push(await verifyOne(item, accept, context, parts));
  }
  return judged;
}

async function verifyOne(
  item: EvidenceItem,
  accept: readonly AcceptedEvidence[],
  context: VerificationContext,
  { verifier }: ExplainParts,
): Promise<JudgedItem> {
  const { format, ref } = item;
  const common = { format, ref, written: false, used: false, pin: undefined };
  const refused = (code: EvidenceRefusal | "sourceUnavailable", message: string): JudgedItem => ({
    ...common,
    verified: undefined,
    refused: { code, message },
  });
  if (verifier.sources.has(ref) && !flat(accept).some((one) => one.format === format && one.ref === ref))
    return refused(
      "formatNotAccepted",
      "No grant that could give this identity goes by evidence of that format and ref",
    );
  try {
    return { ...common, verified: await verifier.verify(item, context), refused: undefined };
  } catch (error) {
    if (error instanceof EvidenceRefused) return refused(error.code, error.message);
    if (error instanceof SourceUnavailable) return refused("sourceUnavailable", error.message);
    throw error;
  }
}

function writtenItem(
  { ref, claims, bindingLevel, instance }: WrittenClaims,
  { at }: Question,
  { verifier }: ExplainParts,
): JudgedItem {
  const format = verifier.sources.get(ref)?.format;
  const common = { format: format ?? "", ref, written: true, used: false, pin: undefined };
  if (format === undefined) {
    const refused = { code: "sourceNotConfigured", message: "No evidence source has this ref" } as const;
    return { ...common, verified: undefined, refused };
  }
  const none = Buffer.alloc(32);
  const verified: VerifiedEvidence = {
    format,
    ref,
    claims,
    bindingLevel,
    digest: none,
    oneTimeId: none,
    replayUntil: at,
    ...(instance !== undefined && { instance }),
  };
  return { ...common, verified, refused: undefined };
}

/** What the database knows of what was shown. */
async function withStates(items: readonly JudgedItem[], { uses, pins }: ExplainParts): Promise<JudgedItem[]> {
  const ids = items.flatMap(({ written, verified }) => (written || verified === undefined ? [] : [verified.oneTimeId]));
  const used = new Set((await uses.usedAmong(ids)).map((id) => id.toString("hex")));
  return await Promise.all(
    items.map(async (item) => {
      const { written, ref, verified } = item;
      if (verified === undefined) return item;
      const { instance, oneTimeId } = verified;
      const filter = { source: ref, instance, shared: false };
      const [pin] = instance === undefined ? [] : await pins.listPins(filter, undefined, 1);
      return { ...item, used: !written && used.has(oneTimeId.toString("hex")), pin };
    }),
  );
}

/**
 * Whether an instance would be let through for this account; undefined where that depends on whose it is.
 * @param pin - as it stands; undefined for an instance that nobody showed
 */
export function pinAllows(
  { mode, accounts: most = 1 }: Pinning,
  pin: InstancePin | undefined,
  account: Buffer | undefined,
) {
  if (pin === undefined || mode === "alert") return true;
  if (mode === "once") return false;
  if (pin.accounts.length < most) return true;
  return account && pin.accounts.some((one) => one.equals(account));
}

/** In the order in which a challenge would meet them. */
function refusalOf(
  { decision }: Explanation,
  items: readonly JudgedItem[],
  quarantine: Quarantine | undefined,
  account: Buffer | undefined,
): Answer["refused"] {
  if (quarantine !== undefined) return { code: "identityQuarantined", message: "the identity is in quarantine" };
  const bad = items.find(({ refused }) => refused !== undefined)?.refused;
  if (bad !== undefined) return bad;
  if ("refused" in decision) return { code: decision.refused, message: decision.message };
  if (items.some(({ used }) => used)) return { code: "evidenceReplayed", message: "the evidence was used before" };
  const pinned = pinsOf(decision, items).some(({ pinning, pin }) => pinAllows(pinning, pin, account) === false);
  return pinned ? { code: "instancePinned", message: "the instance belongs to another account" } : undefined;
}

const pinsOf = ({ grant, evidence }: GrantAllows, items: readonly JudgedItem[]) =>
  items
    .filter(({ verified }) => verified?.instance !== undefined && evidence.includes(verified))
    .map(({ ref, pin }) => ({ pinning: grant.pinning.get(ref) ?? ({ mode: "strict" } as const), pin }));
