/** Documents of clouds and quotes of trust domains on the way through ACME: signed by platforms of the tests' own. */
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { acmeDriver, uri, type AcmeClient, type Challenge, type Reply } from "../support/acmeDriver.ts";
import { bindingOf, certificateKey, type CertificateKey } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { issue, newRsaKey } from "../support/platformCertificates.ts";
import { evidenceRefused } from "../support/refused.ts";
import { signedDocument } from "../support/signedDocuments.ts";
import { tdxCollateral, tdxPlatform, tdxQuote } from "../support/tdxPlatform.ts";

const hour = 3_600_000;
const second = Math.floor(Date.now() / 1000) * 1000;
const instant = (afterMs: number): string => `${new Date(second + afterMs).toISOString().slice(0, 19)}Z`;
/** As Azure writes it: month, day, year, in UTC. */
const azureTime = (afterMs: number): string =>
  instant(afterMs).replace(/^20(..)-(..)-(..)T(.{8})Z$/, "$2/$3/$1 $4 -0000");

const region = issue({ commonName: "region", key: newRsaKey() });
const azureRoot = issue({ commonName: "azure root" });
const azureSigner = issue({ commonName: "azure", issuer: azureRoot, dns: ["metadata.azure.com"] });
const platform = tdxPlatform();
const dates = { issueDate: instant(-hour), nextUpdate: instant(hour) };
const lists = { thisUpdate: new Date(second - hour), nextUpdate: new Date(second + hour) };
const collateral = tdxCollateral(platform, { tcbInfo: dates, qeIdentity: dates, rootCrl: lists, pckCrl: lists });
const subscriptionId = "0c0ffee0-1234-4abc-8def-00112233aabb";

interface Waiting {
  readonly who: AcmeClient;
  readonly challenge: Challenge;
  readonly finalize: string;
  readonly key: CertificateKey;
  readonly binding: string;
}

