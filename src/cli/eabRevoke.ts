/** `mayfly eab revoke`: an external account key makes no more accounts. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  id: { type: "string", value: "ID", required: true, description: "the key, as eab list shows it" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "eab revoke",
  summary: "revoke a key for external account binding",
  usage: "--id ID [OPTION …]",
  description: "The key makes no more accounts. Accounts that it made stay as they are.",
  options,
  examples: [{ does: "when it has got about", command: "mayfly eab revoke --id ID" }],
  run: revoke,
});

async function revoke(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  await withRest(context, async (rest) => {
    const key = await rest.post(`/external-account-keys/${encodeURIComponent(values.id)}/revoke`);
    stdout.write(
      values.json ? `${JSON.stringify(key)}\n` : `Key ${values.id} was revoked at ${String(key["revokedAt"])}.\n`,
    );
  });
}
