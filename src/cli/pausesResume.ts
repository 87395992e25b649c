/** `mayfly pauses resume`: paused identifiers may be ordered again. */
import { type CommandContext, defineCommand, UsageError } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  account: { type: "string", value: "ID", description: "the account, as pauses list shows it" },
  value: { type: "string", value: "NAME", description: "the identifier, of all accounts where none is given" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "pauses resume",
  summary: "let paused identifiers be ordered again",
  usage: "[--account ID] [--value NAME] [OPTION …]",
  description:
    "Ends the pauses that fit; all that is given must hold, and something must be. Their failures are forgotten.",
  options,
  examples: [{ does: "a name is mended", command: "mayfly pauses resume --value web.example" }],
  run: resume,
});

async function resume(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { account, value } = values;
  if (account === undefined && value === undefined) throw new UsageError("pauses resume needs --account or --value");
  const query = new URLSearchParams({
    ...(account !== undefined && { account }),
    ...(value !== undefined && { value }),
  });
  const answer = await withRest(context, (rest) => rest.delete(`/pauses?${query.toString()}`));
  stdout.write(values.json ? `${JSON.stringify(answer)}\n` : `Resumed: ${String(answer["resumed"])}.\n`);
}
