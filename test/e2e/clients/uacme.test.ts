/**
 * Debian's uacme: all three challenge types by its hook (tls-alpn-01 with its ualpn), a wildcard, an address. It believes the system's
 * CA certificates alone; so it runs in a mount namespace of its own, where our root is that file.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { freePort } from "../../support/certificateAuthority.ts";
import { background, clientGround, eventually, hookOf, type ClientGround } from "../../support/clientGround.ts";
import { clientRecord } from "../../support/clientRecord.ts";
import { run, succeed } from "../../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const systemCertificates = "/etc/ssl/certs/ca-certificates.crt";
/** Only root may mount; whoever else tests becomes root of a user namespace first. */
const ownMounts = process.getuid?.() === 0 ? ["--mount"] : ["--map-root-user", "--mount"];

t.test("uacme", async (t) => {
  const ground = await clientGround(t, { answersHttp01: true });
  const { stderr } = await run("uacme", ["--version"]);
  const record = clientRecord({
    client: "uacme",
    version: /version (\S+)/.exec(stderr)?.[1] ?? "",
    cannot: {},
    remark: "believes the system's CA certificates only, so the root has to be among them",
  });
  const socket = await startUalpn(t, ground);
  const at = ["--acme-url", ground.directoryUrl, "--confdir", ground.folder];
  await mkdir(join(ground.folder, "private"));
  const uacme = (type: string, ...words: string[]): Promise<string> => {
    const trusting = `mount --bind ${ground.rootFile} ${systemCertificates} && exec uacme "$@"`;
    const all = [...ownMounts, "sh", "-c", trusting, "uacme", "-v", "--yes", ...at, "--type", "EC", ...words];
    const env = { HOME: ground.folder, TYPE_WANTED: type, UALPN_SOCKET: socket, ...ground.hookEnv };
    return succeed("unshare", all, { cwd: ground.folder, env });
  };
  await uacme("", "new", "you@example.com");

  const cases = [
    { type: "http-01", what: ["http-01"], names: ["http.example"] },
    { type: "tls-alpn-01", what: ["tls-alpn-01"], names: ["alpn.example"] },
    { type: "dns-01", what: ["dns-01", "wildcard"], names: ["*.wild.example", "wild.example"] },
    { type: "http-01", what: ["IP address"], names: ["127.0.0.1"] },
  ] as const;
  for (const { type, what, names } of cases) {
    const issue = ["--hook", hookOf("uacme"), "--force", "issue", ...names];
    const chain = join(ground.folder, names[0].replace("*.", ""), "cert.pem");
    await uacme(type, ...issue);
    const first = await ground.obtained(t, chain, names);
    await uacme(type, ...issue);
    const second = await ground.obtained(t, chain, names);
    t.not(second, first);
    record.did(...what, "renew");
    await uacme("", "--reason", "4", "revoke", chain);
    await ground.revoked(t, second, 4);
    record.did("revoke");
  }
  await uacme("", "newkey");
  await uacme("", "deactivate");
  await record.end(t);
});

/** Its server for tls-alpn-01; resolves to the socket where it is told what to answer. Everything else it would hand on to nobody. */
async function startUalpn(t: Test, { folder, tlsAlpn01Port }: ClientGround): Promise<string> {
  const socket = join(folder, "ualpn.sock");
  const nobody = await freePort();
  const files = ["-s", socket, "-p", join(folder, "ualpn.pid")];
  const at = ["-b", `127.0.0.1@${tlsAlpn01Port}`, "-c", `127.0.0.1@${nobody}`];
  const { printed } = background(t, "ualpn", [...files, ...at, "-n", "1"]);
  return await eventually(
    async () => (existsSync(socket) ? socket : undefined),
    () => printed.stderr,
  );
}
