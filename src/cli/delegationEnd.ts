/** `mayfly delegation end`: says what would be revoked, and with `--confirm` revokes it and lets nothing more be issued. */
import { type CommandContext, defineCommand } from "./command.ts";
import { delegationAsked, delegationOptions } from "./delegationOptions.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  ...delegationOptions,
  reason: { type: "string", value: "TEXT", required: true, description: "one line for the audit log" },
  confirm: { type: "boolean", description: "do it; without this, only what would be revoked is said" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "delegation end",
  summary: "end a task, or all that somebody delegated, with its certificates",
  usage: "--source REF (--task NAME | --delegator NAME) --reason TEXT [--confirm]",
  description:
    "With --confirm, certificates that were issued on behalf of this task or person are revoked, and no more are issued for it, on any server, until it is resumed.",
  options,
  examples: [
    {
      does: "what would be revoked",
      command: "mayfly delegation end --source idp --task order-1932 --reason 'task is done'",
    },
    {
      does: "everything that somebody delegated, for good",
      command: "mayfly delegation end --source idp --delegator jo@example.com --reason 'has left' --confirm",
    },
  ],
  run: end,
});

async function end(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { reason, confirm } = values;
  const asked = { ...delegationAsked(values), reason, dryRun: !confirm };
  const answer = await withRest(context, (rest) => rest.post("/delegations/end", asked));
  if (values.json) {
    stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  const count = Number(answer["certificates"]);
  const counted = `${count} ${count === 1 ? "certificate" : "certificates"}`;
  const listed = (answer["serials"] as readonly string[]).map((serial) => `  ${serial}\n`).join("");
  stdout.write(
    confirm
      ? `Ended. Revoked: ${counted}.\n${listed}`
      : `This would revoke ${counted} in force${listed === "" ? "." : "; the newest:"}\n${listed}Nothing was done: with --confirm it is.\n`,
  );
}
