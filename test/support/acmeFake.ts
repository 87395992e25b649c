/**
 * A small ACME server for tests of the client: real HTTPS on loopback, RFC 8555 and workload-attest-01 by the book, and nothing of
 * `src/`. JWS are checked with jose, requests for certificates with @peculiar/x509, the binding value from its definition.
 */
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import * as jose from "jose";
import { makeCa, makeLeaf, type Party, p256Keys, pemOf, privateKeyPem } from "./acmeFakeCa.ts";
import {
  type AcmeFakePlan,
  attest,
  audience,
  authorizationJson,
  certificateOf,
  checkEvidence,
  type FakeOrder,
  finalize,
  isRefusal,
  type Json,
  newOrder,
  orderJson,
  problemOf,
  refused,
  settleChallenge,
} from "./acmeFakeOrder.ts";

export interface AcmeFake {
  readonly directoryUrl: string;
  readonly rootPem: string;
  readonly plan: AcmeFakePlan;
  /** Resource names in the order of their requests. */
  readonly requests: string[];
  /** Payloads as they came, by resource name. */
  readonly payloads: { [resource: string]: Json[] };
  close(): Promise<void>;
}

/** Everything the fake knows. */
interface Ground {
  readonly base: string;
  readonly plan: AcmeFakePlan;
  readonly root: Party;
  readonly issuing: Party;
  readonly nonces: Set<string>;
  /** By account URL. */
  readonly accounts: Map<string, jose.JWK>;
  readonly orders: FakeOrder[];
  readonly requests: string[];
  readonly payloads: { [resource: string]: Json[] };
}

/** Starts a fake with its own root, intermediate and TLS certificate for `localhost`. */
export async function startAcmeFake(): Promise<AcmeFake> {
  const root = await makeCa("Fake Root");
  const issuing = await makeCa("Fake Issuing CA", root);
  const { publicKey, ...privateHalf } = await p256Keys();
  const tlsLeaf = await makeLeaf({ publicKey, names: [{ type: "dns", value: "localhost" }], issuer: issuing });
  const key = await privateKeyPem({ publicKey, ...privateHalf });
  const server = createServer({ key, cert: pemOf(tlsLeaf, issuing.certificate) });
  const base = await listen(server);
  const ground: Ground = {
    base,
    plan: goodBehaviour(),
    root,
    issuing,
    nonces: new Set(),
    accounts: new Map(),
    orders: [],
    requests: [],
    payloads: {},
  };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    handle(ground, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error instanceof Error ? error.stack : error));
    });
  });
  const { plan, requests, payloads } = ground;
  return {
    directoryUrl: `${base}/directory`,
    rootPem: pemOf(root.certificate),
    plan,
    requests,
    payloads,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function goodBehaviour(): AcmeFakePlan {
  return {
    badNonces: 0,
    refusals: {},
    challengeStates: [],
    orderProcessing: 0,
    orderError: undefined,
    retryAfter: "0",
    accept: [{ format: "jwt", ref: "dev", minBinding: "nonce" }],
    inline: { does: false, says: false },
    challenge: {},
    chain: undefined,
    intercept: undefined,
  };
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server has such an address
      resolve(`https://localhost:${(server.address() as AddressInfo).port}`);
    });
  });
}

