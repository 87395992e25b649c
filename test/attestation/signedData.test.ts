import { X509Certificate } from "node:crypto";
import t, { type Test } from "tap";
import { EvidenceRefused } from "../../src/attestation/evidence.ts";
import { signedDataBytesMax, verifySignedData } from "../../src/attestation/signedData.ts";
import { type Certificate, readCertificate } from "../../src/x509/certificate.ts";
import { oids } from "../../src/x509/oid.ts";
import { issue, type Issued, newKey, newRsaKey } from "../support/platformCertificates.ts";
import { type DocumentWishes, indefinite, signedDocument } from "../support/signedDocuments.ts";
import { openssl, withFiles } from "../x509/openssl.ts";

const content = Buffer.from('{"who":"the one who signed"}');
const rsa = issue({ commonName: "rsa", key: newRsaKey() });
const ec = issue({ commonName: "ec" });
const stranger = issue({ commonName: "stranger" });
const read = (one: Issued): Certificate => readCertificate(one.der);
const pinned = [rsa, ec, stranger].map(read);

const refused = (t: Test, act: () => unknown, code: string, message: RegExp, what?: string): void => {
  try {
    act();
    t.fail(`accepted: ${what ?? message.source}`);
  } catch (error) {
    if (!(error instanceof EvidenceRefused)) throw error;
    t.equal(error.code, code, what ?? message.source);
    t.match(error.message, message);
  }
};

t.test(
  "OpenSSL's documents verify, DER and streamed, by each name of the signer, with and without attributes",
  async (t) => {
    for (const [name, signer] of Object.entries({ rsa, ec })) {
      const keyPem = signer.key.export({ type: "pkcs8", format: "pem" });
      for (const digest of ["sha256", "sha384", "sha512"]) {
        for (const options of [[], ["-stream"], ["-keyid"], ["-noattr"], ["-nocerts", "-stream", "-keyid"]]) {
          const document = withFiles([signer.pem, keyPem, content], (certificate, key, file) =>
            openssl(
              ["cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-md", digest, ...options].concat([
                "-signer",
                certificate ?? "",
                "-inkey",
                key ?? "",
                "-in",
                file ?? "",
              ]),
            ),
          );
          const found = verifySignedData(document, pinned);
          const what = `${name} ${digest} ${options.join(" ")}`;
          t.ok(found.content.equals(content), what);
          t.ok(found.signer.der.equals(signer.der));
          t.equal(found.certificates.length, options.includes("-nocerts") ? 0 : 1);
          if (options.includes("-stream")) t.equal(document[1], 0x80, "an indefinite length");
        }
      }
    }
  },
);

t.test("OpenSSL verifies the documents of these tests", async (t) => {
  for (const wishes of [{}, { pieces: 7 }, { attributes: false }, { byKeyIdentifier: true }]) {
    for (const signer of [rsa, ec]) {
      const document = signedDocument({ content, signer, certificates: [signer], ...wishes });
      t.ok(verifySignedData(document).content.equals(content), "and so do we");
      const shown = withFiles([signer.pem, document], (ca, file) =>
        openssl([
          "cms",
          "-verify",
          "-binary",
          "-inform",
          "DER",
          "-purpose",
          "any",
          "-CAfile",
          ca ?? "",
          "-in",
          file ?? "",
        ]),
      );
      t.ok(shown.equals(content), JSON.stringify(wishes));
    }
  }
});

t.test("what cannot be read as SignedData with one signer and its content is malformed", async (t) => {
  const good = { content, signer: ec, certificates: [ec] };
  for (const [wishes, message] of [
    [{ signers: 0 }, /not have exactly one signer/],
    [{ signers: 2 }, /not have exactly one signer/],
    [{ detached: true }, /not inside \(a detached signature\)/],
    [{ contentType: oids.pkcs7SignedData }, /not data/],
    [
      { certificates: Array.from({ length: 9 }, (_, i) => issue({ commonName: `${i}`, key: newKey() })) },
      /more than 8/,
    ],
  ] as const satisfies (readonly [Partial<DocumentWishes>, RegExp])[]) {
    refused(t, () => verifySignedData(signedDocument({ ...good, ...wishes })), "evidenceMalformed", message);
  }
  const document = signedDocument(good);
  for (const [what, bytes] of [
    ["empty", Buffer.alloc(0)],
    ["one octet short", document.subarray(0, -1)],
    ["one octet more", Buffer.concat([document, Buffer.alloc(1)])],
    ["a certificate", ec.der],
    ["deeply nested", Buffer.from("30".padEnd(2000, "80"), "hex")],
    ["nothing but beginnings", Buffer.concat(Array.from({ length: 500 }, () => Buffer.from("3080", "hex")))],
    ["oversize", Buffer.alloc(signedDataBytesMax + 1, 0x30)],
    ["a sequence of nothing", indefinite(0x30)],
  ] as const) {
    refused(t, () => verifySignedData(bytes), "evidenceMalformed", /^The document is not CMS SignedData/, what);
  }
});

