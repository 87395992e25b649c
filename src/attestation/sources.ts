/**
 * Evidence sources: whose statements count, and within which limits. A source is named by an opaque `ref` of ours, because issuers
 * such as `https://kubernetes.default.svc` are shared by many clusters.
 */
import { type Static, Type } from "typebox";
import type { SourceKeys } from "./evidence.ts";

/** Formats of evidence this server verifies; one file each in `formats/`. */
export const evidenceFormats = ["jwt", "k8s", "atc"] as const;
export type EvidenceFormat = (typeof evidenceFormats)[number];

/** JWS algorithms a source may be allowed (RFC 7518 §3.1, RFC 8037 §3.1). Symmetric ones and `none` cannot be named at all. */
const sourceAlgorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
] as const;
export type SourceAlgorithm = (typeof sourceAlgorithms)[number];

/** One entry of the configured sources. What a schema cannot say is checked by `checkSource`. */
export const sourceSchema = Type.Object(
  {
    ref: Type.String({ pattern: "^[a-z0-9-]{1,40}$", description: "Name of the source in challenges and grants." }),
    format: Type.Enum(evidenceFormats),
    issuer: Type.String({ minLength: 1, maxLength: 512, description: "Exact value of the tokens' `iss`." }),
    jwksFile: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description: "File with the issuer's JWK Set (RFC 7517 §5); read again when it changes.",
      }),
    ),
    jwksUrl: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        description: "Where the issuer's JWK Set is fetched: https, or http on loopback. Redirects are not followed.",
      }),
    ),
    jwksCaFile: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description: "PEM file of the CA certificates that jwksUrl's server is verified by, in place of Node's own.",
      }),
    ),
    audience: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description:
          "A fixed audience of this source's tokens in place of the server's, for platforms that cannot be given one.",
      }),
    ),
    algorithms: Type.Optional(
      Type.Array(Type.Enum(sourceAlgorithms), {
        minItems: 1,
        uniqueItems: true,
        description: "Accepted signature algorithms; RS256, PS256, ES256, ES384 and EdDSA unless said.",
      }),
    ),
    clockSkewSeconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 60, description: "Tolerance for the issuer's clock; 30 unless said." }),
    ),
    maxAgeSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 604_800,
        description: "Oldest token accepted, counted from `iat`; 3600 for jwt and atc, 86400 for k8s unless said.",
      }),
    ),
    maxLifetimeSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 604_800,
        description: "Longest `exp` − `iat` accepted; 86400 unless said.",
      }),
    ),
    typ: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z0-9!#$&^_.+/-]{1,100}$",
        description:
          "Exact `typ` header of the tokens (RFC 8725 §3.11). Unless said, absent, JWT and JOSE are accepted.",
      }),
    ),
    tokenAuthorityUrl: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        description:
          "Only with format atc: https URL where clients get tokens, told them in tkauth-01 as token-authority. Never fetched here.",
      }),
    ),
  },
  { additionalProperties: false },
);

export type SourceConfiguration = Static<typeof sourceSchema>;

/** A source as verification sees it: configuration with its defaults filled in, and its keys. */
export interface Source {
  readonly ref: string;
  readonly format: EvidenceFormat;
  readonly issuer: string;
  readonly audience: string | undefined;
  readonly algorithms: readonly SourceAlgorithm[];
  readonly clockSkewSeconds: number;
  readonly maxAgeSeconds: number;
  readonly maxLifetimeSeconds: number;
  readonly typ: string | undefined;
  /** `token-authority` of tkauth-01 (RFC 9447 §3), where one is told. */
  readonly tokenAuthorityUrl: string | undefined;
  /** The only claims this format yields, so that a misspelt one stops the start; undefined where the issuer decides. */
  readonly claimNames: readonly string[] | undefined;
  /** Claims that tell the tenants of a shared issuer apart: a grant that asks for none would admit everybody. */
  readonly tenantClaims: readonly string[] | undefined;
  readonly keys: SourceKeys;
}

/** Claims of the format `k8s`, flat. The two of the node are absent where the cluster does not state them. */
export const k8sClaimNames = [
  "namespace",
  "serviceAccount",
  "serviceAccountUid",
  "podName",
  "podUid",
  "nodeName",
  "nodeUid",
] as const;

/** The segments of the path that grants can name; a longer path is derived by fixed text only. */
export const atcPathClaimNames = Array.from({ length: 16 }, (_, index) => `path${index + 1}`);
/** Claims of the format `atc`, flat. `sub` is absent where the authority states none. */
const atcClaimNames = [...atcPathClaimNames, "jti", "sub"];

