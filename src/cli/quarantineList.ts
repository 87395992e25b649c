/** `mayfly quarantine list`: the identities that get no certificates, and those that did not for a while. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = {
  open: { type: "boolean", description: "only those that have not been lifted" },
  identity: { type: "string", value: "NAME", description: "those of this identity, by its name" },
  ...listOptions,
} as const;

export const command = defineCommand({
  name: "quarantine list",
  summary: "list quarantines, newest first",
  usage: "[OPTION …]",
  description: "Prints the id, since when, by whom, whether it holds, the identity and the reason.",
  options,
  examples: [{ does: "what holds now", command: "mayfly quarantine list --open" }],
  run: list,
});

interface Quarantine {
  readonly id: string;
  readonly identity: string;
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly liftedAt: string | null;
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const query = { open: values.open ? "true" : undefined, identity: values.identity };
  const found = await withRest(context, (rest) => rest.list<Quarantine>("/quarantines", "quarantines", query));
  if (values.json) for (const quarantine of found) stdout.write(`${JSON.stringify(quarantine)}\n`);
  else stdout.write(tableOf(["ID", "SINCE", "BY", "STATE", "IDENTITY", "REASON"], found.map(row)));
}

const row = ({ id, createdAt, createdBy, liftedAt, identity, reason }: Quarantine): string[] => [
  id,
  createdAt,
  createdBy,
  liftedAt === null ? "holds" : "lifted",
  identity,
  reason,
];
