/**
 * Format `spiffe-jwt`: a JWT-SVID (SPIFFE JWT-SVID) of one trust domain, verified with its bundle. Each trust domain is a source of its
 * own, because bundles are never merged (SPIFFE Federation §4.2).
 */
import { type Static, Type } from "typebox";
import { isTrustDomain, parseSpiffeId, SpiffeIdError, type SpiffeId } from "../../x509/spiffeId.ts";
import { claimOf, type Claims, invalid } from "../evidence.ts";
import type { EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat, SourceSettings } from "../format.ts";
import { openSourceKeys } from "../jwks.ts";
import {
  checkTokenSource,
  configureTokenSource,
  refuseSetting,
  tokenProperties,
  type TokenSettings,
  type TokenSource,
} from "../tokenSource.ts";
import { verifyToken, type TokenRules } from "../token.ts";
import { optionalPath } from "../settings.ts";

/** JWT-SVID §2.1: no other, and so no EdDSA. */
const svidAlgorithms = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"] as const;
/** The segments of the path that grants can name. */
const pathClaimNames = Array.from({ length: 16 }, (_, index) => `path${index + 1}`);
const maxLifetimeSeconds = 3600;

const { clockSkewSeconds, maxAgeSeconds, audience } = tokenProperties;
const spiffeJwtProperties = {
  trustDomain: Type.String({
    minLength: 1,
    maxLength: 255,
    description: "The trust domain whose SPIFFE IDs count, and no other.",
  }),
  bundleFile: optionalPath("File with the trust domain's bundle (a JWK Set); read again when it changes."),
  bundleUrl: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 2048,
      description: "Where the bundle is fetched (profile https_web): https, or http on loopback.",
    }),
  ),
  bundleCaFile: optionalPath(
    "PEM file of the CA certificates that bundleUrl's server is verified by, in place of Node's own.",
  ),
  audience,
  algorithms: Type.Optional(
    Type.Array(Type.Enum(svidAlgorithms), {
      minItems: 1,
      uniqueItems: true,
      description: "Accepted signature algorithms; all of the standard unless said.",
    }),
  ),
  clockSkewSeconds,
  maxAgeSeconds,
  maxLifetimeSeconds: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 604_800, description: "Longest remaining life accepted; 3600 unless said." }),
  ),
};
const spiffeJwtSchema = Type.Object(spiffeJwtProperties);
export type SpiffeJwtSettings = SourceSettings & Static<typeof spiffeJwtSchema>;

export const spiffeJwtFormat: EvidenceFormat<SpiffeJwtSettings> = {
  name: "spiffe-jwt",
  properties: spiffeJwtProperties,
  check: checkSpiffeJwtSettings,
  claimNames: ["spiffeId", "trustDomain", "pathLength", ...pathClaimNames],
  levels: ["nonce", "bearer"],
  open(settings, surroundings) {
    const tokens = tokenSettings(settings);
    const source = configureTokenSource(tokens, openSourceKeys(tokens, { ...surroundings, use: "jwt-svid" }));
    return { verify: (item, context) => verifySpiffeJwt(item, source, settings.trustDomain, context) };
  },
};

function checkSpiffeJwtSettings(settings: SpiffeJwtSettings, at = `sources.${settings.ref}`): void {
  const { trustDomain, bundleFile, bundleUrl } = settings;
  if (!isTrustDomain(trustDomain)) refuseSetting(at, "trustDomain", trustDomain, "a trust domain without spiffe://");
  if ((bundleFile === undefined) === (bundleUrl === undefined))
    throw new Error(`${at}: expected exactly one of bundleFile and bundleUrl`);
  try {
    checkTokenSource(tokenSettings(settings), at);
  } catch (error) {
    // There it is a key set; here the operator has written a bundle.
    throw error instanceof Error ? new Error(error.message.replaceAll("jwks", "bundle")) : error;
  }
}

/** A bundle is a key set to whoever verifies tokens; whatever `iss` says, the trust domain is in `sub`. */
function tokenSettings({
  trustDomain,
  bundleFile,
  bundleUrl,
  bundleCaFile,
  ...rest
}: SpiffeJwtSettings): TokenSettings {
  return {
    algorithms: [...svidAlgorithms],
    maxLifetimeSeconds,
    ...rest,
    issuer: `spiffe://${trustDomain}`,
    ...(bundleFile !== undefined && { jwksFile: bundleFile }),
    ...(bundleUrl !== undefined && { jwksUrl: bundleUrl }),
    ...(bundleCaFile !== undefined && { jwksCaFile: bundleCaFile }),
  };
}

/** JWT-SVID §3: `sub`, `aud` and `exp`; whatever else is there is not looked at. */
const svid: TokenRules = { iss: "ignored", iat: "optional", aud: "required", jti: "optional" };

/**
 * Yields flat claims: spiffeId, trustDomain, path1 … path16 for the segments of the path, and pathLength, their number.
 *
 * `exp` ends the evidence, as with every token; it is no cap on the certificate.
 * @param trustDomain - the only one whose SPIFFE IDs this source may state
 * @throws {EvidenceRefused}
 * @throws {SourceUnavailable}
 */
export async function verifySpiffeJwt(
  item: EvidenceItem,
  source: TokenSource,
  trustDomain: string,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const token = await verifyToken(item, source, context, svid);
  return { format: item.format, ref: item.ref, ...token, claims: readSvidClaims(token.claims, trustDomain) };
}

function readSvidClaims(token: Claims, trustDomain: string): Claims {
  const sub = claimOf(token, "sub");
  const id = typeof sub === "string" ? spiffeIdIn(sub) : undefined;
  if (typeof sub !== "string" || id === undefined) throw invalid("The token's sub is not the SPIFFE ID of a workload");
  if (id.trustDomain !== trustDomain) throw invalid("The token's sub is of another trust domain than its source");
  const named = id.segments.slice(0, pathClaimNames.length).map((segment, index) => [`path${index + 1}`, segment]);
  return { spiffeId: sub, trustDomain, pathLength: id.segments.length, ...Object.fromEntries(named) };
}

function spiffeIdIn(sub: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(sub);
  } catch (error) {
    if (error instanceof SpiffeIdError) return undefined;
    throw error;
  }
}
