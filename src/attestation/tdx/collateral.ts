/**
 * Collateral of a TDX quote: what Intel's provisioning service says of a kind of platform, signed and for a month at most. It comes with the
 * evidence or from a file of the operator's; either way nothing of it counts before its signatures, chains, revocation lists and dates hold.
 */
import { hash, type KeyObject, verify } from "node:crypto";
import type { JsonObject } from "../../encoding/json.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { type CertificateList, readCertificateList } from "../../x509/certificateList.ts";
import { DerError } from "../../x509/der.ts";
import { readableCommonName } from "../../x509/name.ts";
import { parseEvidenceJson } from "../binaryEvidence.ts";
import { type CertificateChain, type ChainRules, type TrustedRoots, verifyChain } from "../certificateChain.ts";
import { derOfPem } from "../certificateFile.ts";
import { EvidenceRefused, invalid, malformed } from "../evidence.ts";
import { readVerificationKey, verifyForeignSignature } from "../verificationKey.ts";
import { type QeIdentity, readQeIdentity, readTcbInfo, type TcbInfo } from "./tcb.ts";

/** Collateral whose parts have the right form; nothing is verified yet. */
export interface Collateral {
  /** SHA-256 of the whole text. */
  readonly digest: Buffer;
  readonly tcbInfo: SignedJson;
  readonly qeIdentity: SignedJson;
  /** DER. */
  readonly rootCaCrl: Buffer;
  readonly pckCrl: Buffer;
}

interface SignedJson {
  /** The signed text, octet for octet. */
  readonly text: Buffer;
  /** r ‖ s. */
  readonly signature: Buffer;
  /** DER, the signer first. */
  readonly chain: readonly Buffer[];
}

/** Collateral that holds for one PCK certificate at one instant. */
export interface VerifiedCollateral {
  readonly tcbInfo: TcbInfo;
  readonly qeIdentity: QeIdentity;
  readonly rootCrl: CertificateList;
  readonly pckCrl: CertificateList;
  /** When the last of its parts begins to hold, and the first ends; the certificates of its signers are parts as well. */
  readonly from: Date;
  readonly until: Date;
}

/** The largest collateral that is looked at; real ones have 15 to 20 KiB, a long revocation list more. */
export const collateralBytesMax = 196_608;
const signerName = "Intel SGX TCB Signing";

/**
 * Reads collateral in the form that Intel's libraries and their kin exchange: one JSON object with the two signed documents as texts,
 * signatures and revocation lists in hexadecimal, chains in PEM. Other members are not read.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function readCollateral(octets: Buffer): Collateral {
  if (octets.length > collateralBytesMax) throw malformed(`The collateral is larger than ${collateralBytesMax} bytes`);
  const object = parseEvidenceJson(octets, "The collateral");
  return {
    digest: hash("sha256", octets, "buffer"),
    tcbInfo: readSigned(object, "tcb_info"),
    qeIdentity: readSigned(object, "qe_identity"),
    rootCaCrl: hexAt(object, "root_ca_crl"),
    pckCrl: hexAt(object, "pck_crl"),
  };
}

/** Which kind of platform collateral claims to be about, unverified: good for choosing among several. */
export function statedFmspc({ tcbInfo }: Collateral): string {
  return readTcbInfo(tcbInfo.text).fmspc.toString("hex");
}

/**
 * Verifies collateral for a platform whose PCK chain holds. The revocation lists must be those of that very chain: of its root and of the CA
 * that issued the PCK certificate.
 * @param pckChain PCK certificate, its CA, root
 * @throws {EvidenceRefused} evidenceInvalid · evidenceExpired · evidenceMalformed
 */
export function verifyCollateral(
  collateral: Collateral,
  pckChain: CertificateChain,
  roots: TrustedRoots,
  rules: ChainRules,
): VerifiedCollateral {
  const { ca } = partsOf(pckChain);
  const rootCrl = verifyList(collateral.rootCaCrl, pckChain.root, rules.now, "root's");
  const pckCrl = verifyList(collateral.pckCrl, ca, rules.now, "PCK CA's");
  const signers = [collateral.tcbInfo, collateral.qeIdentity].map((signed) => {
    const chain = verifySigner(signed.chain, roots, rules);
    if (rootCrl.revokes(chain.leaf.serialNumber)) throw invalid("The signer of the collateral is revoked");
    requireSignature(signed, chain.publicKey);
    return chain.certificates;
  });
  const [tcbInfo, qeIdentity] = [readTcbInfo(collateral.tcbInfo.text), readQeIdentity(collateral.qeIdentity.text)];
  for (const { issueDate, nextUpdate } of [tcbInfo, qeIdentity]) requireWithin(issueDate, nextUpdate, rules.now);
  const parts = [
    ...[tcbInfo, qeIdentity].map(({ issueDate, nextUpdate }) => [issueDate, nextUpdate] as const),
    ...[rootCrl, pckCrl].map(({ thisUpdate, nextUpdate }) => [thisUpdate, nextUpdate] as const),
    ...signers.flat().map(({ notBefore, notAfter }) => [notBefore, notAfter] as const),
  ];
  const from = new Date(Math.max(...parts.map(([start]) => start.getTime())));
  const until = new Date(Math.min(...parts.map(([, end]) => end.getTime())));
  return { tcbInfo, qeIdentity, rootCrl, pckCrl, from, until };
}

