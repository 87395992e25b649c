/** `mayfly grants history`: every version that a grant had. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = {
  name: { type: "string", value: "NAME", required: true, description: "the grant" },
  ...listOptions,
} as const;

export const command = defineCommand({
  name: "grants history",
  summary: "list the versions of a grant, newest first",
  usage: "--name NAME [OPTION …]",
  description: "Prints version, origin, when it was written and by whom, how it ended, and the comment.",
  options,
  examples: [{ does: "what it was", command: "mayfly grants history --name build-agents" }],
  run: history,
});

interface Version {
  readonly version: string;
  readonly origin: string;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly endedAt: string | null;
  readonly endedAs: string | null;
  readonly comment: string | null;
}

async function history(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const path = `/grants/${encodeURIComponent(values.name)}/versions`;
  const found = await withRest(context, (rest) => rest.list<Version>(path, "versions"));
  if (values.json) for (const version of found) stdout.write(`${JSON.stringify(version)}\n`);
  else stdout.write(tableOf(["VERSION", "ORIGIN", "WRITTEN", "BY", "ENDED", "COMMENT"], found.map(row)));
}

const row = ({ version, origin, createdAt, createdBy, endedAt, endedAs, comment }: Version): string[] => [
  version,
  origin,
  createdAt,
  createdBy,
  endedAt === null ? "" : `${endedAs} ${endedAt}`,
  comment ?? "",
];
