/**
 * The issuers that there are now. What is held here may be behind the database by a second; that is why an issuer that is to follow is
 * published before it is active, and one that was active goes on counting.
 */
import { isPostQuantum } from "../keys/keyAlgorithms.ts";
import type { KeyProvider } from "../keys/signer.ts";
import { KeyUnavailable } from "../keys/signer.ts";
import { readCertificate } from "../x509/certificate.ts";
import { pemEncode } from "../x509/pem.ts";
import { readAlternateChains, type ChainFile, type OwnCertificates } from "./alternateChains.ts";
import { keyIdentifierIn } from "./caCertificate.ts";
import type { ChainStore } from "./ceremonyPorts.ts";
import type { Chain } from "./chain.ts";
import { issuingKey } from "./issuingKey.ts";
import { defaultIssuerName, type Issuer, type Issuers, type TrustAnchor } from "./issuer.ts";
import { isInUse, viewOf, type IssuersView } from "./issuersView.ts";
import { createListingRoots } from "./listingRoots.ts";
import { listUrl as listUrlOf } from "./listUrl.ts";
import type { IssuerStore, StoredIssuer } from "./ports.ts";
import { standardChains, type CertifiedIssuer } from "./standardChains.ts";

export interface IssuersOptions {
  readonly keys: KeyProvider;
  readonly store: Pick<IssuerStore, "readIssuers">;
  readonly trustDomain: string;
  /** PEM files of chains that start with a certificate for a root's or an issuing CA's key; see alternateChains.ts. */
  readonly alternateChains?: readonly ChainFile[];
  /** Those of the database. */
  readonly chains?: Pick<ChainStore, "readChains">;
  /** URLs that stand in certificates start with it; without a slash at the end. */
  readonly publicUrl: string;
  readonly now: () => Date;
  /** Told of every set of issuers that differs from the one before, the first included. */
  readonly onChange?: (issuers: Issuers) => Promise<void>;
  /** Told once of an issuer that cannot be used here, and why. */
  readonly onUnusable?: (issuer: StoredIssuer, reason: string) => void;
}

/**
 * Opens the issuers of this database.
 * @throws {Error} with a sentence for the operator: none, of another trust domain, expired, or the key of the default line's active one is
 *   not here
 */
export async function openIssuers(options: IssuersOptions): Promise<Issuers> {
  const usable = new Map<string, Issuer>();
  const complained = new Set<string>();
  const listingRoots = createListingRoots(options);
  const start = options.now();
  /** Why the active issuer of the default line cannot be used. */
  let unusable: string | undefined;
  let view = await read();
  let told = view.mark;
  requireDefault(view);

  async function read(): Promise<IssuersView> {
    const stored = await options.store.readIssuers();
    const certified = stored.filter((one): one is CertifiedIssuer => one.certificate !== null);
    const chains = standardChains(certified);
    const found = new Map<string, Issuer>();
    for (const one of certified) {
      if (one.kind !== "issuing" || !isInUse(one)) continue;
      const issuer = await usableIssuer(one, chains.get(one.id)?.pem ?? "");
      if (issuer !== undefined) found.set(one.id, issuer);
    }
    const offered = (await options.chains?.readChains()) ?? [];
    const alternates = (own: OwnCertificates): ReadonlyMap<string, readonly Chain[]> =>
      readAlternateChains(options.alternateChains ?? [], offered, own, { start, now: options.now() });
    const roots = await listingRoots(certified.filter((one) => one.kind === "root" && isInUse(one)));
    return viewOf(stored, certified, chains, { usable: found, roots }, alternates);
  }

  /** The key is looked for once; what changes afterwards is the state. */
  async function usableIssuer(stored: CertifiedIssuer, chainPem: string): Promise<Issuer | undefined> {
    const known = usable.get(stored.id);
    if (known !== undefined && known.chainPem === chainPem) {
      const same = known.state === stored.state ? known : { ...known, state: stored.state };
      usable.set(stored.id, same);
      return same;
    }
    const { spki } = readCertificate(stored.certificate);
    const { signatureAlgorithm: algorithm } = stored;
    // One key that may not be used, or not with its issuer's algorithm, must not take the other issuers with it.
    const signer = await options.keys
      .find({ spki, ...(algorithm !== null && { algorithm }) })
      .catch((error: unknown) => {
        if (error instanceof KeyUnavailable || !(error instanceof Error)) throw error;
        complain(stored, `the key of the issuing CA (label ${stored.keyLabel}) cannot be used: ${error.message}`);
        return undefined;
      });
    if (signer === undefined) {
      complain(
        stored,
        `the key of the issuing CA (label ${stored.keyLabel}) was not found in ${options.keys.description}; ` +
          "start with the key provider that made this CA, or with an empty database",
      );
      return undefined;
    }
    const issuer = issuerOf(stored, issuingKey(signer), chainPem, options.publicUrl);
    usable.set(stored.id, issuer);
    return issuer;
  }

  /** Once for each issuer. */
  function complain(stored: StoredIssuer, reason: string): void {
    if (complained.has(stored.id)) return;
    complained.add(stored.id);
    if (stored.name === defaultIssuerName && stored.state === "active") unusable = reason;
    options.onUnusable?.(stored, reason);
  }

  function requireDefault({ roots, active }: IssuersView): void {
    const [root] = roots;
    if (root === undefined)
      throw new Error(
        "the database holds an incomplete CA hierarchy: there is no root; finish the ceremony that began it",
      );
    const issuer = active.get(defaultIssuerName);
    const named = issuer === undefined ? [] : [issuer.certificate];
    requireTrustDomain([...named, root.certificate], options.trustDomain);
    if (issuer === undefined) throw new Error(unusable ?? "no issuing CA of this database is active; activate one");
    if (issuer.notAfter <= options.now())
      throw new Error(`the issuing CA expired on ${issuer.notAfter.toISOString()}; prepare the next one`);
  }

  const issuers: Issuers = {
    active(name) {
      const issuer = view.active.get(name);
      if (issuer === undefined) throw new KeyUnavailable(`no issuer of the line ${name} is active here`);
      requireValid(issuer, options.now());
      return issuer;
    },
    byId: (id) => view.usable.get(id),
    all: () => [...view.usable.values()],
    listIssuers: () => view.listIssuers,
    roots: () => view.roots,
    rootPem: () => pemOf(widelyRead(view.roots)),
    postQuantumRootPem: () => pemOf(view.roots),
    bundleSequence: () => view.sequence,
    issuerIdsOf: (identifier) => view.byKeyIdentifier.get(identifier.toString("hex")) ?? [],
    chainsOf(id, now) {
      const first = view.standard.get(id);
      const others = view.alternates.get(id) ?? [];
      return first === undefined ? [] : [first, ...others.filter(({ notAfter }) => notAfter > now)];
    },
    published: () => view.published,
    reread: oneAfterTheOther(async () => {
      const next = await read();
      if (next.mark === told) return;
      view = next;
      await options.onChange?.(issuers);
      told = next.mark; // What could not be told is told again.
    }),
  };
  await options.onChange?.(issuers);
  return issuers;
}

