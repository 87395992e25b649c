/** Responding to a challenge (RFC 8555 §7.5.1): which one, whose, and in which state; the proof itself is each challenge's own matter. */
import { noSuchResource, required, signer, type AcmeContext, type AcmeRequest } from "./context.ts";
import { respondWithActivation } from "./challenges/activation.ts";
import { respondWithAttestation } from "./challenges/deviceAttest01.ts";
import { isAnsweredByEvidence } from "./challenges/offered.ts";
import { respondWithToken } from "./challenges/tkauth01.ts";
import { respondWithEvidence } from "./challenges/workloadAttest01.ts";
import { idOf } from "./order.ts";
import type { Authorization, Challenge } from "./ports.ts";
import { authorizationStatus, challengeJson, challengeRetryAfter, link, type Reply } from "./resources.ts";

const respondents = {
  "workload-attest-01": respondWithEvidence,
  "tkauth-01": respondWithToken,
  "device-attest-01": respondWithAttestation,
} as const;

/**
 * Starts the response to a challenge. Repeated while that is processing it brings the next attempt forward (RFC 8555 §8.2); otherwise a
 * challenge that has begun or ended is answered as it is: parallel and repeated POSTs validate once.
 * @throws {Problem} notFound · malformed (evidence of the wrong shape) · unauthorized (401)
 */
export async function challenge(request: AcmeRequest, context: AcmeContext): Promise<Reply> {
  const account = signer(request);
  const authorization = required(await context.orders.readAuthorization(account, idOf(request, "authorization")));
  const asked = authorization.challenges.find(({ type }) => type === request.parameters["type"]);
  if (asked === undefined) throw noSuchResource();

  const open = authorizationStatus(authorization, context.now()) === "pending" && asked.status === "pending";
  if (request.payload !== undefined && asked.status === "processing")
    return challengeReply(authorization, await context.validations.hurry(authorization, asked), context);
  if (request.payload === undefined || !open) return challengeReply(authorization, asked, context);
  const { activation: wanted } = request.payload;
  if (asked.type === "workload-attest-01" && wanted !== undefined && request.payload["evidence"] === undefined) {
    const responding = { account, authorization, challenge: asked };
    const { challenge: answered, activation } = await respondWithActivation(wanted, responding, context);
    return challengeReply(authorization, answered, context, activation && { activation });
  }
  if (isAnsweredByEvidence(asked.type)) {
    const respond = respondents[asked.type];
    const answered = await respond(request.payload, { account, authorization, challenge: asked }, context);
    return challengeReply(authorization, answered, context);
  }

  const started = await context.orders.beginValidation(account, authorization.id, {
    ...asked,
    status: "processing",
  });
  if (started === undefined) {
    // Somebody was first, or the account or authorization ended meanwhile; whatever holds now is the answer.
    const read = required(await context.orders.readAuthorization(account, authorization.id));
    return challengeReply(read, read.challenges.find(({ type }) => type === asked.type) ?? asked, context);
  }
  const result = await context.validations.start(account, started, asked);
  return challengeReply(authorization, result, context);
}

/** §7.5.1: the challenge, with its authorization as `up`, and when to come back while it is processing. */
function challengeReply(
  authorization: Authorization,
  answered: Challenge,
  { urls, now }: AcmeContext,
  more: object = {},
): Reply {
  return {
    status: 200,
    headers: {
      link: [link(urls.authorization(authorization.id), "up")],
      ...(answered.status === "processing" && { "retry-after": String(challengeRetryAfter(answered, now())) }),
    },
    body: { ...challengeJson(authorization, answered, urls, now()), ...more },
  };
}
