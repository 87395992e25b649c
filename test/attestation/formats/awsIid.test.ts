import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { type EvidenceItem, EvidenceRefused, type VerifiedEvidence } from "../../../src/attestation/evidence.ts";
import {
  awsIidFormat,
  type AwsIidSettings,
  type RegionalCertificates,
  verifyAwsIid,
} from "../../../src/attestation/formats/awsIid.ts";
import { checkSource, formatNamed, sourceSchemaOf } from "../../../src/attestation/registry.ts";
import { readCertificate } from "../../../src/x509/certificate.ts";
import { Value } from "typebox/value";
import { issue, type Issued, newRsaKey } from "../../support/platformCertificates.ts";
import { evidenceFile, withEvidence } from "../../support/sharedEvidence.ts";
import { type DocumentWishes, signedDocument } from "../../support/signedDocuments.ts";
import { context } from "../testIssuer.ts";

const now = new Date("2026-11-26T12:00:00Z");
const east = issue({ commonName: "east", key: newRsaKey() });
const west = issue({ commonName: "west", key: newRsaKey() });
const trust = (regions: Record<string, Issued>): RegionalCertificates =>
  new Map(Object.entries(regions).map(([region, { der }]) => [region, [readCertificate(der)]]));
const regions = trust({ "us-east-1": east, "eu-west-1": west });
const settings: AwsIidSettings = {
  ref: "aws",
  format: "aws-iid",
  certificateFiles: {},
  accounts: ["123456789012"],
};

const members = {
  accountId: "123456789012",
  architecture: "x86_64",
  availabilityZone: "us-east-1a",
  billingProducts: null,
  imageId: "ami-00aa11bb22cc33dd4",
  instanceId: "i-0123456789abcdef0",
  instanceType: "m7i-flex.large",
  kernelId: null,
  pendingTime: "2026-11-26T11:00:00Z",
  privateIp: "10.1.2.3",
  region: "us-east-1",
  version: "2017-09-30",
};
const documentOf = (changed: Record<string, unknown> = {}): Buffer =>
  Buffer.from(JSON.stringify({ ...members, ...changed }, null, 2));

const itemOf = (octets: Buffer): EvidenceItem => ({
  format: "aws-iid",
  ref: "aws",
  value: octets.toString("base64url"),
});
const show = (octets: Buffer, at = now, by = settings, with_ = regions): VerifiedEvidence =>
  verifyAwsIid(itemOf(octets), by, with_, { ...context, now: at });
const signed = (changed: Record<string, unknown> = {}, wishes: Partial<DocumentWishes> = {}): Buffer =>
  signedDocument({ content: documentOf(changed), signer: east, pieces: 1000, ...wishes });

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

t.test("a document of a region and account that count yields its members and its instance", async (t) => {
  const evidence = show(signed());
  t.same(evidence.claims, {
    accountId: "123456789012",
    region: "us-east-1",
    instanceId: "i-0123456789abcdef0",
    imageId: "ami-00aa11bb22cc33dd4",
    instanceType: "m7i-flex.large",
    availabilityZone: "us-east-1a",
    privateIp: "10.1.2.3",
    pendingTime: "2026-11-26T11:00:00Z",
  });
  t.equal(evidence.bindingLevel, "document");
  t.equal(evidence.instance, "us-east-1/123456789012/i-0123456789abcdef0");
  t.same(evidence.replayUntil, new Date("2049-01-01T00:00:00Z"), "it stays used for as long as it would be taken");
  t.equal(evidence.expires, undefined);
  t.same(
    show(signed({}, { attributes: false })).oneTimeId,
    evidence.oneTimeId,
    "however it was signed, it is the same",
  );
  t.notSame(show(signed({ privateIp: "10.0.0.1" })).oneTimeId, evidence.oneTimeId);
  t.notOk(
    "privateIp" in show(signed({ privateIp: undefined, imageId: null })).claims,
    "what a document lacks is absent",
  );
});

