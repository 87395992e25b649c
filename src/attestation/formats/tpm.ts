/**
 * Format `tpm`: a TPM 2.0 quotes its registers, certifies a key that it made, or both, by an attestation key and over the binding value
 * (TPM 2.0 Library Part 3 §18.2 and §18.4). Level `nonce`.
 */
import type { KeyObject } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { type Static, Type } from "typebox";
import { decodeBase64url } from "../../encoding/base64url.ts";
import { createLru } from "../../cache/lru.ts";
import { boundReplayUntil, evidenceDigest } from "../binaryEvidence.ts";
import type { TrustedRoots } from "../certificateChain.ts";
import { readCertificateFile } from "../certificateFile.ts";
import { type Claims, EvidenceRefused, invalid, mismatch, oneTimeIdOfEvidence } from "../evidence.ts";
import type { EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat, SourceSettings } from "../format.ts";
import { offerActivation } from "../tpm/activation.ts";
import { trustAttestationKey, type AttestationKeyTrust } from "../tpm/attestationKey.ts";
import type { Attest } from "../tpm/attest.ts";
import { leniencyProperties, requireCertifiedKey, requireModernHashes } from "../tpm/certifiedKey.ts";
import { openEnrolledKeys } from "../tpm/enrolledKeys.ts";
import { readTpmEvidence, type TpmEvidence } from "../tpm/evidence.ts";
import { registersMax, requirePcrs, type PcrPolicy } from "../tpm/pcrPolicy.ts";
import { verifyTpmSignature, type TpmSignature } from "../tpm/signature.ts";
import { digestForm, optionalPath } from "../settings.ts";

const register = Type.Integer({ minimum: 0, maximum: registersMax - 1 });

const properties = {
  akRootsFile: optionalPath("PEM file of the roots that certificates of attestation keys lead to."),
  enrolledKeysFile: optionalPath(
    'JSON file {"devices": [{"name", "ak"}]} of attestation keys: PEM, JWK, or the TPM\'s name in hex. Read again when it changes.',
  ),
  ekRootsFile: optionalPath(
    "PEM file of the roots that certificates of endorsement keys lead to, for attestation keys without a certificate.",
  ),
  statements: Type.Optional(
    Type.Array(Type.Enum(["quote", "certify"]), {
      minItems: 1,
      uniqueItems: true,
      description: "What evidence must have, all of it signed by one attestation key; quote unless said.",
    }),
  ),
  pcrBank: Type.Optional(Type.Enum(["sha256", "sha384"], { description: "The bank of a quote; sha256 unless said." })),
  pcrs: Type.Optional(
    Type.Array(
      Type.Object(
        { index: register, values: Type.Array(Type.String({ pattern: digestForm }), { minItems: 1, maxItems: 256 }) },
        { additionalProperties: false },
      ),
      {
        minItems: 1,
        maxItems: registersMax,
        description: "Registers that a quote must have, and their allowed values, hex.",
      },
    ),
  ),
  pcrSelection: Type.Optional(
    Type.Array(register, {
      minItems: 1,
      maxItems: registersMax,
      uniqueItems: true,
      description: "Registers that a quote must have, these and no others; only then there is a claim pcrDigest.",
    }),
  ),
  pcrDigests: Type.Optional(
    Type.Array(Type.String({ pattern: digestForm }), {
      minItems: 1,
      maxItems: 256,
      description:
        "With pcrSelection: allowed digests over these registers, hex, by the hash of the attestation key's signature.",
    }),
  ),
  requireSafeClock: Type.Optional(
    Type.Boolean({
      description: "Refuse statements made while the TPM does not vouch for its clock; false unless said.",
    }),
  ),
  ...leniencyProperties,
};
const settingsSchema = Type.Object(properties);
export type TpmSettings = SourceSettings & Readonly<Static<typeof settingsSchema>>;

/** Certificates of TPMs and of their makers' CAs, whose signatures are verified once. */
const verifiedSignaturesMax = 1024;

