/**
 * What it costs to verify one piece of evidence, format by format, on one thread: the pure verifiers with what the tests' own issuers
 * make. Keys, chains and roots are at hand, as they are in a running server after the first time.
 */
import { fingerprintOf } from "../src/attestation/certificateChain.ts";
import type { EvidenceItem, VerificationContext } from "../src/attestation/evidence.ts";
import { verifyAtc } from "../src/attestation/formats/atc.ts";
import { verifyAwsIid } from "../src/attestation/formats/awsIid.ts";
import { verifyNitro } from "../src/attestation/formats/awsNitro.ts";
import { verifyAzureImds } from "../src/attestation/formats/azureImds.ts";
import { verifyJwt } from "../src/attestation/formats/jwt.ts";
import { verifyK8s } from "../src/attestation/formats/k8s.ts";
import { verifySevSnp } from "../src/attestation/formats/sevSnp.ts";
import { verifySpiffeJwt } from "../src/attestation/formats/spiffeJwt.ts";
import { verifyTdx } from "../src/attestation/formats/tdx.ts";
import { rootsOf } from "../src/attestation/sevSnp/trust.ts";
import { createLru } from "../src/cache/lru.ts";
import { readCertificate } from "../src/x509/certificate.ts";
import { oids } from "../src/x509/oid.ts";
import {
  boundAudience,
  compact,
  context,
  goodAtcClaims,
  goodClaims,
  goodKubernetesClaims,
  item,
  nowSeconds,
  testKey,
  testSource,
} from "../test/attestation/testIssuer.ts";
import { certifyOf, certifyOnly, quoteOf, valueOf, verifyValue, x5c } from "../test/attestation/tpm/tpmEvidence.ts";
import { foreignNow } from "../test/support/foreignCa.ts";
import { nitroPlatform } from "../test/support/nitroEnclave.ts";
import { issue, newRsaKey } from "../test/support/platformCertificates.ts";
import { signedDocument } from "../test/support/signedDocuments.ts";
import { snpPlatform } from "../test/support/snpPlatform.ts";
import { tdxCollateral, tdxNow, tdxPlatform, tdxQuote } from "../test/support/tdxPlatform.ts";

/** Verifies one and the same piece; what it yields is looked at by the tests. */
type Verify = () => unknown;

const binding = Buffer.from(context.binding ?? "", "base64url");
const reportData = Buffer.concat([binding, Buffer.alloc(32)]);
const at = (now: Date): VerificationContext => ({ ...context, now });
const binary = (format: string, octets: Buffer, endorsements?: EvidenceItem["endorsements"]): EvidenceItem => ({
  format,
  ref: "test",
  value: octets.toString("base64url"),
  ...(endorsements && { endorsements }),
});

function jwt(alg: "RS256" | "ES256"): Verify {
  const key = testKey(alg, alg);
  const source = testSource([key]);
  const evidence = item(compact(key, goodClaims(), { alg }));
  return () => verifyJwt(evidence, source, context);
}

function k8s(): Verify {
  const key = testKey("cluster", "RS256");
  const source = testSource([key], { format: "k8s", issuer: "https://kubernetes.default.svc.cluster.local" });
  const evidence = item(compact(key, goodKubernetesClaims(), { typ: undefined }), "k8s");
  return () => verifyK8s(evidence, source, context);
}

function atc(): Verify {
  const key = testKey("authority");
  const source = testSource([key], { format: "atc", issuer: "https://authority.example" });
  const evidence = item(compact(key, goodAtcClaims()), "atc");
  return () => verifyAtc(evidence, source, context);
}

function spiffeJwt(): Verify {
  const key = testKey("bundle");
  const source = testSource([key], { format: "spiffe-jwt" });
  const claims = {
    sub: "spiffe://partner.example/a",
    aud: [boundAudience],
    iat: nowSeconds - 10,
    exp: nowSeconds + 290,
  };
  const evidence = item(compact(key, claims), "spiffe-jwt");
  return () => verifySpiffeJwt(evidence, source, "partner.example", context);
}

function awsNitro(): Verify {
  const platform = nitroPlatform();
  const roots = { certificates: [], fingerprints: [fingerprintOf(platform.root.certificate)] };
  const trust = { roots, verified: createLru<string, never>(64) };
  const evidence = binary("aws-nitro", platform.document({ nonce: binding }));
  const settings = { ref: "test", format: "aws-nitro", clockSkewSeconds: 0 };
  return () => verifyNitro(evidence, settings, trust, at(foreignNow));
}

function sevSnp(): Verify {
  const platform = snpPlatform("Milan");
  const { ark, ask, asvk, product, vcek } = platform;
  const trust = {
    roots: rootsOf({ roots: [{ product: product.name, sha256: fingerprintOf(ark.certificate) }] }),
    authorities: [ask, asvk, ark].map(({ certificate }) => readCertificate(certificate, { lenient: true })),
    signers: [],
    revocation: undefined,
    verified: createLru<string, never>(64),
  };
  const evidence = binary("sev-snp", platform.report({ reportData }), { vcek: vcek.toString("base64url") });
  return () =>
    verifySevSnp(
      evidence,
      { ref: "test", format: "sev-snp", measurements: [Buffer.alloc(48, 0x4d).toString("hex")] },
      trust,
      at(foreignNow),
    );
}

