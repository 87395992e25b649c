/**
 * Distinguished names (RFC 5280 §4.1.2.4), as far as Mayfly puts them into certificates and looks at them.
 */
import { DerError, type DerElement, encodingOf, membersOf, oidOf, readDer, tags, textOf } from "./der.ts";
import { type DerValue, encodeDer, objectIdentifier, sequence, setOfOne, utf8String } from "./derWriter.ts";
import { oids } from "./oid.ts";

/** RFC 5280 appendix A.1: ub-common-name and ub-organization-name are 64 characters. */
const legalValue = /^\P{Cc}{1,64}$/u;
const control = /\p{Cc}/u;

/**
 * DER Name with the organization first, each in an RDN of its own as UTF8String; without either, the empty Name.
 * @throws {RangeError} when a value is empty, longer than 64 characters, or has control characters or lone surrogates
 */
export function encodeName(name: { readonly commonName?: string; readonly organization?: string }): Buffer {
  const rdns: DerValue[] = [];
  if (name.organization !== undefined) rdns.push(rdn(oids.organizationName, name.organization));
  if (name.commonName !== undefined) rdns.push(rdn(oids.commonName, name.commonName));
  return encodeDer(sequence(...rdns));
}

function rdn(type: string, value: string): DerValue {
  if (!legalValue.test(value) || !value.isWellFormed()) {
    throw new RangeError("A value in a name has 1 to 64 characters, none of them a control character");
  }
  return setOfOne(sequence(objectIdentifier(type), utf8String(value)));
}

/** The commonName of a DER Name. @throws {DerError} when it is malformed or has more than one */
export function commonNameOf(nameDer: Uint8Array): string | undefined {
  return commonNameIn(readDer(nameDer));
}

/** The same, and undefined where it cannot be read: for names that others wrote, of which nothing but this one is wanted. */
export function readableCommonName(nameDer: Uint8Array): string | undefined {
  try {
    return commonNameOf(nameDer);
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/**
 * The commonName of a Name inside something larger.
 * @throws {DerError} when the Name is malformed or has more than one commonName, or one that is empty, has control characters, or is neither
 * UTF8String nor PrintableString nor IA5String
 */
export function commonNameIn(name: DerElement | undefined): string | undefined {
  const found: string[] = [];
  for (const part of membersOf(name, tags.sequence, "The name")) {
    const attributes = membersOf(part, tags.set, "A part of the name");
    if (attributes.length === 0) throw new DerError("A part of the name is empty");
    for (const attribute of attributes) {
      const members = membersOf(attribute, tags.sequence, "An attribute of the name");
      const type = oidOf(members[0], "The type of an attribute of the name");
      if (members.length !== 2) throw new DerError("An attribute of the name has not exactly one value");
      if (type === oids.commonName) found.push(textOf(members[1], "The commonName"));
    }
  }
  if (found.length > 1) throw new DerError("The name has more than one commonName");
  const commonName = found[0];
  if (commonName === "") throw new DerError("The commonName is empty");
  if (commonName !== undefined && control.test(commonName))
    throw new DerError("The commonName has a control character");
  return commonName;
}

/** Short names of attribute types (RFC 4514 §3), for people. */
const shortNames: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
};

/**
 * A DER Name for people, in the order in which it is written: `O=Mayfly, CN=Mayfly Root CA`. What could fool a terminal or a reader is
 * escaped, and a value of an odd type is its octets in hexadecimal. Two names of the same text mean the same, whatever their string types.
 * @throws {DerError} when it is malformed
 */
export function nameText(nameDer: Uint8Array): string {
  const parts = membersOf(readDer(nameDer), tags.sequence, "The name").map((part) =>
    membersOf(part, tags.set, "A part of the name").map(attributeText).join("+"),
  );
  return parts.length === 0 ? "(empty)" : parts.join(", ");
}

function attributeText(attribute: DerElement): string {
  const [type, value, ...more] = membersOf(attribute, tags.sequence, "An attribute of the name");
  const oid = oidOf(type, "The type of an attribute of the name");
  if (value === undefined || more.length > 0) throw new DerError("An attribute of the name has not exactly one value");
  return `${shortNames[oid] ?? oid}=${valueText(value)}`;
}

function valueText(value: DerElement): string {
  try {
    const text = textOf(value, "A value of the name");
    return text.replaceAll(/[\\,+="<>;#]|\p{C}|\p{Zl}|\p{Zp}/gu, (character) =>
      /[\p{C}\p{Z}]/u.test(character) ? `\\u{${character.codePointAt(0)?.toString(16) ?? ""}}` : `\\${character}`,
    );
  } catch (error) {
    if (error instanceof DerError) return `#${encodingOf(value).toString("hex")}`; // RFC 4514 §2.4
    throw error;
  }
}