t.test("account, region and time must be the source's", async (t) => {
  t.match(
    refusal(() => show(signed({ accountId: "999999999999" }))),
    /^evidenceInvalid: .*account that this source/,
  );
  t.match(
    refusal(() => show(signed({ region: "eu-west-1" }))),
    /^evidenceInvalid: .*another region than the key/,
  );
  t.match(
    refusal(() => show(signed({ region: "ap-east-1" }))),
    /^evidenceInvalid: .*another region than the key/,
  );
  t.match(
    refusal(() => show(signed({}, { signer: west }))),
    /^evidenceInvalid: .*another region than the key/,
  );
  t.match(
    refusal(() => show(signed({}, { signer: issue({ commonName: "x" }) }))),
    /^evidenceInvalid: .*none of the source's/,
  );
  const capped = { ...settings, maxAgeSeconds: 3600 };
  t.equal(
    refusal(() => show(signed(), now, capped)),
    "accepted",
    "at the limit",
  );
  t.match(
    refusal(() => show(signed(), new Date(now.getTime() + 1), capped)),
    /^evidenceExpired: .*too long ago/,
  );
  t.equal(
    refusal(() => show(signed(), new Date("2026-11-26T10:55:00Z"))),
    "accepted",
    "clocks differ",
  );
  t.match(
    refusal(() => show(signed(), new Date("2026-11-26T10:54:59Z"))),
    /^evidenceExpired: .*in the future/,
  );
  t.match(
    refusal(() => show(signed(), new Date("2049-01-01T00:00:01Z"))),
    /^evidenceExpired: .*not valid now/,
  );
  t.match(refusal(() => show(signed({ pendingTime: "2019-12-31T23:59:59Z" }), new Date("2019-12-31T23:59:59Z"))), /^evidenceExpired: .*not valid now/); // prettier-ignore
});

t.test("members must look like what they are", async (t) => {
  for (const changed of [
    { accountId: 123456789012 },
    { accountId: "12345678901" },
    { accountId: undefined },
    { region: null },
    { region: "us-east-1/x" },
    { instanceId: "i-xyz" },
    { instanceId: ["i-0123456789abcdef0"] },
    { pendingTime: "2026-02-30T00:00:00Z" },
    { pendingTime: "yesterday" },
    { imageId: "" },
    { instanceType: "a b" },
    { privateIp: {} },
  ]) {
    t.match(
      refusal(() => show(signed(changed))),
      /^evidenceMalformed: The document has no usable/,
      JSON.stringify(changed),
    );
  }
  const twice = Buffer.from(documentOf().toString().replace('"region"', '"region": "eu-west-1", "region"'));
  t.match(
    refusal(() => show(signed({}, { content: twice }))),
    /^evidenceMalformed: .*names a member twice/,
  );
  t.match(
    refusal(() => show(signed({}, { content: Buffer.from("[]") }))),
    /^evidenceMalformed/,
  );
  t.match(refusal(() => verifyAwsIid({ ...itemOf(signed()), value: "MIA=" }, settings, regions, { ...context, now })), /^evidenceMalformed: .*base64url/); // prettier-ignore
});

t.test("SPIRE 1.14.6: claims come from the verified content, whatever else is sent along", async (t) => {
  const other = documentOf({ accountId: "123456789012", instanceId: "i-0000000000000000f" }).toString();
  const item = { ...itemOf(signed()), document: other, endorsements: { document: other } };
  const { claims } = verifyAwsIid(item, settings, regions, { ...context, now });
  t.equal(claims["instanceId"], "i-0123456789abcdef0");
  const swapped = signed({ instanceId: "i-0000000000000000f" }, { signedContent: documentOf() });
  t.match(
    refusal(() => show(swapped)),
    /^evidenceInvalid: .*not what its signer signed/,
  );
  t.match(
    refusal(() => show(signedDocument({ content: documentOf(), signer: east, detached: true }))),
    /^evidenceMalformed: .*detached/,
  );
});

