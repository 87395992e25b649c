/** `mayfly limits reset`: one key of a rate limit, or all of them, may begin anew. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  limit: { type: "string", value: "NAME", required: true, description: "the limit, as limits list shows it" },
  key: { type: "string", value: "KEY", defaultText: "all keys", description: "whose uses are forgotten" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "limits reset",
  summary: "forget what was counted against a rate limit",
  usage: "--limit NAME [--key KEY] [OPTION …]",
  description: "Holds for the server process that answers: rates are counted by each process for itself.",
  options,
  examples: [
    {
      does: "one address may make accounts again",
      command: "mayfly limits reset --limit newAccountsPerAddress --key 192.0.2.7",
    },
  ],
  run: reset,
});

async function reset(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const query = values.key === undefined ? "" : `?${new URLSearchParams({ key: values.key }).toString()}`;
  const answer = await withRest(context, (rest) => rest.delete(`/limits/${encodeURIComponent(values.limit)}${query}`));
  stdout.write(values.json ? `${JSON.stringify(answer)}\n` : `Forgotten: ${String(answer["reset"])}.\n`);
}
