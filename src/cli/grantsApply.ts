/** `mayfly grants apply`: makes the grants of the database what a file says, each only where nobody changed it meanwhile. */
import { readFile } from "node:fs/promises";
import type { NamedGrant } from "../config/grantFile.ts";
import { type CommandContext, defineCommand } from "./command.ts";
import { type Rest, restOptions, withRest } from "./rest.ts";

const options = {
  file: {
    type: "string",
    value: "FILE",
    required: true,
    description: "YAML with a grant, or with grants as in the configuration",
  },
  comment: { type: "string", value: "TEXT", description: "why, for the history and the audit log" },
  "dry-run": { type: "boolean", description: "let the server check everything, and change nothing" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "grants apply",
  summary: "write the grants of a file into the database",
  usage: "--file FILE [--comment TEXT] [--dry-run] [OPTION …]",
  description:
    "Prints what changes and changes it, one grant after the other; nothing is asked. Grants that are not in the file stay as they are. One that somebody else changes at the same moment is refused: run it again.",
  options,
  examples: [
    { does: "see what would change", command: "mayfly grants apply --file grants.yaml --dry-run" },
    { does: "change it", command: "mayfly grants apply --file grants.yaml --comment 'ticket 4711'" },
  ],
  run: apply,
});

interface Standing {
  readonly version: string;
  readonly grant: Readonly<Record<string, unknown>>;
}

async function apply(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { readGrantFile } = await import("../config/grantFile.ts");
  const grants = readGrantFile(await readText(values.file), values.file);
  await withRest(context, async (rest) => {
    // All are checked before any is written: a mistake in the last one must not leave half of the file behind.
    const checked = [];
    for (const grant of grants) checked.push({ grant, ...(await check(grant, rest)) });
    for (const { grant, before, version } of checked) {
      const changes = before === undefined ? linesOf(undefined, grant) : linesOf(before.grant, grant);
      const same = before?.version === version;
      if (!values.json)
        stdout.write(
          `${grant.name}: ${before === undefined ? "new" : same ? "unchanged" : "changed"}\n${same ? "" : changes}`,
        );
      if (values["dry-run"] || same) {
        if (values.json)
          stdout.write(`${JSON.stringify({ name: grant.name, version, changed: !same, dryRun: values["dry-run"] })}\n`);
        continue;
      }
      const condition: Record<string, string> =
        before === undefined ? { "if-none-match": "*" } : { "if-match": `"${before.version}"` };
      const body = { grant, ...(values.comment !== undefined && { comment: values.comment }) };
      const answer = await rest.put(pathOf(grant), body, condition);
      if (values.json) stdout.write(`${JSON.stringify(answer)}\n`);
    }
    if (values["dry-run"] && !values.json) stdout.write("Nothing was written.\n");
  });
}

const pathOf = ({ name }: NamedGrant): string => `/grants/${encodeURIComponent(name)}`;

/** The server's own word on the grant, and what stands in its place. */
async function check(grant: NamedGrant, rest: Rest): Promise<{ before: Standing | undefined; version: string }> {
  const { version } = await rest.put(pathOf(grant), { grant, dryRun: true }, {});
  const [before] = await rest.list<Standing>("/grants", "grants", { name: grant.name, origin: "database" });
  return { before, version: String(version) };
}

async function readText(file: string): Promise<string> {
  return await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`the file ${file} cannot be read (${error.code})`, { cause: error });
  });
}

/** What goes and what comes, key by key. */
function linesOf(before: Standing["grant"] | undefined, after: Standing["grant"]): string {
  const keys = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]);
  const lines = [...keys].flatMap((key) => {
    const [old, young] = [before?.[key], after[key]].map((value) =>
      value === undefined ? undefined : canonical(value),
    );
    if (old === young) return [];
    return [
      ...(old === undefined ? [] : [`  - ${key}: ${old}\n`]),
      ...(young === undefined ? [] : [`  + ${key}: ${young}\n`]),
    ];
  });
  return lines.join("");
}

/** Members in one order: the database has them in its own. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
