/** What the dearest inputs cost that are within the limits on octets: well under 50 ms of this process's CPU, whatever becomes of them. */
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { createLru } from "../../src/cache/lru.ts";
import { JsonRefused, parseJsonObject } from "../../src/encoding/json.ts";
import { verifyAwsIid } from "../../src/attestation/formats/awsIid.ts";
import { verifyAzureImds } from "../../src/attestation/formats/azureImds.ts";
import { verifyTdx } from "../../src/attestation/formats/tdx.ts";
import { EvidenceRefused } from "../../src/attestation/evidence.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { context } from "../attestation/testIssuer.ts";
import { issue } from "../support/platformCertificates.ts";
import { signedDocument } from "../support/signedDocuments.ts";
import { tdxCollateral, tdxNow, tdxPlatform, tdxQuote } from "../support/tdxPlatform.ts";

const cpuMsMax = 50;

/** Runs it several times, since the first ones compile; the cheapest says what it costs. */
async function cheap(t: Test, what: string, expected: RegExp, run: () => unknown): Promise<void> {
  const costs: number[] = [];
  let outcome = "";
  for (let n = 0; n < 5; n++) {
    const before = process.cpuUsage();
    outcome = await outcomeOf(run);
    const { user, system } = process.cpuUsage(before);
    costs.push((user + system) / 1000);
  }
  t.match(outcome, expected, what);
  t.ok(Math.min(...costs) < cpuMsMax, `${what}: ${Math.min(...costs)} ms`);
}

async function outcomeOf(run: () => unknown): Promise<string> {
  try {
    await run();
    return "taken";
  } catch (error) {
    if (error instanceof EvidenceRefused) return `${error.code}: ${error.message}`;
    if (error instanceof JsonRefused) return error.message;
    throw error;
  }
}

/** As many of these as fit into a body, between head and tail. */
const filled = (head: string, part: (n: number) => string, tail: string): string => {
  const parts = [head];
  for (let n = 0, length = 0; length < 1_040_000; n++) length += parts[parts.push(part(n)) - 1]?.length ?? 0;
  return parts.join("") + tail;
};

t.test("a body of a mebibyte that is all structure", async (t) => {
  const crowd = /^The body has too many members, items and texts$/;
  for (const [what, text, expected] of [
    ["members with escaped names", filled('{"z":0', (n) => `,"\\u0061${n.toString(36)}":0`, "}"), crowd],
    ["members with names that are numbers", filled('{"z":0', (n) => `,"${4_294_967_295 - 977 * n}":0`, "}"), crowd],
    ["empty objects", filled('{"a":[{}', () => ",{}", "]}"), crowd],
    ["numbers", filled('{"a":[1', () => ",1e9", "]}"), crowd],
    ["arrays in each other", filled('{"a":', () => "[", "]".repeat(1_040_000)), crowd],
    ["white space", filled('{"a":""', () => " ", "}"), /^taken$/],
    ["one text", filled('{"a":"', () => "\\n", '"}'), /^taken$/],
    ["one number", filled('{"a":', () => "9", "}"), /^taken$/],
  ] as const) {
    const body = Buffer.from(text);
    await cheap(t, what, expected, () => parseJsonObject(body, "The body"));
  }
});

t.test("as many members as a body may have", async (t) => {
  const names = Array.from({ length: 21_000 }, (_, n) => `"\\u0061${n}":"${"x".repeat(30)}"`);
  const body = Buffer.from(`{${names.slice(0, 13_000).join(",")}}`);
  await cheap(t, "taken", /^taken$/, () => parseJsonObject(body, "The body"));
  await cheap(t, "refused", /too many/, () => parseJsonObject(Buffer.from(`{${names.join(",")}}`), "The body"));
});

t.test("a set of ten thousand members that have to be sorted, in place of CMS", async (t) => {
  const members = Buffer.concat(Array.from({ length: 10_900 }, () => Buffer.concat([Buffer.of(4, 1), randomBytes(1)])));
  const set = Buffer.concat([Buffer.from([0x31, 0x82, members.length >> 8, members.length & 0xff]), members]);
  const item = { format: "aws-iid", ref: "aws", value: set.toString("base64url") };
  const settings = { ref: "aws", format: "aws-iid", certificateFiles: {}, accounts: [] };
  const run = () => verifyAwsIid(item, settings, new Map(), context);
  await cheap(t, "refused", /^evidenceMalformed: .*more than 4096 elements/, run);
});

t.test("certificates with one name among which there are many ways to a root", async (t) => {
  const root = issue({ commonName: "root" });
  const extensions = [{ oid: "1.2.3.4", critical: false, value: randomBytes(3500) }];
  const pool = Array.from({ length: 7 }, () => issue({ commonName: "root", issuer: root, ca: true, extensions }));
  const impostor = issue({ commonName: "root" });
  const signer = issue({ commonName: "azure", issuer: impostor, dns: ["metadata.azure.com"] });
  const document = signedDocument({ content: Buffer.from("{}"), signer, certificates: [signer, ...pool] });
  const item = { format: "azure-imds", ref: "azure", value: document.toString("base64url") };
  const settings = { ref: "azure", format: "azure-imds", rootsFile: "", subscriptions: [] };
  const trust = { roots: [readCertificate(root.der)], intermediates: [], verified: createLru<string, true>(100) };
  await cheap(t, "refused", /^evidenceInvalid/, () => verifyAzureImds(item, settings, trust, context));
});

t.test("collateral as large as it may be, and a quote with padding", async (t) => {
  const platform = tdxPlatform();
  const reportData = Buffer.concat([Buffer.from(context.binding ?? "", "base64url"), Buffer.alloc(32)]);
  const value = tdxQuote(platform, { reportData, trailing: Buffer.alloc(9000) }).toString("base64url");
  const revoked = Array.from({ length: 3500 }, () => Buffer.concat([Buffer.of(0x40), randomBytes(3)]));
  const settings = { ref: "tdx", format: "tdx", rootSha256: platform.rootSha256 };
  for (const [what, wishes] of [
    ["a long list of the root's", { rootCrl: { revoked } }],
    ["a long list of the PCK CA's", { pckCrl: { revoked } }],
    [
      "lists that are halves of it",
      { rootCrl: { revoked: revoked.slice(1750) }, pckCrl: { revoked: revoked.slice(1750) } },
    ],
  ] as const) {
    const endorsements = { collateral: tdxCollateral(platform, wishes) };
    const item = { format: "tdx", ref: "tdx", value, endorsements };
    await cheap(t, what, /^taken$/, () => verifyTdx(item, settings, {}, { ...context, now: tdxNow }));
  }
});
