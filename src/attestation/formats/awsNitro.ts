/**
 * Format `aws-nitro`: the attestation document of an AWS Nitro enclave, signed by the Nitro hypervisor. Level `nonce`: the document's nonce is
 * the binding value, its 32 octets and nothing else.
 */
import { createHash } from "node:crypto";
import { type Static, Type } from "typebox";
import { createLru } from "../../cache/lru.ts";
import { bindingOctets, evidenceDigest, evidenceOctets, isAllZero } from "../binaryEvidence.ts";
import { type TrustedRoots, type VerifiedSignatures, verifyChain } from "../certificateChain.ts";
import { readCertificateFile } from "../certificateFile.ts";
import { isSignedEs384, readCoseSign1 } from "../coseSign1.ts";
import {
  type Claims,
  EvidenceRefused,
  type EvidenceItem,
  oneTimeIdOfEvidence,
  type VerificationContext,
  type VerifiedEvidence,
} from "../evidence.ts";
import type { EvidenceFormat, SourceSettings } from "../format.ts";
import { documentBytesMax, type NitroDocument, readNitroDocument } from "../nitro/document.ts";
import { digestForm, optionalPath, sha256Form } from "../settings.ts";

const pcrSchema = Type.Object(
  {
    index: Type.Integer({ minimum: 0, maximum: 31 }),
    values: Type.Array(Type.String({ pattern: digestForm }), {
      minItems: 1,
      maxItems: 100,
    }),
  },
  { additionalProperties: false },
);

const properties = {
  rootSha256: Type.Optional(
    Type.String({
      pattern: sha256Form,
      description: "SHA-256 of the root certificate; the one that AWS publishes unless said.",
    }),
  ),
  rootsFile: optionalPath("PEM file of the root certificates, in place of rootSha256."),
  pcrs: Type.Optional(
    Type.Array(pcrSchema, { minItems: 1, maxItems: 32, description: "What these PCRs may be. All of them must fit." }),
  ),
  maxAgeSeconds: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 3600, description: "Oldest document accepted; 300 unless said." }),
  ),
  clockSkewSeconds: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 60, description: "Tolerance for the platform's clock; 30 unless said." }),
  ),
};
const schema = Type.Object(properties);
export type NitroSettings = SourceSettings & Static<typeof schema>;

/** SHA-256 of the root certificate that AWS publishes for Nitro Enclaves, valid until 2049. */
export const awsNitroRootSha256 = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";

/**
 * PCRs that say whose enclave it is: image (0), application (2), IAM role of the parent (3), its instance (4), signer of the image (8). PCR1
 * is the kernel's, which everybody has.
 */
const tellingPcrs: readonly number[] = [0, 2, 3, 4, 8];
const pcrClaims = Array.from({ length: 32 }, (_, index) => `pcr${index}`);
/** Chains of a few generations: the regional and zonal certificates change within days, those of instances within a day. */
const verifiedSignaturesMax = 512;

/** What a source trusts, opened. */
export interface NitroTrust {
  readonly roots: TrustedRoots;
  readonly verified?: VerifiedSignatures;
}

export const awsNitroFormat: EvidenceFormat<NitroSettings> = {
  name: "aws-nitro",
  properties,
  check({ rootSha256, rootsFile, pcrs = [] }, at) {
    if (rootSha256 !== undefined && rootsFile !== undefined) {
      throw new Error(`${at}.rootsFile: ${JSON.stringify(rootsFile)}: expected only one of rootSha256 and rootsFile`);
    }
    for (const [position, { index, values }] of pcrs.entries()) {
      const refuse = (key: string, value: unknown, expected: string): never => {
        throw new Error(`${at}.pcrs[${position}].${key}: ${JSON.stringify(value)}: expected ${expected}`);
      };
      if (pcrs.findIndex((other) => other.index === index) < position) refuse("index", index, "each index once");
      const unset = values.find((value) => /^0+$/.test(value));
      if (unset !== undefined) refuse("values", unset, "no zeros: they mean debug mode, or a PCR that is not set");
    }
  },
  claimNames: [...pcrClaims, "moduleId", "instanceId", "publicKeySha256", "userDataSha256"],
  // Anybody may run an enclave of their own under the same root.
  tenantClaims: ({ pcrs = [] }) =>
    pcrs.some(({ index }) => tellingPcrs.includes(index)) ? undefined : tellingPcrs.map((index) => `pcr${index}`),
  levels: ["nonce"],
  open(settings) {
    const { rootsFile, rootSha256 = awsNitroRootSha256 } = settings;
    const roots: TrustedRoots =
      rootsFile === undefined
        ? { certificates: [], fingerprints: [rootSha256] }
        : { certificates: readCertificateFile(rootsFile), fingerprints: [] };
    const trust = { roots, verified: createLru<string, true>(verifiedSignaturesMax) };
    return { verify: async (item, context) => verifyNitro(item, settings, trust, context) };
  },
};

/**
 * Yields flat claims: pcr0 … pcr31 in lower-case hex for those that are set (not all zero), moduleId, instanceId of the parent where moduleId
 * names it, publicKeySha256 and userDataSha256 where the document has them. The instance is moduleId: one run of one enclave.
 * @throws {EvidenceRefused}
 */
