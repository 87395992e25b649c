/**
 * TDX quotes of versions 4 and 5 (Intel, "Intel TDX DCAP: Quote Generation Library and Quote Verification Library", appendix A): the parts of
 * the octets, by their offsets. Nothing is verified but the form; integers are little-endian.
 */
import { isAllZero } from "../binaryEvidence.ts";
import { invalid, malformed } from "../evidence.ts";

/** A quote in its parts; all buffers are views of the input. */
export interface TdxQuote {
  readonly version: 4 | 5;
  /** What the attestation key signed: header and body, in version 5 with the body's descriptor between them. */
  readonly signed: Buffer;
  readonly body: TdReport;
  /** r ‖ s by the attestation key. */
  readonly signature: Buffer;
  /** x ‖ y on P-256. */
  readonly attestationKey: Buffer;
  /** The report of the quoting enclave, 384 octets, which the PCK signed. */
  readonly qeReport: EnclaveReport;
  /** r ‖ s by the PCK. */
  readonly qeReportSignature: Buffer;
  readonly qeAuthenticationData: Buffer;
  /** PEM of the PCK certificate and what certifies it, root last. */
  readonly pckChain: Buffer;
}

/** What the TDX module says of a trust domain. */
export interface TdReport {
  readonly teeTcbSvn: Buffer;
  readonly mrSeam: Buffer;
  readonly mrSignerSeam: Buffer;
  readonly seamAttributes: Buffer;
  readonly tdAttributes: Buffer;
  readonly xfam: Buffer;
  readonly mrTd: Buffer;
  readonly mrConfigId: Buffer;
  readonly mrOwner: Buffer;
  readonly mrOwnerConfig: Buffer;
  readonly rtmrs: readonly [Buffer, Buffer, Buffer, Buffer];
  readonly reportData: Buffer;
  /** TDX 1.5 only: the module that runs now, where it was updated below the running domain. */
  readonly teeTcbSvn2: Buffer | undefined;
  /** TDX 1.5 only. */
  readonly mrServiceTd: Buffer | undefined;
}

/** An SGX report body, as far as a quoting enclave is judged by it. */
export interface EnclaveReport {
  readonly octets: Buffer;
  readonly miscSelect: Buffer;
  readonly attributes: Buffer;
  readonly mrSigner: Buffer;
  readonly isvProdId: number;
  readonly isvSvn: number;
  readonly reportData: Buffer;
}

/** The largest quote that is looked at; real ones have about 5 KiB, and up to 8000 octets with their padding. */
export const quoteBytesMax = 16_384;
const headerSize = 48;
const teeTdx = 0x81;
const ecdsaP256 = 2;
/** Intel's quoting enclave; another vendor's would be judged by other rules. */
const intelQe = Buffer.from("939a7233f79c4ca9940a0db3957f0607", "hex");
/** Body types of version 5 and their sizes; type 1 is SGX. */
const td10 = { type: 2, size: 584 };
const td15 = { type: 3, size: 648 };
/** Certification data (table A.3.9): the PCK chain as PEM, and around it the quoting enclave's report. */
const pckChainType = 5;
const qeReportType = 6;
const enclaveReportSize = 384;

/**
 * Reads one quote. After its declared end only zeroes may follow: quote providers hand out fixed buffers, while anything else would be octets
 * that nobody signed, in which a reader with another idea of the length could find another quote.
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid for what is no TDX quote of Intel's
 */
export function readTdxQuote(octets: Buffer): TdxQuote {
  if (octets.length > quoteBytesMax) throw malformed(`The quote is larger than ${quoteBytesMax} bytes`);
  const reader = readerOf(octets);
  const version = readHeader(reader.take(headerSize));
  const { type, size } = version === 4 ? td10 : readDescriptor(reader.take(6));
  const body = readTdReport(reader.take(size), type === td15.type);
  const signed = octets.subarray(0, reader.at());
  const signatureData = readerOf(reader.take(reader.take(4).readUInt32LE(0)));
  if (!isAllZero(reader.rest())) throw malformed("Octets other than zero follow the quote");
  const [signature, attestationKey] = [signatureData.take(64), signatureData.take(64)];
  const outer = readerOf(takeCertification(signatureData, qeReportType));
  const qeReport = readEnclaveReport(outer.take(enclaveReportSize));
  const qeReportSignature = outer.take(64);
  const qeAuthenticationData = outer.take(outer.take(2).readUInt16LE(0));
  const pckChain = takeCertification(outer, pckChainType);
  return {
    version,
    signed,
    body,
    signature,
    attestationKey,
    qeReport,
    qeReportSignature,
    qeAuthenticationData,
    pckChain,
  };
}

function readHeader(header: Buffer): 4 | 5 {
  const version = header.readUInt16LE(0);
  if (version !== 4 && version !== 5) throw invalid("The quote is not of version 4 or 5");
  if (header.readUInt32LE(4) !== teeTdx) throw invalid("The quote is not of a TDX trust domain");
  if (header.readUInt16LE(2) !== ecdsaP256) throw invalid("The quote is not signed with ECDSA P-256");
  if (!header.subarray(12, 28).equals(intelQe)) throw invalid("The quote is not of Intel's quoting enclave");
  return version;
}

function readDescriptor(descriptor: Buffer): typeof td10 {
  const [type, size] = [descriptor.readUInt16LE(0), descriptor.readUInt32LE(2)];
  const known = [td10, td15].find((one) => one.type === type);
  if (known === undefined) throw invalid("The quote's body is not that of a TDX trust domain");
  if (known.size !== size) throw malformed("The quote's body has another size than its type");
  return known;
}

function readTdReport(body: Buffer, has15: boolean): TdReport {
  const at = (start: number, length: number): Buffer => body.subarray(start, start + length);
  return {
    teeTcbSvn: at(0, 16),
    mrSeam: at(16, 48),
    mrSignerSeam: at(64, 48),
    seamAttributes: at(112, 8),
    tdAttributes: at(120, 8),
    xfam: at(128, 8),
    mrTd: at(136, 48),
    mrConfigId: at(184, 48),
    mrOwner: at(232, 48),
    mrOwnerConfig: at(280, 48),
    rtmrs: [at(328, 48), at(376, 48), at(424, 48), at(472, 48)],
    reportData: at(520, 64),
    teeTcbSvn2: has15 ? at(584, 16) : undefined,
    mrServiceTd: has15 ? at(600, 48) : undefined,
  };
}

function readEnclaveReport(octets: Buffer): EnclaveReport {
  return {
    octets,
    miscSelect: octets.subarray(16, 20),
    attributes: octets.subarray(48, 64),
    mrSigner: octets.subarray(128, 160),
    isvProdId: octets.readUInt16LE(256),
    isvSvn: octets.readUInt16LE(258),
    reportData: octets.subarray(320, 384),
  };
}

/** Certification data of this type, up to the very end of what holds it. */
function takeCertification(reader: Reader, expected: number): Buffer {
  if (reader.take(2).readUInt16LE(0) !== expected) throw invalid("The quote does not bring its PCK certificate chain");
  const data = reader.take(reader.take(4).readUInt32LE(0));
  if (reader.rest().length > 0) throw malformed("The quote's signature data is longer than its parts");
  return data;
}

interface Reader {
  take(length: number): Buffer;
  at(): number;
  rest(): Buffer;
}

function readerOf(octets: Buffer): Reader {
  let at = 0;
  return {
    take(length) {
      if (length > octets.length - at) throw malformed("The quote is cut short");
      at += length;
      return octets.subarray(at - length, at);
    },
    at: () => at,
    rest: () => octets.subarray(at),
  };
}
