/** `mayfly quarantine create`: an identity that gets no certificates for now. */
import { type CommandContext, defineCommand, UsageError } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  "spiffe-id": { type: "string", value: "ID", description: "the identity with this SPIFFE ID" },
  dns: { type: "string", value: "NAME", multiple: true, description: "the identity with exactly these names …" },
  ip: { type: "string", value: "ADDRESS", multiple: true, description: "… and addresses" },
  reason: {
    type: "string",
    value: "TEXT",
    required: true,
    description: "one line on why, for the list and the audit log",
  },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "quarantine create",
  summary: "issue nothing to an identity until further notice",
  usage: "(--spiffe-id ID | --dns NAME …) --reason TEXT [OPTION …]",
  description:
    "Orders for the identity are refused, and so is finalizing those that were made before, on every server at once. It revokes nothing: certificates that are out stay valid until they end.",
  options,
  examples: [
    {
      does: "a workload that is being looked into",
      command: "mayfly quarantine create --spiffe-id spiffe://mayfly.localhost/dev/agent --reason 'strange traffic'",
    },
  ],
  run: create,
});

async function create(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { dns, ip, reason } = values;
  const spiffeId = values["spiffe-id"];
  if (spiffeId === undefined && dns.length + ip.length === 0)
    throw new UsageError("quarantine create needs an identity: --spiffe-id, or --dns and --ip");
  const asked = {
    reason,
    ...(spiffeId !== undefined && { spiffeId }),
    ...(dns.length > 0 && { dns }),
    ...(ip.length > 0 && { ip }),
  };
  const made = await withRest(context, (rest) => rest.post("/quarantines", asked));
  const { id, identity } = made as { id: string; identity: string };
  stdout.write(values.json ? `${JSON.stringify(made)}\n` : `Quarantine ${id}: nothing is issued to ${identity}.\n`);
}
