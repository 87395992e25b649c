/** `mayfly keys block`: a key that no account, order or certificate may have any more. */
import { type CommandContext, defineCommand } from "./command.ts";
import { keyDigest, keyOptions } from "./keyOption.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  ...keyOptions,
  note: { type: "string", value: "TEXT", description: "one line on why, for the list and the audit log" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "keys block",
  summary: "refuse a public key from now on",
  usage: "(--spki-sha256 HEX | --file FILE) [--note TEXT] [OPTION …]",
  description:
    "No account is made with the key, and no certificate for it; an account that has it may revoke and change to another key, and that is all. Certificates that are there stay as they are: revoke them, or make an incident.",
  options,
  examples: [{ does: "a key that was found in a repository", command: "mayfly keys block --file leaked.pem" }],
  run: block,
});

async function block(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const spkiSha256 = await keyDigest(values);
  const { note } = values;
  const answer = await withRest(context, (rest) =>
    rest.post("/blocked-keys", { spkiSha256, ...(note !== undefined && { note }) }),
  );
  stdout.write(values.json ? `${JSON.stringify(answer)}\n` : `Blocked: ${String(answer["spkiSha256"])}.\n`);
}
