/**
 * tkauth-01: a configured authority's token vouches that the account may have a SPIFFE ID (RFC 9447 with tkauth-type `atc`; our profile
 * for the identifier type `uri` is in docs/workload-attest-01.md).
 */
import { EvidenceRefused } from "../../attestation/evidence.ts";
import type { JsonObject } from "../../encoding/json.ts";
import { problem } from "../../problem/problem.ts";
import type { AcmeContext } from "../context.ts";
import type { Challenge } from "../ports.ts";
import { answerWith, type Judged, type Responding } from "./verdict.ts";

/** As large as a piece of evidence may be; octets. */
const tokenLimit = 64 * 1024;

/**
 * Judges the token of a response.
 * @returns the challenge as it is now: valid, or invalid with the reason
 * @throws {Problem} malformed for a response of the wrong shape (nothing changes) · unavailable (503) when the authority's keys are away
 */
export async function respondWithToken(
  { tkauth }: JsonObject,
  responding: Responding,
  context: AcmeContext,
): Promise<Challenge> {
  if (typeof tkauth !== "string" || tkauth.length === 0 || tkauth.length > tokenLimit) {
    throw problem("malformed", `tkauth is not a token of 1 to ${tokenLimit} octets`);
  }
  return await answerWith(() => judge(tkauth, responding, context), "incorrectResponse", responding, context);
}

/** The authority is one that a grant of today asks for; the token says which, and its signature whether that is true. */
async function judge(
  value: string,
  { account, authorization: { identifier, profile }, challenge }: Responding,
  { policy, audience, now }: AcmeContext,
): Promise<Judged> {
  const delegatedBy = challenge.delegation?.source;
  const { authorities } = policy.candidates(identifier.value, { profile, order: { delegatedBy } });
  const refs = authorities.map(({ ref }) => ref);
  const ref = policy.authorityOf(value, refs);
  if (ref === undefined) {
    throw new EvidenceRefused("sourceNotConfigured", "The token names no authority that this challenge takes");
  }
  // RFC 9447 commits to no certificate key: what binds is the account key, which the token names and which signs finalize.
  const accountKey = account.thumbprint;
  const bindings = { audience, binding: undefined, identifier, accountKey };
  const verified = [await policy.verify({ format: "atc", ref, value }, { now: now(), ...bindings })];
  const decideAgain = () => policy.decide(identifier.value, { profile, delegatedBy }, verified);
  return {
    verified,
    decision: decideAgain(),
    decideAgain,
    bound: { accountKey: accountKey.toString("base64url") },
  };
}
