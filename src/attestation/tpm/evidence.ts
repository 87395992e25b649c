/**
 * The value of evidence of format `tpm`: base64url of a JSON object, whose members are base64url of what the TPM wrote. Text, so that a shell
 * with `tpm2-tools` and `jq` can make it.
 *
 * `{"ak"?: TPMT_PUBLIC, "x5c"?: [DER …], "quote"?: {"attest", "signature", "pcrs"}, "certify"?: {"attest", "signature", "object"}}`
 */
import { decodeBase64url, decodeBase64urlUpTo } from "../../encoding/base64url.ts";
import { isJsonObject, JsonRefused, parseJsonObject, type JsonObject, type JsonValue } from "../../encoding/json.ts";
import { malformed } from "../evidence.ts";
import { cutPcrValues, readAttest, type Certify, type PcrValue, type Quote } from "./attest.ts";
import { readPublicArea, type PublicArea } from "./publicArea.ts";
import { TpmStructureError } from "./reader.ts";
import { readTpmSignature, type TpmSignature } from "./signature.ts";

/** A statement that the attestation key signed. */
interface Statement<Attest> {
  /** TPMS_ATTEST, the signed bytes. */
  readonly bytes: Buffer;
  readonly attest: Attest;
  readonly signature: TpmSignature;
}

/** Everything a value says, read and not verified. */
export interface TpmEvidence {
  /** Public area of the attestation key. */
  readonly ak: PublicArea | undefined;
  /** Its certificate, and what leads from there to a root; DER, none where there is no certificate. */
  readonly x5c: readonly Buffer[];
  readonly quote: (Statement<Quote> & { readonly pcrs: readonly PcrValue[] }) | undefined;
  readonly certify: (Statement<Certify> & { readonly object: PublicArea }) | undefined;
}

/** The largest value that is looked at: four certificates, two statements and 24 registers take a fifth of it. */
const valueCharactersMax = 65_536;
export const certificatesMax = 5;
const certificateBytesMax = 8192;
/** More than the largest of each structure has. */
const structureBytesMax = 2048;

/**
 * Reads a value.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function readTpmEvidence(value: string): TpmEvidence {
  if (value.length > valueCharactersMax) throw malformed(`The value is larger than ${valueCharactersMax} characters`);
  const text = decodeBase64url(value);
  if (text === undefined) throw malformed("The value is not base64url");
  try {
    const members = parseJsonObject(text, "The value");
    requireKnown(members, ["ak", "x5c", "quote", "certify"], "The value");
    return {
      ak: members["ak"] === undefined ? undefined : readPublicArea(requireBytes(members["ak"], "ak")),
      x5c: readCertificates(members["x5c"], "x5c"),
      quote: members["quote"] === undefined ? undefined : readQuote(members["quote"]),
      certify: members["certify"] === undefined ? undefined : readCertify(members["certify"]),
    };
  } catch (error) {
    if (error instanceof JsonRefused || error instanceof TpmStructureError) throw malformed(error.message);
    throw error;
  }
}

/** Certificates as base64url of DER; none where the member is absent. @throws {EvidenceRefused} evidenceMalformed */
export function readCertificates(list: JsonValue | undefined, what: string): Buffer[] {
  if (list === undefined) return [];
  if (!Array.isArray(list) || list.length === 0 || list.length > certificatesMax) {
    throw malformed(`${what} is not a list of 1 to ${certificatesMax} certificates`);
  }
  return list.map((certificate) => requireBytes(certificate, what, certificateBytesMax));
}

/** Base64url of 1 to `max` bytes. @throws {EvidenceRefused} evidenceMalformed */
export function requireBytes(value: JsonValue | undefined, what: string, max = structureBytesMax): Buffer {
  const bytes = typeof value === "string" ? decodeBase64urlUpTo(max, value) : undefined;
  if (bytes === undefined || bytes.length === 0) throw malformed(`${what} is not base64url of 1 to ${max} bytes`);
  return bytes;
}

function readQuote(value: JsonValue): TpmEvidence["quote"] {
  const members = requireObject(value, ["attest", "signature", "pcrs"], "quote");
  const bytes = requireBytes(members["attest"], "quote.attest");
  const attest = readAttest(bytes);
  if (attest.type !== "quote") throw malformed("quote.attest is not a quote");
  return {
    bytes,
    attest,
    signature: readTpmSignature(requireBytes(members["signature"], "quote.signature")),
    pcrs: cutPcrValues(attest.selections, requireBytes(members["pcrs"], "quote.pcrs")),
  };
}

function readCertify(value: JsonValue): TpmEvidence["certify"] {
  const members = requireObject(value, ["attest", "signature", "object"], "certify");
  const bytes = requireBytes(members["attest"], "certify.attest");
  const attest = readAttest(bytes);
  if (attest.type !== "certify") throw malformed("certify.attest is not a certify");
  return {
    bytes,
    attest,
    signature: readTpmSignature(requireBytes(members["signature"], "certify.signature")),
    object: readPublicArea(requireBytes(members["object"], "certify.object")),
  };
}

function requireObject(value: JsonValue, names: readonly string[], what: string): JsonObject {
  if (!isJsonObject(value)) throw malformed(`${what} is not an object`);
  requireKnown(value, names, what);
  return value;
}

/** What is misspelt must not be missing silently. */
function requireKnown(members: JsonObject, names: readonly string[], what: string): void {
  if (!Object.keys(members).every((name) => names.includes(name))) {
    throw malformed(`${what} has a member besides ${names.join(", ")}`);
  }
}
