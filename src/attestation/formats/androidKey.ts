/**
 * Format `android-key`: an Android device attests a key of its hardware-backed keystore (WebAuthn Level 2 §8.4). Level `nonce`: the hardware
 * signed the hash of the key authorization with the key, and the key signed the key authorization.
 */
import { createHash } from "node:crypto";
import { type Static, Type } from "typebox";
import type { CborMap } from "../../encoding/cbor.ts";
import { contentOf, DerError, membersOf, smallIntegerOf, tags } from "../../x509/der.ts";
import {
  authorization,
  type KeyDescription,
  readKeyDescription,
  readRootOfTrust,
  type RootOfTrust,
} from "../android/keyDescription.ts";
import type { CertificateChain, TrustedRoots } from "../certificateChain.ts";
import {
  type Claims,
  type EvidenceItem,
  EvidenceRefused,
  invalid,
  malformed,
  mismatch,
  type VerificationContext,
  type VerifiedEvidence,
} from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import { certificatesIn } from "../webauthn/attestationObject.ts";
import { requireSignature } from "../webauthn/coseAlgorithm.ts";
import {
  type Attested,
  checkDeviceSource,
  deviceEvidence,
  deviceProperties,
  type DeviceSettings,
  extensionValue,
  openRoots,
  readStatement,
  requireKeyAuthorization,
  shortText,
  type ToBeAttested,
  verifyDeviceChain,
} from "../webauthn/deviceEvidence.ts";

const properties = {
  ...deviceProperties,
  revokedSerials: Type.Optional(
    Type.Array(Type.String({ pattern: "^[1-9a-f][0-9a-f]{0,39}$" }), {
      maxItems: 10_000,
      uniqueItems: true,
      description: "Serial numbers of attestation certificates that do not count any more, lower-case hex.",
    }),
  ),
};
const schema = Type.Object(properties);
export type AndroidKeySettings = DeviceSettings & Static<typeof schema>;

const deviceClaims = ["serial", "imei", "meid"];

/** Tags of an AuthorizationList. */
const list = {
  purpose: 1,
  allApplications: 600,
  origin: 702,
  rootOfTrust: 704,
  osVersion: 705,
  osPatchLevel: 706,
  brand: 710,
  serial: 713,
  imei: 714,
  meid: 715,
  manufacturer: 716,
  model: 717,
  vendorPatchLevel: 718,
  bootPatchLevel: 719,
} as const;
const texts = ["brand", "serial", "imei", "meid", "manufacturer", "model"] as const;
const numbers = ["osVersion", "osPatchLevel", "vendorPatchLevel", "bootPatchLevel"] as const;

export const androidKeyFormat: EvidenceFormat<AndroidKeySettings> = {
  name: "android-key",
  properties,
  check: checkDeviceSource,
  claimNames: [...texts, ...numbers, "securityLevel", "verifiedBootKey", "attestationVersion"],
  deviceClaims,
  levels: ["nonce"],
  open(settings) {
    const roots = openRoots(settings);
    return { verify: async (item, context) => await verifyAndroidKey(item, settings, roots, context) };
  },
};

/**
 * Yields flat claims: what the hardware says of device and system, `serial`, `imei` and `meid` where an administrator asked for ID
 * attestation. Without one of these the evidence names no device and is refused.
 * @throws {EvidenceRefused}
 */
export async function verifyAndroidKey(
  item: EvidenceItem,
  settings: AndroidKeySettings,
  roots: TrustedRoots,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const signed = Buffer.from(requireKeyAuthorization(context));
  const challenge = createHash("sha256").update(signed).digest();
  const { statement } = readStatement(item);
  const asked = { signed, challenge, tokenDigest: undefined };
  return await deviceEvidence(
    item,
    context,
    deviceClaims,
    verifyAndroidStatement(statement, asked, settings, roots, context.now),
  );
}

const extensionOid = "1.3.6.1.4.1.11129.2.1.17";

/**
 * The statement itself, whatever it is to sign.
 * @throws {EvidenceRefused}
 */
