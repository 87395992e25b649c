import { execFileSync } from "node:child_process";
import t from "tap";
import { certsOnly } from "../../src/x509/certsOnly.ts";
import { pemDecode } from "../../src/x509/pem.ts";
import { memoryHierarchy } from "../support/issuers.ts";

t.test("OpenSSL finds the certificates in the bag, all of them", async (t) => {
  const { rootCertificate, issuing } = await memoryHierarchy(new Date());
  const bag = certsOnly([issuing.certificate, rootCertificate]);
  const printed = execFileSync("openssl", ["pkcs7", "-inform", "DER", "-print_certs"], {
    input: bag,
    encoding: "utf8",
  });
  const blocks = printed.match(/-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n/g) ?? [];
  const found = blocks.map((block) => pemDecode(block.trim(), "CERTIFICATE")[0]?.toString("hex"));
  t.same(new Set(found), new Set([issuing.certificate, rootCertificate].map((one) => one.toString("hex"))));
  t.ok(certsOnly([rootCertificate, issuing.certificate]).equals(bag), "a set has one encoding");
});
