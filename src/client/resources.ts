/**
 * ACME resources as the client reads them (RFC 8555 §7.1): what it uses and no more, checked before it is used.
 * Unknown members are ignored, as §7.1 of the RFC asks.
 */
import type { Accept, ActivationOffer } from "./evidence.ts";
import { ClientError, type ProblemDocument } from "./errors.ts";
import type { HttpsAnswer } from "./http.ts";
import type { RenewalInfo } from "./renewal.ts";

export interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  /** RFC 9773; undefined where the server has none. */
  readonly renewalInfo: string | undefined;
  /** Audience of evidence that goes with an order; undefined where the server takes none so. */
  readonly inlineAudience: string | undefined;
}

export type OrderStatus = "pending" | "ready" | "processing" | "valid" | "invalid";

export interface Order {
  readonly status: OrderStatus;
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate: string | undefined;
  /** PEM, where the order came with its evidence and the server sends it at once. */
  readonly certificateChain: string | undefined;
  readonly error: ProblemDocument | undefined;
}

export interface Authorization {
  /** `uri spiffe://…`: for messages. */
  readonly identifier: string;
  /** `pending`, `valid`, or one of the three ways of no longer being of use (RFC 8555 §7.1.6). */
  readonly status: string;
  readonly challenges: readonly Challenge[];
}

export interface Challenge {
  readonly type: string;
  readonly url: string;
  /** `pending`, `processing`, `valid` or `invalid`. */
  readonly status: string;
  readonly token: string;
  readonly error: ProblemDocument | undefined;
  /** The three members of workload-attest-01; empty in other challenges. */
  readonly audience: string;
  readonly binding: string;
  readonly accept: readonly Accept[];
}

const listLengthMax = 100;
/** A SPIFFE ID may have 2048 bytes; a longer member counts as absent. */
const textLengthMax = 4096;
const orderStatuses: readonly OrderStatus[] = ["pending", "ready", "processing", "valid", "invalid"];

/** RFC 8555 §7.1.1. @throws when the answer is not one */
export function readDirectory(answer: HttpsAnswer): Directory {
  const directory = jsonObject(answer, "the directory");
  const url = (name: string): string => requiredText(directory, name, "the directory");
  return {
    newNonce: url("newNonce"),
    newAccount: url("newAccount"),
    newOrder: url("newOrder"),
    renewalInfo: optionalText(directory, "renewalInfo"),
    inlineAudience: inlineAudienceOf(directory["meta"]),
  };
}

/** `inlineEvidence` of `meta.workloadAttestation`, with the one way of binding that we know. */
function inlineAudienceOf(meta: unknown): string | undefined {
  const attestation = isObject(meta) ? meta["workloadAttestation"] : undefined;
  if (!isObject(attestation) || attestation["inlineEvidence"] !== true) return undefined;
  return attestation["binding"] === "wa1-sha256" ? optionalText(attestation, "audience") : undefined;
}

/** RFC 8555 §7.1.3. @throws when the answer is not one */
export function readOrder(answer: HttpsAnswer): Order {
  const order = jsonObject(answer, "the order");
  const status = orderStatuses.find((one) => one === order["status"]);
  if (status === undefined) throw malformed("the order", "status");
  return {
    status,
    authorizations: list(order["authorizations"]).map((url) => {
      if (typeof url !== "string") throw malformed("the order", "authorizations");
      return url;
    }),
    finalize: requiredText(order, "finalize", "the order"),
    certificate: optionalText(order, "certificate"),
    certificateChain: typeof order["certificateChain"] === "string" ? order["certificateChain"] : undefined,
    error: order["error"] === undefined ? undefined : problemDocument(order["error"], 0),
  };
}

/** RFC 8555 §7.1.4. @throws when the answer is not one */
export function readAuthorization(answer: HttpsAnswer): Authorization {
  const authorization = jsonObject(answer, "the authorization");
  const identifier = isObject(authorization["identifier"]) ? authorization["identifier"] : {};
  return {
    identifier: `${optionalText(identifier, "type") ?? "?"} ${optionalText(identifier, "value") ?? "?"}`,
    status: requiredText(authorization, "status", "the authorization"),
    challenges: list(authorization["challenges"]).filter(isObject).map(challengeOf),
  };
}

