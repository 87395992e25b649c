/** The chains that issuing CAs have of themselves: as their rows lead up. */
import { chainOf, type Chain } from "./chain.ts";
import type { StoredIssuer } from "./ports.ts";

/** An issuer that has its certificate. */
export type CertifiedIssuer = StoredIssuer & { readonly certificate: Buffer };

/** From an issuing CA up to below its root, which relying parties have. */
export function standardChains(certified: readonly CertifiedIssuer[]): Map<string, Chain> {
  const byId = new Map(certified.map((one) => [one.id, one]));
  const chains = new Map<string, Chain>();
  for (const issuing of certified.filter(({ kind }) => kind === "issuing")) {
    const certificates: Buffer[] = [];
    for (
      let at: CertifiedIssuer | undefined = issuing;
      at !== undefined && at.kind !== "root";
      at = byId.get(at.parentId ?? "")
    )
      certificates.push(at.certificate);
    chains.set(issuing.id, chainOf(certificates));
  }
  return chains;
}
