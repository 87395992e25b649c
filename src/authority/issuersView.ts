/** What is answered from about issuers, made of what the database holds: nothing here asks or keeps. */
import { readCertificate } from "../x509/certificate.ts";
import type { OwnCertificates } from "./alternateChains.ts";
import { keyIdentifierIn } from "./caCertificate.ts";
import { publishedCertificates, type Chain, type PublishedCertificate } from "./chain.ts";
import type { Issuer, IssuerState, ListIssuer, TrustAnchor } from "./issuer.ts";
import type { StoredIssuer } from "./ports.ts";
import type { CertifiedIssuer } from "./standardChains.ts";

/** Everything that is answered from, replaced as a whole. */
export interface IssuersView {
  readonly mark: string;
  readonly usable: ReadonlyMap<string, Issuer>;
  readonly listIssuers: readonly ListIssuer[];
  readonly active: ReadonlyMap<string, Issuer>;
  readonly roots: readonly TrustAnchor[];
  readonly sequence: number;
  readonly byKeyIdentifier: ReadonlyMap<string, readonly string[]>;
  readonly standard: ReadonlyMap<string, Chain>;
  readonly alternates: ReadonlyMap<string, readonly Chain[]>;
  readonly published: ReadonlyMap<string, PublishedCertificate>;
}

/** States in which a key is needed. */
const inUse: readonly IssuerState[] = ["published", "active", "retiring"];
/** Whether an issuer's key must be here. */
export const isInUse = ({ state }: Pick<StoredIssuer, "state">): boolean => inUse.includes(state);

/**
 * Puts together what is answered from until the database says something else.
 * @param certified those of `stored` that have a certificate
 * @param standard their standard chains, by id
 * @param found the issuers whose keys are here, and the roots that publish lists
 * @param alternatesOf further chains, by the id of the issuing CA
 */
export function viewOf(
  stored: readonly StoredIssuer[],
  certified: readonly CertifiedIssuer[],
  standard: ReadonlyMap<string, Chain>,
  found: { usable: ReadonlyMap<string, Issuer>; roots: readonly ListIssuer[] },
  alternatesOf: (own: OwnCertificates) => ReadonlyMap<string, readonly Chain[]>,
): IssuersView {
  const { usable, roots: listing } = found;
  const issuing = certified.filter(({ kind }) => kind === "issuing");
  const roots = certified.filter(({ kind }) => kind === "root");
  const revoked = new Set(issuing.filter(({ revokedAt }) => revokedAt !== null).map(({ id }) => id));
  // Another way up would lead around the revocation.
  const alternates = new Map(
    [...alternatesOf({ roots, issuing, chains: standard })].filter(([id]) => !revoked.has(id)),
  );
  const byKeyIdentifier = new Map<string, string[]>();
  for (const { id, certificate } of issuing) {
    const identifier = keyIdentifierIn(readCertificate(certificate)).toString("hex");
    byKeyIdentifier.set(identifier, [...(byKeyIdentifier.get(identifier) ?? []), id]);
  }
  const ways = [
    ...issuing.map((one) => [...(standard.get(one.id)?.certificates ?? []), ...rootAbove(one, certified)]),
    ...roots.map(({ certificate }) => [certificate]),
    ...[...alternates.values()].flat().map(({ certificates }) => certificates),
  ];
  return {
    mark: JSON.stringify([
      stored.map(({ id, state, certificate, revokedAt }) => [
        id,
        state,
        certificate !== null,
        revokedAt,
        usable.has(id),
      ]),
      listing.map(({ id }) => id),
      [...alternates].map(([id, chains]) => [id, chains.map((chain) => chain.id)]),
    ]),
    usable,
    listIssuers: [...usable.values(), ...listing],
    active: new Map([...usable.values()].filter(({ state }) => state === "active").map((one) => [one.name, one])),
    roots: anchorsOf(roots),
    sequence: sequenceOf(stored),
    byKeyIdentifier,
    standard,
    alternates,
    published: publishedCertificates(ways),
  };
}

function rootAbove(issuing: CertifiedIssuer, certified: readonly CertifiedIssuer[]): Buffer[] {
  let at: CertifiedIssuer | undefined = issuing;
  while (at !== undefined && at.kind !== "root") {
    const { parentId }: CertifiedIssuer = at;
    at = certified.find(({ id }) => id === parentId);
  }
  return at === undefined ? [] : [at.certificate];
}

function anchorsOf(roots: readonly CertifiedIssuer[]): TrustAnchor[] {
  const rank = ({ state }: CertifiedIssuer): number => (state === "active" ? 0 : state === "published" ? 1 : 2);
  return roots
    .filter(isInUse)
    .sort((a, b) => rank(a) - rank(b))
    .map(({ id, state, certificate }) => ({ id, state, certificate, notAfter: readCertificate(certificate).notAfter }));
}

/** The second of the newest change of the set of roots: published, or retired. */
function sequenceOf(stored: readonly StoredIssuer[]): number {
  const changes = stored
    .filter(({ kind }) => kind === "root")
    .flatMap(({ createdAt, publishedAt, retiredAt }) => [publishedAt ?? createdAt, ...(retiredAt ? [retiredAt] : [])]);
  return Math.floor(Math.max(0, ...changes.map((at) => at.getTime())) / 1000);
}
