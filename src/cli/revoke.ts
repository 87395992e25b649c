/** `mayfly revoke`: says what would be revoked, and with `--yes` or `--confirm` revokes it and lets nothing more be issued by it. */
import { setTimeout as pause } from "node:timers/promises";

import { type CommandContext, defineCommand, UsageError, wholeNumber } from "./command.ts";
import { restOptions, withRest, type Rest } from "./rest.ts";
import { coverageText, revocationText, type Coverage, type Revocation } from "./revocationText.ts";

const by = {
  certificate: { type: "string", value: "SERIAL", description: "the certificate with this serial" },
  identity: {
    type: "string",
    value: "NAME",
    description: "all of this identity, by its name; it is put in quarantine",
  },
  key: { type: "string", value: "SHA256", description: "all of this public key, by its SPKI's digest; it is blocked" },
  account: { type: "string", value: "ID", description: "all that this account ordered; it is revoked" },
  grant: { type: "string", value: "NAME", description: "all that rests on this grant; it is suspended" },
  source: { type: "string", value: "REF", description: "all that rests on evidence of this source; it is suspended" },
  issuer: { type: "string", value: "ID", description: "all that this issuer signed; it is suspended" },
  task: { type: "string", value: "NAME", description: "all that was issued for this task; it is ended" },
  delegator: { type: "string", value: "NAME", description: "all that was issued on behalf of them; it is ended" },
} as const;

const options = {
  ...by,
  "delegation-source": {
    type: "string",
    value: "REF",
    description: "the delegation source that named the task or delegator",
  },
  reason: {
    type: "string",
    value: "REASON",
    default: "unspecified",
    description: "as RFC 5280 §5.3.1 names them: keyCompromise, superseded, cessationOfOperation …",
  },
  note: { type: "string", value: "TEXT", required: true, description: "one line on why, for the audit log" },
  quarantine: { type: "boolean", description: "put the identities of what is revoked in quarantine" },
  "block-keys": { type: "boolean", description: "block the keys of what is revoked; done anyway for keyCompromise" },
  yes: { type: "boolean", description: "do it, however many there are" },
  confirm: { type: "string", value: "COUNT", description: "do it, where it is this many certificates at most" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "revoke",
  summary: "revoke a certificate, or all of an identity, key, account, grant, source, task or issuer",
  usage: "(--identity NAME | --key SHA256 | …) --note TEXT [--confirm COUNT] [OPTION …]",
  description:
    "Without --yes or --confirm it says what would be revoked and does nothing. Else nothing more is issued by what is named, on any server, from the moment of the call; then its certificates are revoked. Large ones are waited for; ended meanwhile, the servers go on with them.",
  options,
  examples: [
    { does: "what would be revoked", command: "mayfly revoke --source prod-east --note 'cluster taken over'" },
    {
      does: "everything of an identity, for good",
      command:
        "mayfly revoke --identity spiffe://mayfly.localhost/dev/agent --reason keyCompromise --note 'key on a laptop' --yes",
    },
  ],
  run: revoke,
});

type Context = CommandContext<typeof options>;

async function revoke(context: Context): Promise<void> {
  const { values, stdout } = context;
  const { reason, note, yes, confirm } = values;
  if (yes && confirm !== undefined) throw new UsageError("expected one of --yes and --confirm");
  const most =
    confirm === undefined ? undefined : wholeNumber("confirm", confirm, { least: 0, most: 1e9, unit: "certificates" });
  const dryRun = !yes && most === undefined;
  const asked = {
    by: subjectOf(values),
    reason,
    note,
    dryRun,
    ...(most !== undefined && { expectAtMost: most }),
    ...(values.quarantine && { quarantine: true }),
    ...(values["block-keys"] && { blockKeys: true }),
  };
  await withRest(context, async (rest) => {
    const answer = await rest.post("/revocations", asked);
    const found = dryRun ? answer : await finished(rest, answer as unknown as Revocation, context);
    if (values.json) stdout.write(`${JSON.stringify(found)}\n`);
    else if (dryRun)
      stdout.write(`${coverageText(found as unknown as Coverage)}${confirmation(found as unknown as Coverage)}`);
    else stdout.write(revocationText(found as unknown as Revocation));
  });
}

const confirmation = ({ certificates }: Coverage): string =>
  `Nothing was done: with --confirm ${certificates} it is, if it is no more than that by then; with --yes in any case.\n`;

const id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** What is known of a value before the server is asked, and where one is found. */
const forms: Partial<Record<keyof typeof by, { readonly pattern: RegExp; readonly text: string }>> = {
  certificate: {
    pattern: /^(serial=)?[0-9a-fA-F:]{2,59}$/,
    text: "a serial in hexadecimal, as openssl x509 -serial prints it",
  },
  key: { pattern: /^[0-9a-fA-F]{64}$/, text: "SHA-256 of the SubjectPublicKeyInfo, 64 hexadecimal digits" },
  account: { pattern: id, text: "the id of an account, as certificates of the inventory have it" },
  issuer: { pattern: id, text: "the id of an issuer, as mayfly issuers list shows it" },
};

/** @throws {UsageError} unless exactly one is given */
function subjectOf(values: Context["values"]): object {
  const kinds = (Object.keys(by) as (keyof typeof by)[]).filter((kind) => values[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1)
    throw new UsageError(
      "revoke needs to know what, once: --certificate, --identity, --key, --account, --grant, --source, --task …",
    );
  const source = values["delegation-source"];
  const delegated = kind === "task" || kind === "delegator";
  if (delegated !== (source !== undefined))
    throw new UsageError("--delegation-source goes with --task and --delegator, which need it");
  const { [kind]: expected } = forms;
  if (expected !== undefined && !expected.pattern.test(values[kind] ?? ""))
    throw new UsageError(`--${kind}: ${JSON.stringify(values[kind])}: expected ${expected.text}`);
  const value = kind === "certificate" ? values[kind]?.replace(/^serial=/, "") : values[kind];
  return { [kind]: delegated ? { source, name: value } : value };
}

const pauseMs = 500;

/** Waits for the end of a revocation, and says how far it is. */
async function finished(rest: Rest, begun: Revocation, { values, stderr }: Context): Promise<Revocation> {
  let one = begun;
  while (one.state === "running") {
    if (!values.json) stderr.write(`${one.revoked} revoked so far\n`);
    await pause(pauseMs);
    one = (await rest.get(`/revocations/${one.id}`)) as unknown as Revocation;
  }
  return one;
}
