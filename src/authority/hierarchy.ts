/**
 * The first hierarchy: one root and one issuing CA, made at first start or by `mayfly init` where the database has none. The root signs
 * CAs and nothing else.
 */
import { createHash, randomUUID } from "node:crypto";

import type { KeyKind, KeyProvider, Signer } from "../keys/signer.ts";
import type { NameConstraints } from "../x509/nameConstraints.ts";
import { encodeName } from "../x509/name.ts";
import { defaultIssuerName } from "./issuer.ts";
import { rootListUrl, rootShards } from "./listUrl.ts";
import { findOrGenerate, signCa } from "./makeCa.ts";
import type { IssuerStore, NewIssuer } from "./ports.ts";

export interface HierarchyOptions {
  readonly keys: KeyProvider;
  readonly store: IssuerStore;
  readonly trustDomain: string;
  /** Label of the issuing key in the token; the root's is this with `-root` behind it. */
  readonly keyLabel: string;
  /** Of the root's key, and of the issuing key where nothing else is said. */
  readonly keyKind: KeyKind;
  readonly issuingKeyKind?: KeyKind;
  readonly rootLifetimeDays: number;
  readonly issuingLifetimeDays: number;
  /** What the issuing CA's certificates may be about. */
  readonly nameConstraints?: NameConstraints | undefined;
  /** In how many lists the issuing CA's revoked certificates are told. */
  readonly crlShards: number;
  /** URLs of revocation lists start with it; without a slash at the end. */
  readonly publicUrl: string;
  readonly now: Date;
}

/**
 * Makes the hierarchy of this database where there is none.
 * @returns true when root and issuing CA are new
 * @throws {Error} with a sentence for the operator
 */
export async function establishHierarchy(options: HierarchyOptions): Promise<boolean> {
  return await options.store.exclusively(async () => {
    if ((await options.store.readIssuers()).length > 0) return false;
    await makeHierarchy(options);
    return true;
  });
}

async function makeHierarchy(options: HierarchyOptions): Promise<void> {
  const { keys, store, keyLabel, keyKind, issuingKeyKind = keyKind, trustDomain, now } = options;
  const rootKey = await findOrGenerate(keys, `${keyLabel}-root`, keyKind);
  const certifiedKey = await findOrGenerate(keys, keyLabel, issuingKeyKind);
  const start = new Date(Math.floor(now.getTime() / 1000) * 1000 - 60_000);
  const ends = (days: number): Date => new Date(start.getTime() + days * 86_400_000 - 1000);

  const rootName = encodeName({ organization: "Mayfly", commonName: shortName(`Mayfly Root CA ${trustDomain}`) });
  const rootNotAfter = ends(options.rootLifetimeDays);
  const signedByRoot = { subject: rootName, spki: rootKey.spki, algorithm: rootKey.algorithm };
  const rootCertificate = await signCa(rootKey, {
    issuer: { ...signedByRoot, certificate: undefined },
    subject: rootName,
    spki: rootKey.spki,
    notBefore: start,
    notAfter: rootNotAfter,
    pathLength: 1,
    trustDomain,
  });

  const root = newIssuer("root", rootKey, rootCertificate, rootNotAfter, rootShards);

  const issuingNotAfter = new Date(Math.min(ends(options.issuingLifetimeDays).getTime(), rootNotAfter.getTime()));
  const issuingCertificate = await signCa(rootKey, {
    issuer: { ...signedByRoot, certificate: rootCertificate, crlUrl: rootListUrl(options.publicUrl, root.id) },
    subject: encodeName({ organization: "Mayfly", commonName: shortName(`Mayfly Issuing CA 1 ${trustDomain}`) }),
    spki: certifiedKey.spki,
    notBefore: start,
    notAfter: issuingNotAfter,
    pathLength: 0,
    trustDomain,
    nameConstraints: options.nameConstraints,
  });

  const issuing = newIssuer("issuing", certifiedKey, issuingCertificate, issuingNotAfter, options.crlShards);
  await store.insertIssuers([root, { ...issuing, parentId: root.id }], true);
}

const newIssuer = (
  kind: "root" | "issuing",
  key: Signer,
  certificate: Buffer,
  notAfter: Date,
  crlShards: number,
): NewIssuer => ({
  id: randomUUID(),
  kind,
  name: defaultIssuerName,
  generation: 1,
  state: "active",
  certificate,
  request: null,
  keyLabel: key.label,
  signatureAlgorithm: key.algorithm,
  parentId: null,
  crlShards,
  notAfter,
  spkiSha256: createHash("sha256").update(key.spki).digest(),
});

/** X.520 caps a common name at 64 characters (ub-common-name). */
const shortName = (name: string): string => name.slice(0, 64);
