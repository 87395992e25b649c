/**
 * Credential activation in workload-attest-01 (docs/workload-attest-01.md, format `tpm`): before its evidence a client may ask for a secret that
 * only its TPM can read. The challenge stays pending and knows the secret by its hash.
 */
import type { ActivationOffer } from "../../attestation/evidence.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../encoding/json.ts";
import { problem } from "../../problem/problem.ts";
import { required, type AcmeContext } from "../context.ts";
import type { Challenge } from "../ports.ts";
import { orRefuse, type Responding } from "./verdict.ts";
import { requireAccepted } from "./workloadAttest01.ts";

const nameLimit = 64;

/** The challenge as it is now, and what the client gets besides; nothing where the challenge has ended. */
export interface OfferedActivation {
  readonly challenge: Challenge;
  readonly activation?: { readonly ref: string; readonly credentialBlob: string; readonly encryptedSecret: string };
}

/**
 * Answers `{"activation": {"ref", …}}`. Asked again it makes another credential, and the one before is of no use any more.
 * @throws {Problem} malformed for a request of the wrong shape (nothing changes)
 */
export async function respondWithActivation(
  request: JsonValue,
  responding: Responding,
  context: AcmeContext,
): Promise<OfferedActivation> {
  const { ref, members } = readRequest(request);
  const offered = await orRefuse(
    async () => offer(ref, members, responding, context),
    "badAttestationStatement",
    responding,
    context,
  );
  if (!("kept" in offered)) return { challenge: offered };
  const { account, authorization } = responding;
  const challenge = { ...responding.challenge, activation: offered.kept };
  if (await context.orders.activationOffered(account, authorization.id, challenge)) {
    const [credentialBlob, encryptedSecret] = [offered.credentialBlob, offered.encryptedSecret].map((bytes) =>
      bytes.toString("base64url"),
    );
    return {
      challenge,
      activation: { ref, credentialBlob: credentialBlob ?? "", encryptedSecret: encryptedSecret ?? "" },
    };
  }
  // The challenge ended meanwhile, or the account did; whatever holds now is the answer.
  const read = required(await context.orders.readAuthorization(account, authorization.id));
  return { challenge: read.challenges.find(({ type }) => type === challenge.type) ?? responding.challenge };
}

function readRequest(request: JsonValue): { ref: string; members: JsonObject } {
  if (!isJsonObject(request)) throw problem("malformed", "activation is not an object");
  const { ref, ...members } = request;
  if (typeof ref !== "string" || ref.length > nameLimit)
    throw problem("malformed", "activation has no ref that is a name");
  return { ref, members };
}

function offer(
  ref: string,
  members: JsonObject,
  { challenge }: Responding,
  { policy, now }: AcmeContext,
): ActivationOffer {
  requireAccepted({ format: "tpm", ref }, challenge.accept ?? [], policy);
  return policy.activate(ref, members, now());
}
