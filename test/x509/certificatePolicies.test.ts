import t from "tap";
// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import * as witness from "@peculiar/x509";
import { certificatePolicies, readCertificatePolicies } from "../../src/x509/certificatePolicies.ts";
import { encodeDer } from "../../src/x509/derWriter.ts";
import { encodeExtension } from "../../src/x509/extensions.ts";

t.test("certificatePolicies", async (t) => {
  const policies = ["1.3.6.1.4.1.32473.1", "2.23.140.1.2.1"];
  const extension = certificatePolicies(policies);
  t.match(extension, { oid: "2.5.29.32", critical: false });
  t.same(readCertificatePolicies(extension.value), policies);
  t.same([...new witness.CertificatePolicyExtension(encodeDer(encodeExtension(extension))).policies], policies);
  t.throws(() => certificatePolicies([]), RangeError);
  t.throws(() => certificatePolicies(["x"]), RangeError);
  for (const value of ["3000", "30023000", "300830060602 2a033000".replace(" ", ""), "3004300205 00".replace(" ", "")])
    t.throws(() => readCertificatePolicies(Buffer.from(value, "hex")), { name: "DerError" }, value);
});
