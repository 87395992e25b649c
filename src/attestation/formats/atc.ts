/**
 * Format `atc`: an authority token (RFC 9447 §4), by which a configured token authority vouches that the holder of an account key may
 * have a SPIFFE ID. Level `key`: it counts for that account key alone.
 *
 * Our profile of RFC 9447 for the identifier type `uri`: `tktype` is `uri`, `tkvalue` the identifier to the byte, `fingerprint` the JWK
 * thumbprint of the account key (RFC 7638, as in RFC 8555 §8.1), and `iss` is required, because neither `x5u` nor `x5c` is looked at.
 */
import { Type } from "typebox";
import { parseSpiffeId } from "../../x509/spiffeId.ts";
import { parseObject, tokenBytesMax } from "../compactJws.ts";
import { claimOf, type Claims, EvidenceRefused, invalid, isClaims, malformed } from "../evidence.ts";
import type { EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import {
  checkTokenSource,
  openTokenSource,
  refuseSetting,
  tokenProperties,
  withoutUserinfo,
  type TokenSettings,
  type TokenSource,
} from "../tokenSource.ts";
import { verifyToken, type TokenRules } from "../token.ts";

/** The segments of the path that grants can name; a longer path is derived by fixed text only. */
const atcPathClaimNames = Array.from({ length: 16 }, (_, index) => `path${index + 1}`);

export interface AtcSettings extends TokenSettings {
  /** `token-authority` of tkauth-01 (RFC 9447 §3), where one is told. */
  readonly tokenAuthorityUrl?: string;
}

export const atcFormat: EvidenceFormat<AtcSettings> = {
  name: "atc",
  properties: {
    ...tokenProperties,
    tokenAuthorityUrl: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        description:
          "https URL where clients get tokens, told them in tkauth-01 as token-authority. Never fetched here.",
      }),
    ),
  },
  check(settings, at) {
    checkTokenSource(settings, at);
    const { tokenAuthorityUrl: url } = settings;
    if (url !== undefined && !isHttps(url)) {
      refuseSetting(at, "tokenAuthorityUrl", withoutUserinfo(url), "an https URL without user information");
    }
  },
  // sub is absent where the authority states none.
  claimNames: [...atcPathClaimNames, "jti", "sub"],
  levels: ["key"],
  open: (settings, surroundings) =>
    openTokenSource(settings, surroundings, (item, context, source) => verifyAtc(item, source, context)),
};

function isHttps(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return protocol === "https:" && username === "" && password === "";
}

/** RFC 9447 §4 wants `exp` and `jti`; the account key stands in for the audience. */
const authorityToken: TokenRules = { iat: "optional", aud: "optional", jti: "required" };
const fingerprintForm = /^SHA256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/;
/** SHA-256 in base64url: 43 characters, the last of which has two bits to spare. */
const thumbprintForm = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
const subCharactersMax = 1024;

/**
 * Yields flat claims: path1, path2 … for the segments of the SPIFFE ID, jti, and sub where the token has one.
 *
 * A `cnf` (RFC 7800) with `jkt` (RFC 9449 §6.1) fixes the key to be certified; any other `cnf` is refused, for what it confirms would be
 * lost. Like a platform's token, the authority's ends with its showing and puts no end to the certificate.
 * @throws {EvidenceRefused}
 * @throws {SourceUnavailable}
 */
export async function verifyAtc(
  item: EvidenceItem,
  source: TokenSource,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const token = await verifyToken(item, source, context, authorityToken);
  requireAtc(token.claims, context);
  const certificateKey = certificateKeyOf(token.claims);
  return {
    format: item.format,
    ref: item.ref,
    ...token,
    claims: readAtcClaims(token.claims, context.identifier.value),
    bindingLevel: "key",
    ...(certificateKey !== undefined && { certificateKey }),
  };
}

/**
 * The issuer that a token names, unverified: good for finding whose keys to try, and nothing else. Undefined for what is no token.
 */
export function namedIssuer(value: string): string | undefined {
  if (value.length > tokenBytesMax) return undefined;
  const [, payload = "", ...rest] = value.split(".", 4);
  if (rest.length !== 1) return undefined;
  const claims = parseObject(Buffer.from(payload, "base64url"));
  const iss = claims && claimOf(claims, "iss");
  return typeof iss === "string" ? iss : undefined;
}

/** `SHA256 ` and the thumbprint as its octets in upper-case hex between colons (RFC 9447 §4). */
export function fingerprintOf(thumbprint: Buffer): string {
  return `SHA256 ${[...thumbprint].map((octet) => octet.toString(16).padStart(2, "0").toUpperCase()).join(":")}`;
}

/** RFC 9447 §4: type, value and binding, and what kind of certificate is meant. */
function requireAtc(token: Claims, { identifier, accountKey }: VerificationContext): void {
  const atc = claimOf(token, "atc");
  if (!isClaims(atc)) throw malformed("The token has no atc that is an object");
  const [tktype, tkvalue, fingerprint] = ["tktype", "tkvalue", "fingerprint"].map((name) => requireText(atc, name));
  const ca = Object.hasOwn(atc, "ca") ? claimOf(atc, "ca") : false;
  if (typeof ca !== "boolean") throw malformed("The token's ca is neither true nor false");
  if (ca) throw invalid("The token is for the certificate of a CA, which is not issued here");
  if (identifier.type !== "uri" || tktype !== identifier.type) {
    throw invalid("The token is for an identifier of another type");
  }
  if (tkvalue !== identifier.value)
    throw new EvidenceRefused("identityNotDerived", "The token vouches for another identifier");
  if (fingerprint === fingerprintOf(accountKey)) return;
  if (fingerprintForm.test(fingerprint ?? "")) {
    throw new EvidenceRefused("bindingMismatch", "The token is bound to another account key");
  }
  throw malformed("The token's fingerprint is not SHA256, a space and 32 octets AA:BB:… of a hash");
}

function requireText(atc: Claims, name: string): string {
  const value = claimOf(atc, name);
  if (typeof value !== "string" || value === "") {
    throw malformed(`The token's atc has no ${name} that is a text`);
  }
  return value;
}

/** The path is cut here, so that a grant speaks of segments and never of a part of one. */
function readAtcClaims(token: Claims, spiffeId: string): Claims {
  const { segments } = parseSpiffeId(spiffeId);
  const named = segments.slice(0, atcPathClaimNames.length).map((segment, index) => [`path${index + 1}`, segment]);
  const [sub, jti = ""] = [claimOf(token, "sub"), claimOf(token, "jti")];
  if (sub !== undefined && (typeof sub !== "string" || sub.length > subCharactersMax)) {
    throw malformed(`The token's sub is not a text of at most ${subCharactersMax} characters`);
  }
  return { ...Object.fromEntries(named), jti, ...(sub !== undefined && { sub }) };
}

function certificateKeyOf(token: Claims): string | undefined {
  const cnf = claimOf(token, "cnf");
  if (cnf === undefined) return undefined;
  const jkt = isClaims(cnf) && Object.keys(cnf).length === 1 ? claimOf(cnf, "jkt") : undefined;
  if (typeof jkt === "string" && thumbprintForm.test(jkt)) return jkt;
  throw malformed("The token's cnf is not a jkt alone, the SHA-256 thumbprint of a key");
}