/** Whoever asks while it is done shares what begins after that: everybody sees what was there when he asked. */
function oneAfterTheOther(act: () => Promise<void>): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  return () => {
    if (next !== undefined) return next;
    const mine = last.then(() => {
      next = undefined;
      return act();
    });
    next = mine;
    last = mine.catch(() => undefined);
    return mine;
  };
}

const pemOf = (roots: readonly TrustAnchor[]): string =>
  roots.map(({ certificate }) => pemEncode("CERTIFICATE", certificate)).join("");

/** Without the roots whose keys old parsers do not know, as long as others are left. */
function widelyRead(roots: readonly TrustAnchor[]): readonly TrustAnchor[] {
  const read = roots.filter(({ certificate }) => {
    const { signatureAlgorithm } = readCertificate(certificate); // A root's own, and so its key's.
    return signatureAlgorithm === undefined || !isPostQuantum(signatureAlgorithm);
  });
  return read.length > 0 ? read : roots;
}

/**
 * A CA speaks for one trust domain, and its certificate, or that of its root, says for which (X.509-SVID §3.2). Other people's PKIs may say
 * nothing.
 */
function requireTrustDomain(certificates: readonly Buffer[], trustDomain: string): void {
  for (const certificate of certificates) {
    const named = readCertificate(certificate).names.uri.filter((uri) => uri.startsWith("spiffe:"));
    if (named.includes(`spiffe://${trustDomain}`)) return;
    if (named.length === 0) continue;
    throw new Error(
      `trustDomain: ${JSON.stringify(trustDomain)}: the CA in this database is that of ${named.join(", ")}`,
    );
  }
}

/** A clock may be so far behind the one by which an issuer was made. */
const clockDifferenceMs = 3_600_000;

/** What an issuer signs that has ended, or that a clock made which was far ahead, no relying party takes. @throws {KeyUnavailable} */
function requireValid({ name, notBefore, notAfter }: Issuer, now: Date): void {
  if (notAfter > now && notBefore.getTime() - clockDifferenceMs <= now.getTime()) return;
  const validity = `from ${notBefore.toISOString()} until ${notAfter.toISOString()}`;
  throw new KeyUnavailable(`the issuer of the line ${name} is valid ${validity}, and it is ${now.toISOString()} here`);
}

/** The serial number's octet by which revoked certificates are told in lists; see `serialNumber`. */
const listOctet = 2;

function issuerOf(stored: CertifiedIssuer, key: Issuer["key"], chainPem: string, publicUrl: string): Issuer {
  const certificate = readCertificate(stored.certificate);
  const { id, name, generation, state, crlShards } = stored;
  const listUrl = (shard: number): string => listUrlOf(publicUrl, id, shard);
  return {
    id,
    name,
    generation,
    state,
    certifies: "UserCerts",
    certificate: stored.certificate,
    subject: certificate.subject,
    subjectKeyIdentifier: keyIdentifierIn(certificate),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    key,
    chainPem,
    crlShards,
    listUrl,
    crlUrl: (serialNumber) => listUrl((serialNumber[listOctet] ?? 0) % crlShards),
    ocspUrl: `${publicUrl}/ocsp/${id}`,
  };
}
