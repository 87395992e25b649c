/**
 * Which issuer a CertID means. Pure. Issuers of one name and one key, as after a CA certificate was made anew, are one to whoever asks
 * (RFC 6960 §4.1.1 has no more of an issuer than these two).
 */
import type { CertId } from "../../x509/ocspRequest.ts";
import { certIdHashes } from "../../x509/ocspRequest.ts";
import { certIdOf, type ResponseIssuer } from "./prepareResponse.ts";

/** The issuers that a CertID means, by their id. */
export type Meant = ReadonlyMap<string, ResponseIssuer>;

export interface AnswerableIssuers {
  /** Undefined where it means none of ours. */
  meantBy(certId: CertId): Meant | undefined;
  has(issuerId: string): boolean;
}

/** The index is made once for each set of issuers, and asked with every request. */
export function answerableIssuers(issuers: readonly ResponseIssuer[]): AnswerableIssuers {
  const byHashes = new Map<string, Map<string, ResponseIssuer>>();
  for (const issuer of issuers) {
    for (const hash of certIdHashes) {
      const key = keyOf(certIdOf(issuer, hash, Buffer.alloc(0)));
      byHashes.set(key, (byHashes.get(key) ?? new Map<string, ResponseIssuer>()).set(issuer.id, issuer));
    }
  }
  const ids = new Set(issuers.map(({ id }) => id));
  return {
    meantBy: (certId) => (certId.hash === undefined ? undefined : byHashes.get(keyOf(certId))),
    has: (issuerId) => ids.has(issuerId),
  };
}

/** The lengths of the two hashes tell the algorithm: a CertID whose hashes have other lengths than its algorithm makes is not read. */
const keyOf = ({ issuerNameHash, issuerKeyHash }: CertId): string =>
  issuerNameHash.toString("latin1") + issuerKeyHash.toString("latin1");
