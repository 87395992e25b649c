/**
 * Format `x509-pop`: possession of a certificate that another CA gave, or this one before. The certificate's key signs the binding value, so
 * the level is `nonce`. Whether a certificate of this CA may be renewed by it, its lineage says, which is not known here.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Static, Type } from "typebox";
import { createLru } from "../../cache/lru.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { DerError } from "../../x509/der.ts";
import { readExtendedKeyUsage, readKeyUsage } from "../../x509/extensions.ts";
import { readableCommonName } from "../../x509/name.ts";
import { oids } from "../../x509/oid.ts";
import { isTrustDomain, parseSpiffeId, SpiffeIdError, type SpiffeId } from "../../x509/spiffeId.ts";
import { evidenceDigest } from "../binaryEvidence.ts";
import {
  type CertificateChain,
  fingerprintOf,
  readForeignCertificate,
  readPemCertificates,
  type TrustedRoots,
  type VerifiedSignatures,
  verifyChain,
} from "../certificateChain.ts";
import {
  type Claims,
  type EvidenceItem,
  EvidenceRefused,
  invalid,
  malformed,
  oneTimeIdOfEvidence,
  type VerificationContext,
  type VerifiedEvidence,
} from "../evidence.ts";
import type { EvidenceFormat, SourceSettings } from "../format.ts";
import {
  type PossessionClaims,
  possessionSecondsMax,
  readPossessionClaims,
  readPossessionJws,
  requirePossession,
} from "../possessionJws.ts";

const properties = {
  kind: Type.Enum(["node", "spiffe", "own"], {
    description:
      "node: certificates of any CA. spiffe: X.509-SVIDs of another trust domain. own: certificates of this server, for renewal.",
  }),
  trustBundleFile: Type.Optional(
    Type.String({ minLength: 1, maxLength: 4096, description: "PEM file of the CA certificates that are trusted." }),
  ),
  trustDomain: Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, description: "Of the SVIDs; with kind spiffe, and with no other." }),
  ),
  clockSkewSeconds: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 60, description: "Tolerance for the client's clock; 30 unless said." }),
  ),
};
const schema = Type.Object(properties);
export type X509PopSettings = SourceSettings & Static<typeof schema>;

/** What a source trusts, opened; `trustDomain` is that of the SVIDs, undefined for kind node. */
export interface X509PopTrust {
  readonly roots: TrustedRoots;
  readonly trustDomain: string | undefined;
  readonly verified?: VerifiedSignatures;
}

/** Path segments and names that have a claim each. */
const segmentsMax = 16;
const namesMax = 8;
const numbered = (name: string, most: number): string[] => Array.from({ length: most }, (_, i) => `${name}${i + 1}`);
const verifiedSignaturesMax = 512;

export const x509PopFormat: EvidenceFormat<X509PopSettings> = {
  name: "x509-pop",
  properties,
  check({ kind, trustBundleFile, trustDomain }, at) {
    const refuse = (key: string, value: unknown, expected: string): never => {
      throw new Error(`${at}.${key}: ${JSON.stringify(value) ?? "nothing"}: expected ${expected}`);
    };
    if ((kind === "own") !== (trustBundleFile === undefined))
      refuse("trustBundleFile", trustBundleFile, "a PEM file with kind node or spiffe, and none with kind own");
    if ((kind === "spiffe") !== (trustDomain !== undefined))
      refuse("trustDomain", trustDomain, "a trust domain with kind spiffe, and none with the others");
    if (trustDomain !== undefined && !isTrustDomain(trustDomain))
      refuse("trustDomain", trustDomain, "lower-case letters, digits, dots, dashes and underscores");
  },
  claimNames: [
    "spiffeId",
    "trustDomain",
    "pathLength",
    ...numbered("path", segmentsMax),
    "subjectCommonName",
    ...numbered("dns", namesMax),
    ...numbered("ip", namesMax),
    ...numbered("uri", namesMax),
    "serial",
    "fingerprint",
    "issuerFingerprint",
    "rootFingerprint",
  ],
  levels: ["nonce"],
  renews: ({ kind }) => kind === "own",
  open(settings, { trustDomain, ownAuthorities }) {
    const { kind, trustBundleFile = "" } = settings;
    if (settings.trustDomain === trustDomain)
      throw new Error(
        `attestation source ${settings.ref}: trustDomain: ${JSON.stringify(trustDomain)}: expected another trust domain than the server's: its own certificates are shown to a source of kind own, which knows revoked ones and clones`,
      );
    const certificates =
      kind === "own" ? (ownAuthorities?.() ?? []).map(readForeignCertificate) : readBundle(trustBundleFile);
    const trust = {
      roots: { certificates, fingerprints: [] },
      trustDomain: kind === "own" ? trustDomain : settings.trustDomain,
      verified: createLru<string, true>(verifiedSignaturesMax),
    };
    return { verify: async (item, context) => verifyX509Pop(item, settings, trust, context) };
  },
};

