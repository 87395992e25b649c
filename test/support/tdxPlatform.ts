/**
 * A maker of processors, one of its platforms, and quotes and collateral of it: Intel's structures by a writer of the tests' own, with keys of
 * the tests' own.
 */
import { createHash, type KeyObject, sign } from "node:crypto";
import { tags } from "../../src/x509/der.ts";
import {
  der,
  type DerValue,
  encodeDer,
  objectIdentifier,
  octetString,
  sequence,
  smallInteger,
} from "../../src/x509/derWriter.ts";
import { issue, type Issued, type ListWishes, newKey, revocationList } from "./platformCertificates.ts";

const sgx = "1.2.840.113741.1.13.1";
const pair = (oid: string, value: DerValue): DerValue => sequence(objectIdentifier(`${sgx}${oid}`), value);
const hex = (text: string): Buffer => Buffer.from(text, "hex");

export const tdxNow = new Date("2026-11-26T12:00:00Z");
const fmspc = "c0ffee000000";
const qeSigner = "c0ffee11".repeat(8);

/** What the maker certifies of the platform. */
function sgxExtension(svns: readonly number[], pceSvn: number): Buffer {
  const components = svns.map((svn, i) => pair(`.2.${i + 1}`, smallInteger(svn)));
  return encodeDer(
    sequence(
      pair(".1", octetString(hex("a1".repeat(16)))),
      pair(
        ".2",
        sequence(...components, pair(".2.17", smallInteger(pceSvn)), pair(".2.18", octetString(Buffer.from(svns)))),
      ),
      pair(".3", octetString(hex("0000"))),
      pair(".4", octetString(hex(fmspc))),
      pair(".5", der(tags.enumerated, Uint8Array.of(1))),
      pair(".6", octetString(hex("b2".repeat(16)))),
    ),
  );
}

export interface TdxPlatform {
  readonly root: Issued;
  readonly ca: Issued;
  readonly pck: Issued;
  readonly signer: Issued;
  readonly attestationKey: KeyObject;
  readonly rootSha256: string;
}

