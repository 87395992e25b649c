/** `mayfly request --renew-from`: the platform's evidence first, then by possession with a new key each time, then the platform's again. */
import { readFileSync } from "node:fs";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";
import { renewing } from "../support/possessionFlows.ts";

t.setTimeout(120_000);

t.test("an agent that renews by possession", async (t) => {
  const ca = await certificateAuthority(t, { configuration: renewing() });
  const folder = t.testdir();
  const out = join(folder, "svid");
  const spiffeId = "spiffe://mayfly.localhost/dev/agent";
  const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
  const request = (...words: string[]) =>
    runWords(
      commands,
      ["request", "--directory", ca.directoryUrl, "--spiffe-id", spiffeId, "--out", out, "--json", ...words],
      { env },
    );
  const now = () => ({
    key: readFileSync(join(out, "key.pem"), "utf8"),
    leaf: new X509Certificate(readFileSync(join(out, "cert.pem"))),
  });
  const sourceOf = async (leaf: X509Certificate): Promise<unknown> =>
    (
      await query(
        ca,
        "select evidence->0->'proved'->'record'->>'source' as source from certificate where serial = $1",
        [Buffer.from(leaf.serialNumber, "hex")],
      )
    )[0]?.["source"];

  t.match(await request("--renew-from", out), {
    status: 1,
    stderr: /has no certificate for this identity to renew, in force and with its key, and there is no other evidence/,
  });
  const token = async (): Promise<string> => {
    const file = join(folder, `token-${Math.random()}`);
    await import("node:fs/promises").then(async ({ writeFile }) =>
      writeFile(file, await ca.devToken("agent", ca.configuration.audience)),
    );
    return `jwt:${file}`;
  };
  t.match(await request("--renew-from", out, "--evidence", await token()), { status: 0 }, "nothing is there yet");
  const seen = [now()];
  t.equal(await sourceOf(seen[0]?.leaf as X509Certificate), "dev");
  for (let i = 0; i < 3; i++) {
    t.match(
      await request("--renew-from", out, "--evidence", "jwt:/nowhere"),
      { status: 0, stderr: "" },
      "its own certificate will do",
    );
    seen.push(now());
    t.equal(await sourceOf(now().leaf), "own");
    t.ok(
      now().leaf.checkPrivateKey(
        await import("node:crypto").then(({ createPrivateKey }) => createPrivateKey(now().key)),
      ),
    );
  }
  t.equal(new Set(seen.map(({ key }) => key)).size, 4, "a new key each time");
  t.equal(new Set(seen.map(({ leaf }) => leaf.serialNumber)).size, 4);

  await query(
    ca,
    `update certificate set evidence = jsonb_set(evidence, '{0,proved,record,platform,attestedAt}', '"2026-01-01T00:00:00.000Z"') where serial = $1`,
    [Buffer.from(now().leaf.serialNumber, "hex")],
  );
  t.match(await request("--renew-from", out), { status: 1, stderr: /platform's evidence is too long ago/ });
  t.match(
    await request("--renew-from", out, "--evidence", await token()),
    { status: 0 },
    "the platform's evidence again",
  );
  t.equal(await sourceOf(now().leaf), "dev");
  const files = `${join(out, "cert.pem")},${join(out, "key.pem")}`;
  t.match(await request("--evidence", `x509-pop:${files}`), { status: 0 }, "the long form");
  t.equal(await sourceOf(now().leaf), "own");
});
