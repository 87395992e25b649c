/** certbot and lego register with the key that `mayfly eab create` prints, where the server asks for one, and are refused without. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { leafIn } from "../support/opensslVerify.ts";
import { run, runMayfly, type Ended } from "../support/program.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("external account binding with real clients", async (t) => {
  const place = await serverPlace(t);
  const configuration = join(place.dataDir, "mayfly.yaml");
  await writeFile(
    configuration,
    "acme: { externalAccountRequired: true }\nvalidation: { allowLocalhostNames: true, allowPrivate: true }\n",
  );
  const env = { ...place.env, MAYFLY_CONFIG: configuration };
  const server = await startServer(t, place, { env });
  /** The line of this client as `mayfly eab create` prints it, with the name put into its place. */
  const printed = async (client: "certbot" | "lego", name: string, ...options: string[]): Promise<string> => {
    const made = await runMayfly(["eab", "create", ...options], { env });
    t.equal(made.status, 0, made.stderr);
    const line = made.stdout.split("\n").find((text) => text.includes(` ${client} `)) ?? "";
    t.match(line, server.directoryUrl);
    t.match(line, / NAME /);
    return line.replace(" NAME ", ` ${name} `);
  };
  const paste = (line: string): Promise<Ended> => run("sh", ["-c", line], { env: { HOME: server.dataDir } });
  /** The folder that a line names for its client. */
  const folderOf = (line: string): string => / --(?:config-dir|path) (\S+)/.exec(line)?.[1] ?? "";

  t.test("certbot", async (t) => {
    const line = await printed("certbot", "certbot.localhost", "--dns", "certbot.localhost");
    const without = await paste(line.replaceAll(/ --eab-\S+/g, ""));
    t.not(without.status, 0);
    t.match(`${without.stdout}${without.stderr}`, /external account/i, "certbot says why");

    const obtained = await paste(line);
    t.equal(obtained.status, 0, obtained.stderr);
    const { certificate } = await leafIn(join(folderOf(line), "live/certbot.localhost/fullchain.pem"));
    t.equal(certificate.subjectAltName, "DNS:certbot.localhost");

    const other = await paste(line.replace("certbot.localhost", "other.localhost"));
    t.not(other.status, 0);
    t.match(`${other.stdout}${other.stderr}`, /other\.localhost/, "the key allows one name and those below");
  });

  t.test("lego", async (t) => {
    const line = await printed("lego", "lego.localhost");
    const without = await paste(line.replace(/ --eab --kid=\S+ --hmac=\S+/, ""));
    t.not(without.status, 0);
    const obtained = await paste(line);
    t.equal(obtained.status, 0, obtained.stderr);
    const { certificate } = await leafIn(join(folderOf(line), "certificates/lego.localhost.crt"));
    t.equal(certificate.subjectAltName, "DNS:lego.localhost");
  });

  t.test("each key made one account", async (t) => {
    const listed = await runMayfly(["eab", "list"], { env });
    t.equal(listed.stdout.match(/ used up +1\/1 /g)?.length, 2, listed.stdout);
  });
});
