/**
 * The decision: who may have a certificate with which names. Pure. Only this file makes an `Authorized` value, and nothing is
 * prepared or signed without one.
 */
import type { GrantedIdentity } from "./grantedIdentity.ts";
import type { GrantOrigin } from "./grants.ts";
import type { Door, OnClone, Renewal, StoredGrant } from "./ports.ts";
import type { Profile, RequestedValidity } from "./profile.ts";

declare const authorized: unique symbol;

export interface CertificateNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
  readonly permanentIdentifiers: readonly string[];
}

/** The names of each type of identifier. */
const membersOf = {
  dns: "dns",
  ip: "ip",
  uri: "uri",
  "permanent-identifier": "permanentIdentifiers",
} as const satisfies Record<string, keyof CertificateNames>;
type IdentifierType = keyof typeof membersOf;

export interface Authorization {
  readonly door: Door;
  readonly orderId: string | null;
  readonly accountId: string | null;
  readonly names: CertificateNames;
  readonly profile: Profile;
  readonly validity: RequestedValidity;
  /** What proved each name; recorded with the certificate, so it may hold digests and claims but no evidence. */
  readonly evidence: readonly ProofRecord[];
  /** What the grants can give that the names proved by evidence rest on. */
  readonly granted: readonly { readonly name: string; readonly identity: GrantedIdentity }[];
  /** The grant of the database that gave the identity, which must still stand when the intent is written. */
  readonly storedGrant: StoredGrant | null;
  readonly renewal: Renewal | null;
}

/** Names, profile and proof that belong together. The brand cannot be written outside this file. */
export type Authorized = Authorization & { readonly [authorized]: true };

/** Names or profile that do not go together; `message` is fit for the client. */
export class NotAuthorized extends Error {
  override readonly name = "NotAuthorized";
}

/** One identifier of an order and how it was proved; `attested` carries the attestation record. */
export interface Proof {
  readonly identifier: { readonly type: IdentifierType; readonly value: string };
  readonly proved:
    | {
        readonly by: "challenge";
        readonly challenge: string;
        readonly at: string;
        /** The ancestor that was proved in place of the name (RFC 9444). */
        readonly of?: string;
      }
    | { readonly by: "attestation"; readonly record: AttestationProof };
}

/** What is recorded of a proof: names of an order have theirs each, those of the listener are proved by being configured. */
export type ProofRecord = Proof | { readonly proved: { readonly by: "configuration"; readonly key: string } };

/** The part of an attestation record that the decision looks at; the rest travels with it into the inventory. */
export interface AttestationProof {
  readonly grant: string;
  readonly grantVersion: string;
  readonly notAfterCap?: string;
  /** By which grant the platform's evidence was accepted, now or before the renewals. */
  readonly platform?: { readonly grant: string; readonly grantVersion: string };
  /** Serials in hexadecimal. */
  readonly renewal?: { readonly lineage: string; readonly from: string; readonly onClone: OnClone };
}

/** What a grant says today, as far as the second question at finalize needs it. */
export interface CurrentGrant {
  readonly name: string;
  readonly version: string;
  readonly origin: GrantOrigin;
  readonly identity: GrantedIdentity;
  readonly profile: string;
  readonly maxLifetimeSeconds?: number;
}

/**
 * Decides an order at finalize, with today's policy: every identifier is proved, the profile admits their types, and each grant
 * that allowed an identity still reads as it did when the evidence was judged.
 * @throws {NotAuthorized}
 */
