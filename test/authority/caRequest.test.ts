import t from "tap";
import { lintCaRequest, prepareCaRequest, requestOf } from "../../src/authority/caRequest.ts";
import { issuingKey } from "../../src/authority/issuingKey.ts";
import { readCaRequest } from "../../src/x509/csr.ts";
import { encodeName } from "../../src/x509/name.ts";
import { openssl } from "../x509/openssl.ts";
import { memoryKeys } from "../support/issuers.ts";

const key = issuingKey(await memoryKeys().generate("issuing", "ec-p256"));
const template = {
  subject: encodeName({ commonName: "Issuing" }),
  spki: key.spki,
  algorithm: key.algorithm,
  pathLength: 0,
  trustDomain: "mayfly.test",
};

t.test("a request that was linted is signed, and OpenSSL verifies it", async (t) => {
  const constraints = { uri: ["mayfly.test"], dns: [], ip: [] };
  const linted = lintCaRequest(prepareCaRequest({ ...template, nameConstraints: constraints }));
  const der = requestOf(linted, await key.sign(linted));
  const text = openssl(["req", "-inform", "DER", "-noout", "-verify", "-text"], der).toString();
  for (const expected of [
    /CA:TRUE, pathlen:0/,
    /Certificate Sign, CRL Sign/,
    /URI:spiffe:\/\/mayfly\.test/,
    /Name Constraints: critical/,
  ])
    t.match(text, expected);
  t.ok(readCaRequest(der).spki.equals(key.spki));
});

t.test("what no CA could answer is not signed", async (t) => {
  const prepared = prepareCaRequest(template);
  t.throws(() => lintCaRequest(prepareCaRequest({ ...template, subject: encodeName({}) })), /subjectNotEmpty/);
  t.throws(() => lintCaRequest(prepareCaRequest({ ...template, trustDomain: "A" })), /svidOfTrustDomain/);
  const other = prepareCaRequest({ ...template, pathLength: 1 });
  t.throws(() => lintCaRequest({ ...prepared, tbs: other.tbs }), /requestIsTheTemplate/);
});