const algorithmsDefault = ["RS256", "PS256", "ES256", "ES384", "EdDSA"] as const;
const maxAgeSecondsDefault: Record<EvidenceFormat, number> = { jwt: 3600, k8s: 86_400, atc: 3600 };
const claimNamesOf: Record<EvidenceFormat, readonly string[] | undefined> = {
  jwt: undefined,
  k8s: k8sClaimNames,
  atc: atcClaimNames,
};

/** Issuers whose tokens anybody can get, and the claims that say whose they are. */
const tenantClaimsOf: ReadonlyMap<string, readonly string[]> = new Map([
  [
    "https://token.actions.githubusercontent.com",
    ["repository_owner_id", "repository_id", "repository_owner", "repository", "enterprise_id", "enterprise", "sub"],
  ],
  ["https://gitlab.com", ["namespace_id", "project_id", "namespace_path", "project_path", "sub"]],
  ["https://agent.buildkite.com", ["organization_id", "organization_slug", "sub"]],
  ["https://accounts.google.com", ["/google/compute_engine/project_id", "email", "sub"]],
]);

/** A source with its defaults and its keys. The configuration has passed `sourceSchema` and `checkSource`. */
export function configureSource(configuration: SourceConfiguration, keys: SourceKeys): Source {
  const { ref, format, issuer, audience, typ, tokenAuthorityUrl } = configuration;
  return Object.freeze({
    ref,
    format,
    issuer,
    audience,
    algorithms: configuration.algorithms ?? algorithmsDefault,
    clockSkewSeconds: configuration.clockSkewSeconds ?? 30,
    maxAgeSeconds: configuration.maxAgeSeconds ?? maxAgeSecondsDefault[format],
    maxLifetimeSeconds: configuration.maxLifetimeSeconds ?? 86_400,
    typ,
    tokenAuthorityUrl,
    claimNames: claimNamesOf[format],
    tenantClaims: tenantClaimsOf.get(issuer),
    keys,
  });
}

/** Audiences of the Kubernetes API: whoever takes such a token could use it against the cluster, and so could we. */
const kubernetesApiAudiences = ["https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local"];
/** Tokens of this issuer never expire and are bound to no pod. */
const legacyKubernetesIssuer = "kubernetes/serviceaccount";

/**
 * Refuses a configuration that cannot work or must not.
 * @param at - where it stands, for messages
 * @throws {Error} naming key, value and what was expected
 */
export function checkSource(configuration: SourceConfiguration, at = `sources.${configuration.ref}`): void {
  const { format, issuer, jwksFile, jwksUrl, audience, tokenAuthorityUrl } = configuration;
  const refuse = (key: string, value: string, expected: string): never => {
    throw new Error(`${at}.${key}: ${JSON.stringify(value)}: expected ${expected}`);
  };
  if (format === "k8s" && issuer === legacyKubernetesIssuer) {
    refuse("issuer", issuer, "the issuer of projected tokens; legacy secret tokens are not accepted");
  }
  if (jwksFile === undefined && jwksUrl === undefined) {
    throw new Error(`${at}: neither jwksFile nor jwksUrl: expected exactly one of them`);
  }
  if (jwksFile !== undefined && jwksUrl !== undefined) {
    refuse("jwksUrl", jwksUrl, "only one of jwksFile and jwksUrl");
  }
  if (jwksUrl !== undefined && !isFetchable(jwksUrl)) {
    refuse(
      "jwksUrl",
      withoutUserinfo(jwksUrl),
      "an https URL, or http on loopback, without user information or fragment",
    );
  }
  if (configuration.jwksCaFile !== undefined && jwksUrl === undefined) {
    refuse("jwksCaFile", configuration.jwksCaFile, "none where no jwksUrl is fetched");
  }
  if (audience !== undefined && kubernetesApiAudiences.includes(audience)) {
    refuse("audience", audience, "an audience of this server's own; this one belongs to the Kubernetes API");
  }
  if (tokenAuthorityUrl !== undefined && (format !== "atc" || !isHttps(tokenAuthorityUrl))) {
    refuse(
      "tokenAuthorityUrl",
      withoutUserinfo(tokenAuthorityUrl),
      "an https URL without user information, and a source of format atc",
    );
  }
  // The API server's audience is the issuer unless it is configured, and no issuer is a relying party of its own tokens.
  if (audience === issuer) refuse("audience", audience, "an audience of this server's own; this one is the issuer");
}

function isHttps(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return protocol === "https:" && username === "" && password === "";
}

function isFetchable(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username !== "" || password !== "" || hash !== "") return false;
  return protocol === "https:" || (protocol === "http:" && isLoopback(hostname));
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === "127.0.0.1" || hostname === "[::1]" || hostname === "localhost" || hostname.endsWith(".localhost")
  );
}

/** A password in a URL must not reach a terminal or a log by way of a message. */
function withoutUserinfo(url: string): string {
  return url.replace(/\/\/[^/?#]*@/, "//…@");
}
