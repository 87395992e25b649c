/**
 * Format `k8s`: a Kubernetes service-account token that the kubelet projected or TokenRequest returned, verified with the cluster's
 * keys, by asking the cluster, or both. Keys alone do not tell that its pod was deleted, and what is true of the pod now may not be so
 * in a minute: the certificate ends with the token at the latest.
 */
import { Type } from "typebox";
import { cutCompactJws, verifyCompactJws } from "../compactJws.ts";
import { claimOf, type Claims, invalid, isClaims } from "../evidence.ts";
import type { EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import { noKeys, openSourceKeys } from "../jwks.ts";
import { openTokenReview, type ReviewedToken, type ReviewToken } from "../tokenReview.ts";
import {
  checkTokenSource,
  configureTokenSource,
  isFetchable,
  refuseSetting,
  tokenProperties,
  withoutUserinfo,
  type TokenSettings,
  type TokenSource,
} from "../tokenSource.ts";
import { platformToken, verifyToken, type VerifyJws } from "../token.ts";
import { optionalPath } from "../settings.ts";

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

export interface K8sSettings extends TokenSettings {
  /** Origin of the cluster's API server, where it is asked about each token. */
  readonly tokenReviewUrl?: string;
  readonly tokenReviewTokenFile?: string;
  readonly tokenReviewCaFile?: string;
}

export const k8sFormat: EvidenceFormat<K8sSettings> = {
  name: "k8s",
  properties: {
    ...tokenProperties,
    tokenReviewUrl: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        description: "Origin of the cluster's API server, which is asked about each token (TokenReview).",
      }),
    ),
    tokenReviewTokenFile: optionalPath(
      "File with the service-account token that we ask with; read again when it changes.",
    ),
    tokenReviewCaFile: optionalPath("PEM file of the CA certificates that the API server is verified by."),
  },
  check: checkK8sSettings,
  claimNames: k8sClaimNames,
  levels: ["nonce", "bearer"],
  open(settings, surroundings) {
    const { jwksFile, jwksUrl, tokenReviewUrl, tokenReviewTokenFile, ...rest } = settings;
    const hasKeys = jwksFile !== undefined || jwksUrl !== undefined;
    const keys = hasKeys ? openSourceKeys(settings, surroundings) : noKeys;
    const source = configureTokenSource(settings, keys, maxAgeSeconds);
    const review =
      tokenReviewUrl === undefined || tokenReviewTokenFile === undefined
        ? undefined
        : openTokenReview({ ...rest, tokenReviewUrl, tokenReviewTokenFile }, surroundings.postJson);
    const asking = review && { review, signature: hasKeys };
    return { verify: (item, context) => verifyK8s(item, source, context, asking) };
  },
};

function checkK8sSettings(settings: K8sSettings, at = `sources.${settings.ref}`): void {
  const { issuer, tokenReviewUrl: url, tokenReviewTokenFile: tokenFile, tokenReviewCaFile: caFile } = settings;
  if (issuer === legacyKubernetesIssuer) {
    refuseSetting(at, "issuer", issuer, "the issuer of projected tokens; legacy secret tokens are not accepted");
  }
  if (url !== undefined && (!isFetchable(url) || new URL(url).origin !== url)) {
    const expected = "the origin of an API server, https://host or https://host:port and nothing more";
    refuseSetting(at, "tokenReviewUrl", withoutUserinfo(url), expected);
  }
  if ((url === undefined) !== (tokenFile === undefined)) {
    const expected = url === undefined ? "none without tokenReviewUrl" : "the file of the token to ask with";
    refuseSetting(at, "tokenReviewTokenFile", tokenFile, expected);
  }
  if (url === undefined && caFile !== undefined) {
    refuseSetting(at, "tokenReviewCaFile", caFile, "none without tokenReviewUrl");
  }
  checkTokenSource(settings, at, url === undefined ? "required" : "optional", ", or tokenReviewUrl");
}

type PodClaims = {
  readonly [name in Exclude<(typeof k8sClaimNames)[number], "nodeName" | "nodeUid">]: string;
} & { readonly nodeName?: string; readonly nodeUid?: string };

/** Who is asked about a token, and whether its signature is verified here before. */
interface Asking {
  readonly review: ReviewToken;
  readonly signature: boolean;
}

/** Where the cluster vouches for the octets: they are read by the same rules, and count when it has. */
const cutJws: VerifyJws = async (value, source) => {
  const { payload, signingInput } = cutCompactJws(value, source);
  return { payload: Buffer.from(payload, "base64url"), signingInput };
};

/**
 * Yields flat claims: namespace, serviceAccount, serviceAccountUid, podName, podUid and, where the cluster states them, nodeName and
 * nodeUid. The instance is the pod's UID. What can be refused here is refused before the cluster is asked.
 * @throws {EvidenceRefused}
 * @throws {SourceUnavailable}
 */
export async function verifyK8s(
  item: EvidenceItem,
  source: TokenSource,
  context: VerificationContext,
  asking?: Asking,
): Promise<VerifiedEvidence> {
  const verifyJws = asking?.signature === false ? cutJws : verifyCompactJws;
  const token = await verifyToken(item, source, context, platformToken, verifyJws);
  const claims = readKubernetesClaims(token.claims);
  if (asking !== undefined) {
    const fixed = source.audience ?? context.audience;
    const bound = context.binding === undefined ? [] : [`${context.audience}/${context.binding}`];
    const reviewed = await asking.review(item.value, [...bound, fixed]);
    requireAgreement(claims, reviewed, token.bindingLevel === "nonce" ? bound[0] : fixed);
  }
  return {
    format: item.format,
    ref: item.ref,
    ...token,
    claims,
    instance: claims.podUid,
    notAfterCap: token.expires,
  };
}

/** The cluster read the same token as we did. An API server that knows no audiences states none. */
function requireAgreement(claims: PodClaims, reviewed: ReviewedToken, audience: string | undefined): void {
  if (audience === undefined || !reviewed.audiences.includes(audience))
    throw invalid("The cluster does not confirm that the token is for this server");
  if (reviewed.username !== `system:serviceaccount:${claims.namespace}:${claims.serviceAccount}`)
    throw invalid("The cluster names another account than the token");
  if (reviewed.uid !== claims.serviceAccountUid) throw invalid("The cluster knows this account by another UID");
  if (reviewed.podName !== claims.podName || reviewed.podUid !== claims.podUid)
    throw invalid("The cluster names another pod than the token");
  const { nodeName, nodeUid } = claims;
  const differs = (stated: string | undefined, claimed: string | undefined) =>
    stated !== undefined && claimed !== undefined && stated !== claimed;
  if (differs(reviewed.nodeName, nodeName) || differs(reviewed.nodeUid, nodeUid))
    throw invalid("The cluster names another node than the token");
}

function readKubernetesClaims(token: Claims): PodClaims {
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
