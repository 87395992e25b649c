/**
 * The certificate for an issuing CA that waits for it: looked at in full, and brought into the database with the CAs above it. Used by
 * ceremonies, and by whoever prepared the next issuer while the root's key is elsewhere.
 */
import { createHash, randomUUID } from "node:crypto";

import type { KeyProvider } from "../keys/signer.ts";
import type { Certificate } from "../x509/certificate.ts";
import { readBasicConstraints } from "../x509/extensions.ts";
import { readCaRequest, type CaRequest } from "../x509/csr.ts";
import { oids } from "../x509/oid.ts";
import { CertificateInRefused, firstCertificate, readCertificateIn, type CertificateIn } from "./certificateIn.ts";
import type { CertificateStore } from "./ceremonyPorts.ts";
import { defaultIssuerName } from "./issuer.ts";
import { rootIdOf, rootShards } from "./listUrl.ts";
import type { IssuerStore, NewIssuer, StoredIssuer } from "./ports.ts";

export interface CertifyingGround {
  readonly store: IssuerStore & CertificateStore;
  readonly keys: KeyProvider;
  readonly trustDomain: string;
  readonly now: () => Date;
}

/** What came back. */
export interface Arrival {
  /** Our certificate first, each of those behind it the issuer of the one before. */
  readonly pem: string;
  /** Where the root is not among them. */
  readonly rootPem: string | undefined;
  /** True where another subject than the one that was asked for is taken. */
  readonly anySubject: boolean;
}

/** Whose certificate it is: an issuer of this line, and this one where an operator named it. */
export interface Awaiting {
  readonly name: string;
  readonly id?: string;
}

/** A certificate that may be brought in, or that is in the database already. */
export interface Certifiable {
  readonly issuer: StoredIssuer;
  readonly arrived: CertificateIn;
  readonly done: boolean;
}

/** Whether this is an issuer without a certificate that may still get one: not one that was given up. */
export const awaitsCertificate = ({
  state,
  certificate,
  request,
}: Pick<StoredIssuer, "state" | "certificate" | "request">): boolean =>
  state === "prepared" && certificate === null && request !== null;

/**
 * Finds the issuer of a line that waits for this certificate, and looks at the certificate in full.
 * @throws {CertificateInRefused} with every reason
 */
export async function certifiable(
  { name, id }: Awaiting,
  arrival: Arrival,
  ground: CertifyingGround,
): Promise<Certifiable> {
  const { spki, der } = firstCertificate(arrival.pem);
  const issuers = (await ground.store.readIssuers()).filter((one) => one.kind === "issuing" && one.name === name);
  const waiting = issuers.filter(awaitsCertificate);
  const issuer =
    issuers.find(({ certificate }) => certificate?.equals(der) === true) ??
    issuers.find(({ certificate, request }) => certificate === null && requestIn(request).spki.equals(spki));
  if (issuer === undefined) {
    throw new CertificateInRefused(
      waiting.length === 0
        ? `no issuer of the line ${name} waits for a certificate`
        : `the certificate is for the key ${sha256(spki)} (SHA-256), and the line ${name} waits for one for ${waiting.map(({ request }) => sha256(requestIn(request).spki)).join(" or ")}`,
    );
  }
  if (id !== undefined && issuer.id !== id)
    throw new CertificateInRefused(`the certificate is that of issuer ${issuer.id} (${issuer.state}), not of this one`);
  if (issuer.certificate === null && !awaitsCertificate(issuer))
    throw new CertificateInRefused(`the certificate is that of issuer ${issuer.id}, which was given up`);
  const request = requestIn(issuer.request);
  const key = await ground.keys.find({
    spki,
    ...(issuer.signatureAlgorithm !== null && { algorithm: issuer.signatureAlgorithm }),
  });
  if (key === undefined)
    throw new CertificateInRefused(`the key of the certificate was not found in ${ground.keys.description}`);
  const { trustDomain } = ground;
  const { subject } = request;
  const awaited = { spki: request.spki, subject, pathLength: pathLengthOf(request), trustDomain };
  const { pem, rootPem, anySubject } = arrival;
  const arrived = readCertificateIn(pem, rootPem, { ...awaited, anySubject }, ground.now());
  return { issuer, arrived, done: issuer.certificate !== null };
}

/** Brings it in. @returns false where somebody else did so meanwhile */
export async function certifyIssuer(
  { issuer, arrived }: Certifiable,
  { store, keys }: CertifyingGround,
  actor: string,
): Promise<boolean> {
  const stored = await store.readIssuers();
  const above: NewIssuer[] = [];
  let parentId: string | null = null;
  for (const certificate of [arrived.root, ...arrived.intermediates.toReversed()]) {
    const kind = certificate === arrived.root ? "root" : "intermediate";
    const known = stored.find((one) => one.certificate?.equals(certificate.der) === true);
    if (known === undefined) above.push(await newAbove(kind, certificate, parentId, [...stored, ...above], keys));
    parentId = known?.id ?? above.at(-1)?.id ?? null;
  }
  if (parentId === null) throw new TypeError("a chain has a root");
  const { der, notAfter } = arrived.certificate;
  return await store.certify({ id: issuer.id, certificate: der, notAfter, parentId, above, actor });
}

/** A CA above ours. Its key may be here, or in a place that nobody here knows. */
async function newAbove(
  kind: "root" | "intermediate",
  certificate: Certificate,
  parentId: string | null,
  known: readonly Pick<NewIssuer, "kind" | "name" | "generation" | "state">[],
  keys: KeyProvider,
): Promise<NewIssuer> {
  const { spki, signatureAlgorithm, der, notAfter } = certificate;
  // What a self-signed certificate is signed with is what its key signs with.
  const algorithm = kind === "root" ? signatureAlgorithm : undefined;
  const key = await keys.find({ spki, ...(algorithm !== undefined && { algorithm }) }).catch(() => undefined);
  const siblings = known.filter((one) => one.kind === kind && one.name === defaultIssuerName);
  const first = kind === "intermediate" || !siblings.some(({ state }) => state === "active");
  return {
    id: kind === "root" ? rootIdOf(der) : randomUUID(),
    kind,
    name: defaultIssuerName,
    generation: Math.max(0, ...siblings.map(({ generation }) => generation)) + 1,
    state: first ? "active" : "published",
    certificate: der,
    request: null,
    keyLabel: key?.label ?? null,
    signatureAlgorithm: key?.algorithm ?? null,
    parentId,
    crlShards: rootShards, // What stands between another's root and ours has no lists of ours.
    notAfter,
    spkiSha256: createHash("sha256").update(spki).digest(),
  };
}

const sha256 = (octets: Buffer): string => createHash("sha256").update(octets).digest("hex");

/** The request that an issuer was made with. */
export function requestIn(request: Buffer | null): CaRequest {
  if (request === null) throw new CertificateInRefused("the issuer has no request, and waits for no certificate");
  return readCaRequest(request);
}

function pathLengthOf({ extensions }: CaRequest): number | undefined {
  const value = extensions.find(({ oid }) => oid === oids.basicConstraints)?.value;
  return value === undefined ? undefined : readBasicConstraints(value).pathLenConstraint;
}
