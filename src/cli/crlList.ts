/** `mayfly crl list`: the revocation lists that stand. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = listOptions;

export const command = defineCommand({
  name: "crl list",
  summary: "show the revocation lists that stand",
  usage: "[OPTION …]",
  description:
    "Prints each issuer's lists: number, since when and until when each counts, how many certificates it has, and the SHA-256 of its octets, which are the same from every server.",
  options,
  examples: [{ does: "all of them", command: "mayfly crl list" }],
  run: list,
});

interface List {
  readonly issuerId: string;
  readonly shard: number;
  readonly number: number;
  readonly thisUpdate: string;
  readonly nextUpdate: string;
  readonly entries: number;
  readonly sha256: string;
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const found = await withRest(context, (rest) => rest.list<List>("/certificate-lists", "certificateLists"));
  if (values.json) for (const each of found) stdout.write(`${JSON.stringify(each)}\n`);
  else stdout.write(tableOf(["ISSUER", "LIST", "NUMBER", "SINCE", "UNTIL", "ENTRIES", "SHA-256"], found.map(row)));
}

const row = (each: List): string[] => [
  each.issuerId,
  String(each.shard),
  String(each.number),
  each.thisUpdate,
  each.nextUpdate,
  String(each.entries),
  each.sha256,
];
