/** `mayfly presets`: prints configuration to begin with for a platform whose tokens Mayfly knows. */
import { defineCommand, UsageError, type CommandContext } from "./command.ts";

const options = {
  name: {
    type: "string",
    value: "NAME",
    description: "the platform, also without --name; without any, the platforms are listed",
  },
  "trust-domain": {
    type: "string",
    value: "NAME",
    description: "trust domain of the SPIFFE IDs",
    default: "example.org",
  },
} as const;

export const command = defineCommand({
  name: "presets",
  summary: "print sources and grants to begin with, for platforms that are known",
  usage: "[NAME] [--trust-domain NAME]",
  description:
    "Prints a source of format jwt and grants that fit it, as YAML for the configuration file. The ids in it are examples: put your own there. Its paths are made of ids that no other tenant can take over.",
  options,
  argument: "name",
  examples: [
    { does: "list the platforms", command: "mayfly presets" },
    { does: "begin with GitHub Actions", command: "mayfly presets github-actions" },
  ],
  run: printPresets,
});

async function printPresets({ values, stdout }: CommandContext<typeof options>): Promise<void> {
  const { presetExample, presetNames } = await import("../config/presetExample.ts");
  if (values.name === undefined) {
    for (const { name, platform } of presetNames) stdout.write(`${name.padEnd(24)}${platform}\n`);
    return;
  }
  const example = presetExample(values.name, values["trust-domain"]);
  if (example === undefined) {
    const names = presetNames.map(({ name }) => name).join(", ");
    throw new UsageError(`there is no preset "${values.name}", expected one of ${names}`);
  }
  stdout.write(example);
}
