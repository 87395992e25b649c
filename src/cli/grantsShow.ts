/** `mayfly grants show`: one grant as it stands, or as it read in a version. */
import { type CommandContext, defineCommand } from "./command.ts";
import { type Json, restOptions, withRest } from "./rest.ts";

const options = {
  name: { type: "string", value: "NAME", required: true, description: "the grant" },
  version: { type: "string", value: "HEX", description: "one of its versions: ruleVersion of a certificate" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "grants show",
  summary: "print a grant as it stands, or as it read in a version",
  usage: "--name NAME [--version HEX] [OPTION …]",
  description:
    "Prints the grant as YAML, as it is written in a file, with where it comes from in comments. With --version any text that it ever had.",
  options,
  examples: [
    { does: "as it stands", command: "mayfly grants show --name development" },
    { does: "what allowed a certificate", command: "mayfly grants show --name development --version 4d55da8888f286b3" },
  ],
  run: show,
});

async function show(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { name, version } = values;
  const below = version === undefined ? "" : `/versions/${encodeURIComponent(version)}`;
  const found = await withRest(context, (rest) => rest.get(`/grants/${encodeURIComponent(name)}${below}`));
  if (values.json) stdout.write(`${JSON.stringify(found)}\n`);
  else stdout.write(await textOf(found));
}

async function textOf({
  version,
  origin,
  createdAt,
  createdBy,
  comment,
  reason,
  endedAs,
  endedAt,
  grant,
}: Json): Promise<string> {
  const { writeGrant } = await import("../config/grantFile.ts");
  const facts = [
    `version ${String(version)}, in the ${String(origin)}`,
    typeof createdAt === "string" ? `written ${createdAt} by ${String(createdBy)}` : undefined,
    typeof comment === "string" ? comment : undefined,
    typeof reason === "string" ? `does not count: ${reason}` : undefined,
    typeof endedAs === "string" ? `${endedAs} ${String(endedAt)}` : undefined,
  ];
  const lines = facts.flatMap((fact) => (fact === undefined ? [] : fact.split("\n")));
  return `${lines.map((line) => `# ${line}\n`).join("")}${writeGrant(grant as object)}`;
}
