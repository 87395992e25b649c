/** Debian's acme-tiny: http-01 from a folder of a web server; a renewal is another run. It does nothing else. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import { join } from "node:path";
import t from "tap";
import { clientGround, packagedVersion } from "../../support/clientGround.ts";
import { clientRecord } from "../../support/clientRecord.ts";
import { succeed } from "../../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("acme-tiny", async (t) => {
  const ground = await clientGround(t);
  const version = await packagedVersion("acme-tiny");
  const record = clientRecord({
    client: "acme-tiny",
    version,
    cannot: {
      "dns-01": "has none",
      wildcard: "has none",
      "tls-alpn-01": "has none",
      "IP address": "reads names only from a CSR",
      revoke: "has no command for it",
    },
  });
  const [account, key, csr, served, chain] = ["account.key", "server.key", "server.csr", "served", "chain.pem"].map(
    (name) => join(ground.folder, name),
  ) as [string, string, string, string, string];
  await mkdir(served);
  const server = createServer((request, response) => {
    const token = /^\/\.well-known\/acme-challenge\/([\w-]+)$/.exec(request.url ?? "")?.[1];
    const answer = token === undefined ? Promise.reject(new Error("no token")) : readFile(join(served, token));
    answer.then(
      (text) => response.end(text),
      () => response.writeHead(404).end(),
    );
  });
  server.listen(ground.http01Port, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => void server.close());

  await succeed("openssl", ["genrsa", "-out", account, "2048"]);
  const names = ["tiny.example", "www.tiny.example"];
  const asked = `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`;
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key];
  await succeed("openssl", ["req", "-new", ...newKey, "-subj", "/", "-addext", asked, "-out", csr]);

  const acmeTiny = async (): Promise<string> => {
    const files = ["--account-key", account, "--csr", csr, "--acme-dir", served];
    const more = ["--directory-url", ground.directoryUrl, "--disable-check", "--contact", "mailto:you@example.com"];
    const env = { SSL_CERT_FILE: ground.rootFile };
    await writeFile(chain, await succeed("acme-tiny", [...files, ...more, "--quiet"], { cwd: ground.folder, env }));
    return await ground.obtained(t, chain, names);
  };
  const first = await acmeTiny();
  record.did("http-01");
  t.not(await acmeTiny(), first);
  record.did("renew");
  await record.end(t);
});
