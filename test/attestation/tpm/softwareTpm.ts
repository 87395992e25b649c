/** A TPM for tests, in software and without a chip: it writes the structures of the TPM 2.0 Library Part 2 by hand and signs them. */
import { constants, createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";

/** TPM_ALG_ID of hashes and schemes. */
export const alg = {
  sha1: 0x0004,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
  none: 0x0010,
  rsassa: 0x0014,
  rsapss: 0x0016,
  ecdsa: 0x0018,
} as const;
export type HashName = "sha1" | "sha256" | "sha384" | "sha512";

export const u8 = (value: number): Buffer => Buffer.of(value);
export const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
export const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};
/** TPM2B_*. */
export const tpm2b = (content: Uint8Array): Buffer => Buffer.concat([u16(content.length), content]);
export const digestOf = (hash: HashName, bytes: Uint8Array): Buffer => createHash(hash).update(bytes).digest();

/** TPMA_OBJECT of an attestation key, of a key made in the TPM for TLS, and of an endorsement key. */
export const attributes = { ak: 0x0005_0072, tls: 0x0004_0072, ek: 0x0003_00b2 } as const;

export interface SoftwareKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** TPMT_PUBLIC. */
  readonly publicArea: Buffer;
  readonly name: Buffer;
}

export type KeyKind = "rsa" | "P-256" | "P-384";

/** Keys are dear to make, and RSA's dearest: each kind is made when it is asked for. */
export function softwareKey(
  kind: KeyKind,
  attributeBits: number = attributes.ak,
  { nameHash = "sha256", scheme }: { nameHash?: HashName; scheme?: Buffer } = {},
): SoftwareKey {
  const pair =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve: kind });
  return describeKey(pair, attributeBits, { nameHash, ...(scheme !== undefined && { scheme }) });
}

/** A public area around a key that there is. */
export function describeKey(
  { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject },
  attributeBits: number,
  { nameHash = "sha256", scheme }: { nameHash?: HashName; scheme?: Buffer } = {},
): SoftwareKey {
  const { kty, crv, n = "", x = "", y = "" } = publicKey.export({ format: "jwk" });
  const of = (text: string): Buffer => tpm2b(Buffer.from(text, "base64url"));
  const head = [u16(kty === "RSA" ? 0x0001 : 0x0023), u16(alg[nameHash]), u32(attributeBits), tpm2b(Buffer.of())];
  const tail =
    kty === "RSA"
      ? [u16(alg.none), scheme ?? u16(alg.none), u16(2048), u32(0), of(n)]
      : [u16(alg.none), scheme ?? u16(alg.none), u16(crv === "P-384" ? 4 : 3), u16(alg.none), of(x), of(y)];
  const publicArea = Buffer.concat([...head, ...tail]);
  return { privateKey, publicKey, publicArea, name: nameOver(publicArea, nameHash) };
}

export const nameOver = (publicArea: Buffer, nameHash: HashName): Buffer =>
  Buffer.concat([u16(alg[nameHash]), digestOf(nameHash, publicArea)]);

/** What both kinds of attestation may be made with. */
export interface Attesting {
  readonly extraData: Buffer;
  readonly magic?: number;
  readonly type?: number;
  readonly safe?: number;
  readonly resetCount?: number;
  readonly qualifiedSigner?: Buffer;
}

function attestation(type: number, attesting: Attesting, attested: Buffer): Buffer {
  return Buffer.concat([
    u32(attesting.magic ?? 0xff544347),
    u16(attesting.type ?? type),
    tpm2b(attesting.qualifiedSigner ?? Buffer.concat([u16(alg.sha256), Buffer.alloc(32, 7)])),
    tpm2b(attesting.extraData),
    u64(123_456n),
    u32(attesting.resetCount ?? 11),
    u32(3),
    u8(attesting.safe ?? 1),
    u64(0x20191023_00163636n),
    attested,
  ]);
}

/** Values of one bank, by register. */
export interface Bank {
  readonly hash: HashName;
  readonly registers: Readonly<Record<number, Buffer>>;
}

/** TPMS_ATTEST of TPM2_Quote, and the values of its registers one after the other. */
export function quote(
  attesting: Attesting & { readonly banks: readonly Bank[]; readonly digestHash?: HashName; readonly digest?: Buffer },
): { attest: Buffer; pcrs: Buffer } {
  const pcrs = Buffer.concat(attesting.banks.flatMap(({ registers }) => Object.values(registers)));
  const selections = attesting.banks.map(({ hash, registers }) => {
    const select = Buffer.alloc(3);
    for (const register of Object.keys(registers).map(Number)) {
      select[register >> 3] = (select[register >> 3] ?? 0) | (1 << (register & 7));
    }
    return Buffer.concat([u16(alg[hash]), u8(3), select]);
  });
  const digest = attesting.digest ?? digestOf(attesting.digestHash ?? "sha256", pcrs);
  const attested = Buffer.concat([u32(selections.length), ...selections, tpm2b(digest)]);
  return { attest: attestation(0x8018, attesting, attested), pcrs };
}

/** TPMS_ATTEST of TPM2_Certify. */
export function certify(attesting: Attesting & { readonly name: Buffer }): Buffer {
  const qualifiedName = Buffer.concat([u16(alg.sha256), Buffer.alloc(32, 9)]);
  return attestation(0x8017, attesting, Buffer.concat([tpm2b(attesting.name), tpm2b(qualifiedName)]));
}

/** TPMT_SIGNATURE over an attestation. */
export function signed(
  { privateKey }: Pick<SoftwareKey, "privateKey">,
  attest: Buffer,
  { hash = "sha256", pss }: { hash?: HashName; pss?: "digest" | "longest" } = {},
): Buffer {
  if (privateKey.asymmetricKeyType === "ec") {
    const raw = sign(hash, attest, { key: privateKey, dsaEncoding: "ieee-p1363" });
    const half = raw.length / 2;
    return Buffer.concat([u16(alg.ecdsa), u16(alg[hash]), tpm2b(raw.subarray(0, half)), tpm2b(raw.subarray(half))]);
  }
  const { RSA_PSS_SALTLEN_DIGEST, RSA_PSS_SALTLEN_MAX_SIGN, RSA_PKCS1_PSS_PADDING, RSA_PKCS1_PADDING } = constants;
  const saltLength = pss === "longest" ? RSA_PSS_SALTLEN_MAX_SIGN : RSA_PSS_SALTLEN_DIGEST;
  const padding = pss === undefined ? { padding: RSA_PKCS1_PADDING } : { padding: RSA_PKCS1_PSS_PADDING, saltLength };
  const signature = sign(hash, attest, { key: privateKey, ...padding });
  return Buffer.concat([u16(pss === undefined ? alg.rsassa : alg.rsapss), u16(alg[hash]), tpm2b(signature)]);
}
