/** CMS SignedData, and the document of a cloud inside it. */
import { createPublicKey } from "node:crypto";
import { verifyAwsIid } from "../../../src/attestation/formats/awsIid.ts";
import { verifyAzureImds } from "../../../src/attestation/formats/azureImds.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { verifySignedData } from "../../../src/attestation/signedData.ts";
import { berToDer } from "../../../src/x509/ber.ts";
import { readCertificate } from "../../../src/x509/certificate.ts";
import { DerError, readDer } from "../../../src/x509/der.ts";
import { context } from "../../attestation/testIssuer.ts";
import { issue, newRsaKey } from "../../support/platformCertificates.ts";
import { signedDocument } from "../../support/signedDocuments.ts";
import { bendBytes, bendText } from "../mutate.ts";
import { bendDer } from "../mutateDer.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const rsa = issue({ commonName: "rsa", key: newRsaKey() });
const ec = issue({ commonName: "ec" });
const content = JSON.stringify({
  accountId: "123456789012",
  instanceId: "i-0123456789abcdef0",
  pendingTime: "2026-11-24T11:00:00Z",
  region: "us-east-1",
});
const documents: readonly Buffer[] = [rsa, ec].flatMap((signer) =>
  [{}, { attributes: false }, { byKeyIdentifier: true }, { pieces: 20 }].map((wishes) =>
    signedDocument({ content: Buffer.from(content), signer, certificates: [ec, rsa], ...wishes }),
  ),
);
const definite = documents.filter((document) => document[1] !== 0x80);

const ber: Target = {
  name: "ber",
  about: "BER into DER, which the strict reader takes and which does not change again",
  cases: 8_000,
  slowMs: 200,
  make: (random) =>
    random.chance(0.4) ? bendBytes(random, random.pick(documents)) : bendDer(random, random.pick(definite)),
  check(input) {
    const der = readOrRefuse(() => berToDer(input, 65_536), DerError);
    if (der === undefined) return "refused";
    holds(berToDer(der, 131_072).equals(der), "DER changes when it is made DER again");
    readOrRefuse(() => readDer(der), DerError);
    return "accepted";
  },
};

const signedData: Target = {
  name: "signed-data",
  about: "CMS SignedData; nothing but what was signed comes out",
  cases: 3_000,
  slowMs: 200,
  make: (random) => {
    if (random.chance(0.05)) return random.pick(documents);
    return random.chance(0.4)
      ? bendBytes(random, random.pick(documents), 1)
      : bendDer(random, random.pick(definite), 1);
  },
  check(input) {
    const found = readOrRefuse(() => verifySignedData(input), EvidenceRefused);
    if (found === undefined) return "refused";
    holds(found.content.equals(Buffer.from(content)), "a content that nobody signed");
    // A key may be encoded in several ways, as an RSA key with and without NULL; which one it is stays the same.
    const key = createPublicKey({ key: found.signer.spki, format: "der", type: "spki" });
    holds(
      [rsa, ec].some((one) => createPublicKey(one.key).equals(key)),
      "a signer that did not sign",
    );
    return "accepted";
  },
};

const regions = new Map([["us-east-1", [readCertificate(ec.der)]]]);
const settings = { ref: "aws", format: "aws-iid", certificateFiles: {}, accounts: ["123456789012"] };

const document: Target = {
  name: "aws-iid",
  about: "what the region's key signs, bent before it is signed",
  cases: 2_000,
  slowMs: 200,
  make: (random) => Buffer.from(random.chance(0.2) ? content : bendText(random, content)),
  check(input) {
    const value = signedDocument({ content: input, signer: ec }).toString("base64url");
    const item = { format: "aws-iid", ref: "aws", value };
    const now = new Date("2026-11-24T12:00:00Z");
    const found = readOrRefuse(() => verifyAwsIid(item, settings, regions, { ...context, now }), EvidenceRefused);
    if (found === undefined) return "refused";
    holds(found.claims["accountId"] === "123456789012", "an account that does not count");
    holds(/^us-east-1\/123456789012\/i-[0-9a-f]{8,17}$/.test(found.instance ?? ""), "an instance out of form");
    return "accepted";
  },
};

const root = issue({ commonName: "root" });
const azureSigner = issue({ commonName: "azure", issuer: root, dns: ["metadata.azure.com"] });
const azureSettings = {
  ref: "azure",
  format: "azure-imds",
  rootsFile: "",
  subscriptions: ["0c0ffee0-1234-4abc-8def-00112233aabb"],
};
const azureContent = JSON.stringify({
  nonce: context.binding?.slice(0, 32),
  plan: { name: "", publisher: "p" },
  sku: "s",
  subscriptionId: "0c0ffee0-1234-4abc-8def-00112233aabb",
  timeStamp: { createdOn: "11/24/26 11:00:00 -0000", expiresOn: "11/24/26 17:00:00 -0000" },
  vmId: "11aa22bb-5678-4cde-9f01-ccddeeff0011",
});

const azure: Target = {
  name: "azure-imds",
  about: "what Azure's metadata service signs, bent before it is signed",
  cases: 2_000,
  slowMs: 200,
  make: (random) => Buffer.from(random.chance(0.2) ? azureContent : bendText(random, azureContent)),
  check(input) {
    const signed = signedDocument({
      content: input,
      signer: azureSigner,
      certificates: [azureSigner],
      attributes: false,
    });
    const item = { format: "azure-imds", ref: "azure", value: signed.toString("base64url") };
    const trust = { roots: [readCertificate(root.der)], intermediates: [] };
    const now = new Date("2026-11-24T12:00:00Z");
    const found = readOrRefuse(() => verifyAzureImds(item, azureSettings, trust, { ...context, now }), EvidenceRefused);
    if (found === undefined) return "refused";
    holds(/^[0-9a-f-]{36}$/.test(found.instance ?? ""), "an instance out of form");
    return "accepted";
  },
};

export const signedDataTargets: readonly Target[] = [ber, signedData, document, azure];
