/**
 * Format `jwt`: an OIDC or other workload token of a configured issuer (RFC 7519). Level `nonce` when its audience, or the platform's
 * own place for a nonce, holds the binding value, else `bearer`.
 */
import { Type } from "typebox";
import type { EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import {
  boundByClaim,
  checkJwtSettings,
  instanceOf,
  noRules,
  requireClaims,
  rulesOf,
  tenantClaimsOf,
  withPreset,
  type JwtSettings,
} from "../presetRules.ts";
import { presets } from "../presets.ts";
import { openTokenSource, tokenProperties, type TokenSource } from "../tokenSource.ts";
import { verifyToken } from "../token.ts";
import { uuidForm } from "../settings.ts";

export const jwtFormat: EvidenceFormat<JwtSettings> = {
  name: "jwt",
  properties: {
    ...tokenProperties,
    issuer: Type.Optional(tokenProperties.issuer),
    preset: Type.Optional(
      Type.Enum(
        presets.map(({ name }) => name),
        { description: "A platform: fills in what is known of its issuer, keys, limits and claims." },
      ),
    ),
    tenantId: Type.Optional(
      Type.String({
        pattern: uuidForm,
        description: "Only with preset azure-managed-identity: the directory (tenant) id.",
      }),
    ),
  },
  check: checkJwtSettings,
  claimNames: undefined,
  tenantClaims: tenantClaimsOf,
  levels: ["nonce", "bearer"],
  open(settings, surroundings) {
    const rules = rulesOf(settings);
    return openTokenSource(withPreset(settings), surroundings, (item, context, source) =>
      verifyJwt(item, source, context, rules),
    );
  },
};

/**
 * Yields the claims as they stand in the token, and the instance where the platform's preset knows what names it.
 *
 * `exp` ends the evidence and with it the authorization, but is no cap on the certificate: it says how long the token may be shown
 * (five minutes at most platforms), not how long the job that shows it will run. A grant's `maxLifetimeSeconds` limits that.
 * @throws {EvidenceRefused}
 * @throws {SourceUnavailable}
 */
export async function verifyJwt(
  item: EvidenceItem,
  source: TokenSource,
  context: VerificationContext,
  rules = noRules,
): Promise<VerifiedEvidence> {
  const token = await verifyToken(item, source, context);
  requireClaims(token.claims, rules);
  const instance = instanceOf(token.claims, rules);
  return {
    format: item.format,
    ref: item.ref,
    ...token,
    bindingLevel: boundByClaim(token.claims, rules, context.binding, token.bindingLevel),
    ...(instance !== undefined && { instance }),
  };
}
