/**
 * Format `azure-imds`: the attested document of an Azure virtual machine, as its metadata service returns it: PKCS #7 around JSON, signed under
 * a name of metadata.azure.com. Level `nonce`: the nonce that the document repeats is the head of the binding value.
 */
import { type Static, Type } from "typebox";
import { createLru } from "../../cache/lru.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../encoding/json.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { parseRfc3339 } from "../../x509/time.ts";
import { type ChainRules, intermediatesMax, type VerifiedSignatures, verifyChain } from "../certificateChain.ts";
import { evidenceDigest, evidenceOctets, parseEvidenceJson } from "../binaryEvidence.ts";
import { readCertificateFile } from "../certificateFile.ts";
import { EvidenceRefused, invalid, malformed, oneTimeIdOfEvidence } from "../evidence.ts";
import type { Claims, EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat, SourceSettings } from "../format.ts";
import { signedDataBytesMax, verifySignedData } from "../signedData.ts";
import { optionalPath, requiredPath, uuidForm } from "../settings.ts";

/** Azure's clouds and the names of their metadata services. */
const signerNames = {
  public: "metadata.azure.com",
  "us-government": "metadata.azure.us",
  china: "metadata.azure.cn",
} as const;
const clouds = ["public", "us-government", "china"] as const;

const properties = {
  rootsFile: requiredPath("PEM file of the root certificates that the signer's chain may end in; read at start."),
  intermediatesFile: optionalPath(
    "PEM file of Microsoft's issuing CAs, which documents do not bring along; read at start. They are not trusted for being here.",
  ),
  subscriptions: Type.Array(Type.String({ pattern: uuidForm }), {
    minItems: 1,
    maxItems: 1000,
    uniqueItems: true,
    description: "The Azure subscriptions whose machines count, in lower case.",
  }),
  cloud: Type.Optional(
    Type.Enum([...clouds], {
      description:
        "Whose metadata service signs, which the name in the signer's certificate says; public (metadata.azure.com) unless said.",
    }),
  ),
  clockSkewSeconds: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 300, description: "Tolerance for Azure's clock; 60 unless said." }),
  ),
};
const settingsSchema = Type.Object(properties);

/** Settings of a source of this format. */
export type AzureImdsSettings = SourceSettings & Readonly<Static<typeof settingsSchema>>;

/** What documents are verified by. */
export interface AzureTrust {
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly verified?: VerifiedSignatures;
}

/** Claims beside the two ids → where they stand. Azure writes empty texts for what there is not. */
const describing: Readonly<Record<string, (document: JsonObject) => JsonValue | undefined>> = {
  sku: (document) => document["sku"],
  licenseType: (document) => document["licenseType"],
  planName: (document) => planOf(document)["name"],
  planProduct: (document) => planOf(document)["product"],
  planPublisher: (document) => planOf(document)["publisher"],
};
const textMax = 256;
const uuid = new RegExp(uuidForm);
/** Characters of B in base64url that the nonce has room for: 192 bits of it. */
const nonceCharacters = 32;
/** What Azure writes where it was asked for no nonce: its time. */
const noNonce = /^(\d{8}-\d{6})?$/;
/** Ways from the signer to a root that are tried: issuing CAs are cross-signed. */
const pathsMax = 8;

export const azureImdsFormat: EvidenceFormat<AzureImdsSettings> = {
  name: "azure-imds",
  properties,
  claimNames: ["vmId", "subscriptionId", ...Object.keys(describing)],
  levels: ["nonce"],
  pinning: { mode: "strict" },
  open(settings) {
    const { rootsFile, intermediatesFile } = settings;
    const trust: AzureTrust = {
      roots: readCertificateFile(rootsFile),
      intermediates: intermediatesFile === undefined ? [] : readCertificateFile(intermediatesFile),
      verified: createLru(1000),
    };
    return { verify: async (item, context) => verifyAzureImds(item, settings, trust, context) };
  },
};

/**
 * Yields vmId and subscriptionId, and sku, licenseType, planName, planProduct and planPublisher where the document has them. The instance
 * is the machine's vmId.
 * @throws {EvidenceRefused}
 */
export function verifyAzureImds(
  item: EvidenceItem,
  settings: AzureImdsSettings,
  trust: AzureTrust,
  context: VerificationContext,
): VerifiedEvidence {
  const octets = evidenceOctets(item, signedDataBytesMax);
  const { content, signer, certificates } = verifySignedData(octets);
  const skewSeconds = settings.clockSkewSeconds ?? 60;
  requireTrusted(signer, certificates, trust, { now: context.now, clockSkewSeconds: skewSeconds });
  requireName(signer, signerNames[settings.cloud ?? "public"]);

  const document = parseEvidenceJson(content, "The document");
  const expires = requireTime(document, context.now, skewSeconds * 1000);
  const claims = claimsOf(document);
  if (!settings.subscriptions.includes(claims.subscriptionId)) {
    throw invalid("The document is of a subscription that this source does not take");
  }
  requireBinding(document["nonce"], context.binding);
  return {
    format: item.format,
    ref: item.ref,
    claims,
    bindingLevel: "nonce",
    digest: evidenceDigest(item),
    oneTimeId: oneTimeIdOfEvidence(item.ref, content),
    replayUntil: expires,
    expires,
    instance: claims.vmId,
  };
}

