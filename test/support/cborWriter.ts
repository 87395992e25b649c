/** CBOR for synthetic evidence: the deterministic encoding, and, where a test wants one, pieces that no strict reader takes. */

/** Bytes that are put in as they are: an encoding of its own, right or wrong. */
export class RawCbor {
  readonly bytes: Buffer;
  constructor(bytes: Uint8Array | string) {
    this.bytes = typeof bytes === "string" ? Buffer.from(bytes, "hex") : Buffer.from(bytes);
  }
}
/** A tagged value. */
export class TaggedCbor {
  readonly tag: number;
  readonly value: Writable;
  constructor(tag: number, value: Writable) {
    this.tag = tag;
    this.value = value;
  }
}
export type Writable =
  | number
  | string
  | boolean
  | null
  | Uint8Array
  | RawCbor
  | TaggedCbor
  | readonly Writable[]
  | ReadonlyMap<number | string, Writable>;

/** The head of a value: its type and argument in the fewest octets (RFC 8949 §4.2.1). */
export function cborHead(type: number, argument: number): Buffer {
  const initial = type << 5;
  if (argument < 24) return Buffer.from([initial | argument]);
  if (argument < 0x100) return Buffer.from([initial | 24, argument]);
  const head = Buffer.alloc(argument < 0x10000 ? 3 : argument < 2 ** 32 ? 5 : 9);
  head[0] = initial | (head.length === 3 ? 25 : head.length === 5 ? 26 : 27);
  if (head.length === 9) {
    head.writeBigUInt64BE(BigInt(argument), 1);
  } else {
    head.writeUIntBE(argument, 1, head.length - 1);
  }
  return head;
}

/** Encodes the value; a map's keys stay in the order in which they were set. */
export function encodeCbor(value: Writable): Buffer {
  if (value === false) return Buffer.from([0xf4]);
  if (value === true) return Buffer.from([0xf5]);
  if (value === null) return Buffer.from([0xf6]);
  if (typeof value === "number") return value < 0 ? cborHead(1, -1 - value) : cborHead(0, value);
  if (typeof value === "string") return Buffer.concat([cborHead(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof RawCbor) return value.bytes;
  if (value instanceof TaggedCbor) return Buffer.concat([cborHead(6, value.tag), encodeCbor(value.value)]);
  if (value instanceof Uint8Array) return Buffer.concat([cborHead(2, value.length), value]);
  if (value instanceof Map) {
    const members = [...(value as ReadonlyMap<number | string, Writable>)].flat();
    return Buffer.concat([cborHead(5, members.length / 2), ...members.map(encodeCbor)]);
  }
  const items = value as readonly Writable[];
  return Buffer.concat([cborHead(4, items.length), ...items.map(encodeCbor)]);
}
