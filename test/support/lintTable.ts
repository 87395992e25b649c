/** docs/lints.md, as the lints have it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { caLints } from "../../src/authority/caLints/table.ts";
import { lintList } from "../../src/authority/lints/lintList.ts";
import { repository } from "./program.ts";

export const lintsPage = join(repository, "docs/lints.md");

interface Row {
  readonly name: string;
  readonly source: string;
  readonly says: string;
}

/** The words of a rule stand above it. */
const row =
  (directory: string) =>
  ({ name, source }: { name: string; source: string }): Row => {
    const file = readFileSync(join(repository, "src/authority", directory, `${name}.ts`), "utf8");
    const comment = /^\/\*\*(.*?)\*\//s.exec(file)?.[1] ?? "";
    return { name, source, says: comment.replaceAll(/\n \*/g, "").replaceAll(/\s+/g, " ").trim() };
  };

const table = (rows: readonly Row[]): string =>
  [
    "| lint | source | what it says |",
    "|---|---|---|",
    ...rows.map(({ name, source, says }) => `| \`${name}\` | ${source} | ${says.replaceAll("|", "\\|")} |`),
  ].join("\n");

/** The whole page. */
export function lintsText(): string {
  const ofBytes = lintList.filter(({ about }) => about === "certificate");
  const ofDecisions = lintList.filter(({ about }) => about === "decision");
  return `# Lints

What a CA key signs was held against these rules before: the bytes that will be signed are read back, and every rule is asked. One that is
not met stops the issuance. The client gets 500 \`serverInternal\` without a detail, the order becomes invalid, what was found is recorded
(audit entry \`issuance.refused\`, event of the same name, a line in the log) and counted (\`mayfly_lint_failures_total\`): it is our
own fault, and somebody should look. [Decision 0013](decisions/0013-lints-and-profiles.md) has the reasons.

This page is written from the code by \`npm run lints:table\`; a test compares them. Words in quotation marks are those of the source. BR are
the Baseline Requirements of the CA/Browser Forum for TLS server certificates, version 2.1.5, of which the rules are taken that make sense
for private certificates.

## Certificates, by their bytes

${ofBytes.length} rules about the bytes and the issuer. What a stopped process left behind, and is signed later, is held against these again.

${table(ofBytes.map(row("lints")))}

## Certificates, by the decision behind them

${ofDecisions.length} rules about what was decided: names, profile, key, validity.

${table(ofDecisions.map(row("lints")))}

## CA certificates

${table(caLints.map(row("caLints")))}
`;
}