function readBundle(file: string): Certificate[] {
  try {
    return readPemCertificates(readFileSync(file, "latin1"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`trustBundleFile: ${JSON.stringify(file)}: ${reason}`, { cause: error });
  }
}

/**
 * Yields flat claims: of an SVID spiffeId, trustDomain and path1 … path16; of any certificate subjectCommonName, dns1 … dns8, ip1 …, uri1 …,
 * serial, fingerprint, issuerFingerprint and rootFingerprint (SHA-256, lower-case hex). The instance of a foreign certificate is its key.
 * @throws {EvidenceRefused}
 */
export function verifyX509Pop(
  item: EvidenceItem,
  settings: Pick<X509PopSettings, "kind" | "clockSkewSeconds">,
  trust: X509PopTrust,
  context: VerificationContext,
): VerifiedEvidence {
  const jws = readPossessionJws(item.value);
  const [first, ...others] = jws.certificates;
  const { clockSkewSeconds = 30, kind } = settings;
  // All sizes before any signature, and signatures from the root down: CPU is spent for keys that somebody trusted vouches for.
  const chain = verifyChain(first, others, trust.roots, {
    now: context.now,
    clockSkewSeconds,
    leafKeyUsage: "digitalSignature",
    purposeOfCas: "clientAuth",
    ...(trust.verified !== undefined && { verified: trust.verified }),
  });
  requireLeaf(chain.leaf);
  const id = trust.trustDomain === undefined ? undefined : svidOf(chain.leaf, trust.trustDomain);
  requirePossession(jws, chain.publicKey);
  const claims = readPossessionClaims(jws.payload);
  requireTimes(claims, context.now, clockSkewSeconds);
  requireOurs(claims, context);
  const { leaf } = chain;
  const end = new Date(claims.exp * 1000);
  return {
    format: item.format,
    ref: item.ref,
    claims: claimsOf(chain, id),
    bindingLevel: "nonce",
    digest: evidenceDigest(item),
    oneTimeId: oneTimeIdOfEvidence(item.ref, jws.signingInput),
    replayUntil: new Date(end.getTime() + clockSkewSeconds * 1000),
    expires: end < leaf.notAfter ? end : leaf.notAfter,
    ...(kind === "own"
      ? { renews: { serial: leaf.serialNumber, fingerprint: Buffer.from(fingerprintOf(leaf.der), "hex") } }
      : { instance: `spki:${createHash("sha256").update(leaf.spki).digest("hex")}`, notAfterCap: leaf.notAfter }),
  };
}

/** Of the usages that a CA's key has none (X509-SVID §4.3), and where purposes are stated, a client's among them. */
function requireLeaf({ extensions }: Certificate): void {
  const valueOf = (oid: string) => extensions.find((extension) => extension.oid === oid)?.value;
  try {
    const usages = readKeyUsage(valueOf(oids.keyUsage) ?? Buffer.alloc(0), { lenient: true });
    if (usages.includes("keyCertSign") || usages.includes("cRLSign"))
      throw invalid("The certificate's key is one that signs certificates or revocation lists");
    const purposes = valueOf(oids.extendedKeyUsage);
    const named = purposes === undefined ? ["clientAuth"] : readExtendedKeyUsage(purposes);
    if (!named.includes("clientAuth") && !named.includes(oids.anyExtendedKeyUsage))
      throw invalid("The certificate is not one by which a client proves itself");
  } catch (error) {
    if (error instanceof DerError) throw malformed("The certificate has a malformed extension");
    throw error;
  }
}

/** The SPIFFE ID of an X.509-SVID (X509-SVID §5.2): exactly one URI, of this trust domain, with a path. */
function svidOf({ names }: Certificate, trustDomain: string): SpiffeId {
  const [uri = "", ...more] = names.uri;
  if (more.length > 0) throw invalid("An X.509-SVID has exactly one URI");
  try {
    const id = parseSpiffeId(uri);
    if (id.trustDomain === trustDomain) return id;
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error;
    throw invalid("The certificate is no X.509-SVID");
  }
  throw invalid("The certificate is of another trust domain than the source's");
}

function requireTimes({ iat, exp }: PossessionClaims, now: Date, skew: number): void {
  const at = now.getTime() / 1000;
  if (exp - iat > possessionSecondsMax || exp <= iat)
    throw invalid(`The proof is valid for longer than ${possessionSecondsMax} seconds, or not at all`);
  if (at > exp + skew) throw new EvidenceRefused("evidenceExpired", "The proof has expired");
  if (iat > at + skew) throw new EvidenceRefused("evidenceExpired", "The proof was made in the future");
}

function requireOurs({ aud, binding }: PossessionClaims, context: VerificationContext): void {
  if (aud !== context.audience) throw invalid("The proof was made for another server");
  if (context.binding === undefined)
    throw new EvidenceRefused("bindingMissing", "The challenge commits to no key that the proof could be bound to");
  if (binding !== context.binding)
    throw new EvidenceRefused("bindingMismatch", "The proof is bound to another challenge, account or key");
}

function claimsOf({ leaf, certificates, rootSha256 }: CertificateChain, id: SpiffeId | undefined): Claims {
  const list = (name: string, values: readonly string[], most: number) =>
    values.slice(0, most).map((value, i) => [`${name}${i + 1}`, value] as const);
  const commonName = readableCommonName(leaf.subject);
  const issuer = certificates[1];
  return Object.fromEntries<string | number>([
    ...(id === undefined ? [] : [["spiffeId", `spiffe://${id.trustDomain}${id.path}`] as const]),
    ...(id === undefined ? [] : [["trustDomain", id.trustDomain] as const]),
    ...(id === undefined ? [] : [["pathLength", id.segments.length] as const]),
    ...list("path", id?.segments ?? [], segmentsMax),
    ...(commonName === undefined ? [] : [["subjectCommonName", commonName] as const]),
    ...list("dns", leaf.names.dns, namesMax),
    ...list("ip", leaf.names.ip, namesMax),
    ...list("uri", leaf.names.uri, namesMax),
    ["serial", leaf.serial],
    ["fingerprint", fingerprintOf(leaf.der)],
    ["issuerFingerprint", fingerprintOf(issuer?.der ?? leaf.der)],
    ["rootFingerprint", rootSha256],
  ]);
}