t.test(
  "RSA-1024: the signature endpoint's value, a signer and a pinned certificate of that size are refused by name",
  async (t) => {
    t.match(
      refusal(() => show(Buffer.alloc(128, 7))),
      /^evidenceInvalid: RSA-1024 signatures are not accepted/,
    );
    const small = issue({ commonName: "small", key: newRsaKey(1024) });
    t.match(
      refusal(() => show(signed({}, { signer: small }), now, settings, trust({ "us-east-1": small }))),
      /^evidenceInvalid: .*2048/,
    );
    const folder = t.testdir();
    const file = (name: string, ...issued: readonly Issued[]): string => {
      const written = path.join(folder, name);
      writeFileSync(written, issued.map(({ pem }) => pem).join("\n"));
      return written;
    };
    const open = (certificateFile: string) =>
      awsIidFormat.open({ ...settings, certificateFiles: { "us-east-1": certificateFile } }, {} as never);
    t.throws(() => open(file("small", small)), { message: /expected AWS's RSA-2048 certificate/ });
    t.throws(() => open(file("both", east, small)), { message: /expected AWS's RSA-2048 certificate/ });
    t.throws(() => open(file("ec", issue({ commonName: "ec" }))), { message: /expected AWS's RSA-2048 certificate/ });
    t.throws(() => open(file("none")), { message: /holds no PEM certificate/ });
    t.throws(() => open(path.join(folder, "absent")), { code: "ENOENT" });
    const opened = open(file("east", east));
    const evidence = await opened.verify(itemOf(signed()), { ...context, now });
    t.equal(evidence.instance, "us-east-1/123456789012/i-0123456789abcdef0");
  },
);

t.test("settings: an account must be named, and nothing pins less than once", async (t) => {
  const schema = sourceSchemaOf(formatNamed("aws-iid"));
  const good = { ...settings, certificateFiles: { "us-gov-west-1": "x.pem" } };
  t.ok(Value.Check(schema, good));
  for (const changed of [
    { accounts: [] },
    { accounts: ["1"] },
    { accounts: undefined },
    { certificateFiles: {} },
    { certificateFiles: { "US EAST": "x" } },
    { region: "x" },
  ]) {
    t.notOk(Value.Check(schema, { ...good, ...changed }), JSON.stringify(changed));
  }
  t.doesNotThrow(() => checkSource({ ...good, pinning: { mode: "once" } }));
  for (const mode of ["strict", "alert"] as const) {
    t.throws(() => checkSource({ ...good, pinning: { mode } }), { message: /pinning.*expected at least once/ });
  }
});

t.test("one flipped bit in content, attributes or signature", async (t) => {
  const document = signed();
  const until = document.length;
  for (let bit = document.indexOf("{") * 8; bit < until * 8; bit += 11) {
    const bent = Buffer.from(document);
    bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const said = refusal(() => show(bent));
    if (said === "accepted") t.same(show(bent).claims, show(document).claims, `bit ${bit}`);
  }
  t.match(
    refusal(() => show(document.subarray(0, -1))),
    /^evidenceMalformed/,
  );
  t.match(
    refusal(() => show(Buffer.concat([document, Buffer.alloc(1)]))),
    /^evidenceMalformed/,
  );
  t.match(
    refusal(() => show(Buffer.alloc(0))),
    /^evidenceMalformed/,
  );
});

t.test("real documents of two regions", withEvidence, async (t) => {
  const pems = JSON.parse(evidenceFile("aws-iid", "regional-rsa2048-certs.json").toString()) as Record<string, string>;
  const all: RegionalCertificates = new Map(
    Object.entries(pems).map(([region, pem]) => [
      region,
      [readCertificate(new X509Certificate(pem).raw, { lenient: true })],
    ]),
  );
  for (const [region, accountId, instanceId, at] of [
    ["us-west-2", "278576220453", "i-078517ca8a70a1dde", "2021-09-03T21:25:44Z"],
    ["us-west-1", "883474662888", "i-01b940c45fd11fe74", "2021-09-11T00:14:18Z"],
  ] as const) {
    const octets = Buffer.from(evidenceFile("aws-iid", `${region}-2021.rsa2048.b64`).toString(), "base64");
    const stated = JSON.parse(evidenceFile("aws-iid", `${region}-2021.document.json`).toString()) as Record<
      string,
      unknown
    >;
    const by = { ...settings, accounts: [accountId] };
    const verify = (bytes = octets, when = new Date(at), certificates = all) => show(bytes, when, by, certificates);
    const evidence = verify();
    t.match(evidence.claims, { accountId, instanceId, region });
    for (const [name, value] of Object.entries(evidence.claims)) t.equal(value, stated[name], name);
    t.equal(
      refusal(() => show(octets, new Date(at), settings, all)).split(":")[0],
      "evidenceInvalid",
      "another account",
    );
    const [own] = all.get(region) ?? [];
    for (const [other, certificates] of all) {
      if (other === region) continue;
      t.match(
        refusal(() => verify(octets, new Date(at), new Map([[other, certificates]]))),
        /^evidenceInvalid/,
        other,
      );
      // Under the name of the right region, too.
      t.match(
        refusal(() => verify(octets, new Date(at), new Map([[region, certificates]]))),
        /^evidenceInvalid/,
        other,
      );
      t.match(
        refusal(() => verify(octets, new Date(at), new Map([[other, own === undefined ? [] : [own]]]))),
        /^evidenceInvalid/,
      );
    }
    t.match(
      refusal(() => verify(octets, new Date("2195-12-01T00:00:00Z"))),
      /^evidenceExpired/,
    );
    t.match(
      refusal(() => verify(octets, new Date("2015-01-01T00:00:00Z"))),
      /^evidenceExpired/,
    );
    let bits = 0;
    for (let bit = octets.indexOf("{") * 8; bit < (octets.length - 8) * 8; bit += 37, bits++) {
      const bent = Buffer.from(octets);
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (refusal(() => verify(bent)) === "accepted") t.same(verify(bent).claims, evidence.claims, `bit ${bit}`);
    }
    t.ok(bits > 200);
    for (const cut of [octets.subarray(0, -1), Buffer.concat([octets, Buffer.alloc(1)])]) {
      t.match(
        refusal(() => verify(cut)),
        /^evidenceMalformed/,
      );
    }
  }
});
