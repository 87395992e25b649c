/** `mayfly eab list`: the external account keys, newest first. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = {
  usable: { type: "boolean", description: "only those that may make another account now" },
  directory: { type: "string", value: "NAME", description: "only those of this directory" },
  ...listOptions,
} as const;

export const command = defineCommand({
  name: "eab list",
  summary: "list the keys for external account binding, newest first",
  usage: "[OPTION …]",
  description:
    "Prints the id, the state, the accounts made, the expiry and the description of each key. MAC keys are not shown.",
  options,
  examples: [{ does: "those that still work", command: "mayfly eab list --usable" }],
  run: list,
});

interface Key {
  readonly id: string;
  readonly directory: string;
  readonly description: string | null;
  readonly usable: boolean;
  /** `made` is null where the key has no number of uses. */
  readonly uses: { readonly max: number | null; readonly made: number | null };
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const asked = { directory: values.directory, usable: values.usable ? "true" : undefined };
  const found = await withRest(context, (rest) =>
    rest.list<Key>("/external-account-keys", "externalAccountKeys", asked),
  );
  if (values.json) for (const key of found) stdout.write(`${JSON.stringify(key)}\n`);
  else stdout.write(tableOf(["ID", "DIRECTORY", "STATE", "USES", "EXPIRES", "DESCRIPTION"], found.map(row)));
}

const row = ({ id, directory, uses, expiresAt, description, ...key }: Key): string[] => [
  id,
  directory,
  stateOf({ uses, ...key }),
  uses.max === null ? "unlimited" : `${uses.made ?? 0}/${uses.max}`,
  expiresAt ?? "never",
  description ?? "",
];

function stateOf({ usable, revokedAt, uses }: Pick<Key, "usable" | "revokedAt" | "uses">): string {
  if (usable) return "usable";
  if (revokedAt !== null) return "revoked";
  return uses.max !== null && uses.made === uses.max ? "used up" : "expired";
}
