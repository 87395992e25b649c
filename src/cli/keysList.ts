/** `mayfly keys list`: the keys that are blocked. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, tableOf, withRest } from "./rest.ts";

const options = { ...restOptions } as const;

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
  const found = await withRest(context, async (rest) => {
    const keys: Key[] = [];
    let cursor: string | undefined;
    do {
      const page = await rest.get("/blocked-keys", { limit: "1000", cursor });
      keys.push(...(page["blockedKeys"] as readonly Key[]));
      cursor = page["next"] as string | undefined;
    } while (cursor !== undefined);
    return keys;
  });
  if (values.json) for (const key of found) stdout.write(`${JSON.stringify(key)}\n`);
  else stdout.write(tableOf(["SPKI SHA-256", "SINCE", "BY", "WHY"], found.map(row)));
}

const row = ({ spkiSha256, reason, note, blockedBy, blockedAt }: Key): string[] => [
  spkiSha256,
  blockedAt,
  blockedBy,
  note ?? reason,
];
