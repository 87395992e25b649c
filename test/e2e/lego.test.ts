/** Debian's lego obtains, renews and revokes through http-01 and tls-alpn-01, with development keys and with a SoftHSM2 token. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { inventoryOf } from "../support/inventoryOf.ts";
import { eachKeyProvider } from "../support/keyProviders.ts";
import { leafIn, opensslVerify } from "../support/opensslVerify.ts";
import { succeed } from "../support/program.ts";
import type { ServerProcess } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

for (const { name, told, start } of eachKeyProvider) {
  t.test(`lego, ${name}`, async (t) => {
    const server = await start(t);
    t.match(server.printed.stdout, told);
    const { http01Port, tlsAlpn01Port } = server;
    await obtainRenewRevoke(t, server, "http.lego.localhost", ["--http", "--http.port", `:${http01Port}`]);
    await obtainRenewRevoke(t, server, "alpn.lego.localhost", ["--tls", "--tls.port", `:${tlsAlpn01Port}`]);
  });
}

async function obtainRenewRevoke(t: Test, server: ServerProcess, domain: string, challenge: string[]): Promise<void> {
  const folder = join(server.dataDir, domain);
  await mkdir(folder);
  const always = ["--server", server.directoryUrl, "--path", folder, "--email", "you@example.com", "--accept-tos"];
  const lego = (...parameters: string[]): Promise<string> =>
    succeed("lego", [...always, "--domains", domain, ...challenge, ...parameters], {
      cwd: folder,
      env: { HOME: folder, LEGO_CA_CERTIFICATES: server.rootFile },
    });
  const chain = join(folder, "certificates", `${domain}.crt`);

  await lego("run");
  const first = await leafIn(chain);
  await opensslVerify(server.rootFile, chain);
  t.equal(first.certificate.subjectAltName, `DNS:${domain}`);
  t.match(await inventoryOf(server, `serial=${first.serial}`), {
    length: 1,
    0: { state: "valid", fingerprintSha256: first.fingerprint, dnsNames: [domain] },
  });

  await lego("renew", "--days", "365", "--no-random-sleep");
  const second = await leafIn(chain);
  await opensslVerify(server.rootFile, chain);
  t.not(second.serial, first.serial, `${domain}: a renewal is a new certificate`);

  await lego("revoke", "--reason", "1");
  t.strictSame(
    (await inventoryOf(server, `dnsName=${domain}`)).map((entry) => [
      entry.serial,
      entry.state,
      entry.revocationReason,
    ]),
    [
      [second.serial, "revoked", 1],
      [first.serial, "valid", null],
    ],
    `${domain}: the renewed one is revoked, and only that`,
  );
}
