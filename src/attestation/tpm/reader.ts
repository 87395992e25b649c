/**
 * Reading of marshalled TPM 2.0 structures (TPM 2.0 Library Part 2: Structures): big-endian integers and sized buffers (TPM2B_*), each of
 * them bounded. Pure.
 */

/** The bytes are not the structure that was to be read, or one that is not taken. The message is a sentence without any of the bytes. */
export class TpmStructureError extends Error {
  override readonly name = "TpmStructureError";
}

/** A view of one marshalled structure, read from its front to its end. */
export class TpmReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** @param what - the structure, as the subject of an error's sentence: "The attestation" */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  /** UINT8. @throws {TpmStructureError} */
  u8(): number {
    return this.#take(1).readUInt8();
  }

  /** UINT16, as which algorithms and sizes are written. @throws {TpmStructureError} */
  u16(): number {
    return this.#take(2).readUInt16BE();
  }

  /** UINT32. @throws {TpmStructureError} */
  u32(): number {
    return this.#take(4).readUInt32BE();
  }

  /** UINT64. @throws {TpmStructureError} */
  u64(): bigint {
    return this.#take(8).readBigUInt64BE();
  }

  /** TPMI_YES_NO: 0 or 1, and nothing else. @throws {TpmStructureError} */
  yesNo(what: string): boolean {
    const value = this.u8();
    if (value > 1) throw new TpmStructureError(`${what} is neither 0 nor 1`);
    return value === 1;
  }

  /** So many bytes; a view of the input. @throws {TpmStructureError} */
  bytes(length: number): Buffer {
    return this.#take(length);
  }

  /** TPM2B_*: a UINT16 and as many bytes; a view of the input. @throws {TpmStructureError} also when there are more than `max` */
  sized(max: number, what: string): Buffer {
    const size = this.u16();
    if (size > max) throw new TpmStructureError(`${what} has more than ${max} bytes`);
    return this.#take(size);
  }

  /** Ends the reading. @throws {TpmStructureError} when something follows */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new TpmStructureError(`Bytes follow the end of ${this.#lower()}`);
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new TpmStructureError(`${this.#what} is cut short`);
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #lower(): string {
    return this.#what.charAt(0).toLowerCase() + this.#what.slice(1);
  }
}

/** TPM2B_*: the bytes with their size before them. @throws {RangeError} for more than 65535 */
export function sizedBuffer(content: Uint8Array): Buffer {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(content.length);
  return Buffer.concat([size, content]);
}
