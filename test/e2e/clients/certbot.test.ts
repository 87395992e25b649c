/** Debian's certbot: http-01 by its own web server, dns-01 by a hook, a wildcard. (Renewal with keys in a token: ../certbot.test.ts.) */
import { join } from "node:path";
import t from "tap";
import { clientGround, hookOf } from "../../support/clientGround.ts";
import { clientRecord } from "../../support/clientRecord.ts";
import { run, succeed } from "../../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("certbot", async (t) => {
  const ground = await clientGround(t);
  const version = (await succeed("certbot", ["--version"])).trim().split(" ").at(-1) ?? "";
  const record = clientRecord({
    client: "certbot",
    version,
    cannot: { "tls-alpn-01": "has none", "IP address": "takes names only" },
    remark: "shows any refusal of an order as `AttributeError`; the reason is in letsencrypt.log",
  });
  const { folder } = ground;
  const options = { cwd: folder, env: { HOME: folder, REQUESTS_CA_BUNDLE: ground.rootFile, ...ground.hookEnv } };
  const always = `--non-interactive --config-dir ${folder} --work-dir ${folder} --logs-dir ${folder}`;
  const words = (...parts: string[]): string[] => [...parts, always].join(" ").split(" ");
  const certbot = (...parts: string[]): Promise<string> => succeed("certbot", words(...parts), options);
  const at = `--server ${ground.directoryUrl} --agree-tos -m you@example.com`;
  const standalone = `--standalone --http-01-port ${ground.http01Port}`;
  const manual = `--manual --preferred-challenges dns --manual-auth-hook ${hookOf("certbot")}`;
  const chainOf = (name: string): string => join(folder, "live", name, "fullchain.pem");

  await certbot("certonly", at, standalone, "-d one.example");
  const first = await ground.obtained(t, chainOf("one.example"), ["one.example"]);
  record.did("http-01");
  await certbot("certonly", at, manual, "-d two.example -d *.two.example");
  const wild = await ground.obtained(t, chainOf("two.example"), ["two.example", "*.two.example"]);
  record.did("dns-01", "wildcard");

  await certbot("renew --force-renewal --no-random-sleep-on-renew");
  const [second, wilder] = [
    await ground.obtained(t, chainOf("one.example"), ["one.example"]),
    await ground.obtained(t, chainOf("two.example"), ["two.example", "*.two.example"]),
  ];
  t.not(second, first);
  t.not(wilder, wild);
  record.did("renew");
  const revoke = `revoke --no-delete-after-revoke --server ${ground.directoryUrl}`;
  await certbot(revoke, `--cert-path ${chainOf("one.example")} --reason superseded`);
  await ground.revoked(t, second, 4);
  await certbot(revoke, `--cert-path ${chainOf("two.example")} --reason keycompromise`);
  await ground.revoked(t, wilder, 1);
  record.did("revoke");

  const refused = await run("certbot", words("certonly", at, standalone, "-d 127.0.0.1"), options);
  t.match(refused.stderr, /IP address/, "what it says to an address");
  t.not(refused.status, 0);
  await record.end(t);
});
