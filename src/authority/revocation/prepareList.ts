/** Prepares a revocation list (RFC 5280 §5.1.2): what is on it and how long it stands → the bytes to be signed. Pure. */
import { encodeTbsCertificateList, type RevokedEntries } from "../../x509/certificateListWriter.ts";
import type { IssuingDistributionPoint } from "../../x509/certificateListExtensions.ts";
import type { ListBounds, ListTurn } from "../certificateListPorts.ts";
import type { ListIssuer } from "../issuer.ts";
import { firstSerialOf } from "../serialNumber.ts";

/** How long lists stand; seconds. */
export interface ListTimes {
  /** From thisUpdate to nextUpdate. */
  readonly lifetimeSeconds: number;
  /** A list that nothing changed in is made anew after this. */
  readonly intervalSeconds: number;
}

/** A list before it is linted and signed. */
export interface PreparedList {
  /** DER TBSCertList. */
  readonly tbs: Buffer;
  readonly issuer: ListIssuer;
  readonly turn: ListTurn;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly times: ListTimes;
  /** How many entries it was to have. */
  readonly entries: number;
}

/** Whole seconds, and the issuer's end where that comes first: no list counts for longer than the key that signed it. */
export function prepareList(
  issuer: ListIssuer,
  turn: ListTurn,
  revoked: { readonly entries: RevokedEntries; readonly count: number },
  times: ListTimes,
  now: Date,
): PreparedList {
  const thisUpdate = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const end = thisUpdate.getTime() + times.lifetimeSeconds * 1000;
  const nextUpdate = new Date(Math.min(end, issuer.notAfter.getTime()));
  const tbs = encodeTbsCertificateList(
    {
      signatureAlgorithm: issuer.key.algorithm,
      issuer: issuer.subject,
      thisUpdate,
      nextUpdate,
      authorityKeyIdentifier: issuer.subjectKeyIdentifier,
      number: turn.number,
      distributionPoint: distributionPointOf(issuer, turn),
    },
    revoked.entries,
  );
  return { tbs, issuer, turn, thisUpdate, nextUpdate, times, entries: revoked.count };
}

/**
 * Nothing but leaves comes from an issuing CA, each naming its list. A root has one complete list: it names no point, for CA certificates from
 * before roots had lists name none, and it is about these too (RFC 5280 §5.2.5).
 */
const distributionPointOf = (issuer: ListIssuer, { shard }: ListTurn): IssuingDistributionPoint => ({
  url: issuer.certifies === "CACerts" ? undefined : issuer.listUrl(shard),
  onlyContains: issuer.certifies,
});

/**
 * What expired before this time is left out: an entry stays for a list's lifetime after the certificate's end, so that whoever fetches a list
 * only when the one before ends sees it on one that was issued beyond the end, and in any case until there was such a list (RFC 5280 §3.3).
 */
export function boundsOf(
  { certifies }: ListIssuer,
  { newest }: ListTurn,
  { lifetimeSeconds }: ListTimes,
  now: Date,
): ListBounds {
  const settled = now.getTime() - lifetimeSeconds * 1000;
  const expiredBefore = new Date(Math.min(settled, newest?.thisUpdate.getTime() ?? settled));
  // The serial numbers of leaves begin with the day of their end; those of CAs are random.
  return { expiredBefore, firstSerial: certifies === "CACerts" ? Buffer.alloc(0) : firstSerialOf(expiredBefore) };
}
