import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { CertificateInRefused, firstCertificate, readCertificateIn } from "../../src/authority/certificateIn.ts";

t.test("a CA certificate whose RSASSA-PSS rests on SHA-1, the default that nobody wrote down, is refused", (t) => {
  const cwd = t.testdir();
  const openssl = (line: string): unknown => execFileSync("openssl", line.split(" "), { cwd, stdio: "pipe" });
  openssl(
    "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=Root -days 300 -addext keyUsage=critical,keyCertSign,cRLSign",
  );
  openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.csr -subj /CN=Issuing");
  writeFileSync(
    path.join(cwd, "extensions"),
    "basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectAltName=URI:spiffe://mayfly.test\n",
  );
  const answered = (hash: string): string => {
    openssl(
      `x509 -req -in ca.csr -CA root.pem -CAkey root.key -days 100 -extfile extensions -out ${hash}.pem -${hash} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20`,
    );
    return readFileSync(path.join(cwd, `${hash}.pem`), "utf8");
  };
  const root = readFileSync(path.join(cwd, "root.pem"), "utf8");
  const read = (pem: string) => {
    const { spki, subject } = firstCertificate(pem);
    const awaited = { spki, subject, pathLength: 0, trustDomain: "mayfly.test", anySubject: false };
    return readCertificateIn(pem, root, awaited, new Date());
  };
  for (const hash of ["sha256", "sha384"]) t.ok(read(answered(hash)).certificate, hash);
  t.throws(() => read(answered("sha1")), { constructor: CertificateInRefused, message: /signed with SHA-1/ });
  t.end();
});
