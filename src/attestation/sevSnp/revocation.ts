/**
 * Revocation lists of AMD's roots, from files that an operator keeps up to date. A list that is stale, or of nobody in the chain, is trouble
 * of our own: nothing is accepted on it, and no challenge ends for it.
 */
import { readFileSync, statSync, type Stats } from "node:fs";
import type { Certificate } from "../../x509/certificate.ts";
import { type CertificateList, readCertificateList } from "../../x509/certificateList.ts";
import { readKeyUsage } from "../../x509/extensions.ts";
import { oids } from "../../x509/oid.ts";
import { pemDecode } from "../../x509/pem.ts";
import { EvidenceRefused, SourceUnavailable } from "../evidence.ts";
import { isUnchanged, requireReadable } from "../sourceFile.ts";
import { readVerificationKey, verifyForeignSignature } from "../verificationKey.ts";

const bytesMax = 1_048_576;

export interface RevocationLists {
  /**
   * Makes sure that a chain, from leaf to root, has nothing that its issuer revoked. There must be a list of the root.
   * @throws {EvidenceRefused} evidenceInvalid for a revoked certificate
   * @throws {SourceUnavailable} when a list is absent, not genuine, or not of this time
   */
  requireUnrevoked(chain: readonly Certificate[], now: Date): void;
}

/**
 * Opens the files, DER or PEM, and reads them; again when they change.
 * @throws {Error} for people, naming the file
 */
export function openRevocationLists(files: readonly string[]): RevocationLists {
  const lists = files.map(openList);
  return {
    requireUnrevoked(chain, now) {
      const present = lists.map((list) => list());
      for (const [depth, certificate] of chain.slice(0, -1).entries()) {
        const issuer = chain[depth + 1];
        const own = present.filter((list) => list.issuer.equals(certificate.issuer));
        if (issuer === undefined) throw new TypeError("a chain ends in its root");
        if (own.length === 0 && depth === chain.length - 2)
          throw new SourceUnavailable("no revocation list of the root");
        for (const list of own) requireGenuine(list, issuer, now);
        if (own.some((list) => list.revokes(certificate.serialNumber))) {
          throw new EvidenceRefused("evidenceInvalid", "A certificate of the chain was revoked");
        }
      }
    },
  };
}

function requireGenuine(list: CertificateList, issuer: Certificate, now: Date): void {
  const { thisUpdate, nextUpdate, signatureIdentifier, tbs, signature } = list;
  if (now < thisUpdate || now > nextUpdate) throw new SourceUnavailable("a revocation list is not of this time");
  const usage = issuer.extensions.find(({ oid }) => oid === oids.keyUsage);
  const mayList = usage === undefined || readKeyUsage(usage.value, { lenient: true }).includes("cRLSign");
  const key = readVerificationKey(issuer.spki, "A key in the certificate chain");
  if (!mayList || !verifyForeignSignature(signatureIdentifier, key, tbs, signature)) {
    throw new SourceUnavailable("a revocation list is not signed by its issuer");
  }
}

function openList(file: string): () => CertificateList {
  let found = statSync(file);
  let list = readList(file, found);
  return () => {
    try {
      const present = statSync(file);
      if (isUnchanged(found, present)) return list;
      list = readList(file, present);
      found = present; // Only now: a file caught half-written is read again the next time.
      return list;
    } catch (cause) {
      throw new SourceUnavailable("a revocation list cannot be read", { cause });
    }
  };
}

function readList(file: string, found: Stats): CertificateList {
  requireReadable(found, file, bytesMax);
  try {
    const octets = readFileSync(file);
    const text = octets.toString("latin1");
    const [der = octets] = text.startsWith("-----BEGIN") ? pemDecode(text, "X509 CRL") : [];
    return readCertificateList(der);
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : "it cannot be read"}`, { cause: error });
  }
}