const pcrClaimNames = Array.from({ length: registersMax }, (_, n) => `pcr${n}`);
const machineClaims = ["akSha256", "akName", "ekSha256", "deviceName"];
const claimNames = [
  ...machineClaims,
  "manufacturer",
  "model",
  "firmware",
  "resetCount",
  "restartCount",
  "pcrDigest",
  ...pcrClaimNames,
];

export const tpmFormat: EvidenceFormat<TpmSettings> = {
  name: "tpm",
  properties,
  check: checkTpmSource,
  claimNames,
  // Whoever has a TPM of the same maker gives its registers the same values.
  machineClaims: ({ akRootsFile, ekRootsFile }) =>
    akRootsFile === undefined && ekRootsFile === undefined ? undefined : machineClaims,
  levels: ["nonce"],
  open(settings) {
    const { ref, akRootsFile, enrolledKeysFile, ekRootsFile, allowSha1 = false } = settings;
    const trust: AttestationKeyTrust = {
      akRoots: akRootsFile === undefined ? undefined : rootsIn(akRootsFile),
      enrolled: enrolledKeysFile === undefined ? undefined : openEnrolledKeys(enrolledKeysFile, ref),
      ekRoots: ekRootsFile === undefined ? undefined : rootsIn(ekRootsFile),
      verified: createLru(verifiedSignaturesMax),
    };
    return {
      verify: (item, context) => verifyTpm(item, settings, trust, context),
      activate: (request, now) => offerActivation(request, ref, { trust, allowSha1, now }),
    };
  },
};

function rootsIn(file: string): TrustedRoots {
  return { certificates: readCertificateFile(file), fingerprints: [] };
}

function checkTpmSource(settings: TpmSettings, at: string): void {
  const {
    akRootsFile,
    enrolledKeysFile,
    ekRootsFile,
    statements = ["quote"],
    pcrs,
    pcrSelection,
    pcrDigests,
  } = settings;
  if (akRootsFile === undefined && enrolledKeysFile === undefined && ekRootsFile === undefined) {
    throw new Error(`${at}: expected akRootsFile, enrolledKeysFile or ekRootsFile: nothing else says whose keys count`);
  }
  const refuse = (key: "pcrs" | "pcrSelection" | "pcrDigests", expected: string): never => {
    throw new Error(`${at}.${key}: ${JSON.stringify(settings[key])}: expected ${expected}`);
  };
  const quoted = statements.includes("quote");
  if (pcrs !== undefined && !quoted) refuse("pcrs", "none where statements has no quote");
  if (pcrDigests !== undefined && !quoted) refuse("pcrDigests", "none where statements has no quote");
  if (pcrSelection !== undefined && !quoted) refuse("pcrSelection", "none where statements has no quote");
  // The digest says nothing of which registers it is of, and some can be set by anybody to what others have.
  if (pcrDigests !== undefined && pcrSelection === undefined) refuse("pcrDigests", "pcrSelection with it");
  const characters = settings.pcrBank === "sha384" ? 96 : 64;
  if (pcrs?.some(({ values }) => values.some((value) => value.length !== characters))) {
    refuse("pcrs", `values of ${characters} hex characters, as the bank has`);
  }
  if (pcrs !== undefined && new Set(pcrs.map((one) => one.index)).size !== pcrs.length) {
    refuse("pcrs", "each register once");
  }
}

function pcrPolicyOf({ pcrBank = "sha256", pcrs = [], pcrSelection, pcrDigests }: TpmSettings): PcrPolicy {
  return {
    bank: pcrBank,
    values: new Map(pcrs.map((one) => [one.index, one.values])),
    selection: pcrSelection?.toSorted((a, b) => a - b),
    digests: pcrDigests,
  };
}

/**
 * Yields flat claims: `claimNames`, of which those of certificate, enrolment and registers are there where the evidence has them.
 * A certified key is the only one that finalize takes then.
 * @throws {EvidenceRefused}
 * @throws {SourceUnavailable} when the enrolled keys cannot be read
 */
