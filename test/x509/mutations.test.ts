import { createPublicKey } from "node:crypto";
import t from "tap";
import { CertificateError, readCertificate } from "../../src/x509/certificate.ts";
import { CsrError, readCsr } from "../../src/x509/csr.ts";
import { verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { mutationsOf, opensslCertificate, opensslCsr } from "./vectors.ts";

t.test("20,000 mutations of a request: none passes, none escapes the error class", (t) => {
  const wrong: unknown[] = [];
  for (const mutant of mutationsOf(opensslCsr, 20_000, 1)) {
    try {
      readCsr(mutant);
      wrong.push(mutant.toString("hex"));
    } catch (error) {
      if (!(error instanceof CsrError)) wrong.push(error);
    }
  }
  t.strictSame(wrong, []);
  t.end();
});

t.test("20,000 mutations of a certificate: none verifies, none escapes the error class", (t) => {
  const original = readCertificate(opensslCertificate);
  const key = createPublicKey({ key: original.spki, format: "der", type: "spki" });
  const wrong: unknown[] = [];
  let read = 0;
  for (const mutant of mutationsOf(opensslCertificate, 20_000, 2)) {
    try {
      const { tbs, signature } = readCertificate(mutant);
      read++;
      // Whatever still reads has another signed part or another signature.
      if (tbs.equals(original.tbs) && signature.equals(original.signature)) wrong.push(mutant.toString("hex"));
      // A signature check costs several times the reading; one in ten will do.
      if (read % 10 === 0 && verifySignature("ecdsa-p256-sha256", key, tbs, signature))
        wrong.push(mutant.toString("hex"));
    } catch (error) {
      if (!(error instanceof CertificateError)) wrong.push(error);
    }
  }
  t.strictSame(wrong, []);
  t.ok(read > 1000, "enough of them still read");
  t.end();
});

t.test("every truncation is refused", (t) => {
  const wrong: unknown[] = [];
  const refused = (read: () => unknown, refusal: typeof CsrError | typeof CertificateError): void => {
    try {
      wrong.push(read());
    } catch (error) {
      if (!(error instanceof refusal)) wrong.push(error);
    }
  };
  for (let length = 0; length < opensslCsr.length; length++) {
    refused(() => readCsr(opensslCsr.subarray(0, length)), CsrError);
  }
  for (let length = 0; length < opensslCertificate.length; length++) {
    refused(() => readCertificate(opensslCertificate.subarray(0, length)), CertificateError);
  }
  t.strictSame(wrong, []);
  t.end();
});
