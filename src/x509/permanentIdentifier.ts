/**
 * Permanent identifiers of devices: the text of draft-ietf-acme-device-attest-09 §3 and the PermanentIdentifier of RFC 4043 §2. What a
 * device is called, and optionally who called it that. Compared octet for octet, never normalised.
 */
import { isUtf8 } from "node:buffer";
import { contentOf, type DerElement, DerError, membersOf, oidOf, tags } from "./der.ts";
import { constructed, type DerValue, objectIdentifier, sequence, utf8String } from "./derWriter.ts";
import { encodeOid, oids } from "./oid.ts";

/** The text is no permanent identifier. The message is a sentence and quotes nothing. */
export class PermanentIdentifierError extends Error {
  override readonly name = "PermanentIdentifierError";
}

export interface PermanentIdentifier {
  /** One or more characters, none of them a slash. */
  readonly device: string;
  /** Dotted OID of who assigned it. */
  readonly assigner: string | undefined;
}

/** Octets of the text, in UTF-8. */
export const permanentIdentifierOctetsMax = 512;

/**
 * Takes the text apart: what the device is called, then optionally a slash and an OID.
 * @throws {PermanentIdentifierError}
 */
export function parsePermanentIdentifier(text: string): PermanentIdentifier {
  if (!text.isWellFormed()) throw new PermanentIdentifierError("The permanent identifier is not UTF-8");
  if (Buffer.byteLength(text) > permanentIdentifierOctetsMax)
    throw new PermanentIdentifierError(`The permanent identifier has more than ${permanentIdentifierOctetsMax} octets`);
  const [device = "", assigner, ...more] = text.split("/");
  if (device === "") throw new PermanentIdentifierError("The permanent identifier does not name a device");
  if (more.length > 0) throw new PermanentIdentifierError("The permanent identifier has more than one slash");
  if (assigner !== undefined && !isOid(assigner))
    throw new PermanentIdentifierError("What follows the permanent identifier's slash is not the OID of an assigner");
  return { device, assigner };
}

/** The text of a device and its assigner. It says what they say only where `parsePermanentIdentifier` takes it. */
export function permanentIdentifierText({ device, assigner }: PermanentIdentifier): string {
  return assigner === undefined ? device : `${device}/${assigner}`;
}

function isOid(dotted: string): boolean {
  try {
    return encodeOid(dotted).length > 0;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/**
 * GeneralName otherName around a PermanentIdentifier (RFC 5280 §4.2.1.6, RFC 4043 §2).
 * @throws {PermanentIdentifierError}
 */
export function permanentIdentifierName(text: string): DerValue {
  const { device, assigner } = parsePermanentIdentifier(text);
  const members = [utf8String(device), ...(assigner === undefined ? [] : [objectIdentifier(assigner)])];
  return constructed(0, objectIdentifier(oids.permanentIdentifier), constructed(0, sequence(...members)));
}

/**
 * Reads an otherName. Undefined for one of another type, and for a PermanentIdentifier that no text says: without the device's name
 * (which RFC 4043 then looks for in the subject), or with a slash in it.
 * @throws {DerError}
 */
export function readPermanentIdentifierName(otherName: DerElement): string | undefined {
  const [type, value] = otherName.children;
  if (otherName.children.length !== 2 || value?.tag !== 0xa0 || value.children.length !== 1)
    throw new DerError("An otherName has not a type and a value");
  if (oidOf(type, "The type of an otherName") !== oids.permanentIdentifier) return undefined;
  const members = membersOf(value.children[0], tags.sequence, "A PermanentIdentifier");
  const [name, assigner, ...more] = members;
  if (more.length > 0) throw new DerError("A PermanentIdentifier has more than two members");
  if (name?.tag !== tags.utf8String) return undefined;
  const octets = contentOf(name, tags.utf8String, "The name of a PermanentIdentifier");
  if (!isUtf8(octets)) throw new DerError("The name of a PermanentIdentifier is not UTF-8");
  const device = octets.toString("utf8");
  if (device === "" || device.includes("/")) return undefined;
  const by = assigner && oidOf(assigner, "The assigner of a PermanentIdentifier");
  const text = permanentIdentifierText({ device, assigner: by });
  const isTooLong = Buffer.byteLength(text) > permanentIdentifierOctetsMax || (by !== undefined && !isOid(by));
  return isTooLong ? undefined : text;
}
