/** `mayfly issuers list`: roots and issuing CAs, what is planned for them, and what an operator must do. */
import { type CommandContext, defineCommand } from "./command.ts";
import type { ShownIssuer } from "./issuerOptions.ts";
import { restOptions, tableOf, withRest } from "./rest.ts";

const options = {
  all: { type: "boolean", description: "retired ones as well" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "issuers list",
  summary: "show roots and issuing CAs, and what is planned for them",
  usage: "[OPTION …]",
  description:
    "Prints each issuer with its state, its end and its next move, then when the next one of each line is made. What an operator must do is said on standard error, and the exit status is then 1.",
  options,
  examples: [{ does: "those that count", command: "mayfly issuers list" }],
  run: list,
});

interface Answer {
  readonly issuers: readonly ShownIssuer[];
  readonly moves: readonly {
    readonly kind: string;
    readonly name: string;
    readonly move: string;
    readonly at: string;
  }[];
  readonly alarms: readonly { readonly what: string; readonly until: string | null }[];
}

async function list(context: CommandContext<typeof options>): Promise<number> {
  const { values, stdout, stderr } = context;
  const answer = (await withRest(context, (rest) => rest.get("/issuers"))) as unknown as Answer;
  if (values.json) {
    stdout.write(`${JSON.stringify(answer)}\n`);
  } else {
    const shown = answer.issuers.filter(({ state }) => values.all || state !== "retired");
    stdout.write(tableOf(["ID", "KIND", "LINE", "NO", "STATE", "ENDS", "NEXT"], shown.map(row)));
    for (const { kind, name, move, at } of answer.moves)
      if (move === "prepare")
        stdout.write(`The next ${kind === "root" ? "root" : `one of the line ${name}`} is made at ${at}.\n`);
    for (const { what, until } of answer.alarms) stderr.write(`! ${what}${until === null ? "" : `, by ${until}`}\n`);
  }
  return answer.alarms.length === 0 ? 0 : 1;
}

const row = (issuer: ShownIssuer): string[] => [
  issuer.id,
  issuer.kind,
  issuer.name,
  String(issuer.generation),
  issuer.state,
  issuer.waitsForCertificate ? "waits for its certificate" : (issuer.notAfter ?? ""),
  issuer.nextMove === null ? "" : `${issuer.nextMove.move} ${issuer.nextMove.at}`,
];
