/**
 * Roots whose keys are here, as those who tell in a list what they revoked. Of a root whose key was never here nothing is expected; and none
 * keeps the issuing CAs from being followed.
 */
import { KeyUnavailable } from "../keys/signer.ts";
import { readCertificate } from "../x509/certificate.ts";
import { keyIdentifierIn } from "./caCertificate.ts";
import type { ListIssuer } from "./issuer.ts";
import type { IssuersOptions } from "./issuers.ts";
import { issuingKey } from "./issuingKey.ts";
import { listUrl, rootShards } from "./listUrl.ts";
import type { CertifiedIssuer } from "./standardChains.ts";

/** Looks at these roots each time, and for the key of each until it is found. */
export function createListingRoots({
  keys,
  publicUrl,
  onUnusable,
}: Pick<IssuersOptions, "keys" | "publicUrl" | "onUnusable">): (
  roots: readonly CertifiedIssuer[],
) => Promise<ListIssuer[]> {
  const found = new Map<string, ListIssuer>();
  const complained = new Set<string>();

  async function find(root: CertifiedIssuer): Promise<ListIssuer | undefined> {
    if (root.keyLabel === null) return undefined;
    const known = found.get(root.id);
    if (known !== undefined) return known;
    const { spki, subject, notAfter, extensions } = readCertificate(root.certificate);
    const { id, signatureAlgorithm: algorithm } = root;
    const signer = await keys
      .find({ spki, ...(algorithm !== null && { algorithm }) })
      .catch((error: unknown) => (error instanceof Error ? error : Promise.reject(error)));
    if (signer instanceof KeyUnavailable) return undefined; // Its token is away, and is asked again.
    if (signer === undefined || signer instanceof Error) {
      complain(
        root,
        signer === undefined ? `is not among the ${keys.description}` : `cannot be used: ${signer.message}`,
      );
      return undefined;
    }
    const subjectKeyIdentifier = keyIdentifierIn({ extensions, spki });
    const made: ListIssuer = {
      id,
      certifies: "CACerts",
      subject,
      subjectKeyIdentifier,
      notAfter,
      key: issuingKey(signer),
      crlShards: rootShards,
      listUrl: (shard) => listUrl(publicUrl, id, shard),
    };
    found.set(id, made);
    return made;
  }

  /** Once for each root. */
  function complain(root: CertifiedIssuer, why: string): void {
    if (complained.has(root.id)) return;
    complained.add(root.id);
    onUnusable?.(
      root,
      `the key of the root (label ${root.keyLabel}) ${why}: no list is made of the CAs that it revoked`,
    );
  }

  return async (roots) => {
    const listing: ListIssuer[] = [];
    for (const root of roots) {
      const one = await find(root);
      if (one !== undefined) listing.push(one);
    }
    return listing;
  };
}
