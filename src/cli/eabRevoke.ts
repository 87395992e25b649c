/** `mayfly eab revoke`: an external account key makes no more accounts. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  id: { type: "string", value: "ID", required: true, description: "the key, as eab list shows it" },
  "deactivate-accounts": { type: "boolean", description: "end the accounts that it made, too" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "eab revoke",
  summary: "revoke a key for external account binding",
  usage: "--id ID [OPTION …]",
  description:
    "The key makes no more accounts. Accounts that it made stay as they are, unless --deactivate-accounts ends them: their pending orders and their authorizations then end with them, and certificates stay as they are.",
  options,
  examples: [{ does: "when it has got about", command: "mayfly eab revoke --id ID" }],
  run: revoke,
});

async function revoke(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  await withRest(context, async (rest) => {
    const ending = values["deactivate-accounts"];
    const query = ending ? "?deactivateAccounts=true" : "";
    const key = await rest.post(`/external-account-keys/${encodeURIComponent(values.id)}/revoke${query}`);
    const { revokedAt, deactivatedAccounts } = key;
    if (values.json) {
      stdout.write(`${JSON.stringify(key)}\n`);
    } else {
      stdout.write(`Key ${values.id} was revoked at ${String(revokedAt)}.\n`);
      if (ending) stdout.write(`Accounts that ended with this: ${String(deactivatedAccounts)}.\n`);
    }
  });
}
