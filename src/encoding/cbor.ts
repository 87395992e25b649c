/**
 * Strict CBOR (RFC 8949) for what a client or platform signs: definite lengths and shortest heads only (§4.2.1), no map key twice
 * (§5.6), no trailing bytes, everything bounded. So a value has one encoding but for the order of a map's keys, which signers choose freely.
 *
 * Only the types that evidence has are read: integers that JavaScript holds exactly, byte and text strings, arrays, maps with integers
 * or texts as keys, booleans and null. Floats, `undefined`, other simple values and bignums are refused; so are tags, unless the caller
 * names them.
 */
import { isUtf8 } from "node:buffer";

/** The bytes are not the CBOR that is read here. The message is a sentence without any of the bytes. */
export class CborError extends Error {
  override readonly name = "CborError";
}

/** A tagged value, of a tag that the caller allows. */
export interface CborTagged {
  readonly tag: number;
  readonly value: CborValue;
}
export type CborKey = number | string;
export type CborMap = ReadonlyMap<CborKey, CborValue>;
/** A value that was read. Byte strings are views of the input, which must not change while they are used. */
export type CborValue = number | string | boolean | null | Buffer | readonly CborValue[] | CborMap | CborTagged;

/** What the caller lets in. */
export interface CborLimits {
  /** Longest input in bytes; 65,536 unless told. */
  readonly bytesMax?: number;
  /** Most values in all: strings, numbers, arrays, maps, their keys; 1,024 unless told. */
  readonly itemsMax?: number;
  /** How deep arrays, maps and tags may nest; 16 unless told, which is the most. */
  readonly depthMax?: number;
  /** Tag numbers that are read; none unless told. */
  readonly tags?: readonly number[];
}

const depthLimit = 16;

/** The seven types that are read, by their number (RFC 8949 §3.1). */
const major = { uint: 0, nint: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6 } as const;

interface Reader extends Required<CborLimits> {
  readonly source: Buffer;
  at: number;
  items: number;
}

/**
 * Reads exactly one value that fills `input`.
 * @throws {CborError}
 */
export function decodeCbor(input: Uint8Array, limits: CborLimits = {}): CborValue {
  const { bytesMax = 65_536, itemsMax = 1024, depthMax = depthLimit, tags = [] } = limits;
  if (input.length > bytesMax) throw new CborError(`The CBOR has more than ${bytesMax} bytes`);
  const source = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const reader = { source, at: 0, items: 0, bytesMax, itemsMax, depthMax: Math.min(depthMax, depthLimit), tags };
  const value = readValue(reader, 0);
  if (reader.at !== input.length) throw new CborError("Bytes follow the end of the CBOR");
  return value;
}

function readValue(reader: Reader, depth: number): CborValue {
  if (++reader.items > reader.itemsMax) throw new CborError(`The CBOR has more than ${reader.itemsMax} values`);
  const initial = readOctets(reader, 1).readUInt8(0);
  const [type, information] = [initial >> 5, initial & 0x1f];
  if (type === 7) return readSimple(information);
  const argument = readArgument(reader, information);
  if (type === major.uint) return argument;
  if (type === major.nint) return negative(argument);
  if (type === major.bytes) return readOctets(reader, argument);
  if (type === major.text) return readText(reader, argument);
  if (depth >= reader.depthMax) throw new CborError(`The CBOR is nested more than ${reader.depthMax} deep`);
  if (type === major.array) return readArray(reader, argument, depth + 1);
  if (type === major.map) return readMap(reader, argument, depth + 1);
  if (!reader.tags.includes(argument)) throw new CborError("The CBOR has a tag that is not read here");
  return { tag: argument, value: readValue(reader, depth + 1) };
}

/** RFC 8949 §3.3. */
function readSimple(information: number): boolean | null {
  if (information === 20) return false;
  if (information === 21) return true;
  if (information === 22) return null;
  throw new CborError("The CBOR has a float, or a simple value besides true, false and null");
}

/** RFC 8949 §3: in the head itself up to 23, else in the fewest of 1, 2, 4 or 8 octets behind it (§4.2.1). */
function readArgument(reader: Reader, information: number): number {
  if (information < 24) return information;
  if (information === 31) throw new CborError("The CBOR has an indefinite length");
  if (information > 27) throw new CborError("The CBOR has a head that is reserved");
  const size = 1 << (information - 24);
  const octets = readOctets(reader, size);
  const value = size === 8 ? octets.readUInt32BE(0) * 2 ** 32 + octets.readUInt32BE(4) : octets.readUIntBE(0, size);
  const least = size === 1 ? 24 : 2 ** (4 * size);
  if (value < least) throw new CborError("The CBOR has a number or length that is not in its shortest form");
  if (!Number.isSafeInteger(value)) throw new CborError("The CBOR has a number beyond 2^53 - 1");
  return value;
}

function negative(argument: number): number {
  const value = -1 - argument;
  if (!Number.isSafeInteger(value)) throw new CborError("The CBOR has a number below -(2^53 - 1)");
  return value;
}

function readOctets(reader: Reader, length: number): Buffer {
  const { source, at } = reader;
  if (length > source.length - at) throw new CborError("The CBOR is cut short");
  reader.at = at + length;
  return source.subarray(at, reader.at);
}

function readText(reader: Reader, length: number): string {
  const octets = readOctets(reader, length);
  if (!isUtf8(octets)) throw new CborError("The CBOR has a text that is not UTF-8");
  return octets.toString("utf8");
}

/** A length is believed item by item: nothing is set aside for it beforehand, and each item takes a byte at least. */
function readArray(reader: Reader, length: number, depth: number): CborValue[] {
  const values: CborValue[] = [];
  for (let i = 0; i < length; i++) values.push(readValue(reader, depth));
  return values;
}

function readMap(reader: Reader, length: number, depth: number): CborMap {
  const members = new Map<CborKey, CborValue>();
  for (let i = 0; i < length; i++) {
    const key = readValue(reader, depth);
    if (typeof key !== "number" && typeof key !== "string") {
      throw new CborError("The CBOR has a map key that is neither an integer nor a text");
    }
    // A number and a text are never the same key, nor are two texts that differ in their octets.
    if (members.has(key)) throw new CborError("The CBOR has a map key twice");
    members.set(key, readValue(reader, depth));
  }
  return members;
}

/** True for a map, as opposed to an array, a string, a scalar or a tagged value. */
export function isCborMap(value: CborValue | undefined): value is CborMap {
  return value instanceof Map;
}
