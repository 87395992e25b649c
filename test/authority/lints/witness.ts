/**
 * `npm run lints:witness`: certificates of every kind that profiles make, held against pkilint (PyPI), which knows nothing of us. Not part of
 * the tests: `pip install pkilint` first, and give the path of its `lint_pkix_cert` where it is not found by name.
 */
import { spawnSync } from "node:child_process";
import { generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { lint } from "../../../src/authority/lint.ts";
import { prepare } from "../../../src/authority/prepare.ts";
import type { WrittenProfile } from "../../../src/authority/profile.ts";
import { signCertificate } from "../../../src/authority/signCertificate.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { keyOf } from "../../../src/x509/publicKey.ts";
import { authorizedServer, authorizedWorkload } from "../../support/authorized.ts";
import { memoryHierarchy, serverProfile, workloadProfile } from "../../support/issuers.ts";

const [linter = "lint_pkix_cert"] = process.argv.slice(2);

/** What is no fault: an observation, and URIs of a scheme that the linter does not know. */
const expected = [/subject_key_identifier_rfc7093_method_1_identified/, /invalid_uri_syntax.*"spiffe:\/\//];

const keys: Readonly<Record<WrittenProfile["keyKinds"][number], () => KeyObject>> = {
  "ec-p256": () => generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey,
  "ec-p384": () => generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey,
  rsa: () => generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey,
  ed25519: () => generateKeyPairSync("ed25519").publicKey,
};
const keyKinds = Object.keys(keys) as WrittenProfile["keyKinds"];
const server = (changes: Partial<WrittenProfile> = {}) => authorizedServer(serverProfile({ keyKinds, ...changes }));
const decisions = {
  svid: authorizedWorkload(workloadProfile({ keyKinds })),
  server: server(),
  pointed: server({ revocation: { shortLivedMaxSeconds: 0, ocsp: true } }),
  named: server({ subject: "commonName", certificatePolicies: ["1.3.6.1.4.1.32473.1"] }),
  uses: server({
    keyUsage: ["digitalSignature", "keyAgreement", "keyEncipherment"],
    extendedKeyUsage: ["serverAuth", "clientAuth", "codeSigning", "ipsecIKE", "eapOverLAN"],
  }),
};

const now = new Date();
const { issuing, rootCertificate } = await memoryHierarchy(now);
const certificates = new Map([
  ["root", rootCertificate],
  ["issuing", issuing.certificate],
]);
for (const [name, decision] of Object.entries(decisions)) {
  for (const kind of keyKinds) {
    const linted = lint(prepare(decision, keyOf(keys[kind]()), issuing, { now, random: randomBytes(14) }));
    certificates.set(`${name}, ${kind}`, await signCertificate(linted, issuing.key));
  }
}

const folder = mkdtempSync(join(tmpdir(), "mayfly-witness-"));
let faults = 0;
try {
  for (const [name, der] of certificates) {
    const file = join(folder, "certificate.pem");
    writeFileSync(file, pemEncode("CERTIFICATE", der));
    const { stdout, stderr, error } = spawnSync(linter, ["lint", "-s", "INFO", file], { encoding: "utf8" });
    if (error !== undefined) throw error;
    if (/^(usage|Traceback)/m.test(stderr)) throw new Error(stderr);
    const findings = stdout.split("\n").filter((line) => /\((INFO|NOTICE|WARNING|ERROR|FATAL)\)/.test(line));
    const unexpected = findings.filter((finding) => !expected.some((pattern) => pattern.test(finding)));
    faults += unexpected.length;
    process.stdout.write(`${name}: ${unexpected.join("; ") || "nothing"} (${findings.length} findings)\n`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = faults > 0 ? 1 : 0;