export const platformSvns = [3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
export const platformPceSvn = 13;

export function tdxPlatform(): TdxPlatform {
  const root = issue({ commonName: "Root of the tests" });
  const ca = issue({ commonName: "Platform CA of the tests", issuer: root, ca: true });
  const extensions = [{ oid: sgx, critical: false, value: sgxExtension(platformSvns, platformPceSvn) }];
  const pck = issue({ commonName: "PCK of the tests", issuer: ca, extensions });
  const signer = issue({ commonName: "Intel SGX TCB Signing", issuer: root });
  return {
    root,
    ca,
    pck,
    signer,
    attestationKey: newKey(),
    rootSha256: createHash("sha256").update(root.der).digest("hex"),
  };
}

export interface QuoteWishes {
  readonly version?: 4 | 5;
  readonly reportData?: Buffer;
  /** Changes the body, before it is signed. */
  readonly body?: (body: Buffer) => void;
  readonly header?: (header: Buffer) => void;
  /** Type and size in the descriptor of version 5. */
  readonly descriptor?: readonly [number, number];
  readonly qeReport?: (report: Buffer) => void;
  readonly chain?: readonly Issued[];
  readonly pckKey?: KeyObject;
  /** Signs the quote in place of the attestation key. */
  readonly quoteKey?: KeyObject;
  readonly trailing?: Buffer;
  /** Between the parts of the signature data and its declared end. */
  readonly slack?: Buffer;
}

export const tdxBodyOffset = 48;

/** A quote of a domain on this platform. */
export function tdxQuote(platform: TdxPlatform, wishes: QuoteWishes = {}): Buffer {
  const { version = 4 } = wishes;
  const header = Buffer.alloc(48);
  header.writeUInt16LE(version, 0);
  header.writeUInt16LE(2, 2);
  header.writeUInt32LE(0x81, 4);
  hex("939a7233f79c4ca9940a0db3957f0607").copy(header, 12);
  wishes.header?.(header);
  const body = bodyOf(version, wishes);
  const descriptor = Buffer.alloc(version === 5 ? 6 : 0);
  if (version === 5) {
    descriptor.writeUInt16LE(wishes.descriptor?.[0] ?? 3, 0);
    descriptor.writeUInt32LE(wishes.descriptor?.[1] ?? body.length, 2);
  }
  const signed = Buffer.concat([header, descriptor, body]);
  const point = pointOf(platform.attestationKey);
  const authenticationData = Buffer.from("authentication data of the tests");
  const qeReport = qeReportOf(point, authenticationData);
  wishes.qeReport?.(qeReport);
  const chain = wishes.chain ?? [platform.pck, platform.ca, platform.root];
  const pem = Buffer.from(`${chain.map((one) => one.pem).join("")}\0`);
  const certified = Buffer.concat([
    qeReport,
    raw(qeReport, wishes.pckKey ?? platform.pck.key),
    uint16(authenticationData.length),
    authenticationData,
    certification(5, pem),
  ]);
  const data = Buffer.concat([
    raw(signed, wishes.quoteKey ?? platform.attestationKey),
    point,
    certification(6, certified),
    wishes.slack ?? Buffer.alloc(0),
  ]);
  return Buffer.concat([signed, uint32(data.length), data, wishes.trailing ?? Buffer.alloc(0)]);
}

/** Offsets are those of `src/attestation/tdx/quote.ts`. */
function bodyOf(version: 4 | 5, { reportData, body: change, descriptor }: QuoteWishes): Buffer {
  const is15 = version === 5 && descriptor?.[0] !== 2;
  const body = Buffer.alloc(is15 ? 648 : 584);
  hex("06010300000000000000000000000000").copy(body, 0);
  body.fill(0x5b, 16, 64);
  hex("0000001000000000").copy(body, 120);
  hex("e702060000000000").copy(body, 128);
  body.fill(0x91, 136, 184);
  for (const [i, octet] of [0x44, 0x00, 0xd8].entries()) body.fill(octet, 328 + 48 * i, 376 + 48 * i);
  reportData?.copy(body, 520);
  if (is15) hex("07010300000000000000000000000000").copy(body, 584);
  change?.(body);
  return body;
}

function qeReportOf(point: Buffer, authenticationData: Buffer): Buffer {
  const report = Buffer.alloc(384);
  hex("11000000000000000700000000000000").copy(report, 48);
  hex(qeSigner).copy(report, 128);
  report.writeUInt16LE(2, 256);
  report.writeUInt16LE(4, 258);
  createHash("sha256").update(point).update(authenticationData).digest().copy(report, 320);
  return report;
}

export interface CollateralWishes {
  readonly tcbInfo?: Readonly<Record<string, unknown>>;
  readonly qeIdentity?: Readonly<Record<string, unknown>>;
  readonly signer?: Issued;
  readonly signerChain?: readonly Issued[];
  readonly rootCrl?: ListWishes;
  readonly pckCrl?: ListWishes;
  readonly crlIssuers?: { readonly root?: Issued; readonly pck?: Issued };
  /** Members in place of those that are made. */
  readonly members?: Readonly<Record<string, unknown>>;
}

export const zero48 = "0".repeat(96);
const module = { mrsigner: zero48, attributes: "0".repeat(16), attributesMask: "F".repeat(16) };
const components = (svns: readonly number[]): unknown[] => svns.map((svn) => ({ svn }));

/** A level of TCB information. */
export const tcbLevel = (
  sgxSvns: readonly number[],
  tdxSvns: readonly number[],
  pcesvn: number,
  tcbStatus: string,
) => ({
  tcb: { sgxtcbcomponents: components(sgxSvns), pcesvn, tdxtcbcomponents: components(tdxSvns) },
  tcbDate: "2026-11-01T00:00:00Z",
  tcbStatus,
});
const svnLevel = (isvsvn: number, tcbStatus: string) => ({ tcb: { isvsvn }, tcbStatus });
export const zeroSvns = Array.from({ length: 16 }, () => 0);

const issued = { issueDate: "2026-11-20T00:00:00Z", nextUpdate: "2026-12-20T00:00:00Z", tcbEvaluationDataNumber: 18 };
export const goodTcbInfo = {
  id: "TDX",
  version: 3,
  ...issued,
  fmspc: fmspc.toUpperCase(),
  pceId: "0000",
  tcbType: 0,
  tdxModule: module,
  tdxModuleIdentities: [
    { id: "TDX_01", ...module, tcbLevels: [svnLevel(6, "UpToDate"), svnLevel(4, "OutOfDate")] },
    { id: "TDX_0A", ...module, tcbLevels: [svnLevel(0, "Revoked")] },
  ],
  tcbLevels: [
    tcbLevel(platformSvns, [6, 1, 3, ...zeroSvns.slice(3)], platformPceSvn, "UpToDate"),
    tcbLevel(zeroSvns, zeroSvns, 5, "OutOfDate"),
  ],
};
export const goodQeIdentity = {
  id: "TD_QE",
  version: 2,
  ...issued,
  miscselect: "00000000",
  miscselectMask: "FFFFFFFF",
  attributes: "11000000000000000000000000000000",
  attributesMask: "FBFFFFFFFFFFFFFF0000000000000000",
  mrsigner: qeSigner.toUpperCase(),
  isvprodid: 2,
  tcbLevels: [svnLevel(4, "UpToDate"), svnLevel(2, "OutOfDate")],
};

/** Collateral about this platform, as JSON. */
export function tdxCollateral(platform: TdxPlatform, wishes: CollateralWishes = {}): string {
  const signer = wishes.signer ?? platform.signer;
  const chain = (wishes.signerChain ?? [signer, platform.root]).map(({ pem }) => pem).join("");
  const [tcbInfo, qeIdentity] = [
    JSON.stringify({ ...goodTcbInfo, ...wishes.tcbInfo }),
    JSON.stringify({ ...goodQeIdentity, ...wishes.qeIdentity }),
  ];
  const dates = { thisUpdate: new Date("2026-11-20T00:00:00Z"), nextUpdate: new Date("2026-12-19T00:00:00Z") };
  return JSON.stringify({
    pck_crl_issuer_chain: platform.ca.pem + platform.root.pem,
    root_ca_crl: revocationList(wishes.crlIssuers?.root ?? platform.root, { ...dates, ...wishes.rootCrl }).toString(
      "hex",
    ),
    pck_crl: revocationList(wishes.crlIssuers?.pck ?? platform.ca, { ...dates, ...wishes.pckCrl }).toString("hex"),
    tcb_info_issuer_chain: chain,
    tcb_info: tcbInfo,
    tcb_info_signature: raw(Buffer.from(tcbInfo), signer.key).toString("hex"),
    qe_identity_issuer_chain: chain,
    qe_identity: qeIdentity,
    qe_identity_signature: raw(Buffer.from(qeIdentity), signer.key).toString("hex"),
    ...wishes.members,
  });
}

function pointOf(key: KeyObject): Buffer {
  const { x = "", y = "" } = key.export({ format: "jwk" });
  return Buffer.concat([Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
}

const raw = (message: Buffer, key: KeyObject): Buffer => sign("sha256", message, { key, dsaEncoding: "ieee-p1363" });

function certification(type: number, data: Buffer): Buffer {
  return Buffer.concat([uint16(type), uint32(data.length), data]);
}

function uint16(value: number): Buffer {
  const octets = Buffer.alloc(2);
  octets.writeUInt16LE(value);
  return octets;
}

function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32LE(value);
  return octets;
}
