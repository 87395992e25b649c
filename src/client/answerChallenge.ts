/**
 * One authorization from `pending` to `valid` by workload-attest-01 (RFC 8555 §7.5.1 for the frame).
 */
import { accountFingerprint, bindingValue, spkiDigest } from "./binding.ts";
import { backOffMs, type Deadline } from "./deadline.ts";
import { AcmeProblem, ClientError } from "./errors.ts";
import {
  type Accept,
  type ActivationOffer,
  type Evidence,
  type EvidenceBinding,
  type EvidenceItem,
  gatherEvidence,
} from "./evidence.ts";
import type { JwsSigner } from "./jws.ts";
import {
  type Authorization,
  type Challenge,
  readActivation,
  readAuthorization,
  readChallenge,
  retryAfterMs,
} from "./resources.ts";
import type { AcmeSession } from "./session.ts";

/** Who answers, with what, for which key. */
export interface Attesting {
  readonly session: AcmeSession;
  readonly signer: JwsSigner;
  readonly kid: string;
  readonly deadline: Deadline;
  /** DER SubjectPublicKeyInfo of the key to be certified. */
  readonly spki: Uint8Array;
  readonly spiffeId: string;
  readonly evidence: Evidence;
  /** Told what the server accepts for this identity. */
  readonly onAccept?: (accept: readonly Accept[]) => void;
}

const challengeType = "workload-attest-01";
const bindingScheme = "wa1-sha256";

/**
 * Resolves when the authorization is valid.
 * @throws {AcmeProblem} the evidence was refused · {ClientError} evidence, when there is no such challenge · timeout · aborted
 */
export async function answerChallenge(authorizationUrl: string, attesting: Attesting): Promise<void> {
  const { session, signer, kid, deadline } = attesting;
  let answer = await session.post({ step: "authorization", url: authorizationUrl, signer, kid }, deadline);
  const authorization = readAuthorization(answer);
  if (authorization.status === "valid") return;
  const challenge = requireChallenge(authorization);
  const { url } = challenge;
  attesting.onAccept?.(challenge.accept);
  const activate: EvidenceBinding["activate"] = (request) => askForCredential(url, request, attesting);
  let payload: ChallengeResponse | undefined;
  let { status, error } = challenge;
  for (let round = 0; status !== "valid"; round += 1) {
    if (status !== "pending" && status !== "processing") {
      throw new AcmeProblem("the evidence", error ?? { ...unexplained, detail: `the challenge is ${status}` });
    }
    const pauseMs = retryAfterMs(answer, Date.now()) ?? backOffMs(round);
    if (round > 0) await deadline.wait(pauseMs, `the challenge is still ${status}`);
    if (status === "pending") {
      // Also when it is pending after a response: the server could not judge the evidence and, since it keeps none, is shown
      // it again (RFC 8555 §8.2).
      payload ??= await challengeResponse(challenge, attesting, activate);
      answer = await session.post({ step: "challenge", url, signer, kid, payload }, deadline);
      ({ status, error } = readChallenge(answer));
    } else {
      answer = await session.post({ step: "authorization", url: authorizationUrl, signer, kid }, deadline);
      ({ status, error } = requireChallenge(readAuthorization(answer)));
    }
  }
}

const unexplained = { type: "about:blank", status: 0, subproblems: [] };

function requireChallenge({ identifier, status, challenges }: Authorization): Challenge {
  const challenge = challenges.find(({ type }) => type === challengeType);
  if (challenge === undefined) {
    const others = challenges.map(({ type }) => type).join(", ");
    const offer = others === "" ? "nothing" : others;
    throw new ClientError(
      "evidence",
      `${identifier} cannot be attested: the server offers ${offer}, not ${challengeType}`,
    );
  }
  if (status !== "pending" && status !== "valid" && challenge.status !== "invalid") {
    throw new ClientError("protocol", `the authorization of ${identifier} is ${status}`);
  }
  if (challenge.binding !== bindingScheme) {
    throw new ClientError("protocol", `the server asks for the binding "${challenge.binding}", not ${bindingScheme}`);
  }
  // RFC 8555 §8.3 asks for 128 bits; the value goes into a key authorization, so its characters matter too.
  if (!/^[A-Za-z0-9_-]{22,256}$/.test(challenge.token)) {
    throw new ClientError("protocol", "the challenge has no usable token");
  }
  if (challenge.audience === "") throw new ClientError("protocol", "the challenge has no audience");
  return challenge;
}

/** Which key is meant, by its S, and evidence bound to it. */
interface ChallengeResponse {
  readonly spki: string;
  readonly evidence: readonly EvidenceItem[];
}

/**
 * Evidence for a challenge, or for a request whose nonce is the token.
 * @param activate see `EvidenceBinding`
 */
export async function challengeResponse(
  { token, audience, accept }: Pick<Challenge, "token" | "audience" | "accept">,
  { signer, deadline, spki, spiffeId, evidence }: Omit<Attesting, "session" | "kid" | "onAccept">,
  activate: EvidenceBinding["activate"],
): Promise<ChallengeResponse> {
  const spkiSha256 = spkiDigest(spki);
  const binding = bindingValue(token, signer.thumbprint, spkiSha256);
  deadline.waitingFor("the evidence is not there yet");
  const items = await gatherEvidence(evidence, {
    spiffeId,
    audience,
    boundAudience: `${audience}/${binding}`,
    binding,
    accept,
    token,
    fingerprint: accountFingerprint(signer.thumbprint),
    activate,
    signal: deadline.signal,
  });
  return { spki: spkiSha256.toString("base64url"), evidence: items };
}

/** The challenge stays pending, and evidence follows that shows what was in the credential. */
async function askForCredential(
  url: string,
  request: Readonly<Record<string, unknown>>,
  { session, signer, kid, deadline }: Attesting,
): Promise<ActivationOffer> {
  const payload = { activation: request };
  const answer = await session.post({ step: "challenge", url, signer, kid, payload }, deadline);
  const { status, error } = readChallenge(answer);
  if (status !== "pending") {
    throw new AcmeProblem("the activation", error ?? { ...unexplained, detail: `the challenge is ${status}` });
  }
  return readActivation(answer);
}
