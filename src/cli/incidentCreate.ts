/** `mayfly incident create`: says which certificates would be covered, and with `--confirm` makes the incident. */
import { type CommandContext, defineCommand, UsageError } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  reason: { type: "string", value: "TEXT", required: true, description: "one line for the audit log" },
  serial: { type: "string", value: "HEX", multiple: true, description: "certificates with these serials" },
  identity: { type: "string", value: "NAME", description: "certificates of this identity, by its name" },
  "spki-sha256": { type: "string", value: "HEX", description: "certificates with this public key" },
  account: { type: "string", value: "ID", description: "certificates that this account ordered" },
  issuer: { type: "string", value: "ID", description: "certificates that this issuer signed" },
  "issued-after": { type: "string", value: "TIME", description: "certificates issued then or later, RFC 3339" },
  "issued-before": {
    type: "string",
    value: "TIME",
    defaultText: "the moment at which the incident is made",
    description: "certificates issued earlier than this, RFC 3339",
  },
  "explanation-url": { type: "string", value: "URL", description: "a page that clients show to their operators" },
  confirm: { type: "boolean", description: "make the incident; without this, only what it would cover is said" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "incident create",
  summary: "ask the clients of certificates to replace them now",
  usage: "--reason TEXT [--identity NAME] [OPTION …] [--confirm]",
  description:
    "Selects certificates; all that is given must hold, and something must be. With --confirm their renewal windows (RFC 9773) lie in the past from now on, until the incident is ended. Nothing is revoked.",
  options,
  examples: [
    {
      does: "what would be covered",
      command: "mayfly incident create --reason 'exposed' --identity spiffe://mayfly.localhost/dev/agent",
    },
    {
      does: "everything of one issuer since Monday, for good",
      command:
        "mayfly incident create --reason 'template error' --issuer ID --issued-after 2026-11-23T00:00:00Z --confirm",
    },
  ],
  run: create,
});

interface Coverage {
  readonly certificates: number;
  readonly replaced: number;
  readonly serials?: readonly string[];
}

async function create(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { reason, serial, identity, account, issuer, confirm } = values;
  const certificates = defined({
    serials: serial.length > 0 ? serial : undefined,
    identity,
    spkiSha256: values["spki-sha256"],
    account,
    issuer,
    issuedAfter: values["issued-after"],
    issuedBefore: values["issued-before"],
  });
  if (Object.keys(certificates).length === 0)
    throw new UsageError("incident create needs to know which certificates: --serial, --identity, --issuer …");
  const asked = { ...defined({ explanationUrl: values["explanation-url"] }), reason, certificates, dryRun: !confirm };
  await withRest(context, async (rest) => {
    const answer = await rest.post("/incidents", asked);
    if (values.json) {
      stdout.write(`${JSON.stringify(answer)}\n`);
    } else if (confirm) {
      const id = String(answer["id"]);
      stdout.write(`Incident ${id} is open.\n`);
      stdout.write(covering("It covers", (await rest.get(`/incidents/${id}`)) as unknown as Coverage));
    } else {
      stdout.write(covering("This would cover", answer as unknown as Coverage));
      stdout.write("Nothing was made: with --confirm the incident is.\n");
    }
  });
}

function covering(what: string, { certificates, replaced, serials = [] }: Coverage): string {
  const counted = `${what} ${certificates} ${certificates === 1 ? "certificate" : "certificates"} in force`;
  const listed = serials.map((one) => `  ${one}\n`).join("");
  return `${counted}, ${replaced} of them replaced already${listed === "" ? "." : "; the newest:"}\n${listed}`;
}

const defined = (members: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
