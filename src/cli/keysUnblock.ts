/** `mayfly keys unblock`: a key that was blocked by mistake. */
import { type CommandContext, defineCommand } from "./command.ts";
import { keyDigest, keyOptions } from "./keyOption.ts";
import { restOptions, withRest } from "./rest.ts";

const options = { ...keyOptions, ...restOptions } as const;

export const command = defineCommand({
  name: "keys unblock",
  summary: "take a public key off the list of blocked ones",
  usage: "(--spki-sha256 HEX | --file FILE) [OPTION …]",
  description:
    "The key is accepted again like any other. For one that was blocked by mistake; a key that leaked stays leaked.",
  options,
  examples: [{ does: "by its digest", command: "mayfly keys unblock --spki-sha256 HEX" }],
  run: unblock,
});

async function unblock(context: CommandContext<typeof options>): Promise<void> {
  const digest = (await keyDigest(context.values)).toLowerCase();
  await withRest(context, (rest) => rest.delete(`/blocked-keys/${encodeURIComponent(digest)}`));
  context.stdout.write(context.values.json ? "{}\n" : `Not blocked any more: ${digest}.\n`);
}
