/**
 * TPMS_ATTEST (TPM 2.0 Library Part 2 §10.12): what a TPM signs about itself (quote) or about a key in it (certify). Reading only; the
 * signature over it is `signature.ts`'s. Pure.
 */
import { hash } from "node:crypto";
import { digestBytes, hashOf, type TpmHash } from "./algorithms.ts";
import { TpmReader, TpmStructureError } from "./reader.ts";

/** TPM_GENERATED_VALUE: a restricted key signs nothing from outside that begins with it. */
const magic = 0xff544347;
/** TPMI_ST_ATTEST. */
const attestTypes = { certify: 0x8017, quote: 0x8018 } as const;
/** TPM2B_NAME and TPM2B_DATA: a hash with its identifier, SHA-512 at most. */
const nameBytesMax = 66;
/** TPML_PCR_SELECTION has at most one bank for each hash that the TPM knows. */
const banksMax = 16;
/** PCR_SELECT_MIN and PCR_SELECT_MAX of the platform specifications: 24 to 32 registers. */
const selectBytes = { min: 3, max: 4 } as const;

/** Registers of one bank (TPMS_PCR_SELECTION). */
export interface PcrSelection {
  readonly bank: TpmHash;
  /** Ascending. */
  readonly registers: readonly number[];
}

/** What both kinds say. */
interface AttestHeader {
  /** Name of the signing key with all its parents; empty or a handle where the signer is none. */
  readonly qualifiedSigner: Buffer;
  /** What the caller gave as qualifying data. */
  readonly extraData: Buffer;
  /** TPMS_CLOCK_INFO. `safe` is false after a power loss, until the clock has passed every value told before. */
  readonly clock: bigint;
  readonly resetCount: number;
  readonly restartCount: number;
  readonly safe: boolean;
  /** Vendor-specific. */
  readonly firmwareVersion: bigint;
}

/** TPMS_QUOTE_INFO. */
export interface Quote extends AttestHeader {
  readonly type: "quote";
  readonly selections: readonly PcrSelection[];
  /** By the hash of the signature over the selected registers (see `pcrDigest`). */
  readonly digest: Buffer;
}

/** TPMS_CERTIFY_INFO. */
export interface Certify extends AttestHeader {
  readonly type: "certify";
  /** Name of the certified object (see `nameOf`). */
  readonly name: Buffer;
  readonly qualifiedName: Buffer;
}

export type Attest = Quote | Certify;

/**
 * Reads exactly one TPMS_ATTEST of type quote or certify. A certify of a key that has no name is refused.
 * @throws {TpmStructureError}
 */
export function readAttest(bytes: Uint8Array): Attest {
  const reader = new TpmReader(bytes, "The attestation");
  if (reader.u32() !== magic) throw new TpmStructureError("The attestation was not made by a TPM");
  const type = reader.u16();
  if (type !== attestTypes.quote && type !== attestTypes.certify) {
    throw new TpmStructureError("The attestation is neither a quote nor a certify");
  }
  const header: AttestHeader = {
    qualifiedSigner: reader.sized(nameBytesMax, "The attestation's qualified signer"),
    extraData: reader.sized(nameBytesMax, "The attestation's extra data"),
    clock: reader.u64(),
    resetCount: reader.u32(),
    restartCount: reader.u32(),
    safe: reader.yesNo("The attestation's clock is safe"),
    firmwareVersion: reader.u64(),
  };
  const attest: Attest =
    type === attestTypes.quote ? { type: "quote", ...header, ...readQuote(reader) } : certified(header, reader);
  reader.end();
  return attest;
}

function certified(header: AttestHeader, reader: TpmReader): Certify {
  const name = reader.sized(nameBytesMax, "The certified name");
  const qualifiedName = reader.sized(nameBytesMax, "The certified qualified name");
  requireName(name);
  return { type: "certify", ...header, name, qualifiedName };
}

/**
 * A name is a hash's identifier and its digest (Part 1 §16); handles of what has no public area are names, too, but of no key.
 * @throws {TpmStructureError}
 */
export function requireName(name: Buffer): void {
  if (name.length < 2) throw new TpmStructureError("The name is not that of a key");
  const algorithm = hashOf(name.readUInt16BE(), "The hash of the name");
  if (name.length !== 2 + digestBytes[algorithm]) throw new TpmStructureError("The name has the wrong length");
}

function readQuote(reader: TpmReader): Pick<Quote, "selections" | "digest"> {
  const selections = readSelections(reader);
  const digest = reader.sized(digestBytes.sha512, "The quoted digest");
  if (!Object.values(digestBytes).some((length) => length === digest.length)) {
    throw new TpmStructureError("The quoted digest has the length of no hash");
  }
  return { selections, digest };
}

/** TPML_PCR_SELECTION: a bank that is there twice could be read in two ways, and a TPM has no reason to write it so. */
function readSelections(reader: TpmReader): PcrSelection[] {
  const count = reader.u32();
  if (count > banksMax) throw new TpmStructureError(`The quote selects from more than ${banksMax} banks`);
  const selections: PcrSelection[] = [];
  for (let n = 0; n < count; n += 1) {
    const bank = hashOf(reader.u16(), "The hash of a PCR bank");
    if (selections.some((before) => before.bank === bank)) throw new TpmStructureError("A PCR bank is there twice");
    const size = reader.u8();
    if (size < selectBytes.min || size > selectBytes.max) {
      throw new TpmStructureError("A PCR selection is not of 24 to 32 registers");
    }
    selections.push({ bank, registers: registersOf(reader.bytes(size)) });
  }
  return selections;
}

/** Register 0 is the lowest bit of the first byte. */
function registersOf(select: Buffer): number[] {
  return Array.from({ length: select.length * 8 }, (_, register) => register).filter(
    (register) => ((select[register >> 3] ?? 0) & (1 << (register & 7))) !== 0,
  );
}

/** One register as it was shown beside a quote. */
export interface PcrValue {
  readonly bank: TpmHash;
  readonly register: number;
  readonly value: Buffer;
}

/**
 * Cuts the values of the selected registers, written one after the other in the order of the selection.
 * @throws {TpmStructureError} when they are not exactly those
 */
export function cutPcrValues(selections: readonly PcrSelection[], values: Buffer): PcrValue[] {
  const reader = new TpmReader(values, "The list of PCR values");
  const cut = selections.flatMap(({ bank, registers }) =>
    registers.map((register) => ({ bank, register, value: reader.bytes(digestBytes[bank]) })),
  );
  reader.end();
  return cut;
}

/** The digest that a quote has of these registers (Part 3 §18.4): over their values, in the order of the selection. */
export function pcrDigest(values: readonly PcrValue[], algorithm: TpmHash): Buffer {
  return hash(algorithm, Buffer.concat(values.map(({ value }) => value)), "buffer");
}
