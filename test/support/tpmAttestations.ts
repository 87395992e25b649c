/** Attestation objects of TPMs, by the tests' own makers of TPMs: right in every way or wrong in one. */
import { constants, createHash, sign } from "node:crypto";
import {
  type Attesting,
  attributes,
  certify,
  describeKey,
  type HashName,
  signed,
  type SoftwareKey,
  softwareKey,
} from "../attestation/tpm/softwareTpm.ts";
import { always, type CertificateWishes, keyCertificate, type Maker, purpose } from "../attestation/tpm/tpmMaker.ts";
import type { Writable } from "./cborWriter.ts";
import { attestationObject, deviceKey, type DeviceKey } from "./deviceAttestations.ts";

/** What a TPM certifies and how, each as it should be unless said. */
export interface TpmWishes extends Partial<Attesting> {
  /** The key to be certified, and what the TPM says of it. */
  readonly key?: DeviceKey;
  readonly attributeBits?: number;
  readonly nameHash?: HashName;
  readonly ak?: SoftwareKey;
  /** What signs in place of the attestation key. */
  readonly signer?: SoftwareKey;
  /** Wishes for the attestation key's certificate. */
  readonly certificate?: CertificateWishes;
  readonly issuer?: Maker;
  readonly hash?: HashName;
  readonly pss?: "digest" | "longest";
  /** The signature alone in place of a TPMT_SIGNATURE. */
  readonly bare?: boolean;
  /** Members of the statement in place of those that were made; undefined leaves one out. */
  readonly members?: Readonly<Record<string, Writable | undefined>>;
}

const coseAlgorithms: Readonly<Record<string, number>> = {
  "ec sha256": -7,
  "ec sha384": -35,
  "rsa sha1": -65_535,
  "rsa sha256": -257,
  "rsa sha384": -258,
  "rsa sha512": -259,
  "pss sha256": -37,
  "pss sha384": -38,
  "pss sha512": -39,
};

const attestationKey = softwareKey("P-256");

/** `fmt` tpm, base64url; `device` is the permanent identifier in the attestation key's certificate. */
export function tpmAttestation(
  root: Maker,
  keyAuthorization: string,
  device: string | undefined,
  wishes: TpmWishes = {},
): string {
  const { key = deviceKey(), ak = attestationKey, hash = "sha256", pss, bare = false, issuer = root } = wishes;
  const { signer = ak, nameHash = "sha256", attributeBits = attributes.tls } = wishes;
  const object = describeKey(key, attributeBits, { nameHash });
  const extraData = createHash(hash).update(keyAuthorization).digest();
  const certInfo = certify({ extraData, name: object.name, ...wishes });
  const leaf = keyCertificate(issuer, ak.publicKey, {
    purposes: [purpose.ak],
    ...always,
    ...(device !== undefined && { permanentIdentifiers: [device] }),
    ...wishes.certificate,
  });
  const kind = pss === undefined ? String(ak.publicKey.asymmetricKeyType) : "pss";
  const members: Record<string, Writable | undefined> = {
    ver: "2.0",
    alg: coseAlgorithms[`${kind} ${hash}`],
    x5c: [leaf, ...(issuer === root ? [] : [issuer.der])],
    sig: bare ? bareSignature(signer, certInfo, wishes) : signed(signer, certInfo, { hash, ...(pss && { pss }) }),
    certInfo,
    pubArea: object.publicArea,
    ...wishes.members,
  };
  const statement = Object.entries(members).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return attestationObject("tpm", statement);
}

/** DER for ECDSA, the octets for RSA. */
function bareSignature({ privateKey }: SoftwareKey, message: Buffer, { hash = "sha256", pss }: TpmWishes): Buffer {
  const padding =
    pss === undefined ? {} : { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return sign(hash, message, { key: privateKey, ...padding });
}
