/**
 * Format `jwt`: an OIDC or other workload token of a configured issuer (RFC 7519). Level `nonce` when its audience holds the binding
 * value, else `bearer`.
 */
import type { EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import {
  checkTokenSource,
  openTokenSource,
  tenantClaimsOfIssuer,
  tokenProperties,
  type TokenSettings,
  type TokenSource,
} from "../tokenSource.ts";
import { verifyToken } from "../token.ts";

export const jwtFormat: EvidenceFormat<TokenSettings> = {
  name: "jwt",
  properties: tokenProperties,
  check: checkTokenSource,
  claimNames: undefined,
  tenantClaims: tenantClaimsOfIssuer,
  levels: ["nonce", "bearer"],
  open: (settings, surroundings) =>
    openTokenSource(settings, surroundings, (item, context, source) => verifyJwt(item, source, context)),
};

/**
 * Yields the claims as they stand in the token.
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
): Promise<VerifiedEvidence> {
  return { format: item.format, ref: item.ref, ...(await verifyToken(item, source, context)) };
}
