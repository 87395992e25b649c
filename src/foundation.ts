/** What everything else stands on: data directory, database with its schema, keys, hierarchy. Used by `serve`, `init` and `migrate`. */
import path from "node:path";
import { pino, type Logger } from "pino";

import { establishHierarchy } from "./authority/hierarchy.ts";
import type { Hierarchy } from "./authority/issuer.ts";
import type { Configuration } from "./config/load.ts";
import { openKeys, type KeysConfiguration } from "./keys/open.ts";
import type { KeyProvider } from "./keys/signer.ts";
import { openDatabase, type Database } from "./store/database.ts";
import { claimDataDirectory, startEmbeddedPostgres } from "./store/embeddedPostgres.ts";
import { createIssuerStore } from "./store/issuance.ts";
import { migrate } from "./store/migrate.ts";

export interface Store {
  readonly db: Database;
  readonly log: Logger;
  /** Names of the migrations that ran now. */
  readonly migrated: readonly string[];
  close(): Promise<void>;
}

export interface Foundation extends Store {
  readonly keys: KeyProvider;
  readonly hierarchy: Hierarchy;
  /** True when root and issuing CA were made just now. */
  readonly firstStart: boolean;
}

/** Opens the database, the embedded one where no URL is configured, and brings its schema up to date. */
export async function openStore(configuration: Configuration): Promise<Store> {
  const log = pino({ level: configuration.log.level });
  const claim = await claimDataDirectory(configuration.dataDir);
  const embedded =
    configuration.databaseUrl === undefined
      ? await startEmbeddedPostgres({
          directory: path.join(configuration.dataDir, "postgres"),
          log: (message) => log.info(message),
        })
      : undefined;
  const db = openDatabase({
    address: { url: configuration.databaseUrl ?? embedded?.url ?? "" },
    poolSize: configuration.database.poolSize,
    statementTimeoutMs: configuration.database.statementTimeoutMs,
    onError: ({ message }) => log.warn({ reason: message }, "an idle database connection broke"), // pg hangs the whole client on the error.
  });
  const close = async (): Promise<void> => {
    await db.close();
    await embedded?.stop();
    claim.release();
  };
  try {
    return { db, log, migrated: await migrate(db.kysely), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Opens store, keys and hierarchy; makes keys and CA certificates where the database has none. */
export async function openFoundation(configuration: Configuration, now: Date): Promise<Foundation> {
  const store = await openStore(configuration);
  let keys: KeyProvider | undefined;
  try {
    keys = await openKeys(keysOf(configuration));
    const { hierarchy, made } = await establishHierarchy({
      keys,
      store: createIssuerStore(store.db),
      trustDomain: configuration.trustDomain,
      keyLabel: configuration.keys.label,
      ...configuration.hierarchy,
      now,
    });
    const opened = keys;
    return {
      ...store,
      keys: opened,
      hierarchy,
      firstStart: made,
      async close() {
        await opened.close();
        await store.close();
      },
    };
  } catch (error) {
    await keys?.close();
    await store.close();
    throw error;
  }
}

function keysOf({ keys, dataDir }: Configuration): KeysConfiguration {
  if (keys.provider === "development") {
    return {
      provider: "development",
      directory: keys.development.directory ?? path.join(dataDir, "keys"),
      passphraseFile: keys.development.passphraseFile ?? path.join(dataDir, "key-passphrase"),
    };
  }
  const { module, pinFile } = keys.pkcs11;
  if (module === undefined || pinFile === undefined) throw new Error("keys.pkcs11 needs module and pinFile");
  return { provider: "pkcs11", ...keys.pkcs11, module, pinFile };
}
