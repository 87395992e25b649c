/** `mayfly keys list`: the keys that are blocked. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = listOptions;

export const command = defineCommand({
  name: "keys list",
  summary: "show the public keys that are blocked",
  usage: "[OPTION …]",
  description: "Prints the SHA-256 of each key's SubjectPublicKeyInfo, since when it is blocked, by whom, and why.",
  options,
  examples: [{ does: "all of them", command: "mayfly keys list" }],
  run: list,
});

interface Key {
  readonly spkiSha256: string;
  readonly reason: string;
  readonly note: string | null;
  readonly blockedBy: string;
  readonly blockedAt: string;
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const found = await withRest(context, (rest) => rest.list<Key>("/blocked-keys", "blockedKeys"));
  if (values.json) for (const key of found) stdout.write(`${JSON.stringify(key)}\n`);
  else stdout.write(tableOf(["SPKI SHA-256", "SINCE", "BY", "WHY"], found.map(row)));
}

const row = ({ spkiSha256, reason, note, blockedBy, blockedAt }: Key): string[] => [
  spkiSha256,
  blockedAt,
  blockedBy,
  note ?? reason,
];
