/**
 * Format `k8s`: a Kubernetes service-account token that the kubelet projected or TokenRequest returned, verified with the cluster's
 * keys. The deletion of its pod is not seen here, which is why the certificate ends with the token at the latest.
 */
import { EvidenceRefused, claimOf, isClaims, type Claims } from "../evidence.ts";
import type { EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import {
  checkTokenSource,
  openTokenSource,
  refuseSetting,
  tokenProperties,
  type TokenSettings,
  type TokenSource,
} from "../tokenSource.ts";
import { verifyToken } from "../token.ts";

/** Flat. The two of the node are absent where the cluster does not state them. */
const k8sClaimNames = [
  "namespace",
  "serviceAccount",
  "serviceAccountUid",
  "podName",
  "podUid",
  "nodeName",
  "nodeUid",
] as const;

/** Tokens of this issuer never expire and are bound to no pod. */
const legacyKubernetesIssuer = "kubernetes/serviceaccount";
/** The kubelet renews a projected token when four fifths of its life are over, or when it is a day old. */
const maxAgeSeconds = 86_400;

export const k8sFormat: EvidenceFormat<TokenSettings> = {
  name: "k8s",
  properties: tokenProperties,
  check(settings, at) {
    if (settings.issuer === legacyKubernetesIssuer) {
      const expected = "the issuer of projected tokens; legacy secret tokens are not accepted";
      refuseSetting(at, "issuer", settings.issuer, expected);
    }
    checkTokenSource(settings, at);
  },
  claimNames: k8sClaimNames,
  levels: ["nonce", "bearer"],
  open: (settings, surroundings) =>
    openTokenSource(settings, surroundings, (item, context, source) => verifyK8s(item, source, context), maxAgeSeconds),
};

type K8sClaims = { readonly [name in (typeof k8sClaimNames)[number]]?: string };

/**
 * Yields flat claims: namespace, serviceAccount, serviceAccountUid, podName, podUid and, where the cluster states them, nodeName and
 * nodeUid. The instance is the pod's UID.
 * @throws {EvidenceRefused}
 * @throws {SourceUnavailable}
 */
export async function verifyK8s(
  item: EvidenceItem,
  source: TokenSource,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const token = await verifyToken(item, source, context);
  const claims = readKubernetesClaims(token.claims);
  return {
    format: item.format,
    ref: item.ref,
    ...token,
    claims,
    instance: claims.podUid,
    notAfterCap: token.expires,
  };
}

function readKubernetesClaims(token: Claims): K8sClaims & { readonly podUid: string } {
  const kubernetes = memberObject(token, "kubernetes.io");
  if (kubernetes === undefined) throw invalid("The token has no kubernetes.io claims");
  const namespace = requireName(kubernetes, "namespace");
  const { name: serviceAccount, uid: serviceAccountUid } = requireReference(kubernetes, "serviceaccount");
  // Two places name the account; a token in which they differ is none that Kubernetes made.
  if (claimOf(token, "sub") !== `system:serviceaccount:${namespace}:${serviceAccount}`) {
    throw invalid("The token's subject and its kubernetes.io claims disagree");
  }
  if (memberObject(kubernetes, "pod") === undefined) throw invalid("The token is not bound to a pod");
  const { name: podName, uid: podUid } = requireReference(kubernetes, "pod");
  const claims = { namespace, serviceAccount, serviceAccountUid, podName, podUid };
  if (claimOf(kubernetes, "node") === undefined) return claims;
  const { name: nodeName, uid: nodeUid } = requireReference(kubernetes, "node");
  return { ...claims, nodeName, nodeUid };
}

function requireReference(kubernetes: Claims, kind: string): { name: string; uid: string } {
  const reference = memberObject(kubernetes, kind);
  if (reference === undefined) throw invalid(`The token's kubernetes.io claims have no ${kind}`);
  return { name: requireName(reference, "name", kind), uid: requireName(reference, "uid", kind) };
}

/** Kubernetes object names are DNS subdomains (RFC 1123), and UIDs stay within the same characters. */
function requireName(object: Claims, member: string, of = "kubernetes.io"): string {
  const value = claimOf(object, member);
  if (typeof value !== "string" || !/^[a-z0-9][a-z0-9.-]{0,252}$/.test(value)) {
    throw invalid(`The token's ${of} has no usable ${member}`);
  }
  return value;
}

function memberObject(object: Claims, member: string): Claims | undefined {
  const value = claimOf(object, member);
  return isClaims(value) ? value : undefined;
}

function invalid(message: string): EvidenceRefused {
  return new EvidenceRefused("evidenceInvalid", message);
}