/** RFC 8555 §7.1.5. @throws when the answer is not one */
export function readChallenge(answer: HttpsAnswer): Challenge {
  return challengeOf(jsonObject(answer, "the challenge"));
}

/** The credential in the answer to a request for one. @throws {ClientError} protocol, when there is none */
export function readActivation(answer: HttpsAnswer): ActivationOffer {
  const { activation } = jsonObject(answer, "the challenge");
  const offer = isObject(activation) ? activation : {};
  return {
    credentialBlob: requiredText(offer, "credentialBlob", "the activation"),
    encryptedSecret: requiredText(offer, "encryptedSecret", "the activation"),
  };
}

function challengeOf(challenge: JsonObject): Challenge {
  return {
    type: requiredText(challenge, "type", "the challenge"),
    url: requiredText(challenge, "url", "the challenge"),
    status: requiredText(challenge, "status", "the challenge"),
    token: optionalText(challenge, "token") ?? "",
    error: challenge["error"] === undefined ? undefined : problemDocument(challenge["error"], 0),
    audience: optionalText(challenge, "audience") ?? "",
    binding: optionalText(challenge, "binding") ?? "",
    accept: list(challenge["accept"])
      .filter(isObject)
      .map((one) => {
        const further = list(one["with"]).filter(isObject).map(acceptOf);
        return further.length === 0 ? acceptOf(one) : { ...acceptOf(one), with: further };
      }),
  };
}

function acceptOf(one: JsonObject): Omit<Accept, "with"> {
  return {
    format: requiredText(one, "format", "the challenge"),
    ref: requiredText(one, "ref", "the challenge"),
    minBinding: optionalText(one, "minBinding") ?? "",
  };
}

/** RFC 9773 §4.2. @throws when the answer is not one, also where the window does not end after it begins */
export function readRenewalInfo(answer: HttpsAnswer): RenewalInfo {
  const info = jsonObject(answer, "the renewal information");
  const window = isObject(info["suggestedWindow"]) ? info["suggestedWindow"] : {};
  const [start, end] = ["start", "end"].map((name) => new Date(optionalText(window, name) ?? "")) as [Date, Date];
  if (!(start < end)) throw malformed("the renewal information", "suggestedWindow");
  return { start, end, explanationUrl: optionalText(info, "explanationURL") };
}

/** The problem document of a refusal; where the body is none, one that says so. */
export function readProblem(answer: HttpsAnswer): ProblemDocument {
  return problemDocument(parse(answer.body), answer.status);
}

function problemDocument(value: unknown, status: number): ProblemDocument {
  if (!isObject(value)) {
    return { type: "about:blank", status, detail: `HTTP ${status} without a problem document`, subproblems: [] };
  }
  return {
    type: optionalText(value, "type") ?? "about:blank",
    status: typeof value["status"] === "number" ? value["status"] : status,
    detail: optionalText(value, "detail") ?? optionalText(value, "title") ?? "",
    subproblems: list(value["subproblems"])
      .filter(isObject)
      .map((one) => ({ type: optionalText(one, "type") ?? "about:blank", detail: optionalText(one, "detail") ?? "" })),
  };
}

/** Retry-After in milliseconds, seconds or HTTP-date (RFC 9110 §10.2.3). Undefined when absent or unreadable. */
export function retryAfterMs(answer: HttpsAnswer, now: number): number | undefined {
  const text = answer.header("retry-after");
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

type JsonObject = { readonly [name: string]: unknown };

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

function jsonObject(answer: HttpsAnswer, what: string): JsonObject {
  const value = parse(answer.body);
  if (isObject(value)) return value;
  throw new ClientError("protocol", `${what} is not a JSON object (HTTP ${answer.status})`);
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, listLengthMax) : [];
}

function optionalText(object: JsonObject, name: string): string | undefined {
  const value = object[name];
  return typeof value === "string" && value.length <= textLengthMax ? value : undefined;
}

function requiredText(object: JsonObject, name: string, what: string): string {
  const value = optionalText(object, name);
  if (value !== undefined) return value;
  throw malformed(what, name);
}

function malformed(what: string, member: string): ClientError {
  return new ClientError("protocol", `${what} has no usable "${member}"`);
}
