/**
 * The hierarchy: one root, one issuing CA, made at first start or by `mayfly init`, found again afterwards. The root signs the
 * issuing CA and nothing else.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";

import type { KeyProvider, Signer } from "../keys/signer.ts";
import { encodeTbsCertificate, readCertificate } from "../x509/certificate.ts";
import {
  basicConstraints,
  authorityKeyIdentifier,
  keyIdentifier,
  keyUsage,
  readSubjectAltName,
  subjectAltName,
  subjectKeyIdentifier,
} from "../x509/extensions.ts";
import { encodeName } from "../x509/name.ts";
import { oids } from "../x509/oid.ts";
import { pemEncode } from "../x509/pem.ts";
import { readAlternateChains, type ChainFile } from "./alternateChains.ts";
import { chainOf, publishedCertificates } from "./chain.ts";
import type { Hierarchy, Issuer } from "./issuer.ts";
import type { IssuerStore, StoredIssuer } from "./ports.ts";
import { signCertificate } from "./signCertificate.ts";

export interface HierarchyOptions {
  readonly keys: KeyProvider;
  readonly store: IssuerStore;
  readonly trustDomain: string;
  /** Label of the issuing key in the token; the root's is this with `-root` behind it. */
  readonly keyLabel: string;
  readonly rootLifetimeDays: number;
  readonly issuingLifetimeDays: number;
  /** PEM files of chains that start with a certificate for the root's or the issuing CA's key; see alternateChains.ts. */
  readonly alternateChains?: readonly ChainFile[];
  readonly now: Date;
}

/**
 * Finds the hierarchy of this database, or makes it where there is none.
 * @returns `made: true` when root and issuing CA are new
 * @throws {Error} with a sentence for the operator, for example when the issuing key is not in the token
 */
export async function establishHierarchy(options: HierarchyOptions): Promise<{ hierarchy: Hierarchy; made: boolean }> {
  return await options.store.exclusively(async () => {
    const stored = await options.store.readIssuers();
    if (stored.length > 0) return { hierarchy: await openHierarchy(stored, options), made: false };
    const made = await makeHierarchy(options);
    return { hierarchy: await openHierarchy(made, options), made: true };
  });
}

async function openHierarchy(
  stored: readonly StoredIssuer[],
  { keys, trustDomain, now, alternateChains = [] }: HierarchyOptions,
): Promise<Hierarchy> {
  const root = stored.find(({ kind }) => kind === "root");
  const issuing = stored.find(({ kind }) => kind === "issuing");
  if (root === undefined || issuing === undefined) throw new Error("the database holds an incomplete CA hierarchy");
  requireTrustDomain(root.certificate, trustDomain);
  const { spki, notAfter } = readCertificate(issuing.certificate);
  if (notAfter <= now)
    throw new Error(`the issuing CA expired on ${notAfter.toISOString()}; start with an empty database for a new one`);
  const signer = await keys.find({ spki });
  if (signer === undefined) {
    throw new Error(
      `the key of the issuing CA (label ${issuing.keyLabel}) is not among the ${keys.description}; ` +
        "start with the key provider that made this CA, or with an empty database",
    );
  }
  return {
    rootCertificate: root.certificate,
    rootPem: pemEncode("CERTIFICATE", root.certificate),
    issuing: issuerOf(issuing, signer),
    ...chainsOf(root, stored, alternateChains, now),
  };
}

/** What is asked about issuers of now and of before. */
function chainsOf(
  root: StoredIssuer,
  stored: readonly StoredIssuer[],
  files: readonly ChainFile[],
  start: Date,
): Pick<Hierarchy, "chainsOf" | "issuerIdsOf" | "published"> {
  const issuing = stored.filter(({ kind }) => kind === "issuing");
  const alternates = readAlternateChains(files, { root: root.certificate, issuing }, start);
  const standard = new Map(issuing.map(({ id, certificate }) => [id, chainOf([certificate])]));
  const ids = new Map<string, string[]>();
  for (const { id, certificate } of issuing) {
    const identifier = keyIdentifier(readCertificate(certificate).spki).toString("hex");
    ids.set(identifier, [...(ids.get(identifier) ?? []), id]);
  }
  const ways = [
    ...issuing.map(({ certificate }) => [certificate, root.certificate]),
    ...[...alternates.values()].flat().map(({ certificates }) => certificates),
  ];
  return {
    issuerIdsOf: (identifier) => ids.get(identifier.toString("hex")) ?? [],
    chainsOf(id, now) {
      const first = standard.get(id);
      const others = alternates.get(id) ?? [];
      return first === undefined ? [] : [first, ...others.filter(({ notAfter }) => notAfter > now)];
    },
    published: publishedCertificates(ways),
  };
}

