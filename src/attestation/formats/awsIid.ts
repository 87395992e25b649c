/**
 * Format `aws-iid`: the instance identity document of an EC2 instance, as `/latest/dynamic/instance-identity/rsa2048` returns it: PKCS #7 with
 * the document inside, signed by the region's RSA-2048 key. Level `document`, the weakest: it names neither this server nor this request, and
 * every process on the instance can read it for as long as the instance lives. An instance is therefore good for one showing.
 */
import { type Static, Type } from "typebox";
import type { Certificate } from "../../x509/certificate.ts";
import { parseRfc3339 } from "../../x509/time.ts";
import { evidenceDigest, evidenceOctets, parseEvidenceJson } from "../binaryEvidence.ts";
import { readCertificateFile } from "../certificateFile.ts";
import { EvidenceRefused, invalid, malformed, oneTimeIdOfEvidence } from "../evidence.ts";
import type { Claims, EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat, SourceSettings } from "../format.ts";
import { signedDataBytesMax, verifySignedData } from "../signedData.ts";
import { readVerificationKey } from "../verificationKey.ts";
import { requiredPath } from "../settings.ts";

const regionForm = "^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$";

const properties = {
  certificateFiles: Type.Record(Type.String({ pattern: regionForm }), requiredPath(), {
    minProperties: 1,
    maxProperties: 100,
    propertyNames: { pattern: regionForm },
    description:
      "Region → PEM file with AWS's RSA-2048 certificate for it. Documents of other regions are refused, and so is a region's document that another region's key signed.",
  }),
  accounts: Type.Array(Type.String({ pattern: "^[0-9]{12}$" }), {
    minItems: 1,
    maxItems: 1000,
    uniqueItems: true,
    description: "The AWS accounts whose instances count.",
  }),
  maxAgeSeconds: Type.Optional(
    Type.Integer({
      minimum: 60,
      maximum: 31_536_000,
      description:
        "How long after its launch (`pendingTime`) an instance is accepted; without it, for as long as it lives.",
    }),
  ),
};
const settingsSchema = Type.Object(properties);

/** Settings of a source of this format. */
export type AwsIidSettings = SourceSettings & Readonly<Static<typeof settingsSchema>>;

/** What documents are verified by: the certificates of each region that counts. */
export type RegionalCertificates = ReadonlyMap<string, readonly Certificate[]>;

/** Members of the document → what they look like. Those that a document may lack are absent from the claims. */
const members = {
  accountId: /^[0-9]{12}$/,
  region: new RegExp(regionForm),
  instanceId: /^i-[0-9a-f]{8,17}$/,
  imageId: /^ami-[0-9a-f]{8,17}$/,
  instanceType: /^[a-z0-9][a-z0-9.-]{0,63}$/,
  availabilityZone: /^[a-z]{2}(?:-[a-z0-9]+)+$/,
  privateIp: /^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$/,
  pendingTime: /^[0-9TZ:.-]{20,30}$/,
};
type MemberName = keyof typeof members;
const memberNames = Object.keys(members) as MemberName[];
const required: readonly MemberName[] = ["accountId", "region", "instanceId", "pendingTime"];

/** AWS's clock may be ahead of ours by so much. */
const skewMs = 300_000;
/** Octets of the RSA-1024 signature at `/latest/dynamic/instance-identity/signature`. */
const rsa1024Octets = 128;

export const awsIidFormat: EvidenceFormat<AwsIidSettings> = {
  name: "aws-iid",
  properties,
  claimNames: memberNames,
  levels: ["document"],
  pinning: { mode: "once" },
  open(settings) {
    const certificates: RegionalCertificates = new Map(
      Object.entries(settings.certificateFiles).map(([region, path]) => [region, readRegionalCertificates(path)]),
    );
    return { verify: async (item, context) => verifyAwsIid(item, settings, certificates, context) };
  },
};

/**
 * AWS publishes an RSA-1024 and a DSA certificate beside the one that is wanted; many regions share one RSA-1024 key, so that it says nothing
 * about the region.
 */
function readRegionalCertificates(path: string): Certificate[] {
  return readCertificateFile(path).map((certificate) => {
    if (isTaken(certificate)) return certificate;
    throw new Error(
      `${path}: a certificate whose key is not RSA of 2048 bits or more: expected AWS's RSA-2048 certificate`,
    );
  });
}

function isTaken(certificate: Certificate): boolean {
  try {
    return readVerificationKey(certificate.spki, "The key").asymmetricKeyType === "rsa";
  } catch (error) {
    if (error instanceof EvidenceRefused) return false;
    throw error;
  }
}

/**
 * Yields accountId, region, instanceId and pendingTime, and imageId, instanceType, availabilityZone and privateIp where the document has them.
 * The instance is region, account and instance id.
 * @throws {EvidenceRefused}
 */
export function verifyAwsIid(
  item: EvidenceItem,
  settings: AwsIidSettings,
  certificates: RegionalCertificates,
  { now }: VerificationContext,
): VerifiedEvidence {
  const octets = evidenceOctets(item, signedDataBytesMax);
  if (octets.length === rsa1024Octets) {
    throw invalid("RSA-1024 signatures are not accepted; the document with its RSA-2048 signature is at instance-identity/rsa2048"); // prettier-ignore
  }
  const { content, signer } = verifySignedData(octets, [...certificates.values()].flat());
  const claims = readDocument(content);
  const { accountId, region, instanceId } = claims;
  if (certificates.get(region)?.includes(signer) !== true) {
    throw invalid("The document is of another region than the key that signed it");
  }
  if (!settings.accounts.includes(accountId)) {
    throw invalid("The document is of an account that this source does not take");
  }
  requireTime(claims.pendingTime, settings.maxAgeSeconds, signer, now);
  return {
    format: item.format,
    ref: item.ref,
    claims,
    bindingLevel: "document",
    digest: evidenceDigest(item),
    oneTimeId: oneTimeIdOfEvidence(item.ref, content),
    // It is never refused for its age alone; the pin on the instance has no end either.
    replayUntil: signer.notAfter,
    instance: `${region}/${accountId}/${instanceId}`,
  };
}

type DocumentClaims = Claims & Readonly<Record<(typeof required)[number], string>>;

/** The signed octets; nothing else that came along is looked at. */
function readDocument(content: Buffer): DocumentClaims {
  const document = parseEvidenceJson(content, "The document");
  const claims: Record<string, string> = {};
  for (const name of memberNames) {
    const value = Object.hasOwn(document, name) ? document[name] : undefined;
    if ((value === undefined || value === null) && !required.includes(name)) continue;
    if (typeof value !== "string" || !members[name].test(value)) {
      throw malformed(`The document has no usable ${name}`);
    }
    claims[name] = value;
  }
  return claims as DocumentClaims;
}

function requireTime(pendingTime: string, maxAgeSeconds: number | undefined, signer: Certificate, now: Date): void {
  const launched = parseRfc3339(pendingTime);
  if (launched === undefined) throw malformed("The document has no usable pendingTime");
  if (now < signer.notBefore || now > signer.notAfter) {
    throw new EvidenceRefused("evidenceExpired", "The signer's certificate is not valid now");
  }
  const ageMs = now.getTime() - launched.getTime();
  if (ageMs < -skewMs) throw new EvidenceRefused("evidenceExpired", "The instance was launched in the future");
  if (maxAgeSeconds !== undefined && ageMs > maxAgeSeconds * 1000) {
    throw new EvidenceRefused("evidenceExpired", "The instance was launched too long ago");
  }
}
