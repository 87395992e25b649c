import { writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { Value } from "typebox/value";
import { type EvidenceItem, EvidenceRefused, type VerifiedEvidence } from "../../../src/attestation/evidence.ts";
import {
  azureImdsFormat,
  type AzureImdsSettings,
  type AzureTrust,
  verifyAzureImds,
} from "../../../src/attestation/formats/azureImds.ts";
import { checkSource, formatNamed, sourceSchemaOf } from "../../../src/attestation/registry.ts";
import { readCertificate } from "../../../src/x509/certificate.ts";
import { oids } from "../../../src/x509/oid.ts";
import { issue, type Issued, newRsaKey } from "../../support/platformCertificates.ts";
import { type DocumentWishes, signedDocument } from "../../support/signedDocuments.ts";
import { context as anyContext } from "../testIssuer.ts";

const now = new Date("2026-11-26T12:00:00Z");
const context = { ...anyContext, now };
const root = issue({ commonName: "Root of the tests" });
const ca = issue({ commonName: "Issuing CA of the tests", issuer: root, ca: true });
const names = ["metadata.azure.com", "southcentralus.metadata.azure.com"];
const signer = issue({ commonName: "metadata", issuer: ca, key: newRsaKey(), dns: names });
const stranger = issue({ commonName: "Root of others" });

const read = (...issued: readonly Issued[]) => issued.map(({ der }) => readCertificate(der));
const trust: AzureTrust = { roots: read(root), intermediates: read(ca) };
const bare: AzureTrust = { roots: read(root), intermediates: [] };
const subscriptionId = "0c0ffee0-1234-4abc-8def-00112233aabb";
const settings: AzureImdsSettings = {
  ref: "azure",
  format: "azure-imds",
  rootsFile: "",
  subscriptions: [subscriptionId],
};

const members = {
  licenseType: "",
  nonce: context.binding?.slice(0, 32),
  plan: { name: "", product: "", publisher: "canonical" },
  sku: "24_04-lts",
  subscriptionId,
  timeStamp: { createdOn: "11/26/26 11:00:00 -0000", expiresOn: "11/26/26 17:00:00 -0000" },
  vmId: "11aa22bb-5678-4cde-9f01-ccddeeff0011",
};
/** As Azure signs: no attributes, and the signature's algorithm where the digest's belongs. */
const signed = (changed: Record<string, unknown> = {}, wishes: Partial<DocumentWishes> = {}): Buffer =>
  signedDocument({
    content: Buffer.from(JSON.stringify({ ...members, ...changed })),
    signer,
    certificates: [signer],
    attributes: false,
    digestOid: oids.sha256WithRSAEncryption,
    ...wishes,
  });
const itemOf = (octets: Buffer): EvidenceItem => ({
  format: "azure-imds",
  ref: "azure",
  value: octets.toString("base64url"),
});
interface Showing {
  readonly trust?: AzureTrust;
  readonly now?: Date;
  readonly settings?: Partial<AzureImdsSettings>;
  readonly binding?: undefined;
}
const show = (octets: Buffer, changed: Showing = {}): VerifiedEvidence =>
  verifyAzureImds(itemOf(octets), { ...settings, ...changed.settings }, changed.trust ?? trust, {
    ...context,
    now: changed.now ?? now,
    ...("binding" in changed && { binding: undefined }),
  });

/** "code: message" of the refusal; anything else that happens fails the test. */
function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof EvidenceRefused) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "accepted";
}
const said = (octets: Buffer, changed: Showing = {}): string => refusal(() => show(octets, changed));

t.test("a document with the head of the binding value as its nonce", async (t) => {
  const evidence = show(signed());
  t.same(evidence.claims, {
    vmId: members.vmId,
    subscriptionId,
    sku: "24_04-lts",
    planPublisher: "canonical",
  });
  t.equal(evidence.bindingLevel, "nonce");
  t.equal(evidence.instance, members.vmId);
  t.same(evidence.expires, new Date("2026-11-26T17:01:00Z"), "with the tolerance for Azure's clock");
  t.same(evidence.replayUntil, evidence.expires);
  for (const name of Object.keys(evidence.claims)) t.ok(azureImdsFormat.claimNames?.includes(name), name);
  for (const wishes of [{ attributes: true, digestOid: oids.sha256 }, { pieces: 50 }, { byKeyIdentifier: true }]) {
    t.same(show(signed({}, wishes)).claims, evidence.claims, "in each form of CMS");
  }
  const upper = { vmId: members.vmId.toUpperCase(), subscriptionId: subscriptionId.toUpperCase() };
  t.same(show(signed(upper)).claims, evidence.claims, "ids are in lower case");
});

