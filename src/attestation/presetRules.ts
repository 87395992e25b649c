/** What a preset makes of a source of format `jwt`, and of its tokens. Pure. */
import { readClaim, type ClaimReference } from "./claimReference.ts";
import { EvidenceRefused, type BindingLevel, type Claims, type ClaimValue } from "./evidence.ts";
import { presets, type Preset, type RequiredClaim } from "./presets.ts";
import { checkTokenSource, refuseSetting, withoutUserinfo, type TokenSettings } from "./tokenSource.ts";

/** Settings of a source of format `jwt`: its preset may say who the issuer is. */
export interface JwtSettings extends Omit<TokenSettings, "issuer"> {
  readonly issuer?: string;
  readonly preset?: string;
  readonly tenantId?: string;
}

/** What a platform's tokens must say besides what every token must. */
export interface PresetRules {
  readonly requires: readonly RequiredClaim[];
  readonly instance?: Preset["instance"];
  readonly bindingClaim?: ClaimReference;
}
export const noRules: PresetRules = { requires: [] };

const byName: ReadonlyMap<string, Preset> = new Map(presets.map((preset) => [preset.name, preset]));

/**
 * Refuses settings that cannot work with their preset, or without one.
 * @param at - where they stand, for messages
 * @throws {Error} naming key, value and what was expected
 */
export function checkJwtSettings(settings: JwtSettings, at = `sources.${settings.ref}`): void {
  const preset = presetOf(settings);
  const { issuer, tenantId } = settings;
  const needsTenant = preset?.issuers.some((one) => one.includes("{tenantId}")) ?? false;
  if (needsTenant !== (tenantId !== undefined)) {
    const expected = needsTenant
      ? `the id of the tenant, for preset ${preset?.name}`
      : "none, with any preset but Azure's";
    refuseSetting(at, "tenantId", tenantId, expected);
  }
  if (issuer === undefined && (preset === undefined || preset.issuers.length === 0)) {
    refuseSetting(
      at,
      "issuer",
      issuer,
      `the exact iss of the tokens${preset ? `, for preset ${preset.name}` : ", or a preset"}`,
    );
  }
  if (issuer !== undefined && preset !== undefined && !isIssuerOf(preset, issuer, tenantId)) {
    const known = preset.issuers.map((one) => filled(one, { tenantId }));
    const expected = [...known, ...(preset.ownIssuer ? ["that of an installation or account of your own"] : [])];
    refuseSetting(at, "issuer", withoutUserinfo(issuer), `${expected.join(" or ")}, for preset ${preset.name}`);
  }
  checkTokenSource(withPreset(settings), at);
}

const isIssuerOf = ({ issuers, ownIssuer }: Preset, issuer: string, tenantId: string | undefined): boolean =>
  issuers.some((one) => filled(one, { tenantId }) === issuer) || ownIssuer?.test(issuer) === true;

const presetOf = ({ preset }: JwtSettings): Preset | undefined =>
  preset === undefined ? undefined : byName.get(preset);

/** Settings with what the preset knows; what a source says itself counts. */
export function withPreset(settings: JwtSettings): TokenSettings {
  const { tenantId, preset: _, ...own } = settings;
  const preset = presetOf(settings);
  const issuer = settings.issuer ?? filled(preset?.issuers[0] ?? "", { tenantId });
  if (preset === undefined) return { ...own, issuer };
  const { algorithms, typ, maxAgeSeconds, maxLifetimeSeconds, jwksUrl } = preset;
  const ownKeys = own.jwksFile !== undefined || own.jwksUrl !== undefined;
  return {
    ...(algorithms && { algorithms: [...algorithms] }),
    ...(typ !== undefined && { typ }),
    ...(maxAgeSeconds !== undefined && { maxAgeSeconds }),
    ...(maxLifetimeSeconds !== undefined && { maxLifetimeSeconds }),
    ...(jwksUrl !== undefined && !ownKeys && { jwksUrl: filled(jwksUrl, { issuer, tenantId }) }),
    ...own,
    issuer,
  };
}

/** What tokens of a source must say besides. */
export function rulesOf(settings: JwtSettings): PresetRules {
  const { requires = [], instance, bindingClaim } = presetOf(settings) ?? {};
  const { tenantId } = settings;
  return {
    requires: requires.map(({ equals, ...one }) => ({
      ...one,
      equals: typeof equals === "string" ? filled(equals, { tenantId }) : equals,
    })),
    ...(instance && { instance }),
    ...(bindingClaim !== undefined && { bindingClaim }),
  };
}

/**
 * The claims that tell the tenants of this issuer apart; undefined where it has one tenant. An issuer that a preset knows has its
 * tenants also without the preset.
 */
export function tenantClaimsOf(settings: JwtSettings): readonly string[] | undefined {
  const preset = presetOf(settings);
  const known = presets.find(({ issuers }) => settings.issuer !== undefined && issuers.includes(settings.issuer));
  return preset?.tenantClaims ?? known?.tenantClaims;
}

function filled(text: string, values: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(/\{(\w+)\}/g, (braces, name: string) => values[name] ?? braces);
}

/** @throws {EvidenceRefused} as the first rule that is broken says */
export function requireClaims(claims: Claims, { requires }: PresetRules): void {
  for (const { claim, equals, refusal } of requires) {
    if (readClaim(claims, claim) !== equals) {
      throw new EvidenceRefused(refusal, `The token's ${claim} is not what this source asks for`);
    }
  }
}

const instancePartCharactersMax = 256;

/** Printable ASCII, its parts joined by slashes. @throws {EvidenceRefused} evidenceInvalid, when a part is missing or unusable */
export function instanceOf(claims: Claims, { instance }: PresetRules): string | undefined {
  if (instance === undefined) return undefined;
  const parts = instance.claims.map((claim) => readClaim(claims, claim));
  if (instance.mayLack === true && parts.every((part) => part === undefined)) return undefined;
  return parts.map((part, index) => instancePart(part, instance.claims[index] ?? "")).join("/");
}

function instancePart(value: ClaimValue | undefined, claim: ClaimReference): string {
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text === "string" && /^[\x21-\x7e]+$/.test(text) && text.length <= instancePartCharactersMax) return text;
  throw new EvidenceRefused("evidenceInvalid", `The token's ${claim} does not name an instance`);
}

/** RFC 9711 §4.1 as Confidential Space limits it. */
const nonce = { least: 8, most: 88, count: 6 };

/**
 * The level that a token reaches with what stands in the platform's own place for a binding value; `reached` without any.
 * @throws {EvidenceRefused} evidenceMalformed · bindingMismatch, when something stands there that is not B
 */
export function boundByClaim(
  claims: Claims,
  { bindingClaim }: PresetRules,
  binding: string | undefined,
  reached: BindingLevel,
): BindingLevel {
  const found = bindingClaim === undefined ? undefined : readClaim(claims, bindingClaim);
  if (found === undefined) return reached;
  const values: readonly ClaimValue[] = Array.isArray(found) ? found : [found];
  const usable = ({ length }: string) => length >= nonce.least && length <= nonce.most;
  if (
    values.length === 0 ||
    values.length > nonce.count ||
    !values.every((one) => typeof one === "string" && usable(one))
  ) {
    throw new EvidenceRefused("evidenceMalformed", `The token's ${bindingClaim} is not one to ${nonce.count} nonces`);
  }
  if (binding !== undefined && values.includes(binding)) return "nonce";
  throw new EvidenceRefused("bindingMismatch", "The token is bound to another challenge, account or key");
}
