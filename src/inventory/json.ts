/** Inventory records as JSON. Octets are lower-case hexadecimal, times RFC 3339 in UTC. */
import { pemEncode } from "../x509/pem.ts";
import { reasonName } from "../x509/revocationReason.ts";
import type { CertificateRecord, CertificateState, IdentityRecord } from "./ports.ts";

const seconds = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;

/** Revoked counts before expired: that it was revoked is the more telling fact. */
export function stateOf(
  { revokedAt, notAfter }: Pick<CertificateRecord, "revokedAt" | "notAfter">,
  now: Date,
): CertificateState {
  if (revokedAt !== null) return "revoked";
  return notAfter < now ? "expired" : "valid";
}

/** What the attestation records of an order say at a glance; the whole of it is in `evidence`. */
interface AttestedFacts {
  readonly source?: string;
  readonly format?: string;
  readonly digest?: string;
  readonly bindingLevel?: string;
  readonly grant?: string;
  readonly grantVersion?: string;
}

function attested(evidence: unknown): AttestedFacts | undefined {
  if (!Array.isArray(evidence)) return undefined;
  const proofs = evidence as { proved?: { by?: string; record?: AttestedFacts } }[];
  return proofs.find(({ proved }) => proved?.by === "attestation")?.proved?.record;
}

/** One entry of `/api/v1/certificates`, with its state at `now`. */
export function certificateJson(record: CertificateRecord, now: Date): object {
  const facts = attested(record.evidence);
  return {
    serial: record.serial.toString("hex"),
    state: stateOf(record, now),
    fingerprintSha256: record.fingerprint.toString("hex"),
    spkiSha256: record.spkiSha256.toString("hex"),
    identity: { id: record.identityId, name: record.identity },
    spiffeId: record.spiffeId,
    permanentIdentifier: record.permanentIdentifier,
    dnsNames: record.dnsNames,
    ipAddresses: record.ipAddresses,
    door: record.door,
    account: record.accountId,
    order: record.orderId,
    profile: record.profile,
    profileHash: record.profileHash.toString("hex"),
    issuer: record.issuerId,
    evidenceDigest: facts?.digest ?? null,
    evidenceSource: facts?.source ?? null,
    evidenceFormat: facts?.format ?? null,
    bindingLevel: facts?.bindingLevel ?? null,
    rule: facts?.grant ?? null,
    ruleVersion: facts?.grantVersion ?? null,
    evidence: record.evidence,
    notBefore: seconds(record.notBefore),
    notAfter: seconds(record.notAfter),
    issuedAt: record.issuedAt.toISOString(),
    revokedAt: record.revokedAt === null ? null : seconds(record.revokedAt),
    revocationReason: record.revocationReason,
    revokedBy: record.revokedBy,
    revocation: revocationJson(record),
    replaces: record.replaces?.toString("hex") ?? null,
    replacedBy: record.replacedBy?.toString("hex") ?? null,
    incidents: record.incidents,
    pem: pemEncode("CERTIFICATE", record.der),
  };
}

/** Who revoked it, why, and since when lists tell of it; null where it is not revoked. */
function revocationJson(record: CertificateRecord): object | null {
  if (record.revokedAt === null) return null;
  return {
    by: record.revokedBy,
    reason: reasonName(record.revocationReason),
    note: record.revocationNote,
    action: record.revocationAction,
    publishedAt: record.revocationPublishedAt?.toISOString() ?? null,
    listNumber: record.revocationListNumber,
  };
}

/** One entry of `/api/v1/identities`, with the URL of its certificates. */
export function identityJson(record: IdentityRecord, externalUrl: string): object {
  const filter = filterOf(record);
  return {
    id: record.id,
    kind: record.kind,
    name: record.name,
    firstIssuedAt: record.firstIssuedAt.toISOString(),
    lastIssuedAt: record.lastIssuedAt.toISOString(),
    certificateCount: record.certificateCount,
    newestSerial: record.newestSerial.toString("hex"),
    certificates: `${externalUrl}/api/v1/certificates${filter}`,
  };
}

/** What leads from an identity to its certificates; for a set of names to the newest of them. */
function filterOf({ kind, name, newestSerial }: IdentityRecord): string {
  if (kind === "spiffe") return `?spiffeId=${encodeURIComponent(name)}`;
  if (kind === "device")
    return `?permanentIdentifier=${encodeURIComponent(name.slice("permanent-identifier ".length))}`;
  return `/${newestSerial.toString("hex")}`;
}