t.test("an embedded or pinned signer must have signed exactly this content", async (t) => {
  const small = issue({ commonName: "1024", key: newRsaKey(1024) });
  for (const [wishes, message] of [
    [{ signer: small, certificates: [small] }, /signer's key is RSA of fewer than 2048/],
    [{ digest: "sha1", digestOid: "1.3.14.3.2.26" }, /digest algorithm is not SHA-256/],
    [{ digest: "sha1" }, /not what its signer signed/],
    [{ digest: "sha1", attributes: false }, /signature does not verify/],
    [{ signedContent: Buffer.from("{}") }, /not what its signer signed/],
    [{ signedContent: Buffer.from("{}"), attributes: false }, /signature does not verify/],
    [{ attributeContentType: oids.pkcs7SignedData }, /content-type attribute is not that/],
    [{ signatureOid: oids.ecdsaWithSHA384 }, /signature algorithm does not go with/],
    [{ signatureOid: oids.sha256WithRSAEncryption }, /signature algorithm does not go with/],
    [{ certificates: [] }, /signer's certificate is not in the document/],
    [{ certificates: [stranger] }, /signer's certificate is not in the document/],
  ] as const satisfies (readonly [Partial<DocumentWishes>, RegExp])[]) {
    const document = signedDocument({ content, signer: ec, certificates: [ec], ...wishes });
    refused(t, () => verifySignedData(document), "evidenceInvalid", message);
  }
  refused(t, () => verifySignedData(signedDocument({ content, signer: ec, certificates: [ec] }), [read(stranger)]), "evidenceInvalid",
    /signer is none of the source's certificates/, "what came along does not count where certificates are pinned"); // prettier-ignore
  refused(
    t,
    () => verifySignedData(signedDocument({ content, signer: ec }), [read(ec), read(ec)]),
    "evidenceInvalid",
    /More than one/,
  );
});

t.test("SPIRE 1.15.1: the certificate that is returned for the chain is the one whose key verified", async (t) => {
  for (const certificates of [
    [ec, stranger],
    [stranger, ec],
    [rsa, ec, stranger],
  ]) {
    const found = verifySignedData(signedDocument({ content, signer: ec, certificates }));
    t.ok(found.signer.der.equals(ec.der), "whatever the order of the bag");
  }
  const impostor = signedDocument({ content, signer: stranger, named: ec, certificates: [ec, stranger] });
  refused(
    t,
    () => verifySignedData(impostor),
    "evidenceInvalid",
    /signature does not verify/,
    "a trusted one named, another one signed",
  );
  const twin = issue({ commonName: "ec", serialNumber: ec.serialNumber });
  t.ok(twin.issuerName.equals(ec.issuerName));
  refused(t, () => verifySignedData(signedDocument({ content, signer: ec, certificates: [ec, twin] })), "evidenceInvalid", /More than one/,
    "two certificates of one issuer and serial number"); // prettier-ignore
});

t.test("signed attributes do not pass for a content when they are taken off", async (t) => {
  const attributes = Buffer.from("3100", "hex");
  const stripped = signedDocument({ content: attributes, signer: ec, certificates: [ec], attributes: false });
  refused(t, () => verifySignedData(stripped), "evidenceInvalid", /reads like the attributes/);
});

t.test("one flipped bit anywhere: refused, or the same content by the same signer", async (t) => {
  for (const pieces of [undefined, 9]) {
    const document = signedDocument({ content, signer: rsa, ...(pieces !== undefined && { pieces }) });
    let accepted = 0;
    for (let bit = 0; bit < document.length * 8; bit += 5) {
      const bent = Buffer.from(document);
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        const found = verifySignedData(bent, pinned);
        accepted++;
        if (!found.content.equals(content) || !found.signer.der.equals(rsa.der))
          t.fail(`bit ${bit} changes what is read`);
      } catch (error) {
        if (!(error instanceof EvidenceRefused)) t.fail(`bit ${bit}: ${String(error)}`);
      }
    }
    t.ok(accepted < (document.length * 8) / 5 / 50, `${accepted} leave all that counts as it was: versions, lengths`);
  }
});

t.test("the witness agrees on names and numbers", async (t) => {
  const found = verifySignedData(signedDocument({ content, signer: rsa, certificates: [rsa] }));
  t.equal(new X509Certificate(found.signer.der).serialNumber.toLowerCase(), found.signer.serial);
});
