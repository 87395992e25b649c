import { createPublicKey, randomBytes } from "node:crypto";
import t from "tap";
import { issuingKey } from "../../../src/authority/issuingKey.ts";
import { signResponse } from "../../../src/authority/revocation/signResponse.ts";
import { algorithmOfKind, isPostQuantum, keyKinds, signWith } from "../../../src/keys/keyAlgorithms.ts";
import { readCertificate } from "../../../src/x509/certificate.ts";
import { readOcspResponse } from "../../../src/x509/ocspResponse.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { signatureAlgorithmOf, verifySignature } from "../../../src/x509/signatureAlgorithm.ts";
import { opensslOcsp } from "../../support/ocspExchange.ts";
import { selfSigned } from "../../support/selfSigned.ts";

// OpenSSL looks at its own clock for a response, and takes the certificates as of this time.
const now = new Date();
const certificatesAt = String(Date.parse("2026-06-01T00:00:00Z") / 1000);
const later = new Date(now.getTime() + 86_400_000);

for (const kind of keyKinds) {
  t.test(`an issuer with a key of ${kind}`, async (t) => {
    const { certificate, privateKey } = selfSigned(kind);
    const { subject, spki } = readCertificate(certificate);
    const [algorithm, publicKey] = [algorithmOfKind[kind], createPublicKey(privateKey)];
    const sign = async (message: Uint8Array): Promise<Buffer> => signWith(algorithm, privateKey, message);
    const key = issuingKey({ label: kind, algorithm, spki, publicKey, sign });
    const issuer = { id: kind, subject, notAfter: later, key };
    const serial = Buffer.concat([Buffer.from([0x4f]), randomBytes(15)]);
    const revocation = { at: new Date(Math.floor(now.getTime() / 1000) * 1000), reason: 1 };
    for (const [said, of] of [["good", null] as const, ["revoked", revocation] as const]) {
      const statement = { issuer, serial, hash: "sha1", revocation: of, notAfter: later, nonce: undefined } as const;
      const { der, thisUpdate, refreshAt, nextUpdate } = await signResponse(statement, now, 3600);
      t.equal(nextUpdate.getTime() - thisUpdate.getTime(), 3_600_000);
      t.equal(refreshAt.getTime() - thisUpdate.getTime(), 1_800_000, "another one at half of its time");
      const read = readOcspResponse(der);
      if (read.error !== undefined) throw new Error(read.error);
      const { basic } = read;
      t.equal(signatureAlgorithmOf(basic.signatureIdentifier), algorithm);
      t.ok(verifySignature(algorithm, publicKey, basic.tbs, basic.signature));
      if (isPostQuantum(kind)) continue; // OpenSSL knows it from 3.5 on.
      const files = { ca: pemEncode("CERTIFICATE", certificate), response: der };
      const asked = ["-issuer", "ca", "-serial", `0x${serial.toString("hex")}`, "-no_nonce", "-respin", "response"];
      const { stdout, stderr } = opensslOcsp(
        files,
        ["-CAfile", "ca", "-attime", certificatesAt, ...asked],
        (ran) => ran,
      );
      t.match(stderr, /Response verify OK/);
      t.match(stdout, new RegExp(`: ${said}\n`));
    }
  });
}