async function handle(ground: Ground, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { base, plan, nonces, requests, payloads } = ground;
  const path = request.url ?? "";
  const [resource = "", id = ""] = path.slice(1).split("/");
  requests.push(resource);
  if (plan.intercept?.(resource, response)) return;
  const reply = ({ status = 200, body, headers = {} }: Answer): void => {
    const type = status >= 400 ? "application/problem+json" : "application/json";
    // §6.5: newNonce and answers to POST, also refusals, bring a nonce. The directory does not: it may be cached.
    const nonce = randomBytes(16).toString("base64url");
    if (resource !== "directory") nonces.add(nonce);
    const nonceHeader = resource === "directory" ? {} : { "Replay-Nonce": nonce };
    response.writeHead(status, { "Content-Type": type, ...nonceHeader, ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
  try {
    const refusal = plan.refusals[resource]?.shift();
    if (refusal !== undefined) throw refusal;
    if (request.headers["user-agent"] === undefined) throw refused(400, "malformed", "no User-Agent");
    if (resource === "directory") return reply({ body: directoryOf(base, plan) });
    if (resource === "newNonce") return reply({ status: request.method === "HEAD" ? 200 : 204, body: "" });
    const signed = await readSigned(request, `${base}${path}`, ground);
    (payloads[resource] ??= []).push(signed.payload);
    reply(await answerTo(ground, resource, Number(id), signed));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const headers: Record<string, string> = error.retryAfter === undefined ? {} : { "Retry-After": error.retryAfter };
    reply({ status: error.status, body: problemOf(error), headers });
  }
}

interface Answer {
  readonly status?: number;
  readonly body: Json | string;
  readonly headers?: { readonly [name: string]: string };
}

async function answerTo(ground: Ground, resource: string, id: number, signed: Signed): Promise<Answer> {
  const { base, plan, accounts, orders } = ground;
  const { account, jwk, payload } = signed;
  if (resource === "newAccount") {
    const url = `${base}/account/${await jose.calculateJwkThumbprint(jwk)}`;
    const status = accounts.has(url) ? 200 : 201;
    accounts.set(url, jwk);
    return { status, body: { status: "valid" }, headers: { Location: url } };
  }
  if (account === undefined) throw refused(400, "malformed", "jwk where kid belongs");
  if (resource === "newOrder") {
    const order = newOrder(orders.length, account, payload, plan, base);
    orders.push(order);
    if (plan.inline.does && "evidence" in payload) {
      await attest(order, signed.nonce, jwk, payload, plan);
      const chain = order.status === "valid" ? { certificateChain: await certificateOf(order, ground, plan) } : {};
      return {
        status: 201,
        body: { ...orderJson(order, base), ...chain },
        headers: { Location: `${base}/order/${order.id}` },
      };
    }
    return { status: 201, body: orderJson(order, base), headers: { Location: `${base}/order/${order.id}` } };
  }
  const order = orders[id];
  if (order === undefined || order.account !== account) throw refused(403, "unauthorized", "not yours");
  const headers = { "Retry-After": plan.retryAfter };
  switch (resource) {
    case "authz":
      if (order.challenge["status"] === "processing") settleChallenge(order, plan);
      return { body: authorizationJson(order), headers };
    case "challenge":
      await checkEvidence(order, jwk, payload);
      settleChallenge(order, plan);
      return { body: order.challenge, headers };
    case "order":
      if (order.status === "processing" && (order.processing -= 1) < 0) order.status = "valid";
      return { body: orderJson(order, base), headers };
    case "finalize":
      await finalize(order, payload, plan);
      return { body: orderJson(order, base), headers };
    case "certificate":
      return { body: await certificateOf(order, ground, plan) };
    default:
      throw refused(404, "malformed", `no such resource: ${resource}`);
  }
}

interface Signed {
  readonly account: string | undefined;
  readonly jwk: jose.JWK;
  readonly nonce: string;
  readonly payload: Json;
}

/** RFC 8555 §6.2 to §6.5. */
async function readSigned(request: IncomingMessage, url: string, { nonces, accounts, plan }: Ground): Promise<Signed> {
  if (request.method !== "POST") throw refused(405, "malformed", "not a POST");
  if (request.headers["content-type"] !== "application/jose+json") throw refused(415, "malformed", "wrong media type");
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const jws: jose.FlattenedJWSInput = JSON.parse(Buffer.concat(chunks).toString());
  const header = jose.decodeProtectedHeader(jws);
  if (header["url"] !== url) throw refused(401, "unauthorized", "the url of the header is not the request's");
  const { kid } = header;
  if ((kid === undefined) === (header.jwk === undefined))
    throw refused(400, "malformed", "not exactly one of jwk and kid");
  const jwk = kid === undefined ? header.jwk : accounts.get(kid);
  if (jwk === undefined) throw refused(400, "accountDoesNotExist", "no such account");
  const { payload } = await jose.flattenedVerify(jws, await jose.importJWK(jwk, header.alg));
  const nonce = header["nonce"];
  const known = typeof nonce === "string" && nonces.delete(nonce);
  if (!known || (plan.badNonces -= 1) >= 0) throw refused(400, "badNonce", "the nonce is not known");
  return { account: kid, jwk, nonce, payload: payload.length === 0 ? {} : JSON.parse(Buffer.from(payload).toString()) };
}

function directoryOf(base: string, { inline }: AcmeFakePlan): Json {
  return {
    newNonce: `${base}/newNonce`,
    newAccount: `${base}/newAccount`,
    newOrder: `${base}/newOrder`,
    [randomBytes(6).toString("base64url")]: "https://community.example/unknown-keys-are-to-be-ignored",
    meta: { workloadAttestation: { version: 1, audience, binding: "wa1-sha256", inlineEvidence: inline.says } },
  };
}