export function verifyNitro(
  item: EvidenceItem,
  settings: NitroSettings,
  trust: NitroTrust,
  context: VerificationContext,
): VerifiedEvidence {
  const expected = bindingOctets(context);
  const octets = evidenceOctets(item, documentBytesMax);
  const { document, signed, certificateEnd } = verifyNitroDocument(octets, expected, settings, trust, context.now);
  const oldest = document.timestamp.getTime() + maxAgeMs(settings);
  return {
    format: item.format,
    ref: item.ref,
    claims: claimsOf(document),
    bindingLevel: "nonce",
    digest: evidenceDigest(item),
    oneTimeId: oneTimeIdOfEvidence(item.ref, signed),
    replayUntil: new Date(Math.min(oldest, certificateEnd.getTime())),
    expires: certificateEnd,
    instance: document.moduleId,
  };
}

/** A document that holds, what of it was signed, and when its certificate ends. */
export interface VerifiedNitroDocument {
  readonly document: NitroDocument;
  readonly signed: Buffer;
  readonly certificateEnd: Date;
}

/**
 * The document itself, whatever the nonce is to be.
 * @param expectedNonce the octets that the nonce must be
 * @throws {EvidenceRefused}
 */
export function verifyNitroDocument(
  octets: Buffer,
  expectedNonce: Uint8Array,
  settings: NitroSettings,
  trust: NitroTrust,
  now: Date,
): VerifiedNitroDocument {
  const cose = readCoseSign1(octets, { bytesMax: documentBytesMax, itemsMax: 16, depthMax: 3 });
  // {1: -35}, ES384, in the one encoding that it has; and nothing that is not signed.
  if (cose.protectedHeader.toString("hex") !== "a1013822" || cose.unprotectedHeader.size > 0) {
    throw new EvidenceRefused("evidenceInvalid", "The document is not signed with ES384, or has other headers");
  }
  const document = readNitroDocument(cose.payload);
  const { clockSkewSeconds = 30 } = settings;
  const chain = verifyChain(document.certificate, document.cabundle.toReversed(), trust.roots, {
    now,
    clockSkewSeconds,
    leafKeyUsage: "digitalSignature",
    ...(trust.verified !== undefined && { verified: trust.verified }),
  });
  if (!isSignedEs384(cose, chain.publicKey)) {
    throw new EvidenceRefused("evidenceInvalid", "The document's signature does not verify");
  }
  requireFresh(document, settings, now);
  requireMeasurements(document, settings);
  requireNonce(document, expectedNonce);
  return { document, signed: cose.signed, certificateEnd: chain.leaf.notAfter };
}

const maxAgeMs = ({ maxAgeSeconds = 300 }: NitroSettings): number => maxAgeSeconds * 1000;

function requireFresh({ timestamp }: NitroDocument, settings: NitroSettings, now: Date): void {
  const age = now.getTime() - timestamp.getTime();
  if (age > maxAgeMs(settings)) throw new EvidenceRefused("evidenceExpired", "The document was signed too long ago");
  if (-age > (settings.clockSkewSeconds ?? 30) * 1000) {
    throw new EvidenceRefused("evidenceExpired", "The document was signed in the future");
  }
}

/** In debug mode PCR0 is all zero, and whoever runs the enclave reads along. Other PCRs are set then, too, so they say nothing. */
function requireMeasurements({ pcrs }: NitroDocument, { pcrs: policy = [] }: NitroSettings): void {
  const image = pcrs.get(0);
  if (image === undefined || isAllZero(image)) {
    throw new EvidenceRefused("measurementMismatch", "The enclave runs in debug mode, or has no measurement");
  }
  for (const { index, values } of policy) {
    const measured = pcrs.get(index)?.toString("hex");
    if (measured === undefined || !values.includes(measured)) {
      throw new EvidenceRefused("measurementMismatch", "A measurement of the enclave is not one that the source takes");
    }
  }
}

function requireNonce({ nonce }: NitroDocument, expected: Uint8Array): void {
  if (nonce === undefined || nonce.length === 0) {
    throw new EvidenceRefused("bindingMissing", "The document has no nonce");
  }
  if (!nonce.equals(expected)) {
    throw new EvidenceRefused("bindingMismatch", "The document's nonce is not the binding value of this challenge");
  }
}

function claimsOf({ moduleId, pcrs, publicKey, userData }: NitroDocument): Claims {
  const measured = [...pcrs]
    .filter(([, digest]) => !isAllZero(digest))
    .map(([index, digest]) => [`pcr${index}`, digest.toString("hex")] as const);
  const instanceId = /^(i-[0-9a-f]{8,17})-enc[0-9a-f]+$/.exec(moduleId)?.[1];
  return {
    ...Object.fromEntries(measured),
    moduleId,
    ...(instanceId !== undefined && { instanceId }),
    ...(publicKey !== undefined && { publicKeySha256: sha256(publicKey) }),
    ...(userData !== undefined && { userDataSha256: sha256(userData) }),
  };
}

const sha256 = (octets: Buffer): string => createHash("sha256").update(octets).digest("hex");
