/** External account keys as the composition opens them: their store, with the file of the key that seals them. */
import path from "node:path";

import type { Configuration } from "./config/load.ts";
import type { Foundation } from "./foundation.ts";
import { openSealing } from "./keys/sealing.ts";
import type { Parts } from "./parts.ts";
import { countSealedOtherwise, createExternalAccountKeyStore } from "./store/externalAccountKeys.ts";

/**
 * Says it loudly where the file was lost, or is not the one that the other servers have: clients would get a 500 for what only an operator
 * can mend. The server starts all the same: certificates for accounts that are there need none of these keys.
 */
export async function openExternalAccounts(
  { acme, dataDir }: { readonly acme: Pick<Configuration["acme"], "externalAccountSealingKeyFile">; dataDir: string },
  { db, log }: { readonly db: Foundation["db"]; readonly log: Pick<Foundation["log"], "error"> },
): Promise<Parts["externalAccounts"]> {
  const file = acme.externalAccountSealingKeyFile ?? path.join(dataDir, "external-account-sealing-key");
  const sealing = await openSealing(file);
  const keys = await countSealedOtherwise(db, sealing);
  if (keys > 0)
    log.error(
      { keys, file },
      "external account keys were sealed with another key than the one in this file: nobody can register with them here; " +
        "put the right file back (a backup, another server's), or revoke them and make new ones",
    );
  return createExternalAccountKeyStore(db, sealing);
}
