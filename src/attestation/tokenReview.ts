/**
 * Asking a cluster's API server about a service-account token: TokenReview of authentication.k8s.io/v1. Unlike a signature, its answer
 * knows of pods and accounts that were deleted.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isJsonObject, type JsonObject, JsonRefused, parseJsonObject } from "../encoding/json.ts";
import { readCaFile } from "./certificateFile.ts";
import { EvidenceRefused, SourceUnavailable } from "./evidence.ts";
import type { PostJson } from "./format.ts";

/** What the cluster says of a token that it vouches for. Node and its UID only where the cluster states them. */
export interface ReviewedToken {
  readonly username: string;
  readonly uid: string;
  /** Those we asked for that are the token's. */
  readonly audiences: readonly string[];
  readonly podName: string | undefined;
  readonly podUid: string | undefined;
  readonly nodeName: string | undefined;
  readonly nodeUid: string | undefined;
}

/**
 * Asks about a token.
 * @param audiences - those that would do, the best first
 * @throws {EvidenceRefused} evidenceInvalid, when the cluster does not vouch for it
 * @throws {SourceUnavailable} when the cluster cannot be asked, or answers with anything but a review
 */
export type ReviewToken = (token: string, audiences: readonly string[]) => Promise<ReviewedToken>;

export interface TokenReviewSettings {
  readonly ref: string;
  readonly tokenReviewUrl: string;
  readonly tokenReviewTokenFile: string;
  readonly tokenReviewCaFile?: string;
}

const path = "/apis/authentication.k8s.io/v1/tokenreviews";
const limits = { maxBytes: 65_536, timeoutMs: 5_000 };
/** More of one source at once are told to come back, so that a slow API server holds up nobody but its own cluster. */
const reviewsAtOnceMax = 32;
const credentialCharactersMax = 16_384;
const extra = "authentication.kubernetes.io/";

/**
 * Opens the way to the API server of a source that passed its checks. Both files are read now; the credential is read for each
 * question, since the kubelet renews it.
 * @throws {Error} with a message for people when a file cannot be used
 */
export function openTokenReview(settings: TokenReviewSettings, postJson: PostJson | undefined): ReviewToken {
  const { ref, tokenReviewUrl, tokenReviewTokenFile, tokenReviewCaFile } = settings;
  if (postJson === undefined) throw new Error(`source ${ref} asks an API server, and nothing may be asked here`);
  const trust = tokenReviewCaFile === undefined ? undefined : readCaFile(tokenReviewCaFile);
  credentialIn(readFileSync(tokenReviewTokenFile, "latin1"), tokenReviewTokenFile);
  let asking = 0;

  const unavailable = (why: string, cause?: unknown) =>
    new SourceUnavailable(`the API server of source ${ref} ${why}`, { cause });

  const ask = async (token: string, audiences: readonly string[]): Promise<JsonObject> => {
    const text = await readFile(tokenReviewTokenFile, "latin1");
    const authorization = `Bearer ${credentialIn(text, tokenReviewTokenFile)}`;
    const spec = { token, audiences };
    const json = JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec });
    const { status, body } = await postJson(tokenReviewUrl, path, { json, authorization, trust, ...limits });
    if (status === 401 || status === 403) throw unavailable(`refuses our own token with status ${status}`);
    if (status !== 200 && status !== 201) throw unavailable(`answers with status ${status}`);
    return parseJsonObject(body, "the review");
  };

  return async (token, audiences) => {
    if (asking >= reviewsAtOnceMax) throw unavailable(`has ${reviewsAtOnceMax} questions of ours to answer already`);
    asking += 1;
    const answer = await ask(token, audiences)
      .catch((error: unknown) => {
        if (error instanceof SourceUnavailable) throw error;
        throw unavailable("cannot be asked", error instanceof JsonRefused ? new Error("it answers no JSON") : error);
      })
      .finally(() => (asking -= 1));
    const { apiVersion, kind, status } = answer;
    if (apiVersion !== "authentication.k8s.io/v1" || kind !== "TokenReview" || !isJsonObject(status))
      throw unavailable("answers with something that is no TokenReview");
    return readStatus(status);
  };
}

/** @throws {EvidenceRefused} evidenceInvalid */
function readStatus({ authenticated, error, user, audiences }: JsonObject): ReviewedToken {
  // A reason is the cluster's own affair: it may quote the token.
  if (authenticated !== true || (error !== undefined && error !== ""))
    throw new EvidenceRefused("evidenceInvalid", "The cluster does not vouch for the token");
  const { username, uid, extra: extras } = isJsonObject(user) ? user : {};
  if (typeof username !== "string" || typeof uid !== "string")
    throw new EvidenceRefused("evidenceInvalid", "The cluster names no service account");
  const stated = isJsonObject(extras) ? extras : {};
  return {
    username,
    uid,
    audiences: Array.isArray(audiences) ? audiences.filter((one) => typeof one === "string") : [],
    podName: onlyText(stated, "pod-name"),
    podUid: onlyText(stated, "pod-uid"),
    nodeName: onlyText(stated, "node-name"),
    nodeUid: onlyText(stated, "node-uid"),
  };
}

/** Extras are lists. Two values would be two pods. */
function onlyText(extras: JsonObject, name: string): string | undefined {
  const values = Object.hasOwn(extras, extra + name) ? extras[extra + name] : undefined;
  if (values === undefined) return undefined;
  const [only, ...more] = Array.isArray(values) ? values : [];
  if (typeof only === "string" && more.length === 0) return only;
  throw new EvidenceRefused("evidenceInvalid", `The cluster does not name one ${name}`);
}

/** What may stand in a header; a line break would begin another one. */
function credentialIn(text: string, file: string): string {
  const credential = text.trim();
  if (/^[\x21-\x7e]+$/.test(credential) && credential.length <= credentialCharactersMax) return credential;
  throw new Error(`${file} does not hold a token of at most ${credentialCharactersMax} characters`);
}