export async function verifyTpm(
  item: EvidenceItem,
  settings: TpmSettings,
  trust: AttestationKeyTrust,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const { ref, endorsements = {} } = item;
  const evidence = readTpmEvidence(item.value);
  const statements = requireStatements(evidence, settings);
  requireModern(evidence, settings);
  const ak = await trustAttestationKey(evidence, ref, endorsements, trust, context);
  for (const statement of statements) {
    if (!verifyTpmSignature(statement.signature, ak.key, statement.bytes)) {
      throw invalid("The attestation key has not signed the statement");
    }
  }
  for (const { attest } of statements) requireStatement(attest, settings, context);
  const { quote } = evidence;
  if (quote !== undefined) requirePcrs(quote.attest, quote.pcrs, quote.signature.hash, pcrPolicyOf(settings));
  const certifiedKey = evidence.certify && requireCertifiedKey(evidence.certify, settings);
  const [first] = statements;
  return {
    format: item.format,
    ref,
    claims: { ...ak.claims, ...statementClaims(first?.attest), ...pcrClaims(quote, settings) },
    bindingLevel: "nonce",
    digest: evidenceDigest(item),
    oneTimeId: oneTimeIdOfEvidence(ref, Buffer.concat(statements.map(({ bytes }) => bytes))),
    replayUntil: boundReplayUntil(context.now),
    instance: ak.instance,
    ...(ak.notAfterCap !== undefined && { notAfterCap: ak.notAfterCap }),
    ...(certifiedKey !== undefined && { certificateKey: await thumbprintOf(certifiedKey) }),
  };
}

interface SignedStatement {
  readonly bytes: Buffer;
  readonly attest: Attest;
  readonly signature: TpmSignature;
}

/** What the source wants, and nothing besides: what is not asked for would go unjudged. */
function requireStatements(
  { quote, certify }: TpmEvidence,
  { statements = ["quote"] }: TpmSettings,
): SignedStatement[] {
  for (const [name, statement] of [
    ["quote", quote],
    ["certify", certify],
  ] as const) {
    if (statements.includes(name) === (statement !== undefined)) continue;
    const what = statement === undefined ? `The value has no ${name}` : `The source does not ask for a ${name}`;
    throw invalid(what);
  }
  return [quote, certify].filter((statement) => statement !== undefined);
}

function requireModern({ ak, quote, certify }: TpmEvidence, settings: TpmSettings): void {
  const hashes = [ak?.nameAlgorithm, certify?.object.nameAlgorithm, quote?.signature.hash, certify?.signature.hash];
  requireModernHashes(hashes, settings);
}

function requireStatement(
  { extraData, safe }: Attest,
  { requireSafeClock = false }: TpmSettings,
  { binding }: VerificationContext,
): void {
  const expected = binding === undefined ? undefined : decodeBase64url(binding);
  if (extraData.length === 0 || expected === undefined) {
    throw new EvidenceRefused("bindingMissing", "The statement is bound to nothing");
  }
  if (!extraData.equals(expected)) {
    throw new EvidenceRefused("bindingMismatch", "The statement is bound to another challenge, account or key");
  }
  if (requireSafeClock && !safe) throw mismatch("The TPM does not vouch for its clock");
}

function statementClaims(attest: Attest | undefined): Claims {
  return attest === undefined ? {} : { resetCount: attest.resetCount, restartCount: attest.restartCount };
}

/** The digest only where the source says which registers it is of: a grant could be led to take it for that of others. */
function pcrClaims(quote: TpmEvidence["quote"], { pcrSelection }: TpmSettings): Claims {
  if (quote === undefined) return {};
  const values = quote.pcrs.map((pcr) => [`pcr${pcr.register}`, pcr.value.toString("hex")]);
  return {
    ...Object.fromEntries(values),
    ...(pcrSelection !== undefined && { pcrDigest: quote.attest.digest.toString("hex") }),
  };
}

function thumbprintOf(key: KeyObject): Promise<string> {
  return calculateJwkThumbprint(key.export({ format: "jwk" }));
}