t.test("nonce, subscription and time", async (t) => {
  t.match(said(signed({ nonce: "x".repeat(32) })), /^bindingMismatch/);
  t.match(said(signed({ nonce: context.binding })), /^bindingMismatch/, "32 characters, not all 43");
  t.match(said(signed({ nonce: context.binding?.slice(0, 31) })), /^bindingMismatch/);
  t.match(said(signed({ nonce: [members.nonce] })), /^bindingMismatch/);
  for (const nonce of [undefined, "", "20261126-110000"])
    t.match(said(signed({ nonce })), /^bindingMissing/, `nonce ${nonce}`);
  t.match(said(signed(), { binding: undefined }), /^bindingMissing/);
  t.match(said(signed({ subscriptionId: members.vmId })), /^evidenceInvalid: .*subscription/);
  t.equal(said(signed(), { now: new Date("2026-11-26T17:01:00Z") }), "accepted");
  t.match(said(signed(), { now: new Date("2026-11-26T17:01:00.001Z") }), /^evidenceExpired: The document has expired/);
  t.equal(said(signed(), { now: new Date("2026-11-26T10:59:00Z") }), "accepted");
  t.match(said(signed(), { now: new Date("2026-11-26T10:58:59Z") }), /^evidenceExpired: .*in the future/);
  const strict = { settings: { clockSkewSeconds: 0 } };
  t.match(said(signed(), { ...strict, now: new Date("2026-11-26T17:00:01Z") }), /^evidenceExpired/);
  const offset = { createdOn: "11/26/26 13:00:00 +0200", expiresOn: "11/26/26 10:59:00 -0100" };
  t.match(said(signed({ timeStamp: offset }), strict), /^evidenceExpired/, "zones count");
  for (const timeStamp of [
    undefined,
    {},
    [],
    { createdOn: "11/26/26 11:00:00 -0000" },
    { ...members.timeStamp, expiresOn: "2026-11-26T17:00:00Z" },
    { ...members.timeStamp, createdOn: "26/11/26 11:00:00 -0000" },
  ]) {
    t.match(said(signed({ timeStamp })), /^evidenceMalformed: .*timeStamp/, JSON.stringify(timeStamp));
  }
  for (const changed of [
    { vmId: "x" },
    { vmId: undefined },
    { vmId: 7 },
    { subscriptionId: null },
    { sku: {} },
    { sku: "x".repeat(257) },
    { plan: { name: 7 } },
  ]) {
    t.match(said(signed(changed)), /^evidenceMalformed: The document has no usable/, JSON.stringify(changed));
  }
  t.match(said(signed({}, { content: Buffer.from('{"vmId":1,"vmId":2}') })), /^evidenceMalformed: .*twice/);
  t.match(said(Buffer.alloc(0)), /^evidenceMalformed/);
  t.match(
    refusal(() => verifyAzureImds({ ...itemOf(signed()), value: "MIA=" }, settings, trust, context)),
    /^evidenceMalformed/,
  );
});

t.test("the signer leads to a pinned root by certificates of the operator's or the document's", async (t) => {
  t.equal(said(signed({}, { certificates: [signer, ca] }), { trust: bare }), "accepted", "brought along");
  t.equal(
    said(signed({}, { certificates: [ca, signer, root] }), { trust: bare }),
    "accepted",
    "in any order, root included",
  );
  t.match(said(signed(), { trust: bare }), /^evidenceInvalid: .*does not lead to a root/, "nothing is fetched");
  t.match(said(signed(), { trust: { roots: read(stranger), intermediates: read(ca, root) } }), /^evidenceInvalid/);
  t.match(
    said(signed(), { trust: { roots: [], intermediates: read(ca, root) } }),
    /^evidenceInvalid/,
    "no root, no trust",
  );
  const twin = issue({ commonName: "Issuing CA of the tests", issuer: stranger, ca: true });
  const crossed = issue({ commonName: "Issuing CA of the tests", issuer: stranger, ca: true, key: ca.key });
  for (const intermediates of [read(twin, ca), read(crossed, ca), read(ca, twin)]) {
    t.equal(said(signed(), { trust: { roots: read(root), intermediates } }), "accepted", "one of several ways will do");
  }
  t.match(said(signed(), { trust: { roots: read(root), intermediates: read(twin, crossed) } }), /^evidenceInvalid/);
  const notCa = issue({ commonName: "Issuing CA of the tests", issuer: root, key: ca.key });
  t.match(
    said(signed(), { trust: { roots: read(root), intermediates: read(notCa) } }),
    /^evidenceInvalid: .*not a CA's/,
  );
  const loop = Array.from({ length: 8 }, () =>
    issue({ commonName: "loop", issuer: issue({ commonName: "loop" }), ca: true }),
  );
  const looped = issue({ commonName: "x", issuer: loop[0], dns: names });
  const begun = performance.now();
  t.match(
    said(signedDocument({ content: Buffer.from("{}"), signer: looped, certificates: [looped, ...loop.slice(0, 7)] })),
    /^evidenceInvalid/,
  );
  t.ok(performance.now() - begun < 1000, "certificates of one name go round in no circles");
  const old = issue({ commonName: "old", issuer: ca, dns: names, notAfter: new Date("2026-11-26T11:59:59Z") });
  t.match(said(signed({}, { signer: old, certificates: [old], digestOid: oids.sha256 })), /^evidenceExpired/);
});