/** The certificate whose key verified, and no other one, must lead to a root. */
function requireTrusted(
  signer: Certificate,
  sent: readonly Certificate[],
  { roots, intermediates, verified }: AzureTrust,
  rules: ChainRules,
): void {
  const trusted = { certificates: roots, fingerprints: [] };
  let refused: unknown = invalid("The signer's certificate does not lead to a root of the source's");
  for (const path of pathsFrom(signer, [...intermediates, ...sent], roots).slice(0, pathsMax)) {
    try {
      const above = path.map(({ der }) => der);
      verifyChain(signer.der, above, trusted, {
        ...rules,
        leafKeyUsage: "digitalSignature",
        ...(verified && { verified }),
      });
      return;
    } catch (error) {
      if (!(error instanceof EvidenceRefused)) throw error;
      refused = error;
    }
  }
  throw refused;
}

/** By names alone: each list of certificates between the signer and one that a root's name issued. */
function pathsFrom(
  signer: Certificate,
  pool: readonly Certificate[],
  roots: readonly Certificate[],
): readonly (readonly Certificate[])[] {
  const found: Certificate[][] = [];
  const extend = (path: readonly Certificate[], { issuer }: Certificate): void => {
    if (found.length === pathsMax) return;
    if (roots.some(({ subject }) => subject.equals(issuer))) found.push([...path]);
    if (path.length === intermediatesMax) return;
    for (const next of pool) {
      if (!next.subject.equals(issuer) || next === signer || path.includes(next)) continue;
      extend([...path, next], next);
    }
  };
  extend([], signer);
  return found;
}

/** Every DNS name of the certificate: one that is for something else as well is no metadata service's. */
function requireName({ names }: Certificate, signerName: string): void {
  const isBelow = (name: string): boolean =>
    name.toLowerCase() === signerName || name.toLowerCase().endsWith(`.${signerName}`);
  if (names.dns.length === 0 || !names.dns.every(isBelow)) {
    throw invalid("The signer's certificate is not for the metadata service");
  }
}

/** @returns until when the document counts here */
function requireTime(document: JsonObject, now: Date, skewMs: number): Date {
  const stamp = document["timeStamp"];
  if (!isJsonObject(stamp)) throw malformed("The document has no usable timeStamp");
  const [createdOn, expiresOn] = [timeOf(stamp["createdOn"]), timeOf(stamp["expiresOn"])];
  if (now.getTime() + skewMs < createdOn.getTime()) {
    throw new EvidenceRefused("evidenceExpired", "The document was made in the future");
  }
  if (now.getTime() - skewMs > expiresOn.getTime())
    throw new EvidenceRefused("evidenceExpired", "The document has expired");
  return new Date(expiresOn.getTime() + skewMs);
}

/** For example "04/19/22 01:27:21 -0000": month, day, year. */
function timeOf(value: JsonValue | undefined): Date {
  const form = /^(\d\d)\/(\d\d)\/(\d\d) (\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)$/;
  const [, month, day, year, time, hours = "", minutes] = form.exec(typeof value === "string" ? value : "") ?? [];
  const instant = parseRfc3339(`20${year}-${month}-${day}T${time}${hours}:${minutes}`);
  if (instant === undefined) throw malformed("The document has no usable timeStamp");
  return instant;
}

function claimsOf(document: JsonObject): Claims & { readonly vmId: string; readonly subscriptionId: string } {
  const described: Record<string, string> = {};
  for (const [name, find] of Object.entries(describing)) {
    const value = find(document);
    if (value === undefined || value === null || value === "") continue;
    if (typeof value !== "string" || value.length > textMax) {
      throw malformed(`The document has no usable ${name}`);
    }
    described[name] = value;
  }
  return { vmId: idOf(document, "vmId"), subscriptionId: idOf(document, "subscriptionId"), ...described };
}

function idOf(document: JsonObject, name: string): string {
  const value = document[name];
  const id = typeof value === "string" ? value.toLowerCase() : "";
  if (!uuid.test(id)) throw malformed(`The document has no usable ${name}`);
  return id;
}

function planOf(document: JsonObject): JsonObject {
  const plan = document["plan"];
  return isJsonObject(plan) ? plan : {};
}

function requireBinding(nonce: JsonValue | undefined, binding: string | undefined): void {
  if (binding === undefined) {
    throw new EvidenceRefused("bindingMissing", "The challenge commits to no key that a document could be bound to");
  }
  if (nonce === undefined || (typeof nonce === "string" && noNonce.test(nonce))) {
    throw new EvidenceRefused("bindingMissing", "The document was asked for without a nonce");
  }
  if (nonce !== binding.slice(0, nonceCharacters)) {
    throw new EvidenceRefused("bindingMismatch", "The document's nonce is not the head of the binding value");
  }
}