export function verifyAndroidStatement(
  statement: CborMap,
  { signed, challenge }: ToBeAttested,
  { revokedSerials = [] }: AndroidKeySettings,
  roots: TrustedRoots,
  now: Date,
): Attested {
  const chain = verifyDeviceChain(certificatesIn(statement), roots, now);
  const description = describedKey(chain);
  if (chain.certificates.some(({ serial }) => revokedSerials.includes(serial.replace(/^0+/, ""))))
    throw invalid("A certificate of the attestation has been revoked");
  requireSignature(statement, chain.publicKey, signed);
  if (description.attestationChallenge.length === 0)
    throw new EvidenceRefused("bindingMissing", "The key was attested without a challenge");
  if (!description.attestationChallenge.equals(challenge))
    throw new EvidenceRefused("bindingMismatch", "The key was attested for another challenge or account");
  return {
    claims: malformedAsRefused(() => judge(description)),
    bindingLevel: "nonce",
    publicKey: chain.publicKey,
    signed: Buffer.concat([chain.leaf.tbs, signed]),
    expires: chain.leaf.notAfter,
  };
}

/** Of the leaf only: an attested key that signed a certificate of its own would say what it likes in there. */
function describedKey({ certificates }: CertificateChain): KeyDescription {
  const [value, ...others] = certificates.map((certificate) => extensionValue(certificate, extensionOid));
  if (value === undefined) throw invalid("The certificate of the key attests nothing");
  if (others.some((other) => other !== undefined))
    throw invalid("A certificate above the key's has a key attestation of its own");
  return malformedAsRefused(() => readKeyDescription(value));
}

const securityLevels = ["software", "trustedEnvironment", "strongBox"];

/** What counts is what the hardware enforces, and never what software says. */
function judge({ hardwareEnforced: hardware, softwareEnforced: software, ...description }: KeyDescription): Claims {
  const { attestationSecurityLevel: level, keyMintSecurityLevel } = description;
  if (![1, 2].includes(level) || ![1, 2].includes(keyMintSecurityLevel))
    throw mismatch("The key, or its attestation, is not kept by hardware");
  if (hardware.has(list.allApplications) || software.has(list.allApplications))
    throw invalid("The key is for all applications of the device");
  const purposes = authorization(hardware, list.purpose);
  const sign = 2;
  if (!membersOf(purposes, tags.set, "The purposes").some((one) => smallIntegerOf(one, "A purpose") === sign))
    throw invalid("The key is not for signatures");
  const generated = 0;
  if (smallIntegerOf(authorization(hardware, list.origin), "The origin") !== generated)
    throw invalid("The key was not generated in the hardware");
  const root = requireVerifiedBoot(
    hardware.has(list.rootOfTrust) ? authorization(hardware, list.rootOfTrust) : undefined,
  );
  const said = texts.flatMap((name) => {
    const element = authorization(hardware, list[name]);
    return element === undefined
      ? []
      : [[name, shortText(contentOf(element, tags.octetString, `The ${name}`), `The ${name}`)] as const];
  });
  const counted = numbers.flatMap((name) => {
    const element = authorization(hardware, list[name]);
    return element === undefined ? [] : [[name, smallIntegerOf(element, `The ${name}`)] as const];
  });
  return {
    ...Object.fromEntries(said),
    ...Object.fromEntries(counted),
    securityLevel: securityLevels[Math.min(level, keyMintSecurityLevel)] ?? "",
    verifiedBootKey: root.verifiedBootKey.toString("hex"),
    attestationVersion: description.attestationVersion,
  };
}

function requireVerifiedBoot(element: Parameters<typeof readRootOfTrust>[0] | undefined): RootOfTrust {
  if (element === undefined) throw mismatch("The device does not say what it booted");
  const root = readRootOfTrust(element);
  if (root.verifiedBootState !== 0 || !root.deviceLocked)
    throw mismatch("The device is unlocked, or did not boot a verified system");
  return root;
}

function malformedAsRefused<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DerError) throw malformed(`The key attestation: ${error.message}`);
    throw error;
  }
}
