/**
 * An API server of Kubernetes, as far as TokenReview goes: it answers as kube-apiserver does, with its own keys, clock, pods and
 * audiences.
 */
import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { listen, type Teardown } from "./validationTargets.ts";

interface PodClaims {
  readonly aud?: string | readonly string[];
  readonly exp?: number;
  readonly sub?: string;
  readonly jti?: string;
  readonly "kubernetes.io"?: {
    readonly pod?: { readonly name: string; readonly uid: string };
    readonly node?: { readonly name: string; readonly uid: string };
    readonly serviceaccount?: { readonly name: string; readonly uid: string };
  };
}

export interface KubernetesApi {
  readonly origin: string;
  /** Reviews that were asked for, in order. */
  readonly asked: { readonly authorization: string | undefined; readonly body: Record<string, unknown> }[];
  /** Bearer token that may create TokenReviews. */
  credential: string;
  /** UIDs of pods that were deleted. */
  readonly deletedPods: Set<string>;
  /** Changes an answer that is ready to be sent; or answers in its stead. */
  instead: RequestListener | undefined;
  changeStatus: (status: Record<string, unknown>) => Record<string, unknown>;
}

export interface KubernetesApiOptions {
  /** Public key of the cluster's service-account tokens, ES256. */
  readonly publicKey: KeyObject;
  readonly now: () => Date;
  readonly audiences?: readonly string[];
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** Starts one on 127.0.0.1. */
export async function startKubernetesApi(t: Teardown, options: KubernetesApiOptions): Promise<KubernetesApi> {
  const listener: RequestListener = (request, response) => {
    void bodyOf(request).then((text) => {
      const { authorization } = request.headers;
      if (api.instead !== undefined) return api.instead(request, response);
      const reply = (code: number, body: object) =>
        response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
      const failure = (code: number, reason: string) =>
        reply(code, { kind: "Status", apiVersion: "v1", status: "Failure", reason, code });
      if (authorization !== `Bearer ${api.credential}`) return failure(401, "Unauthorized");
      if (request.method !== "POST" || request.url !== "/apis/authentication.k8s.io/v1/tokenreviews")
        return failure(404, "NotFound");
      if (request.headers["content-type"] !== "application/json") return failure(415, "UnsupportedMediaType");
      const body = JSON.parse(text) as Record<string, unknown>;
      api.asked.push({ authorization, body });
      const status = api.changeStatus(statusOf(body["spec"] as ReviewSpec, options, api));
      const { apiVersion, kind, spec } = body;
      return reply(201, { kind, apiVersion, metadata: { creationTimestamp: null }, spec, status });
    });
  };
  const server = options.tls === undefined ? createServer(listener) : createHttpsServer(options.tls, listener);
  const port = await listen(t, server);
  const api: KubernetesApi = {
    origin: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    asked: [],
    credential: "our-own-token",
    deletedPods: new Set(),
    instead: undefined,
    changeStatus: (status) => status,
  };
  return api;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

interface ReviewSpec {
  readonly token?: string;
  readonly audiences?: readonly string[];
}

/** As kube-apiserver words it: without `authenticated` where it is false, and with an error that says why. */
function statusOf(
  { token = "", audiences }: ReviewSpec,
  { publicKey, now, audiences: own = ["https://kubernetes.default.svc.cluster.local"] }: KubernetesApiOptions,
  { deletedPods }: KubernetesApi,
): Record<string, unknown> {
  const refused = (why: string) => ({ user: {}, error: `[invalid bearer token, ${why}]` });
  const [header = "", payload = "", signature = ""] = token.split(".");
  const key = {
    key: createPublicKey(publicKey.export({ type: "spki", format: "pem" })),
    dsaEncoding: "ieee-p1363",
  } as const;
  if (!verify("sha256", Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, "base64url")))
    return refused("failed to verify signature");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as PodClaims;
  if ((claims.exp ?? 0) * 1000 <= now().getTime()) return refused("service account token has expired");
  const tokens = [claims.aud ?? []].flat();
  const shared = (audiences ?? own).filter((one) => tokens.includes(one));
  if (shared.length === 0)
    return refused(`token audiences ${JSON.stringify(tokens)} is invalid for the target audiences`);
  const { pod, node, serviceaccount } = claims["kubernetes.io"] ?? {};
  if (pod !== undefined && deletedPods.has(pod.uid)) return refused(`Pod ${pod.name} has been deleted`);
  const named = (name: string, value: string | undefined) =>
    value === undefined ? {} : { [`authentication.kubernetes.io/${name}`]: [value] };
  const [, , namespace = ""] = (claims.sub ?? "").split(":");
  return {
    authenticated: true,
    user: {
      username: claims.sub,
      uid: serviceaccount?.uid,
      groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
      extra: {
        ...named("credential-id", claims.jti === undefined ? undefined : `JTI=${claims.jti}`),
        ...named("node-name", node?.name),
        ...named("node-uid", node?.uid),
        ...named("pod-name", pod?.name),
        ...named("pod-uid", pod?.uid),
      },
    },
    audiences: shared,
  };
}
