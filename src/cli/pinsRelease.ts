/** `mayfly pins release`: an instance whose account is gone may be shown by another one. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  source: { type: "string", value: "REF", required: true, description: "the evidence source that named the instance" },
  instance: { type: "string", value: "NAME", required: true, description: "the instance, as pins list shows it" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "pins release",
  summary: "let a running instance go from the accounts it belongs to",
  usage: "--source REF --instance NAME [OPTION …]",
  description:
    "The next account that shows evidence of the instance has it. For an agent that lost its account key; certificates that are out stay as they are.",
  options,
  examples: [{ does: "a pod", command: "mayfly pins release --source prod-east --instance UID" }],
  run: release,
});

async function release(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { source, instance } = values;
  const query = new URLSearchParams({ source, instance });
  await withRest(context, (rest) => rest.delete(`/instance-pins?${query.toString()}`));
  stdout.write(values.json ? "{}\n" : `Released: ${instance}.\n`);
}
