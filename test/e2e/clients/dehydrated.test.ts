/** Debian's dehydrated: all three challenge types by its hook, a wildcard. */
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { alpnTarget, clientGround, hookOf, packagedVersion } from "../../support/clientGround.ts";
import { clientRecord } from "../../support/clientRecord.ts";
import { run, succeed } from "../../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("dehydrated", async (t) => {
  const ground = await clientGround(t, { answersHttp01: true });
  const { folder } = ground;
  const version = await packagedVersion("dehydrated"); // Asked itself, it would make folders of the system's.
  const record = clientRecord({
    client: "dehydrated",
    version,
    cannot: { "IP address": "orders everything as a DNS name" },
    remark: "gives up on a `badNonce`",
  });
  const [configuration, certificates, alpn, wellKnown] = ["config", "certs", "alpn", "well-known"].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  for (const made of [certificates, alpn, wellKnown]) await mkdir(made);
  const settings = {
    CA: ground.directoryUrl,
    BASEDIR: folder,
    CERTDIR: certificates,
    ALPNCERTDIR: alpn,
    WELLKNOWN: wellKnown,
    HOOK: hookOf("dehydrated"),
    CONTACT_EMAIL: "you@example.com",
    KEY_ALGO: "prime256v1",
    PRIVATE_KEY_RENEW: "yes",
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}="${value}"\n`);
  await writeFile(configuration, lines.join(""));
  const called = (type: string) => ({
    cwd: folder,
    env: { HOME: folder, CURL_CA_BUNDLE: ground.rootFile, TYPE_WANTED: type, ...ground.hookEnv },
  });
  const dehydrated = (type: string, ...words: string[]): Promise<string> =>
    succeed("dehydrated", [...words, "--config", configuration], called(type));
  await alpnTarget(t, ground.tlsAlpn01Port, (name) => ({
    key: readFileSync(join(alpn, `${name}.key.pem`)),
    cert: readFileSync(join(alpn, `${name}.crt.pem`)),
  }));
  await dehydrated("", "--register", "--accept-terms");

  const cases = [
    { type: "http-01", what: ["http-01"], names: ["http.example"] },
    { type: "tls-alpn-01", what: ["tls-alpn-01"], names: ["alpn.example"] },
    { type: "dns-01", what: ["dns-01", "wildcard"], names: ["wild.example", "*.wild.example"] },
  ] as const;
  for (const { type, what, names } of cases) {
    const sign = ["--cron", "--challenge", type, "--domain", names.join(" ")];
    const chain = join(certificates, names[0], "fullchain.pem");
    await dehydrated(type, ...sign);
    const first = await ground.obtained(t, chain, names);
    await dehydrated(type, ...sign, "--force");
    const second = await ground.obtained(t, chain, names);
    t.not(second, first);
    record.did(...what, "renew");
    await dehydrated(type, "--revoke", join(certificates, names[0], "cert.pem"));
    await ground.revoked(t, second, null);
    record.did("revoke");
  }
  const address = ["--cron", "--challenge", "http-01", "--domain", "127.0.0.1", "--config", configuration];
  const refused = await run("dehydrated", address, called("http-01"));
  t.match(refused, { stderr: /rejectedIdentifier|malformed/, status: 1 }, "an address is no DNS name");
  await record.end(t);
});
