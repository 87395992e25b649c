/**
 * `mayfly dev-token`: mints a token of the development evidence source. The token is the only thing on standard output.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type CommandContext, defineCommand, wholeNumber } from "./command.ts";

const options = {
  subject: { type: "string", value: "NAME", required: true, description: "whom the token speaks of: its sub claim" },
  audience: {
    type: "string",
    value: "AUDIENCE",
    env: "MAYFLY_AUDIENCE",
    required: true,
    description:
      "whom the token is for: its aud claim. In the command of mayfly request --evidence exec: the environment says it",
  },
  lifetime: { type: "string", value: "SECONDS", default: "300", description: "how long the token is valid" },
  issuer: {
    type: "string",
    value: "URL",
    defaultText: "/dev at MAYFLY_EXTERNAL_URL, or at https://localhost:8443",
    description: "who speaks: its iss claim",
  },
} as const;

export const command = defineCommand({
  name: "dev-token",
  summary: "mint a token of the development evidence source",
  usage: "--subject NAME --audience AUDIENCE [OPTION …]",
  description:
    "Signs a token with dev-issuer.jwk of the data directory (MAYFLY_DATA_DIR, or ./data). A server without a configuration, or with attestation.developmentSource, trusts that key for spiffe://TRUST-DOMAIN/dev/NAME; no other server does.",
  options,
  examples: [
    {
      does: "as the evidence of an agent",
      command:
        "mayfly request --spiffe-id spiffe://mayfly.localhost/dev/agent --evidence 'exec:mayfly dev-token --subject agent' --out ./agent",
    },
  ],
  run: devToken,
});

async function devToken({ values, env, stdout }: CommandContext<typeof options>): Promise<void> {
  const { subject, audience } = values;
  const lifetimeSeconds = wholeNumber("lifetime", values.lifetime, { least: 1, most: 86_400, unit: "seconds" });
  const external = (env["MAYFLY_EXTERNAL_URL"] || "https://localhost:8443").replace(/\/+$/, "");
  const file = join(env["MAYFLY_DATA_DIR"] || "data", "dev-issuer.jwk");
  if (!(await stat(file).catch(() => undefined))) {
    throw new Error(
      `there is no ${file}: the development source exists only where "mayfly serve" was started without a configuration; MAYFLY_DATA_DIR says where its data is`,
    );
  }
  const { openDevIssuer } = await import("../development/devIssuer.ts");
  const issuer = await openDevIssuer(file);
  const token = await issuer.mint({
    subject,
    audience,
    issuer: values.issuer ?? `${external}/dev`,
    lifetimeSeconds,
    now: new Date(),
  });
  stdout.write(`${token}\n`);
}
