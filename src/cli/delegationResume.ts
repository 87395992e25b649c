/** `mayfly delegation resume`: lets certificates be issued again on behalf of what was ended. */
import { type CommandContext, defineCommand } from "./command.ts";
import { delegationAsked, delegationOptions } from "./delegationOptions.ts";
import { restOptions, withRest } from "./rest.ts";

const options = { ...delegationOptions, ...restOptions } as const;

export const command = defineCommand({
  name: "delegation resume",
  summary: "let certificates be issued again for what was ended",
  usage: "--source REF (--task NAME | --delegator NAME) [OPTION …]",
  description: "Undoes `delegation end` for the future. What was revoked stays revoked.",
  options,
  examples: [{ does: "a task that goes on", command: "mayfly delegation resume --source idp --task order-1932" }],
  run: resume,
});

async function resume(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const asked = delegationAsked(values);
  await withRest(context, (rest) => rest.post("/delegations/resume", asked));
  stdout.write(values.json ? "{}\n" : "Resumed.\n");
}
