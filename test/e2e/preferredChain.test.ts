/** certbot takes the chain that its operator prefers (`--preferred-chain`, by the name of the issuer at the top). */
import { X509Certificate } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { stringify } from "yaml";
import { pemDecode, pemEncode } from "../../src/x509/pem.ts";
import { otherCa, subjectOf } from "../support/crossSigned.ts";
import { leafIn, opensslVerify } from "../support/opensslVerify.ts";
import { mayfly, succeed } from "../support/program.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("R7.4.2-3 certbot --preferred-chain", async (t) => {
  const place = await serverPlace(t);
  const first = await startServer(t, place);
  const root = new X509Certificate(first.root);
  await first.stop();

  const other = await otherCa("Another Root");
  const pem = [await other.certify(subjectOf(root.raw)), other.certificate].map((der) => pemEncode("CERTIFICATE", der));
  const [chainFile, otherRoot, configuration] = ["cross.pem", "other.pem", "mayfly.yaml"].map((name) =>
    join(place.dataDir, name),
  ) as [string, string, string];
  await writeFile(chainFile, pem[0] ?? "");
  await writeFile(otherRoot, pem[1] ?? "");
  const settings = {
    validation: { allowLocalhostNames: true },
    attestation: { developmentSource: true },
    hierarchy: { alternateChainFiles: [chainFile] },
  };
  await writeFile(configuration, stringify(settings));
  const server = await startServer(t, place, { command: [mayfly, "serve", "--config", configuration] });

  const folder = join(place.dataDir, "certbot");
  await mkdir(folder);
  const certbot = async (name: string, preferred: string): Promise<string> => {
    const asked = `certonly --server ${server.directoryUrl} --standalone --http-01-port ${place.http01Port} -d ${name}`;
    const always = `--non-interactive --config-dir ${folder} --work-dir ${folder} --logs-dir ${folder}`;
    const parts = `${asked} ${always} --agree-tos --register-unsafely-without-email --preferred-chain`.split(" ");
    await succeed("certbot", [...parts, preferred], {
      cwd: folder,
      env: { HOME: folder, REQUESTS_CA_BUNDLE: server.rootFile },
    });
    return join(folder, "live", name, "fullchain.pem");
  };
  const lengthOf = async (file: string): Promise<number> =>
    pemDecode(await readFile(file, "utf8"), "CERTIFICATE").length;

  const preferring = await certbot("other.localhost", "Another Root");
  t.equal(await lengthOf(preferring), 3, "leaf, issuing CA, cross-signed root");
  await opensslVerify(otherRoot, preferring);
  const standard = await certbot("own.localhost", "Mayfly Root CA mayfly.localhost");
  t.equal(await lengthOf(standard), 2);
  await opensslVerify(server.rootFile, standard);
  t.not((await leafIn(standard)).serial, (await leafIn(preferring)).serial);
});
