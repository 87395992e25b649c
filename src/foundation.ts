/** What everything else stands on: data directory, database with its schema, keys, issuers. Used by `serve`, `init` and `migrate`. */
import { promises as fs } from "node:fs";
import path from "node:path";
import { pino, type Logger } from "pino";

import type { ChainFile } from "./authority/alternateChains.ts";
import { establishHierarchy } from "./authority/hierarchy.ts";
import { defaultIssuerName, type Issuers } from "./authority/issuer.ts";
import { openIssuers } from "./authority/issuers.ts";
import type { Configuration } from "./config/load.ts";
import { openKeys, type KeysConfiguration } from "./keys/open.ts";
import type { KeyProvider } from "./keys/signer.ts";
import { openDatabase, type Database, type DatabaseOptions } from "./store/database.ts";
import { claimDataDirectory, makeDataDirectory, startEmbeddedPostgres } from "./store/embeddedPostgres.ts";
import { createIssuerCertificates } from "./store/issuerCertificates.ts";
import { createIssuerStore } from "./store/issuers.ts";
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
  readonly issuers: Issuers;
  /** True when root and issuing CA were made just now. */
  readonly firstStart: boolean;
}

/** Runs every step, also after one that failed: what is left running would outlive us. @throws the first failure, afterwards */
export async function stopInOrder(...steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** What a command is to its data directory: a server has it for itself; others may come beside one whose database is not in it. */
export type Occupancy = "server" | "visitor";

/** Opens the database, the embedded one where no URL is configured, and brings its schema up to date. */
export async function openStore(configuration: Configuration, occupancy: Occupancy): Promise<Store> {
  const { dataDir, databaseUrl } = configuration;
  const log = pino({ level: configuration.log.level });
  const opened: (() => unknown)[] = []; // Last opened first.
  if (occupancy === "server" || databaseUrl === undefined) {
    const claim = await claimDataDirectory(dataDir);
    opened.push(() => claim.release());
  } else await makeDataDirectory(dataDir);
  const close = (): Promise<void> => stopInOrder(...opened);
  try {
    const common = {
      address: { url: databaseUrl ?? (await embeddedUrl(configuration, log, opened)) },
      // pg hangs the whole client on the error, so only the message is logged.
      onError: ({ message }: Error) => log.warn({ reason: message }, "an idle database connection broke"),
    };
    const migrated = await migrateAlone(common);
    const db = openDatabase({ ...common, ...configuration.database });
    opened.unshift(() => db.close());
    return { db, log, migrated, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** On connections of its own: a large table may take long, and so may a sibling that migrates at the moment. */
async function migrateAlone(common: Pick<DatabaseOptions, "address" | "onError">): Promise<string[]> {
  const db = openDatabase({ ...common, poolSize: 2, statementTimeoutMs: 0 });
  try {
    return await migrate(db.kysely);
  } finally {
    await db.close();
  }
}

async function embeddedUrl({ dataDir }: Configuration, log: Logger, opened: (() => unknown)[]): Promise<string> {
  const postgres = await startEmbeddedPostgres({
    directory: path.join(dataDir, "postgres"),
    log: (message) => log.info(message),
  });
  opened.unshift(() => postgres.stop());
  return postgres.url;
}

/** Opens store, keys and issuers; makes keys and CA certificates where the database has none, and writes `root.pem`. */
export async function openFoundation(
  configuration: Configuration,
  now: () => Date,
  occupancy: Occupancy,
): Promise<Foundation> {
  const store = await openStore(configuration, occupancy);
  let keys: KeyProvider | undefined;
  const close = (): Promise<void> =>
    stopInOrder(
      () => keys?.close(),
      () => store.close(),
    );
  try {
    keys = await openKeys(keysOf(configuration), ({ token, usable, reason }) =>
      usable
        ? store.log.info({ token }, "a token is used again")
        : store.log.error({ token, reason }, "a token is set aside; another one has to sign"),
    );
    const issuerStore = createIssuerStore(store.db);
    const { trustDomain } = configuration;
    const common = { keys, store: issuerStore, trustDomain };
    const made = await establishHierarchy({
      ...common,
      keyLabel: configuration.keys.label,
      ...configuration.hierarchy,
      ...firstIssuing(configuration),
      crlShards: configuration.revocation.crlShards,
      publicUrl: configuration.revocation.publicUrl,
      now: now(),
    });
    const issuers = await openIssuers({
      ...common,
      alternateChains: await readChainFiles(configuration),
      chains: createIssuerCertificates(store.db),
      publicUrl: configuration.revocation.publicUrl,
      now,
      onChange: (changed) => replaceFile(rootFileOf(configuration), changed.rootPem()),
      onUnusable: ({ id, name }, reason) =>
        store.log.error({ issuer: id, name, reason }, "an issuer cannot be used here"),
    });
    return { ...store, keys, issuers, firstStart: made, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The first issuing CA is one of the default line, as the ones that follow it. */
function firstIssuing({ issuerLines, hierarchy }: Configuration) {
  const { keyKind, lifetimeSeconds, nameConstraints } = issuerLines.issuing.get(defaultIssuerName) ?? issuerLines.root;
  const issuingLifetimeDays = Math.min(lifetimeSeconds / 86_400, hierarchy.rootLifetimeDays);
  return { issuingKeyKind: keyKind, issuingLifetimeDays, nameConstraints };
}

/** Octets of a file of an alternate chain; ten large certificates have less. */
const chainFileMax = 262_144;

async function readChainFiles({ hierarchy }: Configuration): Promise<ChainFile[]> {
  const read = async (file: string): Promise<ChainFile> => {
    const expected = (what: string, cause?: unknown): Error =>
      new Error(`hierarchy.alternateChainFiles: ${JSON.stringify(file)}: expected ${what}`, { cause });
    const { size } = await fs.stat(file).catch((error: NodeJS.ErrnoException) => {
      throw expected(`a file that can be read (${error.code})`, error);
    });
    if (size > chainFileMax) throw expected(`a file of at most ${chainFileMax} octets`);
    return { file, pem: await fs.readFile(file, "utf8") };
  };
  return await Promise.all(hierarchy.alternateChainFiles.map(read));
}

/** Whole at every moment: whoever starts while issuers change reads it too. */
async function replaceFile(file: string, content: string): Promise<void> {
  const temporary = `${file}.${process.pid}.new`;
  await fs.writeFile(temporary, content);
  await fs.rename(temporary, file);
}

/** Where the root certificate is put for people and clients. */
export const rootFileOf = ({ dataDir }: Configuration): string => path.join(dataDir, "root.pem");

/** Which keys, and where. */
export function keysOf({ keys, dataDir }: Configuration): KeysConfiguration {
  if (keys.provider === "development") {
    return {
      provider: "development",
      directory: keys.development.directory ?? path.join(dataDir, "keys"),
      passphraseFile: keys.development.passphraseFile ?? path.join(dataDir, "key-passphrase"),
    };
  }
  const { module, pinFile } = keys.pkcs11;
  if (module === undefined || pinFile === undefined) throw new Error("keys.pkcs11 needs module and pinFile");
  const { directory, passphraseFile = path.join(dataDir, "post-quantum-passphrase") } = keys.postQuantum;
  const postQuantum = directory === undefined ? {} : { postQuantum: { directory, passphraseFile } };
  return { provider: "pkcs11", ...keys.pkcs11, module, pinFile, refusalsDirectory: dataDir, ...postQuantum };
}
