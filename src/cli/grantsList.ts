/** `mayfly grants list`: the grants that stand, in the order in which they are asked. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = {
  source: { type: "string", value: "REF", description: "those that go by evidence of this source" },
  "spiffe-id": { type: "string", value: "ID", description: "those that could give this SPIFFE ID" },
  owner: { type: "string", value: "TEXT", description: "those of this owner" },
  origin: { type: "string", value: "ORIGIN", description: "configuration or database" },
  inactive: { type: "boolean", description: "only those of the database that do not count" },
  ...listOptions,
} as const;

export const command = defineCommand({
  name: "grants list",
  summary: "list the grants that stand, in the order in which they are asked",
  usage: "[OPTION …]",
  description:
    "Prints name, version, origin and source of each grant, the identity it gives, and why it does not count where it does not.",
  options,
  examples: [
    {
      does: "who could get an identity",
      command: "mayfly grants list --spiffe-id spiffe://mayfly.localhost/dev/agent",
    },
  ],
  run: list,
});

interface Listed {
  readonly name: string;
  readonly version: string;
  readonly origin: string;
  readonly state: string;
  readonly reason: string | null;
  readonly grant: { readonly source?: string; readonly spiffeId?: string };
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { source, owner, origin } = values;
  const state = values.inactive ? "inactive" : undefined;
  const query = { source, owner, origin, state, spiffeId: values["spiffe-id"] };
  const found = await withRest(context, (rest) => rest.list<Listed>("/grants", "grants", query));
  if (values.json) for (const grant of found) stdout.write(`${JSON.stringify(grant)}\n`);
  else stdout.write(tableOf(["NAME", "VERSION", "ORIGIN", "SOURCE", "SPIFFE ID", "STATE"], found.map(row)));
}

const row = ({ name, version, origin, state, reason, grant }: Listed): string[] => [
  name,
  version,
  origin,
  grant.source ?? "",
  grant.spiffeId ?? "",
  reason === null ? state : `${state}: ${reason}`,
];
