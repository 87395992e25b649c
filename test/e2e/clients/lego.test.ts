/** Debian's lego: all three challenge types, a wildcard. */
import { join } from "node:path";
import t from "tap";
import { clientGround, hookOf, packagedVersion } from "../../support/clientGround.ts";
import { clientRecord } from "../../support/clientRecord.ts";
import { run, succeed } from "../../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("lego", async (t) => {
  const ground = await clientGround(t);
  const version = await packagedVersion("lego"); // It calls itself "dev".
  const record = clientRecord({ client: "lego", version, cannot: { "IP address": "orders everything as a DNS name" } });
  const { folder, hookEnv, rootFile } = ground;
  const trust = { HOME: folder, LEGO_CA_CERTIFICATES: rootFile };
  const env = {
    ...trust,
    EXEC_PATH: hookOf("lego"),
    EXEC_SEQUENCE_INTERVAL: "1",
    EXEC_POLLING_INTERVAL: "1",
    ...hookEnv,
  };
  const always = ["--server", ground.directoryUrl, "--path", folder, "--email", "you@example.com", "--accept-tos"];
  const lego = (...words: string[]): Promise<string> => succeed("lego", [...always, ...words], { cwd: folder, env });

  const dns = ["--dns", "exec", "--dns.disable-cp", "--dns.resolvers", ground.challenges.dnsResolver];
  const cases = [
    { what: ["http-01"], names: ["http.example"], by: ["--http", "--http.port", `:${ground.http01Port}`] },
    { what: ["tls-alpn-01"], names: ["alpn.example"], by: ["--tls", "--tls.port", `:${ground.tlsAlpn01Port}`] },
    { what: ["dns-01", "wildcard"], names: ["*.wild.example", "wild.example"], by: dns },
  ] as const;
  for (const { what, names, by } of cases) {
    const asked = [...names.flatMap((name) => ["--domains", name]), ...by];
    const chain = join(folder, "certificates", `${names[0].replace("*", "_")}.crt`);
    await lego(...asked, "run");
    const first = await ground.obtained(t, chain, names);
    await lego(...asked, "renew", "--days", "365", "--no-random-sleep");
    const second = await ground.obtained(t, chain, names);
    t.not(second, first);
    record.did(...what, "renew");
    await lego("--domains", names[0], "revoke", "--reason", "4");
    await ground.revoked(t, second, 4);
    record.did("revoke");
  }
  const address = [...always, "--domains", "127.0.0.1", "--http", "--http.port", `:${ground.http01Port}`, "run"];
  t.match(await run("lego", address, { cwd: folder, env }), {
    status: 1,
    stderr: /The DNS name has the form of an IP/,
  });
  await record.end(t);
});
