/** `mayfly migrate`: brings the database schema up to date. */
import { defineCommand, type CommandContext } from "./command.ts";
import { configOption } from "./configurationOption.ts";

export const command = defineCommand({
  name: "migrate",
  summary: "bring the database schema up to date",
  usage: "[--config FILE]",
  description:
    "Runs the migrations that have not run yet. `serve` and `init` do the same when they start; several at once are safe.",
  options: configOption,
  examples: [{ does: "before a new version starts", command: "mayfly migrate --config /etc/mayfly/mayfly.yaml" }],
  run: migrate,
});

async function migrate({ values, env, stdout }: CommandContext<typeof configOption>): Promise<void> {
  const { loadConfiguration } = await import("../config/load.ts");
  const { openStore } = await import("../foundation.ts");
  const store = await openStore(loadConfiguration(values.config, env), "visitor");
  try {
    stdout.write(
      store.migrated.length === 0
        ? "The schema is up to date.\n"
        : store.migrated.map((name) => `Ran ${name}.\n`).join(""),
    );
  } finally {
    await store.close();
  }
}
