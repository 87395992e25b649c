/** `mayfly revocations list`: who revoked what, and why. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";
import { revocationTable, type Revocation } from "./revocationText.ts";

const options = {
  kind: { type: "string", value: "KIND", description: "certificate, identity, key, account, grant, source, task …" },
  certificate: { type: "string", value: "SERIAL", description: "the one that revoked this certificate" },
  by: {
    type: "string",
    value: "WHO",
    description: "those of an operator (operator), a client (account:ID), or whoever had the key (certificate key)",
  },
  running: { type: "boolean", description: "only those that are not done" },
  suspensions: { type: "boolean", description: "what nothing is issued by since, in place of the revocations" },
  ...listOptions,
} as const;

export const command = defineCommand({
  name: "revocations list",
  summary: "list revocations, newest first",
  usage: "[OPTION …]",
  description:
    "Prints the id, when, by whom, how far it is, how many certificates, and what was revoked for which reason.",
  options,
  examples: [
    { does: "what is under way", command: "mayfly revocations list --running" },
    { does: "what is suspended", command: "mayfly revocations list --suspensions" },
  ],
  run: list,
});

interface Suspension {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly createdAt: string;
  readonly action: string;
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { kind, by: createdBy, running, suspensions, json } = values;
  const certificate = values.certificate?.replace(/^serial=/, "");
  const query = { kind, certificate, createdBy, state: running ? "running" : undefined };
  await withRest(context, async (rest) => {
    const print = <Entry>(found: readonly Entry[], table: (found: readonly Entry[]) => string): void => {
      if (json) for (const one of found) stdout.write(`${JSON.stringify(one)}\n`);
      else stdout.write(table(found));
    };
    if (suspensions)
      print(await rest.list<Suspension>("/suspensions", "suspensions", { open: "true" }), suspensionTable);
    else print(await rest.list<Revocation>("/revocations", "revocations", query), revocationTable);
  });
}

const suspensionTable = (found: readonly Suspension[]): string =>
  tableOf(
    ["ID", "SINCE", "KIND", "SUBJECT", "REVOCATION"],
    found.map(({ id, createdAt, kind, subject, action }) => [id, createdAt, kind, subject, action]),
  );