/** @throws {EvidenceRefused} evidenceInvalid when a list has a certificate of the chain */
export function requireUnrevoked(pckChain: CertificateChain, { rootCrl, pckCrl }: VerifiedCollateral): void {
  const { pck, ca } = partsOf(pckChain);
  if (rootCrl.revokes(ca.serialNumber)) throw invalid("The CA of the PCK certificate is revoked");
  if (pckCrl.revokes(pck.serialNumber)) throw invalid("The PCK certificate is revoked");
}

function partsOf({ certificates: [pck, ca] }: CertificateChain): { pck: Certificate; ca: Certificate } {
  if (pck === undefined || ca === undefined) throw new TypeError("a PCK chain has a CA");
  return { pck, ca };
}

/** Directly below the root, by its name: PCK certificates lie below the same root and sign no collateral. */
function verifySigner([leaf, ...above]: readonly Buffer[], roots: TrustedRoots, rules: ChainRules): CertificateChain {
  if (leaf === undefined) throw malformed("The collateral has no chain of its signer");
  const chain = verifyChain(leaf, above, roots, { ...rules, leafKeyUsage: "digitalSignature" });
  if (chain.certificates.length !== 2 || readableCommonName(chain.leaf.subject) !== signerName) {
    throw invalid("The collateral is not signed by Intel's TCB signing certificate");
  }
  return chain;
}

function requireSignature({ text, signature }: SignedJson, key: KeyObject): void {
  if (key.asymmetricKeyType === "ec" && verify("sha256", text, { key, dsaEncoding: "ieee-p1363" }, signature)) return;
  throw invalid("A signature of the collateral does not verify");
}

/** RFC 5280 §6.3.3, for a complete list of `issuer` about its own certificates. */
function verifyList(octets: Buffer, issuer: Certificate, now: Date, whose: string): CertificateList {
  const list = readListOrRefuse(octets, whose);
  if (!list.issuer.equals(issuer.subject)) throw invalid(`The ${whose} revocation list is another CA's`);
  const key = readVerificationKey(issuer.spki, "A CA's key");
  if (!verifyForeignSignature(list.signatureIdentifier, key, list.tbs, list.signature)) {
    throw invalid(`The signature of the ${whose} revocation list does not verify`);
  }
  requireWithin(list.thisUpdate, list.nextUpdate, now);
  return list;
}

function readListOrRefuse(octets: Buffer, whose: string): CertificateList {
  try {
    return readCertificateList(octets);
  } catch (error) {
    if (error instanceof DerError) throw malformed(`The ${whose} revocation list is malformed: ${error.message}`);
    throw error;
  }
}

function requireWithin(from: Date, until: Date, now: Date): void {
  if (now < from) throw new EvidenceRefused("evidenceExpired", "A part of the collateral is not valid yet");
  if (now > until) throw new EvidenceRefused("evidenceExpired", "A part of the collateral has expired");
}

function readSigned(object: JsonObject, name: string): SignedJson {
  const signature = hexAt(object, `${name}_signature`);
  if (signature.length !== 64) throw malformed(`The collateral's ${name}_signature has not 64 octets`);
  const chain = derOfPem(textAt(object, `${name}_issuer_chain`));
  return { text: Buffer.from(textAt(object, name), "utf8"), signature, chain };
}

function textAt(object: JsonObject, name: string): string {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  if (typeof value !== "string") throw malformed(`The collateral has no ${name} that is a text`);
  return value;
}

function hexAt(object: JsonObject, name: string): Buffer {
  const text = textAt(object, name);
  if (text.length % 2 !== 0 || !/^[0-9A-Fa-f]+$/.test(text))
    throw malformed(`The collateral's ${name} is not hexadecimal`);
  return Buffer.from(text, "hex");
}