function tdx(): Verify {
  const platform = tdxPlatform();
  const evidence = binary("tdx", tdxQuote(platform, { reportData }), { collateral: tdxCollateral(platform) });
  const settings = { ref: "test", format: "tdx", rootSha256: platform.rootSha256 };
  const trust = { verified: createLru<string, never>(64) };
  return () => verifyTdx(evidence, settings, trust, at(tdxNow));
}

function awsIid(): Verify {
  const signer = issue({ commonName: "east", key: newRsaKey() });
  const document = { accountId: "123456789012", instanceId: "i-0123456789abcdef0", region: "us-east-1" };
  const more = {
    imageId: "ami-00aa11bb22cc33dd4",
    instanceType: "m7i-flex.large",
    availabilityZone: "us-east-1a",
    architecture: "x86_64",
  };
  const content = Buffer.from(
    JSON.stringify({ ...document, ...more, pendingTime: "2026-11-26T11:00:00Z", privateIp: "10.1.2.3" }),
  );
  const evidence = binary("aws-iid", signedDocument({ content, signer, pieces: 1000 }));
  const settings = { ref: "test", format: "aws-iid", certificateFiles: {}, accounts: ["123456789012"] };
  const regions = new Map([["us-east-1", [readCertificate(signer.der)]]]);
  return () => verifyAwsIid(evidence, settings, regions, at(new Date("2026-11-26T12:00:00Z")));
}

function azureImds(): Verify {
  const root = issue({ commonName: "Root" });
  const ca = issue({ commonName: "CA", issuer: root, ca: true });
  const signer = issue({ commonName: "metadata", issuer: ca, key: newRsaKey(), dns: ["metadata.azure.com"] });
  const subscriptionId = "0c0ffee0-1234-4abc-8def-00112233aabb";
  const document = {
    licenseType: "",
    nonce: context.binding?.slice(0, 32),
    plan: { name: "", product: "", publisher: "canonical" },
    sku: "24_04-lts",
    subscriptionId,
    timeStamp: { createdOn: "11/26/26 11:00:00 -0000", expiresOn: "11/26/26 17:00:00 -0000" },
    vmId: "11aa22bb-5678-4cde-9f01-ccddeeff0011",
  };
  const content = Buffer.from(JSON.stringify(document));
  const wishes = {
    content,
    signer,
    certificates: [signer],
    attributes: false,
    digestOid: oids.sha256WithRSAEncryption,
  };
  const evidence = binary("azure-imds", signedDocument(wishes));
  const settings = { ref: "test", format: "azure-imds", rootsFile: "", subscriptions: [subscriptionId] };
  const trust = { roots: [readCertificate(root.der)], intermediates: [readCertificate(ca.der)] };
  return () => verifyAzureImds(evidence, settings, trust, at(new Date("2026-11-26T12:00:00Z")));
}

function tpm(statement: "quote" | "certify"): Verify {
  if (statement === "quote") {
    const value = valueOf({ x5c, quote: quoteOf() });
    return () => verifyValue(value);
  }
  const value = valueOf({ x5c, certify: certifyOf() });
  return () => verifyValue(value, { settings: certifyOnly });
}

/** Every format that the server has, by the names of the directory; `test/bench/formats.test.ts` holds it against the registry. */
export const measured: Readonly<Record<string, () => Verify>> = {
  "jwt RS256": () => jwt("RS256"),
  "jwt ES256": () => jwt("ES256"),
  "k8s RS256": k8s,
  "atc ES256": atc,
  "spiffe-jwt ES256": spiffeJwt,
  "aws-nitro": awsNitro,
  "sev-snp": sevSnp,
  tdx,
  "tpm quote": () => tpm("quote"),
  "tpm certify": () => tpm("certify"),
  "aws-iid": awsIid,
  "azure-imds": azureImds,
};

const warmUpMs = 500;
const measuredMs = 2000;

/** @returns text for people: microseconds for the first piece of a format, and for each further one */
export async function formatCosts(): Promise<string> {
  const lines = [`${"format".padEnd(20)}${"µs each".padStart(10)}${"first, µs".padStart(12)}`];
  for (const [name, make] of Object.entries(measured)) {
    const verify = make();
    const first = await microseconds(verify, 0);
    await microseconds(verify, warmUpMs);
    const each = await microseconds(verify, measuredMs);
    lines.push(`${name.padEnd(20)}${each.toFixed(0).padStart(10)}${first.toFixed(0).padStart(12)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** One at least, and for so long; CPU time of this process, so that other work on the machine counts little. */
async function microseconds(verify: Verify, milliseconds: number): Promise<number> {
  const before = process.cpuUsage();
  const end = performance.now() + milliseconds;
  let count = 0;
  do {
    await verify();
    count += 1;
  } while (performance.now() < end);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}