export function authorizeOrder(
  order: { id: string; accountId: string; validity: RequestedValidity },
  proofs: readonly Proof[],
  profile: Profile,
  grants: ReadonlyMap<string, CurrentGrant>,
): Authorized {
  if (proofs.length === 0) throw new NotAuthorized("the order has no authorized identifier");
  const names = { dns: [] as string[], ip: [] as string[], uri: [] as string[], permanentIdentifiers: [] as string[] };
  const granted: { name: string; identity: GrantedIdentity }[] = [];
  let notAfterCap: Date | undefined;
  let lifetimeMaxSeconds: number | undefined;
  let storedGrant: StoredGrant | null = null;
  let renewal: Renewal | null = null;
  for (const { identifier, proved } of proofs) {
    const { type, value } = identifier;
    names[membersOf[type]].push(value);
    if ((type === "uri" || type === "permanent-identifier") && proved.by !== "attestation") {
      // H-26: no downgrade to a weaker challenge.
      throw new NotAuthorized("a SPIFFE ID or device is authorized by evidence only");
    }
    if (proved.by !== "attestation") continue;
    const grant = currentGrant(proved.record, profile, grants);
    granted.push({ name: value, identity: grant.identity });
    if (grant.origin === "database") storedGrant = { name: grant.name, version: grant.version };
    renewal = renewalOf(proved.record, grants) ?? renewal;
    lifetimeMaxSeconds = least(lifetimeMaxSeconds, grant.maxLifetimeSeconds);
    const { notAfterCap: cap } = proved.record;
    notAfterCap = least(notAfterCap, cap === undefined ? undefined : new Date(cap));
  }
  requireAdmitted(names, profile);
  return {
    door: "acme",
    orderId: order.id,
    accountId: order.accountId,
    names,
    profile,
    validity: { ...order.validity, notAfterCap, lifetimeMaxSeconds },
    evidence: proofs,
    granted,
    storedGrant,
    renewal,
  } as unknown as Authorized;
}

/** The server's own listener: names from its configuration, proved by being configured. */
export function authorizeListener(names: CertificateNames, profile: Profile): Authorized {
  requireAdmitted(names, profile);
  return {
    door: "listener",
    orderId: null,
    accountId: null,
    names,
    profile,
    validity: {},
    evidence: [{ proved: { by: "configuration", key: "externalUrl" } }],
    granted: [],
    storedGrant: null,
    renewal: null,
  } as unknown as Authorized;
}

function requireAdmitted(names: CertificateNames, profile: Profile): void {
  for (const type of Object.keys(membersOf) as IdentifierType[]) {
    if (names[membersOf[type]].length > 0 && !profile.identifiers.includes(type)) {
      throw new NotAuthorized(`profile ${profile.name} does not allow ${type} identifiers`);
    }
  }
  // X.509-SVID §2: exactly one URI SAN.
  const uris = names.uri.length;
  if (uris > 1 || (uris === 0 && profile.identifiers.includes("uri"))) {
    throw new NotAuthorized(`profile ${profile.name} needs exactly one uri identifier`);
  }
  if (names.permanentIdentifiers.length > 1) throw new NotAuthorized("a certificate is for one device");
}

/** What is renewed rests on the grant that accepted the platform's evidence as well. */
function renewalOf(
  { renewal, platform }: AttestationProof,
  grants: ReadonlyMap<string, CurrentGrant>,
): Renewal | undefined {
  if (renewal === undefined) return undefined;
  const grant = platform && grants.get(platform.grant);
  if (grant === undefined || grant.version !== platform?.grantVersion)
    throw new NotAuthorized("the policy has changed since the platform's evidence was judged");
  return {
    lineage: Buffer.from(renewal.lineage, "hex"),
    previous: Buffer.from(renewal.from, "hex"),
    onClone: renewal.onClone,
    platformGrant: grant.origin === "database" ? { name: grant.name, version: grant.version } : null,
  };
}

function currentGrant(
  record: AttestationProof,
  profile: Profile,
  grants: ReadonlyMap<string, CurrentGrant>,
): CurrentGrant {
  const grant = grants.get(record.grant);
  if (grant === undefined || grant.version !== record.grantVersion) {
    throw new NotAuthorized("the policy has changed since the evidence was judged; make a new order");
  }
  if (grant.profile !== profile.name) throw new NotAuthorized("the grant does not allow this profile");
  return grant;
}

const least = <T extends Date | number>(a: T | undefined, b: T | undefined): T | undefined =>
  a === undefined || (b !== undefined && b < a) ? b : a;
