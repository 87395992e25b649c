/** Debian's certbot obtains, renews and revokes, with development keys and with the issuing key in a SoftHSM2 token. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { eachKeyProvider } from "../support/keyProviders.ts";
import { inventoryOf } from "../support/inventoryOf.ts";
import { leafIn, opensslVerify } from "../support/opensslVerify.ts";
import { succeed } from "../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

for (const { name, told, start } of eachKeyProvider) {
  t.test(`certbot, http-01, ${name}`, async (t) => {
    const server = await start(t);
    t.match(server.printed.stdout, told);
    const folder = join(server.dataDir, "certbot");
    await mkdir(folder);
    const always = `--non-interactive --config-dir ${folder} --work-dir ${folder} --logs-dir ${folder}`;
    /** Each part holds several words. */
    const certbot = (...parts: string[]): Promise<string> =>
      succeed("certbot", [...parts, always].join(" ").split(" "), {
        cwd: folder,
        env: { HOME: folder, REQUESTS_CA_BUNDLE: server.rootFile },
      });
    const at = `--server ${server.directoryUrl}`;
    const live = join(folder, "live/certbot.localhost");
    const chain = join(live, "fullchain.pem");

    const asked = `--standalone --http-01-port ${server.http01Port} -d certbot.localhost -d www.certbot.localhost`;
    await certbot("certonly", at, asked, "--agree-tos -m you@example.com");
    const first = await leafIn(chain);
    await opensslVerify(server.rootFile, chain);
    t.strictSame(
      new Set(first.certificate.subjectAltName?.split(", ")),
      new Set(["DNS:certbot.localhost", "DNS:www.certbot.localhost"]),
    );
    t.match(await inventoryOf(server, `serial=${first.serial}`), {
      length: 1,
      0: { state: "valid", fingerprintSha256: first.fingerprint, rule: null, evidenceDigest: null },
    });

    await certbot("renew --force-renewal --no-random-sleep-on-renew");
    const second = await leafIn(chain);
    await opensslVerify(server.rootFile, chain);
    t.not(second.serial, first.serial, "a renewal is a new certificate");
    t.strictSame(
      (await inventoryOf(server, "dnsName=certbot.localhost")).map(({ serial, state }) => [serial, state]),
      [
        [second.serial, "valid"],
        [first.serial, "valid"],
      ],
    );

    // By the account that ordered it, then by the certificate's own key (RFC 8555 §7.6).
    const archive = join(folder, "archive/certbot.localhost");
    const own = `--cert-path ${archive}/cert1.pem --key-path ${archive}/privkey1.pem`;
    await certbot("revoke --no-delete-after-revoke", at, `--cert-path ${chain} --reason superseded`);
    await certbot("revoke --no-delete-after-revoke", at, own, "--reason keycompromise");
    t.strictSame(
      (await inventoryOf(server, "dnsName=www.certbot.localhost&state=revoked")).map((entry) => [
        entry.serial,
        entry.revocationReason,
      ]),
      [
        [second.serial, 4],
        [first.serial, 1],
      ],
    );
    t.strictSame(await inventoryOf(server, "dnsName=certbot.localhost&state=valid"), []);
    t.notMatch(await readFile(join(folder, "letsencrypt.log"), "utf8"), /Traceback/, "without a mishap on the way");
  });
}
