/** certbot and lego register with the key that `mayfly eab create` prints, where the server asks for one, and are refused without. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { leafIn } from "../support/opensslVerify.ts";
import { run, runMayfly, succeed, type Ended } from "../support/program.ts";
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
  /** The line of this client, as `mayfly eab create` prints it, taken apart. */
  const madeKey = async (client: "certbot" | "lego", ...options: string[]): Promise<string[]> => {
    const made = await runMayfly(["eab", "create", ...options], { env });
    t.equal(made.status, 0, made.stderr);
    const line = made.stdout.split("\n").find((text) => text.startsWith(`  ${client} `)) ?? "";
    t.match(line, server.directoryUrl);
    return line.replace(" … run", "").trim().split(" ").slice(1);
  };

  t.test("certbot", async (t) => {
    const folder = join(server.dataDir, "certbot");
    await mkdir(folder);
    const always = `--non-interactive --config-dir ${folder} --work-dir ${folder} --logs-dir ${folder}`.split(" ");
    const options = { cwd: folder, env: { HOME: folder, REQUESTS_CA_BUNDLE: server.rootFile } };
    const certbot = (...words: string[]): Promise<Ended> => run("certbot", [...words, ...always], options);
    const who = ["--agree-tos", "-m", "you@example.com"];

    const without = await certbot("register", "--server", server.directoryUrl, ...who);
    t.not(without.status, 0);
    t.match(`${without.stdout}${without.stderr}`, /external account/i, "certbot says why");

    const registering = [...(await madeKey("certbot", "--dns", "certbot.localhost")), ...who];
    const registered = await certbot(...registering);
    t.equal(registered.status, 0, registered.stderr);

    const asked = ["certonly", "--server", server.directoryUrl, "--standalone"];
    const at = ["--http-01-port", String(server.http01Port), "-d"];
    const obtained = await certbot(...asked, ...at, "certbot.localhost");
    t.equal(obtained.status, 0, obtained.stderr);
    const { certificate } = await leafIn(join(folder, "live/certbot.localhost/fullchain.pem"));
    t.equal(certificate.subjectAltName, "DNS:certbot.localhost");

    const other = await certbot(...asked, ...at, "other.localhost");
    t.not(other.status, 0);
    t.match(`${other.stdout}${other.stderr}`, /other\.localhost/, "the key allows one name and those below");
  });

  t.test("lego", async (t) => {
    const folder = join(server.dataDir, "lego");
    await mkdir(folder);
    const options = { cwd: folder, env: { HOME: folder, LEGO_CA_CERTIFICATES: server.rootFile } };
    const always = ["--path", folder, "--email", "you@example.com", "--accept-tos", "--domains", "lego.localhost"];
    const http = ["--http", "--http.port", `:${server.http01Port}`, "run"];

    const without = await run("lego", ["--server", server.directoryUrl, ...always, ...http], options);
    t.not(without.status, 0);
    await succeed("lego", [...(await madeKey("lego")), ...always, ...http], options);
    const { certificate } = await leafIn(join(folder, "certificates/lego.localhost.crt"));
    t.equal(certificate.subjectAltName, "DNS:lego.localhost");
  });

  t.test("each key made one account", async (t) => {
    const listed = await runMayfly(["eab", "list"], { env });
    t.equal(listed.stdout.match(/ used up +1\/1 /g)?.length, 2, listed.stdout);
  });
});
