/** Delegations as the composition opens them: their sources, the file of the pseudonyms' key, and the store. */
import path from "node:path";

import type { Delegations } from "./acme/delegation.ts";
import type { DelegationRoutesOptions } from "./administration/delegations.ts";
import { createDelegationVerifier, openDelegationSource } from "./attestation/delegation.ts";
import type { SourceSurroundings } from "./attestation/format.ts";
import type { Configuration } from "./config/load.ts";
import type { Foundation } from "./foundation.ts";
import { openPseudonyms } from "./keys/pseudonym.ts";
import { countMadeOtherwise, createDelegationStore, knowDelegation } from "./store/delegations.ts";

export interface OpenDelegations {
  /** Undefined where no source is configured. */
  readonly acme: Delegations | undefined;
  readonly administration: Omit<DelegationRoutesOptions, "now" | "newId">;
}

/** No key is made where no source is configured. Says it loudly where the key is not the one that pseudonyms were made with. */
export async function openDelegations(
  { delegation, dataDir }: Pick<Configuration, "delegation" | "dataDir">,
  { db, log }: { readonly db: Foundation["db"]; readonly log: Pick<Foundation["log"], "error"> },
  surroundings: SourceSurroundings,
): Promise<OpenDelegations> {
  const store = createDelegationStore(db);
  if (delegation.sources.length === 0) {
    const pseudonym = (): never => {
      throw new Error("a pseudonym was asked for without a source");
    };
    return { acme: undefined, administration: { store, pseudonym, sources: [] } };
  }
  const file = delegation.pseudonymKeyFile ?? path.join(dataDir, "delegation-pseudonym-key");
  const pseudonyms = await openPseudonyms(file);
  const madeOtherwise = await countMadeOtherwise(db, pseudonyms.mark);
  if (madeOtherwise > 0)
    log.error(
      { subjects: madeOtherwise, file },
      "delegations were recorded with another key than the one in this file: what they cover cannot be found or ended here; " +
        "put the right file back (a backup, another server's)",
    );
  const verifier = createDelegationVerifier(
    delegation.sources.map((settings) => openDelegationSource(settings, surroundings)),
  );
  const pseudonym: Delegations["pseudonym"] = (kind, source, name) => pseudonyms.of(kind, source, name);
  return {
    acme: { verifier, pseudonym, isEnded: (source, subjects) => knowDelegation(db, source, subjects) },
    administration: { store, pseudonym, sources: verifier.refs },
  };
}