t.test("documents and quotes", async (t) => {
  const folder = t.testdir({});
  const [regionFile, rootsFile] = [join(folder, "region.pem"), join(folder, "roots.pem")];
  await writeFile(regionFile, region.pem);
  await writeFile(rootsFile, azureRoot.pem);
  const certificateFiles = { "us-east-1": regionFile };
  const ca = await certificateAuthority(t, {
    configuration: {
      trustDomain: "mayfly.localhost",
      attestation: {
        sources: [
          { ref: "aws", format: "aws-iid", certificateFiles, accounts: ["123456789012"] },
          { ref: "azure", format: "azure-imds", rootsFile, subscriptions: [subscriptionId] },
          { ref: "tdx", format: "tdx", rootSha256: platform.rootSha256, mrTd: ["91".repeat(48)] },
        ],
      },
      grants: [
        {
          name: "aws",
          spiffeId: "spiffe://mayfly.localhost/ec2/{instanceId}",
          source: "aws",
          minBinding: "document",
          profile: "workload",
          recordClaims: ["accountId"],
        },
        {
          name: "azure",
          spiffeId: "spiffe://mayfly.localhost/vm/{vmId}",
          source: "azure",
          minBinding: "nonce",
          profile: "workload",
        },
        {
          name: "tdx",
          spiffeId: "spiffe://mayfly.localhost/td/{fmspc}",
          source: "tdx",
          minBinding: "nonce",
          profile: "workload",
          recordClaims: ["mrTd", "tcbStatus"],
        },
      ],
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const bob = await acme.account();

  const waiting = async (who: AcmeClient, path: string): Promise<Waiting> => {
    const order = await who.order({ identifiers: [uri(`spiffe://mayfly.localhost/${path}`)] });
    const [challenge] = (await who.readAuthorization(order.authorizations[0])).challenges;
    if (challenge === undefined) throw new Error("no challenge");
    const key = certificateKey();
    return { who, challenge, finalize: order.finalize, key, binding: bindingOf(challenge, who.key, key.spki) };
  };
  const formats: Record<string, string> = { aws: "aws-iid", azure: "azure-imds", tdx: "tdx" };
  const send = ({ who, challenge, key }: Waiting, ref: string, octets: Buffer, endorsements?: object): Promise<Reply> =>
    who.post(challenge.url, {
      spki: key.spki,
      evidence: [
        {
          format: formats[ref],
          ref,
          value: octets.toString("base64url"),
          ...(endorsements !== undefined && { endorsements }),
        },
      ],
    });
  const subjectOf = async ({ who, finalize, key }: Waiting, path: string): Promise<string | undefined> => {
    const reply = await who.post(finalize, { csr: key.csr({ uri: [`spiffe://mayfly.localhost/${path}`] }) });
    const certificate = new X509Certificate((await who.postAsGet(String(reply.json()["certificate"]))).text);
    return certificate.subjectAltName;
  };

  const instance = (instanceId: string, changed: object = {}): Buffer =>
    signedDocument({
      content: Buffer.from(
        JSON.stringify({
          accountId: "123456789012",
          region: "us-east-1",
          instanceId,
          pendingTime: instant(-hour),
          ...changed,
        }),
      ),
      signer: region,
      pieces: 100,
    });
  const machine = (vmId: string, nonce: string | undefined): Buffer =>
    signedDocument({
      content: Buffer.from(
        JSON.stringify({
          vmId,
          subscriptionId,
          nonce,
          timeStamp: { createdOn: azureTime(0), expiresOn: azureTime(6 * hour) },
        }),
      ),
      signer: azureSigner,
      certificates: [azureSigner],
      attributes: false,
    });
  const quote = (binding: string, changed: object = {}): Buffer =>
    tdxQuote(platform, {
      reportData: Buffer.concat([Buffer.from(binding, "base64url"), Buffer.alloc(32)]),
      ...changed,
    });

  t.test("an EC2 instance gets one certificate, once, whoever asks and however it is signed again", async (t) => {
    const path = "ec2/i-0123456789abcdef0";
    const document = instance("i-0123456789abcdef0");
    const flow = await waiting(alice, path);
    t.match(flow.challenge, { accept: [{ format: "aws-iid", ref: "aws", minBinding: "document" }] });
    const reply = await send(flow, "aws", document);
    t.equal(reply.json()["status"], "valid", reply.text);
    t.equal(await subjectOf(flow, path), `URI:spiffe://mayfly.localhost/${path}`);
    for (const who of [alice, bob]) {
      const again = await send(await waiting(who, path), "aws", document);
      t.match(again.text, /evidenceReplayed|instancePinned/, "the same document");
      t.equal(again.json()["status"], "invalid");
      const other = instance("i-0123456789abcdef0", { privateIp: "10.9.9.9" });
      evidenceRefused(
        t,
        await send(await waiting(who, path), "aws", other),
        "instancePinned",
        "another one of the instance",
      );
    }
    const foreign = instance("i-0123456789abcdef0", { accountId: "999999999999" });
    evidenceRefused(t, await send(await waiting(bob, path), "aws", foreign), "evidenceInvalid");
    evidenceRefused(t, await send(await waiting(bob, path), "aws", Buffer.alloc(128)), "evidenceInvalid", "RSA-1024");
    const elsewhere = await send(await waiting(bob, path), "aws", instance("i-00000000000000001"));
    evidenceRefused(t, elsewhere, "identityNotDerived", "another instance");
  });

  t.test("an Azure machine belongs to the account that showed it first, with a new nonce each time", async (t) => {
    const vmId = "11aa22bb-5678-4cde-9f01-ccddeeff0011";
    const path = `vm/${vmId}`;
    for (const round of ["first", "again"]) {
      const flow = await waiting(alice, path);
      const reply = await send(flow, "azure", machine(vmId, flow.binding.slice(0, 32)));
      t.equal(reply.json()["status"], "valid", `${round}: ${reply.text}`);
      t.equal(await subjectOf(flow, path), `URI:spiffe://mayfly.localhost/${path}`);
    }
    const first = await waiting(alice, path);
    const stolen = machine(vmId, first.binding.slice(0, 32));
    evidenceRefused(t, await send(await waiting(bob, path), "azure", stolen), "bindingMismatch");
    const own = await waiting(bob, path);
    evidenceRefused(t, await send(own, "azure", machine(vmId, own.binding.slice(0, 32))), "instancePinned");
    evidenceRefused(t, await send(await waiting(alice, path), "azure", machine(vmId, undefined)), "bindingMissing");
  });

  t.test("a trust domain gets its certificate with collateral that it brings", async (t) => {
    const path = "td/c0ffee000000";
    const flow = await waiting(alice, path);
    const signed = quote(flow.binding, { version: 5 });
    const reply = await send(flow, "tdx", signed, { collateral });
    t.equal(reply.json()["status"], "valid", reply.text);
    t.equal(await subjectOf(flow, path), `URI:spiffe://mayfly.localhost/${path}`);
    for (const who of [alice, bob]) {
      evidenceRefused(t, await send(await waiting(who, path), "tdx", signed, { collateral }), "bindingMismatch");
    }
    const other = await waiting(alice, path);
    const anotherKey = { ...other, key: certificateKey() };
    evidenceRefused(t, await send(anotherKey, "tdx", quote(other.binding), { collateral }), "bindingMismatch", "H-25a");
    for (const [what, changed, sent, reason] of [
      ["no collateral", {}, undefined, "evidenceInvalid"],
      ["collateral that is none", {}, { collateral: "{}" }, "evidenceMalformed"],
      ["debug", { body: (body: Buffer) => void (body[120] = 1) }, { collateral }, "measurementMismatch"],
      [
        "another domain",
        { body: (body: Buffer) => void body.fill(1, 136, 184) },
        { collateral },
        "measurementMismatch",
      ],
      ["octets behind it", { trailing: Buffer.from([1]) }, { collateral }, "evidenceMalformed"],
    ] as const) {
      const refused = await waiting(bob, path);
      const answer = await send(refused, "tdx", quote(refused.binding, changed), sent);
      evidenceRefused(t, answer, reason, what);
      t.notMatch(answer.text, "9191", "the message says nothing of the policy");
    }
  });
});
