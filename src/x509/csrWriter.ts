/**
 * Certification requests (PKCS #10, RFC 2986), writing: what the agent sends to finalize an order. Reading is in `csr.ts`.
 */
import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { tags } from "./der.ts";
import {
  bitString,
  constructed,
  der,
  type DerValue,
  encodeDer,
  objectIdentifier,
  octetString,
  primitive,
  sequence,
  setOfOne,
  smallInteger,
} from "./derWriter.ts";
import { ipToBytes } from "./names.ts";
import { oids } from "./oid.ts";
import { permanentIdentifierName } from "./permanentIdentifier.ts";

export interface CsrContent {
  /** Private: it signs the request. ECDSA P-256 or P-384, Ed25519, or RSA. */
  readonly key: KeyObject;
  /** DER SubjectPublicKeyInfo of `key`, where the caller has it at hand: writing one costs as much as a signature. */
  readonly spki?: Uint8Array;
  /** Names in their canonical forms; they are written as they are. */
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
  readonly permanentIdentifiers?: readonly string[];
}

/**
 * DER of a request with an empty subject and the names as its subjectAltName (RFC 2985 §5.4.2, RFC 5280 §4.2.1.6).
 * @throws {TypeError} for a key of another kind · {NameError} for an address not in canonical text
 */
export function encodeCsr({ key, spki = spkiOf(key), dns, ip, uri, permanentIdentifiers = [] }: CsrContent): Buffer {
  const { algorithm, hash } = signatureAlgorithm(key);
  const info = encodeDer(
    sequence(smallInteger(0), sequence(), spki, constructed(0, ...attributes({ dns, ip, uri, permanentIdentifiers }))),
  );
  return encodeDer(sequence(info, algorithm, bitString(sign(hash, info, key))));
}

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}

/** One extensionRequest with one subjectAltName; nothing at all where there are no names. */
function attributes({ dns, ip, uri, permanentIdentifiers }: Required<Omit<CsrContent, "key" | "spki">>): DerValue[] {
  const names = [
    ...uri.map((value) => primitive(6, Buffer.from(value, "latin1"))),
    ...dns.map((value) => primitive(2, Buffer.from(value, "latin1"))),
    ...ip.map((value) => primitive(7, ipToBytes(value))),
    ...permanentIdentifiers.map(permanentIdentifierName),
  ];
  if (names.length === 0) return [];
  // RFC 5280 §4.2.1.6: critical where the subject is empty. It goes unsaid here: some CAs refuse a request that decides it.
  const subjectAltName = sequence(objectIdentifier(oids.subjectAltName), octetString(sequence(...names)));
  return [sequence(objectIdentifier(oids.extensionRequest), setOfOne(sequence(subjectAltName)))];
}

/** AlgorithmIdentifiers of RFC 5758 §3.2, RFC 8410 §3 and RFC 4055 §5; only the last has parameters, NULL. */
function signatureAlgorithm(key: KeyObject): { algorithm: DerValue; hash: string | null } {
  const kind = key.asymmetricKeyType === "ec" ? key.asymmetricKeyDetails?.namedCurve : key.asymmetricKeyType;
  if (kind === "prime256v1") return { algorithm: sequence(objectIdentifier(oids.ecdsaWithSHA256)), hash: "sha256" };
  if (kind === "secp384r1") return { algorithm: sequence(objectIdentifier(oids.ecdsaWithSHA384)), hash: "sha384" };
  if (kind === "ed25519") return { algorithm: sequence(objectIdentifier(oids.ed25519)), hash: null };
  if (kind === "rsa") {
    return { algorithm: sequence(objectIdentifier(oids.sha256WithRSAEncryption), der(tags.null)), hash: "sha256" };
  }
  throw new TypeError("A certificate key must be ECDSA P-256 or P-384, Ed25519 or RSA");
}
