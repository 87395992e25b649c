/** `mayfly issuers revoke`: says what it would mean that the root revokes an issuing CA, and with `--yes` or `--confirm` has it revoked. */
import { type CommandContext, defineCommand, UsageError } from "./command.ts";
import { idOptions } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = {
  reason: {
    type: "string",
    value: "REASON",
    default: "unspecified",
    description: "as RFC 5280 §5.3.1 names them: cACompromise, superseded, cessationOfOperation …",
  },
  note: { type: "string", value: "TEXT", required: true, description: "one line on why, for the audit log" },
  yes: {
    type: "boolean",
    description: "do it, where another one issues for its line from then on or it does not issue",
  },
  confirm: { type: "boolean", description: "do it, also where its line issues nothing afterwards" },
  ...idOptions,
} as const;

export const command = defineCommand({
  name: "issuers revoke",
  summary: "have an issuing CA revoked by its root",
  usage: "ID --note TEXT [--yes] [OPTION …]",
  description:
    "Without --yes or --confirm it says what would happen and does nothing. Else the issuing CA signs no certificate any more, on any server, the next one of its line takes its place at once, and the root's revocation list has it within seconds. Who checks the whole chain refuses all of its certificates then. It is for issuing CAs below a root whose key is in this authority.",
  options,
  argument: "id",
  examples: [
    { does: "what would happen", command: "mayfly issuers revoke ID --reason cACompromise --note 'key exposed'" },
  ],
  run: revoke,
});

/** The server's answer. */
interface Outlook {
  readonly name: string;
  readonly generation: number;
  readonly serial: string;
  readonly listUrl: string;
  readonly next: string | null;
  readonly stopsLine: boolean;
  readonly certificates: number;
}

async function revoke(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { id, reason, note, yes, confirm } = values;
  if (yes && confirm) throw new UsageError("expected one of --yes and --confirm");
  const dryRun = !yes && !confirm;
  await withRest(context, async (rest) => {
    const answer = await rest.post(`/issuers/${encodeURIComponent(id)}/revoke`, {
      reason,
      note,
      dryRun,
      ...(confirm && { force: true }),
    });
    if (values.json) stdout.write(`${JSON.stringify(answer)}\n`);
    else stdout.write(textOf(answer as unknown as Outlook, dryRun));
  });
}

function textOf(
  { name, generation, serial, listUrl, next, stopsLine, certificates }: Outlook,
  dryRun: boolean,
): string {
  const lines = [
    `Issuing CA ${generation} of the line ${name} ${dryRun ? "would be" : "is"} revoked.`,
    `  serial        ${serial}`,
    `  list          ${listUrl}`,
    `  certificates  ${certificates} in force, which ${dryRun ? "would count" : "count"} no more for whoever checks the whole chain`,
    ...(next === null ? [] : [`  next          ${next} ${dryRun ? "would issue" : "issues"} in its place`]),
    ...(stopsLine
      ? [`  next          none: the line ${dryRun ? "would issue" : "issues"} nothing until another is active`]
      : []),
    ...(dryRun ? [`Nothing was done: with ${stopsLine ? "--confirm" : "--yes"} it is.`] : []),
  ];
  return `${lines.join("\n")}\n`;
}
