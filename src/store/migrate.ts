/** Brings the schema to the newest version. Safe to run from several processes at once: kysely takes an advisory lock. */
import { promises as fs } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Migrator, type Kysely, type Migration } from "kysely";

import type { Tables } from "./tables.ts";

/** `migrations/` beside `src/`, in the checkout as in the compiled tree. */
const migrationsDirectory = fileURLToPath(new URL("../../migrations/", import.meta.url));

/**
 * Runs what has not run yet, in order of file name.
 * @returns the names of the migrations that ran now
 * @throws {Error} naming the migration that failed; the schema is then as it was before that one
 */
export async function migrate(db: Kysely<Tables>): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations: readMigrations } });
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error !== undefined) {
    const failed = results.find((result) => result.status === "Error");
    const reason = error instanceof Error ? error.message : JSON.stringify(error);
    throw new Error(`migration ${failed?.migrationName ?? "set-up"} failed: ${reason}`, { cause: error });
  }
  return results.filter((result) => result.status === "Success").map((result) => result.migrationName);
}

async function readMigrations(): Promise<Record<string, Migration>> {
  const files = (await fs.readdir(migrationsDirectory)).filter((file) => /^\d{3}-\w+\.(ts|js)$/.test(file)).sort();
  const migrations: Record<string, Migration> = {};
  for (const file of files) {
    const loaded = (await import(pathToFileURL(path.join(migrationsDirectory, file)).href)) as Migration;
    migrations[file.replace(/\.(ts|js)$/, "")] = loaded;
  }
  return migrations;
}