t.test("the signer's certificate is for the metadata service alone", async (t) => {
  const named = (dns: readonly string[] | undefined, changed: Showing = {}): string => {
    const one = issue({ commonName: "metadata.azure.com", issuer: ca, ...(dns !== undefined && { dns }) });
    return said(signed({}, { signer: one, certificates: [one], digestOid: oids.sha256 }), changed);
  };
  t.equal(named(["westeurope.metadata.azure.com"]), "accepted");
  t.equal(named(["Metadata.Azure.Com"]), "accepted");
  for (const dns of [
    undefined,
    ["azure.com"],
    ["metadata.azure.com.evil.example"],
    ["evilmetadata.azure.com"],
    ["metadata.azure.us"],
    ["metadata.azure.com", "evil.example"],
  ]) {
    t.match(named(dns), /^evidenceInvalid: .*not for the metadata service/, JSON.stringify(dns));
  }
  t.equal(named(["usgovvirginia.metadata.azure.us"], { settings: { cloud: "us-government" } }), "accepted");
  t.match(named(["metadata.azure.com"], { settings: { cloud: "china" } }), /^evidenceInvalid/);
});

t.test("SPIRE 1.15.1: signer ≠ chained certificate, by order, by extra certificates, by name", async (t) => {
  const thief = issue({ commonName: "metadata", issuer: stranger, key: newRsaKey(), dns: names });
  for (const certificates of [
    [signer, thief],
    [thief, signer],
    [signer, ca, thief],
  ]) {
    t.match(
      said(signed({}, { signer: thief, certificates })),
      /^evidenceInvalid: .*does not lead to a root/,
      "a good one lies beside",
    );
    t.match(
      said(signed({}, { signer: thief, named: signer, certificates })),
      /^evidenceInvalid: .*signature does not verify/,
      "a good one is named",
    );
  }
  t.match(
    said(signed({}, { signer: thief, named: signer, certificates: [signer] })),
    /^evidenceInvalid: .*signature does not verify/,
  );
  t.equal(
    said(signed({}, { certificates: [thief, signer] })),
    "accepted",
    "what lies beside a good signer does not count",
  );
  t.match(said(signed({}, { signers: 2 })), /^evidenceMalformed: .*exactly one signer/);
  t.match(said(signed({}, { signers: 0 })), /^evidenceMalformed: .*exactly one signer/);
});

t.test("SPIRE 1.15.2 #6960: signatures of the document", async (t) => {
  t.match(said(signed({}, { signedContent: Buffer.from("{}") })), /^evidenceInvalid: .*signature does not verify/);
  t.match(
    said(signed({}, { signedContent: Buffer.from("{}"), attributes: true })),
    /^evidenceInvalid: .*not what its signer signed/,
  );
  t.match(said(signed({}, { detached: true })), /^evidenceMalformed: .*detached/);
  t.match(said(signed({}, { digest: "sha1", digestOid: "1.3.14.3.2.26" })), /^evidenceInvalid: .*digest/);
  const small = issue({ commonName: "small", issuer: ca, key: newRsaKey(1024), dns: names });
  t.match(said(signed({}, { signer: small, certificates: [small] })), /^evidenceInvalid: .*2048/, "RSA-1024");
  t.match(said(signed({}, { certificates: [] })), /^evidenceInvalid: .*certificate is not in the document/);
  const document = signed();
  for (let bit = 1; bit < document.length * 8; bit += 31) {
    const bent = Buffer.from(document);
    bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    if (said(bent) === "accepted") t.same(show(bent).claims, show(document).claims, `bit ${bit}`);
  }
});

t.test("settings, files and pinning", async (t) => {
  const schema = sourceSchemaOf(formatNamed("azure-imds"));
  const good = { ...settings, rootsFile: "roots.pem" };
  t.ok(Value.Check(schema, good));
  for (const changed of [
    { subscriptions: [] },
    { subscriptions: ["X"] },
    { subscriptions: undefined },
    { rootsFile: undefined },
    { cloud: "azure.com" },
  ]) {
    t.notOk(Value.Check(schema, { ...good, ...changed }), JSON.stringify(changed));
  }
  t.throws(() => checkSource({ ...good, pinning: { mode: "alert" } } as never), {
    message: /expected at least strict/,
  });
  t.doesNotThrow(() => checkSource({ ...good, pinning: { mode: "once" } } as never));
  const folder = t.testdir();
  const [rootsFile, intermediatesFile] = [path.join(folder, "roots.pem"), path.join(folder, "intermediates.pem")];
  writeFileSync(rootsFile, `# roots\n${root.pem}${stranger.pem}`);
  writeFileSync(intermediatesFile, ca.pem);
  const opened = azureImdsFormat.open({ ...settings, rootsFile, intermediatesFile }, {} as never);
  t.equal((await opened.verify(itemOf(signed()), context)).instance, members.vmId);
  const alone = azureImdsFormat.open({ ...settings, rootsFile }, {} as never);
  await t.rejects(alone.verify(itemOf(signed()), context), EvidenceRefused);
  writeFileSync(rootsFile, "");
  t.throws(() => azureImdsFormat.open({ ...settings, rootsFile }, {} as never), { message: /no PEM certificate/ });
});
