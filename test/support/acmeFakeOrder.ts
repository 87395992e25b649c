/**
 * What the ACME fake does with an order, from newOrder to the certificate, and the plan by which it strays.
 */
// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 wants its side effect first
import "reflect-metadata";
import { createHash, randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import * as x509 from "@peculiar/x509";
import * as jose from "jose";
import { makeLeaf, type Party, pemOf } from "./acmeFakeCa.ts";

export type Json = { [name: string]: unknown };
type Identifier = { readonly type: "uri" | "dns" | "ip"; readonly value: string };

export interface Refusal {
  readonly status: number;
  readonly type: string;
  readonly detail: string;
  readonly subproblems?: readonly { readonly type: string; readonly detail: string }[];
  readonly retryAfter?: string;
}

/** What the fake does out of the ordinary. Lists are used up from the front; an empty one means: behave. */
export interface AcmeFakePlan {
  /** Good nonces that are refused all the same. */
  badNonces: number;
  /** By resource name: refusals before the request is looked at. */
  readonly refusals: { [resource: string]: Refusal[] };
  /** States of the challenge after a response; then `valid`. */
  challengeStates: ("pending" | "processing" | Refusal)[];
  /** How many times finalize and the order say `processing` before `valid`. */
  orderProcessing: number;
  /** The order fails at finalize with this. */
  orderError: Refusal | undefined;
  /** Seconds sent as Retry-After with `processing` and `pending`. */
  retryAfter: string;
  accept: Source[];
  /** Whether orders may come with their evidence, and whether the directory says so. */
  inline: { does: boolean; says: boolean };
  /** Members that replace those of the challenge. */
  challenge: Json;
  /** Instead of the right chain. */
  chain: ((request: IssueRequest) => Promise<string>) | undefined;
  /** Answers by itself when it returns true. */
  intercept: ((resource: string, response: ServerResponse) => boolean) | undefined;
}

interface Source {
  readonly format: string;
  readonly ref: string;
  readonly minBinding: string;
  readonly with?: readonly Source[];
}

export interface IssueRequest {
  readonly publicKey: x509.PublicKey;
  readonly names: readonly x509.JsonGeneralName[];
  readonly issuing: Party;
  readonly root: Party;
}

/** An order with its one authorization and that one's one challenge. */
export interface FakeOrder {
  readonly id: number;
  readonly account: string;
  readonly identifiers: readonly Identifier[];
  readonly token: string;
  challenge: Json;
  status: string;
  processing: number;
  spki: string;
  csr: x509.Pkcs10CertificateRequest | undefined;
  error: Json | undefined;
}

export const audience = "https://ca.test/wa";

export function newOrder(id: number, account: string, payload: Json, plan: AcmeFakePlan, base: string): FakeOrder {
  const token = randomBytes(16).toString("base64url");
  return {
    id,
    account,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the client under test sends identifiers; a test fails if not
    identifiers: payload["identifiers"] as readonly Identifier[],
    token,
    challenge: {
      type: "workload-attest-01",
      url: `${base}/challenge/${id}`,
      status: "pending",
      token,
      binding: "wa1-sha256",
      audience,
      accept: plan.accept,
      ...plan.challenge,
    },
    status: "pending",
    processing: plan.orderProcessing,
    spki: "",
    csr: undefined,
    error: undefined,
  };
}

/** S is there, and B is inside of evidence that can carry it: B as the specification writes it, not as our code does. */
export async function checkEvidence(order: FakeOrder, jwk: jose.JWK, payload: Json): Promise<void> {
  const { spki, evidence } = payload;
  if (typeof spki !== "string" || !Array.isArray(evidence)) throw refused(400, "malformed", "no spki or no evidence");
  order.spki = spki;
  const keyAuthorization = `${order.token}.${await jose.calculateJwkThumbprint(jwk, "sha256")}`;
  const preimage = Buffer.concat([
    Buffer.from("acme-workload-attest-01\0" + keyAuthorization + "\0"),
    Buffer.from(spki, "base64url"),
  ]);
  const binding = createHash("sha256").update(preimage).digest("base64url");
  for (const item of evidence) {
    if (item.ref === "dev" && jose.decodeJwt(item.value).aud !== `${audience}/${binding}`) {
      throw refused(400, "badAttestationStatement", "The evidence was refused", "bindingMismatch");
    }
  }
}

/** The order that comes with evidence and request: the nonce is its challenge's token. */
export async function attest(
  order: FakeOrder,
  nonce: string,
  jwk: jose.JWK,
  payload: Json,
  plan: AcmeFakePlan,
): Promise<void> {
  const csr = new x509.Pkcs10CertificateRequest(Buffer.from(String(payload["csr"]), "base64url"));
  const spki = createHash("sha256").update(Buffer.from(csr.publicKey.rawData)).digest("base64url");
  await checkEvidence({ ...order, token: nonce }, jwk, { spki, evidence: payload["evidence"] });
  Object.assign(order, { spki, status: "ready", challenge: { ...order.challenge, status: "valid" } });
  await finalize(order, payload, plan);
}

export function settleChallenge(order: FakeOrder, plan: AcmeFakePlan): void {
  const next = plan.challengeStates.shift() ?? "valid";
  const failed = typeof next !== "string";
  order.challenge = {
    ...order.challenge,
    status: failed ? "invalid" : next,
    ...(failed ? { error: problemOf(next) } : {}),
  };
  if (next === "valid") order.status = "ready";
  if (failed) order.status = "invalid";
}

/** RFC 8555 §7.4, and rule 8 of workload-attest-01: key and names of the request are the committed ones. */
export async function finalize(order: FakeOrder, payload: Json, plan: AcmeFakePlan): Promise<void> {
  if (order.status !== "ready") throw refused(403, "orderNotReady", `the order is ${order.status}`);
  const csr = new x509.Pkcs10CertificateRequest(Buffer.from(String(payload["csr"]), "base64url"));
  if (!(await csr.verify())) throw refused(400, "badCSR", "the request is not signed by its key");
  const digest = createHash("sha256").update(Buffer.from(csr.publicKey.rawData)).digest("base64url");
  if (digest !== order.spki) throw refused(400, "badCSR", "the request is for another key");
  const asked = order.identifiers.map(({ type, value }) => `${type}:${value}`);
  if (namesOf(csr).map(nameText).sort().join() !== asked.sort().join()) throw refused(400, "badCSR", "other names");
  order.csr = csr;
  order.status = order.processing > 0 ? "processing" : "valid";
  if (plan.orderError === undefined) return;
  order.status = "invalid";
  order.error = problemOf(plan.orderError);
}

function namesOf(csr: x509.Pkcs10CertificateRequest): x509.JsonGeneralName[] {
  const names = csr.extensions.find((one) => one instanceof x509.SubjectAlternativeNameExtension);
  return names?.names.toJSON() ?? [];
}

const nameText = ({ type, value }: x509.JsonGeneralName): string => `${type === "url" ? "uri" : type}:${value}`;

export async function certificateOf(
  { csr }: FakeOrder,
  { root, issuing }: { readonly root: Party; readonly issuing: Party },
  plan: AcmeFakePlan,
): Promise<string> {
  if (csr === undefined) throw refused(404, "malformed", "no certificate yet");
  const request = { publicKey: csr.publicKey, names: namesOf(csr), issuing, root };
  if (plan.chain !== undefined) return plan.chain(request);
  return pemOf(await makeLeaf({ ...request, issuer: issuing }), issuing.certificate);
}

export function orderJson(order: FakeOrder, base: string): Json {
  return {
    status: order.status,
    identifiers: order.identifiers,
    authorizations: [`${base}/authz/${order.id}`],
    finalize: `${base}/finalize/${order.id}`,
    ...(order.status === "valid" ? { certificate: `${base}/certificate/${order.id}` } : {}),
    ...(order.error === undefined ? {} : { error: order.error }),
  };
}

export function authorizationJson(order: FakeOrder): Json {
  const { status } = order.challenge;
  return {
    status: status === "processing" ? "pending" : status,
    identifier: order.identifiers[0],
    challenges: [
      { type: "http-01", url: order.challenge["url"], status: "pending", token: order.token },
      order.challenge,
    ],
  };
}

export function refused(status: number, type: string, detail: string, subproblem?: string): Refusal {
  const subproblems =
    subproblem === undefined ? [] : [{ type: `urn:mayfly:error:${subproblem}`, detail: "B is not in it" }];
  return { status, type, detail, subproblems };
}

export function isRefusal(error: unknown): error is Refusal {
  return typeof error === "object" && error !== null && "detail" in error;
}

export function problemOf({ type, detail, status, subproblems }: Refusal): Json {
  return {
    type: `urn:ietf:params:acme:error:${type}`,
    detail,
    status,
    ...(subproblems?.length ? { subproblems } : {}),
  };
}
