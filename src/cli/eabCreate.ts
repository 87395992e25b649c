/** `mayfly eab create`: makes an external account key and says how clients use it. The MAC key is printed here and nowhere else. */
import { join } from "node:path";

import { certbotLine, type ClientLine, legoLine, shown } from "./clientLines.ts";
import { type CommandContext, defineCommand, UsageError, wholeNumber } from "./command.ts";
import { type Json, type Rest, restOptions, withRest } from "./rest.ts";

const usesMost = 1_000_000;
const daysMost = 36_500;

const options = {
  uses: {
    type: "string",
    value: "NUMBER",
    default: "1",
    description: "accounts that it may make, up to 1000000, or 'unlimited'",
  },
  "expires-in-days": { type: "string", value: "DAYS", description: "after this it makes no more accounts" },
  "expires-at": { type: "string", value: "TIME", description: "the same as a time, RFC 3339" },
  dns: { type: "string", value: "NAME", multiple: true, description: "its accounts may have this name and all below" },
  ip: {
    type: "string",
    value: "RANGE",
    multiple: true,
    description: "its accounts may have this address, or those of this range, such as 10.2.0.0/16",
  },
  spiffe: {
    type: "string",
    value: "PREFIX",
    multiple: true,
    description: "its accounts may have this SPIFFE ID and all below",
  },
  "permanent-identifier": {
    type: "string",
    value: "DEVICE",
    multiple: true,
    description: "its accounts may have this device",
  },
  profile: { type: "string", value: "NAME", multiple: true, description: "its accounts may use this profile" },
  directory: { type: "string", value: "NAME", default: "default", description: "the directory that it is for" },
  description: { type: "string", value: "TEXT", description: "a line that the list shows" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "eab create",
  summary: "make a key for external account binding",
  usage: "[OPTION …]",
  description:
    "Prints the key's id and its MAC key: whoever has both may register an ACME account (RFC 8555 §7.3.4). The MAC key is shown this once. Without --dns, --ip, --spiffe and --permanent-identifier its accounts may order what everybody may; with one of them, that and nothing else. The same holds of --profile.",
  options,
  examples: [
    { does: "a key for one account", command: "mayfly eab create" },
    {
      does: "a key for the servers of one team, until the end of the week",
      command: "mayfly eab create --uses unlimited --expires-in-days 7 --dns team.example.org --description 'the team'",
    },
  ],
  run: create,
});

async function create(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const asked = wanted(values);
  await withRest(context, async (rest) => {
    const made = await rest.post("/external-account-keys", asked);
    stdout.write(values.json ? `${JSON.stringify(made)}\n` : told(made, rest));
  });
}

/** The request's body. @throws {UsageError} */
function wanted(values: CommandContext<typeof options>["values"]): object {
  const { uses, dns, ip, spiffe, profile, directory, description } = values;
  const days = values["expires-in-days"];
  const at = values["expires-at"];
  if (days !== undefined && at !== undefined)
    throw new UsageError("eab create takes --expires-in-days or --expires-at, not both");
  const expiresAt = days === undefined ? at : inDays(days);
  const permanentIdentifiers = values["permanent-identifier"];
  const identifiers = Object.fromEntries(
    Object.entries({ dns, ip, spiffe, permanentIdentifiers }).filter(([, names]) => names.length > 0),
  );
  return {
    directory,
    uses: uses === "unlimited" ? null : usesOf(uses),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(Object.keys(identifiers).length > 0 && { identifiers }),
    ...(profile.length > 0 && { profiles: profile }),
    ...(description !== undefined && { description }),
  };
}

function usesOf(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text) && Number(text) <= usesMost) return Number(text);
  throw new UsageError(`--uses is "${text}", expected a whole number of accounts from 1 to ${usesMost}, or unlimited`);
}

function inDays(text: string): string {
  const days = wholeNumber("expires-in-days", text, { least: 1, most: daysMost, unit: "days" });
  return new Date(Date.now() + days * 86_400_000).toISOString();
}

/** For people: both halves, and the lines that hand them to a client. */
function told({ id, macKey, directory, expiresAt }: Json, { server, rootFile, configuration }: Rest): string {
  const [kid, hmac] = [String(id), String(macKey)];
  const url = `${server}/acme${directory === "default" ? "" : `/${String(directory)}`}/directory`;
  const line: ClientLine = {
    directory: url,
    root: rootFile && shown(rootFile),
    // A folder for each key: a client that has an account already would not use the key.
    folder: shown(join(configuration?.dataDir ?? "", "try", kid)),
    name: "NAME",
    http01Port: configuration?.validation.http01Port ?? 80,
    externalAccount: { kid, hmac },
  };
  return [
    `Key id    ${kid}`,
    `MAC key   ${hmac}`,
    ...(typeof expiresAt === "string" ? [`Expires   ${expiresAt}`] : []),
    "",
    "The MAC key is not shown again. With it a client registers; put the name of the certificate in the place of NAME:",
    "",
    "# certbot",
    certbotLine(line),
    "",
    "# lego",
    legoLine(line),
    "",
  ].join("\n");
}
