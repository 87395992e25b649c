/** `mayfly issuers replace`: an issuer whose key must not be used any more gives way to the next one at once. */
import { type CommandContext, defineCommand, UsageError } from "./command.ts";
import { called, described, lineOptions, type ShownIssuer } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = {
  confirm: { type: "boolean", description: "it is meant; nothing is done without this" },
  ...lineOptions,
} as const;

export const command = defineCommand({
  name: "issuers replace",
  summary: "let the next issuer take the place of the active one at once, as after a compromise",
  usage: "[--line NAME] --confirm [OPTION …]",
  description:
    "Takes the next issuer of the line, or makes it, and activates it however short it has been published; the one before is retiring from then on. Its certificates still count until they are revoked: the command says how.",
  options,
  examples: [{ does: "the key of the issuing CA was exposed", command: "mayfly issuers replace --confirm" }],
  run: replace,
});

async function replace(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const which = values.kind === "root" ? "the root" : `the issuing CA of the line ${values.line}`;
  if (!values.confirm)
    throw new UsageError(`nothing more would be signed by ${which}; say --confirm where that is meant`);
  await withRest(context, async (rest) => {
    const answer = await rest.post("/issuers/replace", { kind: values.kind, name: values.line });
    if (values.json) return void stdout.write(`${JSON.stringify(answer)}\n`);
    const { active, former } = answer as unknown as { active: ShownIssuer; former: ShownIssuer | null };
    stdout.write(described(active));
    if (former === null) return;
    stdout.write(described(former));
    stdout.write(
      former.kind === "root"
        ? `Issuing CAs below the new root follow by themselves; each line at once with: mayfly issuers replace --confirm --line NAME
Once they sign, take ${called(former)} from wherever it is trusted, and end it with: mayfly issuers retire --force --id ${former.id}\n`
        : `Where its key was exposed, revoke what it signed: mayfly revoke --issuer ${former.id} --reason keyCompromise --note TEXT --yes\n`,
    );
  });
}
