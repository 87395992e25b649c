/** Debian's Apache with mod_md: all three challenge types, a wildcard; it renews by itself, and takes a renewed certificate up at a reload. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { background, clientGround, eventually, hookOf, packagedVersion } from "../../support/clientGround.ts";
import { clientRecord } from "../../support/clientRecord.ts";
import { succeed } from "../../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

/** Debian's nobody: Apache refuses to serve as root, and needs no rights on ports as high as these. */
const nobody = "65534";
const isRoot = process.getuid?.() === 0;

t.test("Apache with mod_md", async (t) => {
  const ground = await clientGround(t);
  const folder = await mkdtemp(join(tmpdir(), "mayfly-apache-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const record = clientRecord({
    client: "Apache mod_md",
    version: await packagedVersion("apache2-bin"),
    cannot: { "IP address": "takes names only", revoke: "has no command for it" },
    remark: "renews by itself",
  });
  const cases = [
    { what: ["http-01"], names: ["http.example"] },
    { what: ["tls-alpn-01"], names: ["alpn.example"] },
    { what: ["dns-01", "wildcard"], names: ["wild.example", "*.wild.example"] },
  ] as const;
  const root = join(folder, "root.pem");
  await copyFile(ground.rootFile, root);
  // The checkout may lie where nobody but its owner comes, below /root for instance.
  const hook = join(folder, "hook.sh");
  await copyFile(hookOf("modMd"), hook);
  const modules = ["mpm_event", "authz_core", "ssl", "md", "socache_shmcb"].map(
    (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
  );
  const [http, https] = [ground.http01Port, ground.tlsAlpn01Port];
  const configuration = [
    ...modules,
    `ServerRoot ${folder}`,
    `DefaultRuntimeDir ${folder}`,
    `PidFile ${folder}/pid`,
    `ErrorLog ${folder}/error.log`,
    "ServerName localhost",
    `Listen 127.0.0.1:${http}`,
    `Listen 127.0.0.1:${https}`,
    "Protocols http/1.1 acme-tls/1",
    `MDStoreDir ${folder}/md`,
    `MDCertificateAuthority ${ground.directoryUrl}`,
    `MDCACertificateFile ${root}`,
    "MDCertificateAgreement accepted",
    "MDContactEmail you@example.com",
    "MDPrivateKeys secp256r1",
    `MDPortMap http:${http} https:${https}`,
    "MDRenewWindow 30d",
    "MDRenewViaARI off",
    "MDCheckInterval 1s",
    `MDChallengeDns01 ${hook}`,
    ...cases.flatMap(({ what, names }) => [
      `<MDomainSet ${names.join(" ")}>`,
      `MDCAChallenges ${what[0]}`,
      "</MDomainSet>",
      `<VirtualHost 127.0.0.1:${https}>`,
      `ServerName ${names[0]}`,
      ...names.slice(1).map((name) => `ServerAlias ${name}`),
      "SSLEngine on",
      "</VirtualHost>",
    ]),
  ];
  const file = join(folder, "httpd.conf");
  await writeFile(file, `${configuration.join("\n")}\n`);
  if (isRoot) await succeed("chown", ["-R", nobody, folder]);
  const apache = ["/usr/sbin/apache2", "-DFOREGROUND", "-f", file];
  const [program = "", ...parameters] = isRoot
    ? ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", ...apache]
    : apache;
  const { printed, signal } = background(t, program, parameters, ground.hookEnv);

  const log = join(folder, "error.log");
  let logged = "";
  /** Its log says so for every domain, for the nth time; then a graceful restart takes the certificates up. */
  const taken = async (times: number): Promise<string[]> => {
    await eventually(
      async () => {
        logged = await readFile(log, "utf8").catch(() => "");
        const done = cases.map(({ names }) => logged.split(`The Managed Domain ${names[0]} has been setup`).length - 1);
        return done.every((count) => count >= times) ? done : undefined;
      },
      () => `${printed.stderr}${logged}`,
    );
    signal("SIGUSR1");
    const activated = () =>
      readFile(log, "utf8").then((text) => text.split("resuming normal operations").length > times + 1);
    await eventually(
      async () => ((await activated()) ? true : undefined),
      () => logged,
    );
    const chainOf = (name: string): string => join(folder, "md/domains", name, "pubcert.secp256r1.pem");
    return await Promise.all(cases.map(({ names }) => ground.obtained(t, chainOf(names[0]), names)));
  };
  const first = await taken(1);
  const second = await taken(2);
  for (const [index, { what, names }] of cases.entries()) {
    t.not(second[index], first[index], `${names[0]}: a renewal is a new certificate`);
    record.did(...what, "renew");
  }
  await record.end(t);
});
