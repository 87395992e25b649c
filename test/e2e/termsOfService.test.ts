/** Accounts of real clients whose terms of service changed agree as docs/operations.md says. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { run, type Ended } from "../support/program.ts";
import { serverPlace, startServer, type ServerProcess } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("changed terms of service with real clients", async (t) => {
  const place = await serverPlace(t);
  const configuration = join(place.dataDir, "mayfly.yaml");
  const env = { ...place.env, MAYFLY_CONFIG: configuration };
  const startWith = async (terms: string): Promise<ServerProcess> => {
    const validation = "validation: { allowLocalhostNames: true, allowPrivate: true }";
    await writeFile(configuration, `acme: { termsOfService: "https://terms.example/${terms}" }\n${validation}\n`);
    return startServer(t, place, { env });
  };
  const { dataDir, rootFile, directoryUrl, http01Port } = place;
  const shell = (line: string): Promise<Ended> => run("sh", ["-c", line], { env: { HOME: dataDir } });
  const lego = `LEGO_CA_CERTIFICATES=${rootFile} lego --server ${directoryUrl} --path ${dataDir}/lego --email you@example.com -a --domains lego.localhost --http --http.port :${http01Port} run`;
  const folders = ["config", "work", "logs"].map((name) => `--${name}-dir ${dataDir}/certbot`).join(" ");
  const certbot = (words: string): Promise<Ended> =>
    shell(`REQUESTS_CA_BUNDLE=${rootFile} certbot ${words} --non-interactive ${folders}`);
  const certonly = `certonly --standalone --http-01-port ${http01Port} --server ${directoryUrl} -d certbot.localhost --agree-tos -m you@example.com --force-renewal`;
  const renew = "renew --force-renewal --no-random-sleep-on-renew";
  const works = ({ status, stderr }: Ended, what: string): void => {
    t.equal(status, 0, what, { stderr });
  };

  const first = await startWith("1");
  works(await shell(lego), "lego");
  works(await certbot(certonly), "certbot");
  await first.stop("SIGTERM");
  await startWith("2");

  t.not((await shell(lego)).status, 0, "lego does not agree by itself");
  await rm(
    join(dataDir, "lego/accounts", new URL(directoryUrl).host.replace(":", "_"), "you@example.com/account.json"),
  );
  works(await shell(lego), "lego registers with the key that it has");

  t.not((await certbot(renew)).status, 0, "certbot does not agree by itself");
  works(await certbot(`unregister --server ${directoryUrl}`), "unregister");
  works(await certbot(certonly), "certbot with a new account");
  works(await certbot(renew), "which its renewals use from then on");
});
