/**
 * The extensions that say where to learn of a certificate's revocation (RFC 5280 §4.2.1.13 and §4.2.2.1), or that there is nothing to
 * learn (RFC 9608): building and reading back.
 */
import { DerError, type DerElement, contentOf, membersOf, oidOf, readDer, tags } from "./der.ts";
import { constructed, encodeDer, objectIdentifier, primitive, sequence } from "./derWriter.ts";
import type { Extension } from "./extensions.ts";
import { oids } from "./oid.ts";

const visibleAscii = /^[\x21-\x7e]+$/;
/** Tag number of the GeneralName for a URI (RFC 5280 §4.2.1.6), and its identifier octet. */
const uri = 6;
const uriTag = 0x80 | uri;

/** A certificate about which no revocation is published (RFC 9608 §2): NULL, not critical. */
export const noRevAvail: Extension = { oid: oids.noRevAvail, critical: false, value: Buffer.of(tags.null, 0) };

/** @throws {DerError} for anything but NULL */
export function readNoRevAvail(value: Uint8Array): void {
  contentOf(readDer(value), tags.null, "NoRevAvail");
}

/**
 * RFC 5280 §4.2.1.13, one DistributionPoint for each URL, whole lists by the issuer itself: neither reasons nor cRLIssuer; not critical.
 * @throws {RangeError} without any URL, or for one outside of visible ASCII
 */
export function cRLDistributionPoints(urls: readonly string[]): Extension {
  if (urls.length === 0) throw new RangeError("CRLDistributionPoints has at least one URL");
  const points = urls.map((url) => sequence(constructed(0, constructed(0, location(url)))));
  return { oid: oids.cRLDistributionPoints, critical: false, value: encodeDer(sequence(...points)) };
}

/** The URLs in their order. @throws {DerError} also for points that are not as `cRLDistributionPoints` writes them */
export function readCRLDistributionPoints(value: Uint8Array): string[] {
  const points = membersOf(readDer(value), tags.sequence, "CRLDistributionPoints");
  if (points.length === 0) throw new DerError("CRLDistributionPoints is empty");
  return points.flatMap((point) => {
    const [name, ...more] = membersOf(point, tags.sequence, "A distribution point");
    const [fullName, ...others] = membersOf(name, 0xa0, "The name of a distribution point");
    const names = membersOf(fullName, 0xa0, "The full name of a distribution point");
    if (more.length > 0 || others.length > 0 || names.length === 0) {
      throw new DerError("A distribution point has more or less than URLs");
    }
    return names.map((element) => urlOf(element, "The URL of a distribution point"));
  });
}

/** Where to ask about a certificate, and where its issuer's certificate is. */
export interface AuthorityInfoAccess {
  readonly ocsp?: readonly string[];
  readonly caIssuers?: readonly string[];
}

/** RFC 5280 §4.2.2.1; not critical. @throws {RangeError} without any URL, or for one outside of visible ASCII */
export function authorityInfoAccess({ ocsp = [], caIssuers = [] }: AuthorityInfoAccess): Extension {
  const described = (method: string, urls: readonly string[]) =>
    urls.map((url) => sequence(objectIdentifier(method), location(url)));
  const descriptions = [...described(oids.ocsp, ocsp), ...described(oids.caIssuers, caIssuers)];
  if (descriptions.length === 0) throw new RangeError("AuthorityInfoAccess has at least one URL");
  return { oid: oids.authorityInfoAccess, critical: false, value: encodeDer(sequence(...descriptions)) };
}

/** The URLs of both methods. @throws {DerError} also for other methods, and for what is no URL */
export function readAuthorityInfoAccess(value: Uint8Array): Required<AuthorityInfoAccess> {
  const found = { ocsp: [] as string[], caIssuers: [] as string[] };
  const descriptions = membersOf(readDer(value), tags.sequence, "AuthorityInfoAccess");
  if (descriptions.length === 0) throw new DerError("AuthorityInfoAccess is empty");
  for (const description of descriptions) {
    const [method, where, ...more] = membersOf(description, tags.sequence, "An access description");
    if (more.length > 0) throw new DerError("An access description has more than two members");
    const url = urlOf(where, "The URL of an access description");
    const oid = oidOf(method, "The method of an access description");
    if (oid === oids.ocsp) found.ocsp.push(url);
    else if (oid === oids.caIssuers) found.caIssuers.push(url);
    else throw new DerError("An access description has a method that is not read");
  }
  return found;
}

function location(url: string) {
  if (!visibleAscii.test(url)) throw new RangeError("A URL has a character outside of visible ASCII, or none");
  return primitive(uri, Buffer.from(url, "latin1"));
}

function urlOf(element: DerElement | undefined, what: string): string {
  const text = contentOf(element, uriTag, what).toString("latin1");
  if (!visibleAscii.test(text)) throw new DerError(`${what} is empty or has a character outside of visible ASCII`);
  return text;
}
