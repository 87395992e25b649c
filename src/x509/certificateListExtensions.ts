/** Extensions of revocation lists (RFC 5280 §5.2): building those of our lists, and reading them. */
import { type DerElement, contentOf, DerError, membersOf, readDer, tags } from "./der.ts";
import { constructed, der, encodeDer, primitive, sequence } from "./derWriter.ts";
import type { Extension } from "./extensions.ts";
import { oids } from "./oid.ts";

/** What a list is about (RFC 5280 §5.2.5), as far as ours say it. */
export interface IssuingDistributionPoint {
  /**
   * The one URL of the distribution point: the same as in the certificates that the list is about. Undefined where it is about all that its
   * issuer issued, or all of one kind, whether or not they name a point.
   */
  readonly url: string | undefined;
  /** The list is about end entities' certificates only, or about those of CAs only (onlyContainsUserCerts, onlyContainsCACerts). */
  readonly onlyContains: "UserCerts" | "CACerts" | undefined;
}

/** Most octets of a cRLNumber (RFC 5280 §5.2.3). */
const numberOctetsMax = 20;
const uriTag = 6;
const fullName = 0xa0;
/** Tag numbers of the two restrictions. */
const only = { UserCerts: 1, CACerts: 2 } as const;

/** RFC 5280 §5.2.3; not critical. @throws {RangeError} for what is no integer from 0 to 2⁵³ − 1 */
export function certificateListNumber(number: number): Extension {
  if (!Number.isSafeInteger(number) || number < 0) throw new RangeError("The number of a list is not a whole number");
  let digits = number.toString(16);
  if (digits.length % 2 === 1) digits = `0${digits}`;
  if (/^[89a-f]/.test(digits)) digits = `00${digits}`; // A leading bit would make it negative.
  return {
    oid: oids.cRLNumber,
    critical: false,
    value: encodeDer(der(tags.integer, Buffer.from(digits, "hex"))),
  };
}

/** RFC 5280 §5.2.5; critical. @throws {RangeError} for a URL outside of visible ASCII, and where it would say nothing */
export function issuingDistributionPoint({ url, onlyContains }: IssuingDistributionPoint): Extension {
  if (url === undefined && onlyContains === undefined) throw new RangeError("The issuingDistributionPoint is empty");
  const members = [
    ...(url === undefined ? [] : [pointOf(url)]),
    ...(onlyContains === undefined ? [] : [primitive(only[onlyContains], Uint8Array.of(0xff))]),
  ];
  return { oid: oids.issuingDistributionPoint, critical: true, value: encodeDer(sequence(...members)) };
}

function pointOf(url: string) {
  if (!/^[\x21-\x7e]+$/.test(url)) throw new RangeError("The URL of a distribution point is not visible ASCII");
  return constructed(0, constructed(0, primitive(uriTag, Buffer.from(url, "latin1"))));
}

/** The content octets of a cRLNumber: not negative, at most 20 octets. @throws {DerError} */
export function readCertificateListNumber(value: Uint8Array): Buffer {
  const content = contentOf(readDer(value), tags.integer, "The number of the list");
  if (content.length > numberOctetsMax || content.readInt8(0) < 0) {
    throw new DerError("The number of the list is negative or longer than 20 octets");
  }
  return content;
}

/**
 * Reads an IssuingDistributionPoint of the kinds that ours are: one URL or none, and perhaps onlyContainsUserCerts or onlyContainsCACerts. Lists about
 * attribute certificates, some reasons or other issuers' certificates are not.
 * @throws {DerError}
 */
export function readIssuingDistributionPoint(value: Uint8Array): IssuingDistributionPoint {
  const members = membersOf(readDer(value), tags.sequence, "The issuingDistributionPoint");
  const [first] = members;
  if (first === undefined) throw new DerError("The issuingDistributionPoint is empty");
  const named = first.tag === 0xa0;
  const url = named ? urlOf(first) : undefined;
  const [restriction, ...more] = named ? members.slice(1) : members;
  if (more.length > 0) throw new DerError("The issuingDistributionPoint has more than one restriction");
  return { url, onlyContains: restriction && restrictionOf(restriction) };
}

function urlOf(point: DerElement): string {
  const names = membersOf(one(membersOf(point, 0xa0, "The distribution point")), fullName, "Its full name");
  const url = contentOf(one(names), 0x80 | uriTag, "The URL of the distribution point").toString("latin1");
  if (!/^[\x21-\x7e]+$/.test(url)) throw new DerError("The URL of the distribution point is not visible ASCII");
  return url;
}

function restrictionOf(restriction: DerElement): "UserCerts" | "CACerts" {
  const which = restriction.tag === (0x80 | only.CACerts) ? "CACerts" : "UserCerts";
  const content = contentOf(restriction, 0x80 | only[which], "The restriction of the distribution point");
  // FALSE is the default, which DER leaves out.
  if (content.length !== 1 || content[0] !== 0xff) throw new DerError(`onlyContains${which} is not TRUE`);
  return which;
}

function one(members: readonly DerElement[]): DerElement | undefined {
  if (members.length !== 1) throw new DerError("The issuingDistributionPoint names more or less than one URL");
  return members[0];
}
