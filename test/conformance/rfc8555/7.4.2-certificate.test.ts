/** RFC 8555 §7.4.2: the certificate as the client accepts it, and by other chains. */
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import t from "tap";
import { pemDecode, pemEncode } from "../../../src/x509/pem.ts";
import { acmeDriver, type Reply } from "../../support/acmeDriver.ts";
import { issued, leafOf } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { otherCa, subjectOf } from "../../support/crossSigned.ts";
import { refused } from "../../support/refused.ts";

const linked = ({ headers }: Reply, relation: string): string[] =>
  [...String(headers["link"]).matchAll(/<([^>]+)>;rel="([^"]+)"/g)].flatMap(([, url = "", rel]) =>
    rel === relation ? [url] : [],
  );
const certificatesOf = ({ text }: Reply): X509Certificate[] =>
  pemDecode(text, "CERTIFICATE").map((der) => new X509Certificate(der));

t.test("RFC 8555 §7.4.2", async (t) => {
  // The CA that is there first; then the same one with two chains to a root of somebody else.
  const before = await certificateAuthority(t);
  const { issuers } = before.authority;
  const issuing = issuers.active("default");
  const rootCertificate = issuers.roots()[0]?.certificate ?? Buffer.alloc(0);
  const other = await otherCa("Other Root");
  const [crossIssuing, crossRoot] = await Promise.all(
    [issuing.certificate, rootCertificate].map((der) => other.certify(subjectOf(der))),
  );
  const files = [crossIssuing, crossRoot].map((der, n) => ({
    file: path.join(before.dataDir, `alternate-${n}.pem`),
    pem:
      pemEncode("CERTIFICATE", der ?? Buffer.alloc(0)) + (n === 0 ? "" : pemEncode("CERTIFICATE", other.certificate)),
  }));
  for (const { file, pem } of files) await writeFile(file, pem);
  await before.close();
  const { dataDir, databaseUrl } = before;
  const configuration = { hierarchy: { alternateChainFiles: files.map(({ file }) => file) } };
  const ca = await certificateAuthority(t, { dataDir, databaseUrl, configuration });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const { certificateUrl, chain } = await issued(ca, alice);
  const leaf = Buffer.from(leafOf(chain), "base64url");
  const as = (accept: string, url = certificateUrl) => alice.postAsGet(url, { headers: { accept } });

  t.test("R7.4.2-3 Link rel=alternate leads to other chains above the same leaf", async (t) => {
    const standard = await alice.postAsGet(certificateUrl);
    t.equal(certificatesOf(standard).length, 2, "the default chain is the CA's own");
    const urls = linked(standard, "alternate");
    t.equal(urls.length, 2);
    t.same(linked(standard, "index"), [ca.directoryUrl], "beside the link to the directory");
    const foreignRoot = new X509Certificate(other.certificate);
    const seen: number[] = [];
    for (const url of urls) {
      const reply = await alice.postAsGet(url);
      t.equal(reply.status, 200);
      t.equal(reply.headers["content-type"], "application/pem-certificate-chain");
      const certificates = certificatesOf(reply);
      seen.push(certificates.length);
      t.ok(certificates[0]?.raw.equals(leaf), "the same leaf");
      for (const [n, certificate] of certificates.entries())
        t.ok(certificate.verify((certificates[n + 1] ?? foreignRoot).publicKey), `${n} is certified by the next`);
      t.same(
        new Set(linked(reply, "alternate")),
        new Set([certificateUrl, ...urls.filter((one) => one !== url)]),
        "and from there to all the others",
      );
    }
    t.same(seen, [2, 4], "a certificate beside the issuing CA's, and one above it");
  });

  t.test("R7.4.2-3 R7.4.2-4 an alternate is its account's alone, and of that certificate", async (t) => {
    const [url = ""] = linked(await alice.postAsGet(certificateUrl), "alternate");
    refused(t, await (await acme.account()).postAsGet(url), 404, "malformed", "another account");
    refused(t, await acme.request(url), 405, "malformed", "GET");
    for (const bad of ["0", "1", "0000000000000000", "..%2f"])
      refused(t, await alice.postAsGet(url.replace(/[^/]+$/, bad)), 404, "malformed", bad);
  });

  t.test("R7.4.2-2 Accept is honoured for what there is, and answered with the chain otherwise", async (t) => {
    const chainType = "application/pem-certificate-chain";
    const table: [string, string][] = [
      [chainType, chainType],
      ["*/*", chainType],
      ["nonsense", chainType],
      ["text/html", chainType],
      ["application/json;q=1", chainType],
      ["application/pkix-cert;q=0", chainType],
      ["application/pkix-cert;q=0.5, application/pem-certificate-chain", chainType],
      ["application/pkix-cert", "application/pkix-cert"],
      ["application/pkix-cert, */*;q=0.1", "application/pkix-cert"],
      ["application/pem-certificate-chain;q=0.1, Application/PKIX-Cert;q=0.9", "application/pkix-cert"],
      ["application/pkcs7-mime;smime-type=certs-only", "application/pkcs7-mime;smime-type=certs-only"],
      ["application/pkcs7-mime", "application/pkcs7-mime;smime-type=certs-only"],
      ["application/pkcs7-mime;smime-type=signed-data", chainType],
    ];
    for (const [accept, type] of table) {
      const reply = await as(accept);
      t.equal(`${reply.status} ${reply.headers["content-type"]}`, `200 ${type}`, accept);
      t.equal(reply.headers["vary"], "Accept");
      if (type === chainType) t.equal(reply.text, chain);
    }
  });

  t.test("R7.4.2-2 DER is the leaf alone, with Link rel=up from certificate to certificate", async (t) => {
    const reply = await as("application/pkix-cert");
    t.ok(reply.body.equals(leaf));
    t.equal(linked(reply, "alternate").length, 2);
    const seen: Buffer[] = [];
    let next = linked(reply, "up");
    while (next.length > 0) {
      const [url = ""] = next;
      const above = await acme.request(url);
      t.equal(above.headers["content-type"], "application/pkix-cert");
      t.equal(above.status, 200, "for anybody");
      seen.push(above.body);
      next = linked(above, "up");
      if (seen.length === 1) t.equal(next.length, 2, "the issuing CA has two certificates above it");
    }
    t.same(seen, [issuing.certificate, rootCertificate], "the CA's own way first");

    const [besides = ""] = linked(reply, "alternate");
    const alternate = await as("application/pkix-cert", besides);
    t.ok(alternate.body.equals(leaf), "an alternate has the same leaf");
    const [up = ""] = linked(alternate, "up");
    t.ok(crossIssuing !== undefined && (await acme.request(up)).body.equals(crossIssuing), "and its own way up");
    t.equal((await acme.request(up.replace(/[0-9a-f]{4}\.cer$/, "0000.cer"))).status, 404);
    const bag = await as("application/pkcs7-mime", besides);
    for (const der of [leaf, crossIssuing ?? Buffer.alloc(1)]) t.ok(bag.body.includes(der), "all of the chain");
  });

  t.test("a chain file that does not hold stops the start", async (t) => {
    await ca.close();
    await writeFile(files[0]?.file ?? "", pemEncode("CERTIFICATE", other.certificate));
    const start = certificateAuthority(t, { dataDir, databaseUrl, configuration });
    await t.rejects(start, { message: /^hierarchy\.alternateChainFiles: ".*alternate-0\.pem": expected a first/ });
    const missing = { hierarchy: { alternateChainFiles: [path.join(dataDir, "absent.pem")] } };
    await t.rejects(certificateAuthority(t, { dataDir, databaseUrl, configuration: missing }), {
      message: /absent\.pem": expected a file that can be read \(ENOENT\)/,
    });
  });
});
