/** What a source of SEV-SNP reports trusts: AMD's roots, and the certificates that lead from a signing key to them. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import type { KeyObject } from "node:crypto";
import { createLru } from "../../cache/lru.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { decodeBase64urlUpTo } from "../../encoding/base64url.ts";
import { endorsementOctets } from "../binaryEvidence.ts";
import {
  type CertificateChain,
  certificateBytesMax,
  fingerprintOf,
  readForeignCertificate,
  readPemCertificates,
  type VerifiedSignatures,
  verifyChain,
} from "../certificateChain.ts";
import { type EvidenceItem, invalid, malformed } from "../evidence.ts";
import { type ChipCertificate, readChipCertificate, sameTcb } from "./chipCertificate.ts";
import { type Product, products } from "./product.ts";
import { isReportSigned, type SnpReport } from "./report.ts";
import { openRevocationLists, type RevocationLists } from "./revocation.ts";
import type { SevSnpSettings } from "./settings.ts";
import { readVerificationKey } from "../verificationKey.ts";

const verifiedSignaturesMax = 512;
/** ASK or ASVK, and ARK. */
const chainMax = 2;
const directoryMax = 4096;
const fileBytesMax = 65_536;

/** What a source trusts, opened. */
export interface SnpTrust {
  /** Product by the SHA-256 of its root. */
  readonly roots: ReadonlyMap<string, Product>;
  /** CAs below the roots, and the roots, as configured. */
  readonly authorities: readonly Certificate[];
  /** Certificates of signing keys that are at hand without endorsements. */
  readonly signers: readonly Signer[];
  readonly revocation: RevocationLists | undefined;
  readonly verified?: VerifiedSignatures;
}

interface Signer extends ChipCertificate {
  readonly certificate: Certificate;
}

/** The roots that count: the settings', or AMD's own. */
export function rootsOf({ roots }: Pick<SevSnpSettings, "roots">): ReadonlyMap<string, Product> {
  const pinned = roots?.map(({ product, sha256 }) => [sha256, products[product]] as const);
  return new Map(pinned ?? Object.values(products).map((product) => [product.arkSha256, product]));
}

/**
 * Reads the files of a source, once.
 * @throws {Error} for people, naming the file
 */
export function openSnpTrust(settings: SevSnpSettings): SnpTrust {
  const roots = rootsOf(settings);
  const authorities = (settings.certificateChainFiles ?? []).flatMap((file) => {
    const certificates = reading(file, () => readPemCertificates(readFile(file).toString("latin1")));
    if (!certificates.some(({ der }) => roots.has(fingerprintOf(der)))) {
      throw new Error(`${file}: expected an ARK that is one of the source's roots`);
    }
    return certificates;
  });
  const { certificateDirectory, crlFiles } = settings;
  return {
    roots,
    authorities,
    signers: certificateDirectory === undefined ? [] : signersIn(certificateDirectory),
    revocation: crlFiles === undefined ? undefined : openRevocationLists(crlFiles),
    verified: createLru<string, true>(verifiedSignaturesMax),
  };
}

/** Files of other kinds may lie there as well. */
function signersIn(directory: string): Signer[] {
  const names = readdirSync(directory).filter((name) => /\.(der|cer|crt|pem)$/i.test(name));
  if (names.length > directoryMax) throw new Error(`${directory} has more than ${directoryMax} certificates`);
  return names.map((name) => {
    const file = path.join(directory, name);
    return reading(file, () => {
      const octets = readFile(file);
      const text = octets.toString("latin1");
      const [certificate] = text.startsWith("-----BEGIN")
        ? readPemCertificates(text)
        : [readForeignCertificate(octets)];
      if (certificate === undefined) throw new Error("no certificate");
      return { ...readChipCertificate(certificate), certificate };
    });
  });
}

function readFile(file: string): Buffer {
  const found = statSync(file);
  if (!found.isFile() || found.size > fileBytesMax) throw new Error(`no regular file of up to ${fileBytesMax} bytes`);
  return readFileSync(file);
}

