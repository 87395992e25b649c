/** What the formats of evidence about devices have in common: whose roots count, what the challenge says, what comes out. */
import { type KeyObject } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { type Static, Type } from "typebox";
import type { Certificate } from "../../x509/certificate.ts";
import { KeyRefused, readPublicKey } from "../../x509/publicKey.ts";
import { boundReplayUntil, evidenceDigest } from "../binaryEvidence.ts";
import { readCertificateFile } from "../certificateFile.ts";
import { type CertificateChain, type TrustedRoots, verifyChain } from "../certificateChain.ts";
import {
  type BindingLevel,
  claimOf,
  type Claims,
  EvidenceRefused,
  type EvidenceItem,
  oneTimeIdOfEvidence,
  type VerificationContext,
  type VerifiedEvidence,
} from "../evidence.ts";
import type { SourceSettings } from "../format.ts";
import { readAttestationObject, type AttestationObject } from "./attestationObject.ts";
import { optionalPath, sha256Form } from "../settings.ts";

/** Settings of every source of device evidence. */
export const deviceProperties = {
  rootsFile: optionalPath("PEM file of the roots that attestations lead to."),
  rootSha256s: Type.Optional(
    Type.Array(Type.String({ pattern: sha256Form }), {
      minItems: 1,
      maxItems: 100,
      uniqueItems: true,
      description: "SHA-256 of root certificates that come with the attestation, hex.",
    }),
  ),
};
const schema = Type.Object(deviceProperties);
export type DeviceSettings = SourceSettings & Static<typeof schema>;

/** @throws {Error} where nothing is trusted: no root means nobody's devices, not everybody's */
export function checkDeviceSource({ rootsFile, rootSha256s }: DeviceSettings, at: string): void {
  if (rootsFile === undefined && rootSha256s === undefined)
    throw new Error(`${at}: neither rootsFile nor rootSha256s: expected at least one of them`);
}

/** The roots of a source. @throws {Error} naming a file that cannot be used */
export function openRoots({ rootsFile, rootSha256s = [] }: DeviceSettings): TrustedRoots {
  return { certificates: rootsFile === undefined ? [] : readCertificateFile(rootsFile), fingerprints: rootSha256s };
}

/** What the client was to have attested: draft-ietf-acme-device-attest-09 §5 and WebAuthn Level 2 §6.5.4 have different octets for it. */
export interface ToBeAttested {
  /** `attToBeSigned`: the key authorization, or what WebAuthn signs. */
  readonly signed: Buffer;
  /** What stands where a format has a hash of the challenge: of the key authorization, or WebAuthn's clientDataHash. */
  readonly challenge: Buffer;
  /** SHA-256 of the challenge's token alone; undefined where there is none. */
  readonly tokenDigest: Buffer | undefined;
}

/** A challenge's key authorization. @throws {EvidenceRefused} formatNotAccepted in a challenge that devices do not answer */
export function requireKeyAuthorization({ keyAuthorization }: VerificationContext): string {
  if (keyAuthorization !== undefined) return keyAuthorization;
  throw new EvidenceRefused("formatNotAccepted", "Attestations of devices are not for this challenge");
}

/** The statement of an item, of one of these formats of WebAuthn. @throws {EvidenceRefused} evidenceMalformed, formatNotAccepted */
export function readStatement({ value, format }: EvidenceItem): AttestationObject {
  const object = readAttestationObject(value);
  if (object.statementFormats.includes(format)) return object;
  throw new EvidenceRefused("formatNotAccepted", "The source does not take statements of this format");
}

/** Issuers' clocks may be ahead: their certificates are made for one challenge. */
export const clockSkewSeconds = 60;

/** The chain of a statement, from the certificate of the attested key. @throws {EvidenceRefused} */
export function verifyDeviceChain(
  [leaf, ...intermediates]: readonly [Buffer, ...Buffer[]],
  roots: TrustedRoots,
  now: Date,
): CertificateChain {
  return verifyChain(leaf, intermediates, roots, { now, clockSkewSeconds });
}

/** The value of an extension of a certificate. */
export const extensionValue = ({ extensions }: Certificate, wanted: string): Buffer | undefined =>
  extensions.find(({ oid }) => oid === wanted)?.value;

/** The device that an attestation CA named in a certificate (RFC 4043). @throws {EvidenceRefused} evidenceMalformed where it named two */
export function permanentIdentifierOf({ names }: Certificate): string | undefined {
  const [permanentIdentifier, ...others] = names.permanentIdentifiers;
  if (others.length === 0) return permanentIdentifier;
  throw new EvidenceRefused("evidenceMalformed", "The certificate has more than one permanent identifier");
}

/** A statement that holds. */
export interface Attested {
  readonly claims: Claims;
  readonly bindingLevel: BindingLevel;
  /** The attested key: the one that is certified, and no other. */
  readonly publicKey: KeyObject;
  /** Octets that were signed. */
  readonly signed: Buffer;
  /** When the attestation ends. */
  readonly expires: Date;
  /** Beyond which no certificate is to reach. */
  readonly notAfterCap?: Date;
}

/**
 * Evidence of a statement that holds.
 * @param deviceClaims names of claims that name the device, the one that it is pinned by first
 * @throws {EvidenceRefused} evidenceInvalid where it names no device, or its key is not one that is certified
 */
export async function deviceEvidence(
  item: EvidenceItem,
  { now }: VerificationContext,
  deviceClaims: readonly string[],
  attested: Attested,
): Promise<VerifiedEvidence> {
  const { claims, bindingLevel, publicKey, signed, expires, notAfterCap } = attested;
  const named = deviceClaims.find((name) => Object.hasOwn(claims, name)) ?? "";
  const device = claimOf(claims, named);
  if (typeof device !== "string") throw new EvidenceRefused("evidenceInvalid", "The attestation names no device");
  return {
    format: item.format,
    ref: item.ref,
    claims,
    bindingLevel,
    digest: evidenceDigest(item),
    oneTimeId: oneTimeIdOfEvidence(item.ref, signed),
    replayUntil: boundReplayUntil(now),
    expires,
    ...(notAfterCap !== undefined && { notAfterCap }),
    instance: `${named}:${device}`,
    certificateKey: await thumbprintOf(publicKey),
  };
}

/** Only a key that could be certified: what follows holds it against the CSR's. */
async function thumbprintOf(publicKey: KeyObject): Promise<string> {
  try {
    const { key } = readPublicKey(publicKey.export({ type: "spki", format: "der" }));
    return await calculateJwkThumbprint(key.export({ format: "jwk" }));
  } catch (error) {
    if (error instanceof KeyRefused) throw new EvidenceRefused("evidenceInvalid", error.message);
    throw error;
  }
}

/** A text in an attestation: a few printable characters. @throws {EvidenceRefused} evidenceMalformed */
export function shortText(octets: Buffer, what: string): string {
  const text = octets.toString("latin1");
  if (/^[\x20-\x7e]{1,128}$/.test(text)) return text;
  throw new EvidenceRefused("evidenceMalformed", `${what} is not 1 to 128 printable ASCII characters`);
}
