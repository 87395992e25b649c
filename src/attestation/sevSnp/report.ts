/**
 * ATTESTATION_REPORT of AMD SEV-SNP (SEV-SNP Firmware ABI, table of that name): 1184 octets of fixed layout, little-endian. Versions 2 to 5
 * differ in fields that were reserved before, and here count only with the version that has them.
 */
import { verify, type KeyObject } from "node:crypto";
import { isAllZero } from "../binaryEvidence.ts";
import { EvidenceRefused } from "../evidence.ts";

/** A report has this length, no more and no less. */
export const reportBytes = 1184;
/** What is signed: everything before the signature. */
export const signedBytes = 0x2a0;
/** An integer of the signature: 48 octets and zeros up to 72, the least first. */
const integerBytes = 72;
const fieldBytes = 48;

/** Bits of the guest's policy. */
const policyBits = { migrationAgent: 18n, debug: 19n } as const;
/** Which key signed: the chip's (VCEK), or the one that its provider loaded (VLEK). */
const signingKeys = ["vcek", "vlek"] as const;
export type SigningKey = (typeof signingKeys)[number];

/** What a report says; only its form was checked. Octets are views of the input. */
export interface SnpReport {
  readonly version: number;
  readonly guestSvn: number;
  /** The guest's policy as it was launched with. */
  readonly policy: bigint;
  readonly debug: boolean;
  readonly migrationAgent: boolean;
  /** Privilege level of the software that asked; 0 is the most privileged. */
  readonly vmpl: number;
  readonly signingKey: SigningKey;
  /** True when authorKeyDigest counts. */
  readonly authorKeyEnabled: boolean;
  readonly reportData: Buffer;
  readonly measurement: Buffer;
  readonly hostData: Buffer;
  readonly idKeyDigest: Buffer;
  readonly authorKeyDigest: Buffer;
  /** Of this guest, from launch to end. */
  readonly reportId: Buffer;
  /** TCB_VERSION, eight octets; what they mean depends on the product. */
  readonly reportedTcb: Buffer;
  readonly committedTcb: Buffer;
  readonly launchTcb: Buffer;
  readonly chipId: Buffer;
  /** Family and model of the processor; since version 3. */
  readonly cpu: { readonly family: number; readonly model: number } | undefined;
  /** The octets that were signed. */
  readonly signed: Buffer;
  /** r and s of 48 octets each, the greatest first. */
  readonly signature: Buffer;
}

/**
 * Takes a report apart.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function readSnpReport(octets: Buffer): SnpReport {
  if (octets.length !== reportBytes) throw malformed(`has not ${reportBytes} bytes`);
  const version = octets.readUInt32LE(0x000);
  if (version < 2 || version > 5) throw malformed("is not of version 2 to 5");
  if (octets.readUInt32LE(0x034) !== 1) throw malformed("is not signed with ECDSA P-384 and SHA-384");
  const flags = octets.readUInt32LE(0x048);
  const signingKey = signingKeys[(flags >>> 2) & 7];
  if (signingKey === undefined) throw malformed("is signed by no key");
  if (flags >>> 5 !== 0 || octets.readUInt32LE(0x04c) !== 0) throw malformed("has flags that are not known here");
  const policy = octets.readBigUInt64LE(0x008);
  const at = (start: number, length: number): Buffer => octets.subarray(start, start + length);
  return {
    version,
    guestSvn: octets.readUInt32LE(0x004),
    policy,
    debug: hasBit(policy, policyBits.debug),
    migrationAgent: hasBit(policy, policyBits.migrationAgent),
    vmpl: octets.readUInt32LE(0x030),
    signingKey,
    authorKeyEnabled: (flags & 1) === 1,
    reportData: at(0x050, 64),
    measurement: at(0x090, 48),
    hostData: at(0x0c0, 32),
    idKeyDigest: at(0x0e0, 48),
    authorKeyDigest: at(0x110, 48),
    reportId: at(0x140, 32),
    reportedTcb: at(0x180, 8),
    cpu: version < 3 ? undefined : { family: octets.readUInt8(0x188), model: octets.readUInt8(0x189) },
    chipId: at(0x1a0, 64),
    committedTcb: at(0x1e0, 8),
    launchTcb: at(0x1f0, 8),
    signed: at(0, signedBytes),
    signature: signatureOf(octets.subarray(signedBytes)),
  };
}

/** True when the report is signed by this key, ECDSA with SHA-384 on P-384. */
export function isReportSigned({ signed, signature }: SnpReport, key: KeyObject): boolean {
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "secp384r1") return false;
  return verify("sha384", signed, { key, dsaEncoding: "ieee-p1363" }, signature);
}

/** Octets that are not signed must be zeros, so that a report has one form. */
function signatureOf(field: Buffer): Buffer {
  const r = field.subarray(0, integerBytes);
  const s = field.subarray(integerBytes, 2 * integerBytes);
  const rest = [r.subarray(fieldBytes), s.subarray(fieldBytes), field.subarray(2 * integerBytes)];
  if (!rest.every(isAllZero)) throw malformed("has a signature that is not r and s of P-384, the least octet first");
  return Buffer.concat([r, s].map((integer) => integer.subarray(0, fieldBytes).toReversed()));
}

function hasBit(value: bigint, bit: bigint): boolean {
  return ((value >> bit) & 1n) === 1n;
}

function malformed(what: string): EvidenceRefused {
  return new EvidenceRefused("evidenceMalformed", `The attestation report ${what}`);
}