function reading<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : "it cannot be read"}`, { cause: error });
  }
}

/** The certificate of the key that signed a report, and what leads to its root. */
export interface Endorsed {
  readonly leaf: Buffer;
  readonly above: readonly Buffer[];
}

/**
 * The endorsements `vcek` or `vlek`, one base64url certificate, and `chain`, up to two above it. What does not come along is looked for among
 * the source's own certificates.
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid where there is no certificate for the report
 */
export function endorsementsOf(item: Pick<EvidenceItem, "endorsements">, report: SnpReport, trust: SnpTrust): Endorsed {
  const sent = (["vcek", "vlek"] as const).filter(
    (kind) => endorsementOctets(item, kind, certificateBytesMax) !== undefined,
  );
  if (sent.length > 1) throw malformed("The endorsements vcek and vlek exclude each other");
  const leaf = sent[0] === undefined ? signerOf(report, trust) : endorsementOctets(item, sent[0], certificateBytesMax);
  if (leaf === undefined) throw invalid("No certificate of the key that signed the report is at hand");
  const chain = chainOf(item);
  return { leaf, above: chain.length > 0 ? chain : authoritiesAbove(leaf, trust) };
}

/** Of several that fit, as a provider's key may for several products, the one whose key signed the report. */
function signerOf(report: SnpReport, { signers }: SnpTrust): Buffer | undefined {
  const fits = ({ kind, chipId, tcb }: Signer): boolean =>
    kind === report.signingKey &&
    (chipId === undefined || chipId.equals(report.chipId)) &&
    Object.values(products).some((product) => sameTcb(report.reportedTcb, tcb, product));
  const signed = ({ certificate }: Signer): boolean =>
    isReportSigned(report, readVerificationKey(certificate.spki, "The key of a configured certificate"));
  return signers.filter(fits).find(signed)?.certificate.der;
}

function chainOf({ endorsements = {} }: Pick<EvidenceItem, "endorsements">): Buffer[] {
  const chain = Object.hasOwn(endorsements, "chain") ? endorsements["chain"] : [];
  const texts = typeof chain === "string" ? [chain] : (chain ?? []);
  if (texts.length > chainMax) throw malformed(`The endorsement chain has more than ${chainMax} certificates`);
  return texts.map((text) => {
    const octets = decodeBase64urlUpTo(certificateBytesMax, text);
    if (octets === undefined) throw malformed("The endorsement chain is not base64url of certificates");
    return octets;
  });
}

/** From the leaf's issuer to the root, among the source's own certificates. */
function authoritiesAbove(leaf: Buffer, { authorities }: SnpTrust): Buffer[] {
  const { issuer } = readForeignCertificate(leaf);
  const ask = authorities.find(({ subject }) => subject.equals(issuer));
  return ask === undefined ? [] : [ask.der];
}

/** A chain that holds, and whose product it is of. */
export interface ChipChain {
  readonly product: Product;
  readonly leaf: Certificate;
  readonly publicKey: KeyObject;
  /** When the leaf ends. */
  readonly end: Date;
  /** Of a VLEK: whose it is. */
  readonly cspId?: string | undefined;
}

/**
 * Verifies the chain to a pinned root, and that nothing in it was revoked.
 * @throws {EvidenceRefused}
 */
export function verifyChipChain({ leaf, above }: Endorsed, trust: SnpTrust, now: Date): ChipChain {
  const { roots, authorities, verified } = trust;
  const anchors = authorities.filter(({ der }) => roots.has(fingerprintOf(der)));
  const chain: CertificateChain = verifyChain(
    leaf,
    above,
    { certificates: anchors, fingerprints: [...roots.keys()] },
    { now, ...(verified !== undefined && { verified }) },
  );
  const product = roots.get(chain.rootSha256);
  if (product === undefined) throw new TypeError("a root that is none of the source's");
  trust.revocation?.requireUnrevoked(chain.certificates, now);
  return { product, leaf: chain.leaf, publicKey: chain.publicKey, end: chain.leaf.notAfter };
}
