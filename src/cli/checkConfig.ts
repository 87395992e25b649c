/** `mayfly check-config`: reads the configuration and says what it means, without starting anything. */
import type { Revocation } from "../config/revocation.ts";
import { defineCommand, type CommandContext } from "./command.ts";
import { configOption } from "./configurationOption.ts";

export const command = defineCommand({
  name: "check-config",
  summary: "check the configuration without starting anything",
  usage: "[--config FILE]",
  description:
    "Reads file, environment and defaults as `serve` would. Unknown keys, wrong types and impossible combinations are named with key, value and what was expected. Files that evidence sources name are read as well: the exit status is 1 where the server would not start for them. The database, the token and the listener are not tried.",
  options: configOption,
  examples: [{ does: "check a file", command: "mayfly check-config --config config/default.yaml" }],
  run: checkConfig,
});

/** Where certificates send those who ask, and whether a listener of its own answers there. */
function revocationText({ publicUrl, listen }: Pick<Revocation, "publicUrl" | "listen">): string {
  const where = `${publicUrl}/crl/ and ${publicUrl}/ocsp`;
  if (listen === undefined) return where;
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  return `${where}, on a listener of their own at ${host}:${listen.port}`;
}

async function checkConfig({ values, env, stdout, stderr }: CommandContext<typeof configOption>): Promise<number> {
  const { loadConfiguration } = await import("../config/load.ts");
  const { issuerWarnings } = await import("../config/issuers.ts");
  const { sourceFaults } = await import("../config/sourceFiles.ts");
  const configuration = loadConfiguration(values.config, env);
  const list = (names: Iterable<string>): string => [...names].join(", ") || "none";
  stdout.write(`The configuration is valid (${configuration.origin}).
  listens at     ${configuration.listen}, seen as ${configuration.externalUrl}
  trust domain   ${configuration.trustDomain}
  keys           ${configuration.keys.provider}, label ${configuration.keys.label}
  database       ${configuration.databaseUrl === undefined ? "embedded PostgreSQL" : "as configured"}
  revocation     ${revocationText(configuration.revocation)}
  issuers        ${list(configuration.issuerLines.issuing.keys())}
  profiles       ${list(configuration.profiles.keys())}
  sources        ${list([...configuration.attestation.sources.map(({ ref }) => ref), ...(configuration.attestation.developmentSource ? ["dev (development)"] : [])])}
  on behalf      ${list(configuration.delegation.sources.map(({ ref }) => ref))}
  grants         ${list(configuration.grants.map(({ name }) => name))}
`);
  for (const warning of issuerWarnings(configuration.issuerLines)) stderr.write(`${warning}\n`);
  const faults = sourceFaults(configuration);
  for (const fault of faults) stderr.write(`${fault}: the server would not start with this\n`);
  return faults.length === 0 ? 0 : 1;
}
