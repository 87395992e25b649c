/** Sources of JSON Web Tokens: whose signature counts, and within which limits. What the formats made of tokens have in common. */
import { type Static, Type } from "typebox";
import type { SourceKeys } from "./evidence.ts";
import type { OpenSource, SourceSettings, SourceSurroundings } from "./format.ts";
import { openSourceKeys } from "./jwks.ts";
import { optionalPath } from "./settings.ts";

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

/** Settings of a source of tokens. What a schema cannot say is checked by `checkTokenSource`. */
export const tokenProperties = {
  issuer: Type.String({ minLength: 1, maxLength: 512, description: "Exact value of the tokens' `iss`." }),
  jwksFile: optionalPath("File with the issuer's JWK Set (RFC 7517 §5); read again when it changes."),
  jwksUrl: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 2048,
      description: "Where the issuer's JWK Set is fetched: https, or http on loopback. Redirects are not followed.",
    }),
  ),
  jwksCaFile: optionalPath(
    "PEM file of the CA certificates that jwksUrl's server is verified by, in place of Node's own.",
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
      description: "Oldest token accepted, counted from `iat`; 3600 unless said, and 86400 for k8s.",
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
      description: "Exact `typ` header of the tokens (RFC 8725 §3.11). Unless said, absent, JWT and JOSE are accepted.",
    }),
  ),
};
const tokenSchema = Type.Object(tokenProperties);
export type TokenSettings = SourceSettings & Static<typeof tokenSchema>;

/** A source as verification sees it: settings with their defaults filled in, and its keys. */
export interface TokenSource {
  readonly ref: string;
  readonly format: string;
  readonly issuer: string;
  readonly audience: string | undefined;
  readonly algorithms: readonly SourceAlgorithm[];
  readonly clockSkewSeconds: number;
  readonly maxAgeSeconds: number;
  readonly maxLifetimeSeconds: number;
  readonly typ: string | undefined;
  readonly keys: SourceKeys;
}

const algorithmsDefault = ["RS256", "PS256", "ES256", "ES384", "EdDSA"] as const;

/** A source with its defaults and its keys. The settings have passed the schema and `checkTokenSource`. */
export function configureTokenSource(settings: TokenSettings, keys: SourceKeys, maxAgeSeconds = 3600): TokenSource {
  const { ref, format, issuer, audience, typ } = settings;
  return Object.freeze({
    ref,
    format,
    issuer,
    audience,
    algorithms: settings.algorithms ?? algorithmsDefault,
    clockSkewSeconds: settings.clockSkewSeconds ?? 30,
    maxAgeSeconds: settings.maxAgeSeconds ?? maxAgeSeconds,
    maxLifetimeSeconds: settings.maxLifetimeSeconds ?? 86_400,
    typ,
    keys,
  });
}

/** Opens a source of tokens with the format's own verification. */
export function openTokenSource(
  settings: TokenSettings,
  surroundings: SourceSurroundings,
  verify: (...of: [...Parameters<OpenSource["verify"]>, TokenSource]) => ReturnType<OpenSource["verify"]>,
): OpenSource {
  const source = configureTokenSource(settings, openSourceKeys(settings, surroundings));
  return { verify: (item, context) => verify(item, context, source) };
}

/** Audiences of the Kubernetes API: whoever takes such a token could use it against the cluster, and so could we. */
const kubernetesApiAudiences = ["https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local"];
/**
 * Refuses a configuration that cannot work or must not.
 * @param at - where it stands, for messages
 * @param instead - what would do in place of keys, for the message: ", or …"
 * @throws {Error} naming key, value and what was expected
 */
export function checkTokenSource(
  settings: TokenSettings,
  at = `sources.${settings.ref}`,
  keys: "required" | "optional" = "required",
  instead = "",
): void {
  const { issuer, jwksFile, jwksUrl, audience } = settings;
  const refuse = (key: string, value: string, expected: string): never => refuseSetting(at, key, value, expected);
  if (jwksFile === undefined && jwksUrl === undefined && keys === "required") {
    throw new Error(`${at}: neither jwksFile nor jwksUrl: expected exactly one of them${instead}`);
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
  if (settings.jwksCaFile !== undefined && jwksUrl === undefined) {
    refuse("jwksCaFile", settings.jwksCaFile, "none where no jwksUrl is fetched");
  }
  if (audience !== undefined && kubernetesApiAudiences.includes(audience)) {
    refuse("audience", audience, "an audience of this server's own; this one belongs to the Kubernetes API");
  }
  // The API server's audience is the issuer unless it is configured, and no issuer is a relying party of its own tokens.
  if (audience === issuer) refuse("audience", audience, "an audience of this server's own; this one is the issuer");
}

/** @throws {Error} naming key, value and what was expected */
export function refuseSetting(at: string, key: string, value: string | undefined, expected: string): never {
  throw new Error(`${at}.${key}: ${JSON.stringify(value) ?? "nothing"}: expected ${expected}`);
}

/** True for an https URL, or http on loopback, without user information or fragment. */
export function isFetchable(text: string): boolean {
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
export function withoutUserinfo(url: string): string {
  return url.replace(/\/\/[^/?#]*@/, "//…@");
}