/** A CA speaks for one trust domain: its certificate names it (X.509-SVID §3.2). */
function requireTrustDomain(certificate: Buffer, trustDomain: string): void {
  const value = readCertificate(certificate).extensions.find(({ oid }) => oid === oids.subjectAltName)?.value;
  const uris = value === undefined ? [] : readSubjectAltName(value).uri;
  if (uris.includes(`spiffe://${trustDomain}`)) return;
  throw new Error(
    `trustDomain: ${JSON.stringify(trustDomain)}: the CA in this database is that of ${uris.join(", ") || "none"}`,
  );
}

function issuerOf(stored: StoredIssuer, signer: Signer): Issuer {
  const certificate = readCertificate(stored.certificate);
  return {
    id: stored.id,
    certificate: stored.certificate,
    subject: certificate.subject,
    subjectKeyIdentifier: keyIdentifier(certificate.spki),
    notAfter: certificate.notAfter,
    signer,
    chainPem: pemEncode("CERTIFICATE", stored.certificate),
  };
}

async function makeHierarchy(options: HierarchyOptions): Promise<StoredIssuer[]> {
  const { keys, store, keyLabel, trustDomain, now } = options;
  const rootKey = await findOrGenerate(keys, `${keyLabel}-root`);
  const issuingKey = await findOrGenerate(keys, keyLabel);
  const start = new Date(Math.floor(now.getTime() / 1000) * 1000 - 60_000);
  const ends = (days: number): Date => new Date(start.getTime() + days * 86_400_000 - 1000);

  const rootName = encodeName({ organization: "Mayfly", commonName: shortName(`Mayfly Root CA ${trustDomain}`) });
  const rootNotAfter = ends(options.rootLifetimeDays);
  const rootCertificate = await signCa(rootKey, {
    issuer: rootName,
    authorityKey: rootKey,
    subject: rootName,
    subjectKey: rootKey,
    notBefore: start,
    notAfter: rootNotAfter,
    pathLength: 1,
    trustDomain,
  });

  const issuingNotAfter = new Date(Math.min(ends(options.issuingLifetimeDays).getTime(), rootNotAfter.getTime()));
  const issuingCertificate = await signCa(rootKey, {
    issuer: rootName,
    authorityKey: rootKey,
    subject: encodeName({ organization: "Mayfly", commonName: shortName(`Mayfly Issuing CA 1 ${trustDomain}`) }),
    subjectKey: issuingKey,
    notBefore: start,
    notAfter: issuingNotAfter,
    pathLength: 0,
    trustDomain,
  });

  const root: StoredIssuer = {
    id: randomUUID(),
    kind: "root",
    certificate: rootCertificate,
    keyLabel: rootKey.label,
    parentId: null,
  };
  const issuing: StoredIssuer = {
    id: randomUUID(),
    kind: "issuing",
    certificate: issuingCertificate,
    keyLabel: issuingKey.label,
    parentId: root.id,
  };
  const fact = (notAfter: Date, key: Signer) => ({
    notAfter,
    spkiSha256: createHash("sha256").update(key.spki).digest(),
  });
  await store.insertHierarchy(root, issuing, [fact(rootNotAfter, rootKey), fact(issuingNotAfter, issuingKey)]);
  return [root, issuing];
}

/** A first start that was cut off after the keys were made finds them again instead of filling the token. */
async function findOrGenerate(keys: KeyProvider, label: string): Promise<Signer> {
  return (await keys.find({ label })) ?? (await keys.generate(label, "ec-p256"));
}

interface CaTemplate {
  readonly issuer: Buffer;
  readonly authorityKey: Signer;
  readonly subject: Buffer;
  readonly subjectKey: Signer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly pathLength: number;
  readonly trustDomain: string;
}

/** A CA certificate after RFC 5280 §4.2.1.9 and X.509-SVID §3.2, §4.1, §4.3: an SVID of the trust domain itself, without a path. */
async function signCa(signer: Signer, template: CaTemplate): Promise<Buffer> {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40; // Positive and without a leading zero octet; 126 random bits stay.
  const tbs = encodeTbsCertificate({
    serialNumber: serial,
    signatureAlgorithm: signer.algorithm,
    issuer: template.issuer,
    notBefore: template.notBefore,
    notAfter: template.notAfter,
    subject: template.subject,
    spki: template.subjectKey.spki,
    extensions: [
      authorityKeyIdentifier(keyIdentifier(template.authorityKey.spki)),
      subjectKeyIdentifier(template.subjectKey.spki),
      basicConstraints({ cA: true, pathLenConstraint: template.pathLength }),
      keyUsage(["keyCertSign", "cRLSign"]),
      subjectAltName({ dns: [], ip: [], uri: [`spiffe://${template.trustDomain}`] }, false),
    ],
  });
  return await signCertificate(tbs, signer);
}

/** X.520 caps a common name at 64 characters (ub-common-name). */
const shortName = (name: string): string => name.slice(0, 64);
