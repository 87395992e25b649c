/** What `mayfly serve` prints once it listens: where everything is, and lines that can be copied as they are. */
import path from "node:path";

import type { Authority } from "../compose.ts";
import { certbotLine, legoLine, shell, shown } from "./clientLines.ts";

export function banner(authority: Authority): string {
  const { configuration, keys, operatorTokenFile, firstStart } = authority;
  const { externalUrl, dataDir, noConfigurationMode, attestation } = configuration;
  const root = shown(path.join(dataDir, "root.pem"));
  const token = shown(operatorTokenFile);
  const lines = [
    "",
    `Mayfly ${firstStart ? "made a new CA and " : ""}listens at ${externalUrl}  (configuration: ${configuration.origin})`,
    "",
    `  ACME directory   ${externalUrl}/acme/directory`,
    `  root             ${root}`,
    `  operator token   ${token}`,
    `  signing keys     ${keys.description}`,
    `  database         ${configuration.databaseUrl === undefined ? `embedded PostgreSQL in ${shown(path.join(dataDir, "postgres"))}` : "PostgreSQL, as configured"}`,
    "",
  ];
  if (keys.development) lines.push("  !! DEVELOPMENT KEYS: no hardware protects the CA's keys. Not for production.");
  if (keys.unprotected !== undefined) lines.push(`  !! SOFTWARE KEYS: no hardware protects the ${keys.unprotected}.`);
  if (attestation.developmentSource) {
    lines.push(
      `  !! DEVELOPMENT EVIDENCE SOURCE "dev": whoever reads ${shown(path.join(dataDir, "dev-issuer.jwk"))} may be any workload under`,
    );
    lines.push(`     spiffe://${configuration.trustDomain}/dev/. Not for production.`);
  }
  if (keys.development || keys.unprotected !== undefined || attestation.developmentSource) lines.push("");
  if (noConfigurationMode) lines.push(...copyPaste(authority, root, token));
  lines.push("Ctrl-C stops it.", "");
  return lines.join("\n");
}

function copyPaste({ configuration }: Authority, root: string, token: string): string[] {
  const { externalUrl, validation, trustDomain } = configuration;
  const directory = `${externalUrl}/acme/directory`;
  const tries = shown(path.join(configuration.dataDir, "try"));
  const line = { directory, root, folder: tries, http01Port: validation.http01Port };
  return [
    "Copy and paste, in another terminal:",
    "",
    "# certbot",
    certbotLine({ ...line, name: "certbot.localhost" }),
    "",
    "# lego",
    legoLine({ ...line, name: "lego.localhost" }),
    "",
    "# an agent with evidence of what it is",
    `${agentEnvironment(configuration)}npx mayfly request --directory ${directory} --root ${root} --spiffe-id spiffe://${trustDomain}/dev/agent-1 --evidence 'exec:npx mayfly dev-token --subject agent-1' --out ${tries}/agent-1`,
    "",
    "# the inventory",
    `curl --cacert ${root} -H "Authorization: Bearer $(cat ${token})" '${externalUrl}/api/v1/certificates?limit=5'`,
    "",
  ];
}

/** `dev-token` runs in the agent's terminal and must find the same data directory and issuer. */
function agentEnvironment({ dataDir, externalUrl }: Authority["configuration"]): string {
  const settings: string[] = [];
  if (dataDir !== path.resolve("data")) settings.push(`MAYFLY_DATA_DIR=${shell(dataDir)}`);
  if (externalUrl !== "https://localhost:8443") settings.push(`MAYFLY_EXTERNAL_URL=${shell(externalUrl)}`);
  return settings.map((setting) => `${setting} `).join("");
}
