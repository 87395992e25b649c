/**
 * An issuing CA revoked by its root (RFC 5280 §5): one statement marks it, lets the next one of its line issue, and puts its certificate among
 * what the root's next list has. First it is said what that would mean.
 */
import { readCertificate } from "../x509/certificate.ts";
import type { Issuers } from "./issuer.ts";
import type { IssuerRevocationStore } from "./issuerRevocationPorts.ts";
import type { IssuerStore, StoredIssuer } from "./ports.ts";
import { isValid, nextOf } from "./rotation/succession.ts";

/** What a revocation would mean. */
export interface IssuerRevocationOutlook {
  readonly issuer: StoredIssuer;
  readonly serialNumber: Buffer;
  /** The root that revokes it, and where its list is. */
  readonly rootId: string;
  readonly listUrl: string;
  /** What would issue in its place; undefined where nothing would, or it does not issue. */
  readonly next: StoredIssuer | undefined;
  /** True where its line would issue nothing. */
  readonly stopsLine: boolean;
}

/** It cannot be revoked; the message is for the operator. */
export class IssuerNotRevoked extends Error {
  override readonly name = "IssuerNotRevoked";
}

interface RevokingParts {
  readonly store: Pick<IssuerStore, "readIssuers"> & IssuerRevocationStore;
  readonly issuers: Pick<Issuers, "listIssuers" | "reread">;
  readonly now: () => Date;
}

/**
 * Undefined where there is no such issuer.
 * @throws {IssuerNotRevoked} where it is no issuing CA of a root of ours, or is revoked already
 */
export async function outlookOf(
  id: string,
  { store, issuers, now }: RevokingParts,
): Promise<IssuerRevocationOutlook | undefined> {
  const stored = await store.readIssuers();
  const issuer = stored.find((one) => one.id === id);
  if (issuer === undefined) return undefined;
  const { certificate, parentId, kind, state, revokedAt } = issuer;
  if (kind !== "issuing")
    throw new IssuerNotRevoked(
      "it is no issuing CA: a root is taken from wherever it is trusted, and what is above another's CA is its owner's to revoke",
    );
  if (certificate === null) throw new IssuerNotRevoked("it has no certificate; give it up with: mayfly issuers retire");
  if (revokedAt !== null) throw new IssuerNotRevoked(`it was revoked at ${revokedAt.toISOString()}`);
  const { serialNumber, notAfter } = readCertificate(certificate);
  if (notAfter <= now()) throw new IssuerNotRevoked(`its certificate ended on ${notAfter.toISOString()}`);
  const root = issuers.listIssuers().find((one) => one.id === parentId && one.certifies === "CACerts");
  if (root === undefined)
    throw new IssuerNotRevoked(
      "the key of the CA above it is not here: have whoever holds it revoke the certificate, and end the issuer with: mayfly issuers retire --force",
    );
  const next = state === "active" ? successorOf(issuer, stored, now()) : undefined;
  const stopsLine = state === "active" && next === undefined;
  return { issuer, serialNumber, rootId: root.id, listUrl: root.listUrl(0), next, stopsLine };
}

/** What can issue in its place now. */
function successorOf(issuer: StoredIssuer, stored: readonly StoredIssuer[], now: Date): StoredIssuer | undefined {
  const next = nextOf(issuer, stored);
  return next?.certificate && isValid(next.certificate, now) ? next : undefined;
}

/**
 * Resolves to what was done.
 * @param anyway true where the line may be left without an issuer
 * @throws {IssuerNotRevoked}
 */
export async function revokeIssuer(
  id: string,
  { anyway, ...said }: { reason: number; note: string; actor: string; anyway: boolean },
  parts: RevokingParts,
): Promise<IssuerRevocationOutlook> {
  const outlook = await outlookOf(id, parts);
  if (outlook === undefined) throw new IssuerNotRevoked("there is no such issuer");
  const { issuer, next, serialNumber, stopsLine } = outlook;
  if (stopsLine && !anyway)
    throw new IssuerNotRevoked(
      `it is the active one, and nothing would issue for the line ${issuer.name}: prepare the next one first, or confirm that this is meant`,
    );
  const { state } = issuer;
  const done = await parts.store.revokeIssuer({ ...said, id, state, nextId: next?.id ?? null, serialNumber });
  if (!done) throw new IssuerNotRevoked("it, or what follows it, was moved at the same moment; look again");
  await parts.issuers.reread();
  return outlook;
}
