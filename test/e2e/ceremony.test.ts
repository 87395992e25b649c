/** `mayfly ceremony` on real tokens and databases: root here, root offline, cut off in between; and servers on what they made. */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { appendFile, chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";

import { openKeys } from "../../src/keys/open.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { oids } from "../../src/x509/oid.ts";
import { pemDecode } from "../../src/x509/pem.ts";
import { readCRLDistributionPoints } from "../../src/x509/revocationExtensions.ts";
import {
  carry,
  ceremonyMachine,
  firstSteps,
  issueOne,
  nodeVerifies,
  opensslChain,
  opensslFingerprint,
} from "../support/ceremonyGround.ts";
import { opensslVerify } from "../support/opensslVerify.ts";
import { succeed } from "../support/program.ts";
import { softhsmPin } from "../support/softhsm.ts";

t.setTimeout(300_000); // tap's own 30 seconds are too few for real processes on a busy machine.

/** The list that a CA certificate of a file names. */
function pointerIn(file: string): string | undefined {
  const [der = Buffer.alloc(0)] = pemDecode(readFileSync(file, "utf8"), "CERTIFICATE");
  const value = readCertificate(der).extensions.find(({ oid }) => oid === oids.cRLDistributionPoints)?.value;
  return value && readCRLDistributionPoints(value)[0];
}

const { makeRoot, requestIssuing, signIssuing, importCertificate, activate } = firstSteps;

t.test("(a) root and issuing CA in one token, in one go; held again, nothing is done again", async (t) => {
  const machine = await ceremonyMachine(t);
  const steps = [makeRoot, requestIssuing, { ...signIssuing, rootPublishesLists: true }, importCertificate, activate];
  const first = await machine.hold("first", steps, { operators: ["Ada Lovelace", "Grace Hopper"] });
  t.equal(first.status, 0, first.stderr);
  const [root, issuing] = [machine.file("root.pem"), machine.file("issuing.pem")];
  t.match(await opensslChain(root, [], issuing), /: OK/);
  t.ok(nodeVerifies(issuing, root) && nodeVerifies(root, root));

  const transcript = machine.transcript("first");
  for (const expected of [
    await opensslFingerprint(root),
    await opensslFingerprint(issuing),
    "Ada Lovelace, Grace Hopper",
    "PKCS#11 token mayfly (SoftHSM v2)",
    "agreed to by --yes",
    "18 lints",
    `Node ${process.versions.node}`,
  ])
    t.ok(transcript.includes(expected), expected);
  t.notOk(transcript.includes(softhsmPin) || first.stdout.includes(softhsmPin), "no PIN");
  const file = join(machine.place.dataDir, "ceremonies", "first.txt");
  t.equal(statSync(file).mode & 0o777, 0o600);
  const lines = transcript.trimEnd().split("\n");
  const digest = createHash("sha256")
    .update(`${lines.slice(0, -1).join("\n")}\n`)
    .digest("hex");
  t.equal(lines.at(-1), `SHA-256 of all lines above: ${digest}`);
  t.ok(lines.slice(0, -1).every((line) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z {2}/.test(line)));

  const before = [root, issuing].map((name) => readFileSync(name, "utf8"));
  const second = await machine.again("first");
  t.equal(second.status, 0, second.stderr);
  t.equal(second.stdout.match(/was done before/g)?.length, 5);
  t.notMatch(second.stdout, /will do|signs with/);
  t.same(
    [root, issuing].map((name) => readFileSync(name, "utf8")),
    before,
  );
  t.ok(machine.transcript("first").startsWith(transcript), "the transcript only grows");

  await appendFile(file, "2026-01-01T00:00:00.000Z  forged\n");
  t.match((await machine.again("first")).stdout, /NOTE +the run before was cut off/);
  writeFileSync(file, readFileSync(file, "utf8").replace("Ada Lovelace", "Eve"));
  t.match((await machine.again("first")).stdout, /NOTE +a digest of a run before is not that of the lines above it/);
  await chmod(file, 0o644);
  t.match((await machine.again("first")).stderr, /is open to others; run: chmod 600/);

  const { server, chain } = await issueOne(t, machine);
  t.equal(new X509Certificate(server.root).fingerprint256, await opensslFingerprint(root), "the bundle is the root");
  await opensslVerify(root, chain);

  const url = pointerIn(issuing);
  t.match(url, /^https:\/\/.*\/crl\/[0-9a-f-]{36}\/0\.crl$/);
  t.ok(transcript.includes(`names ${url}, where this authority publishes what the root revokes`));
  let urls: unknown[] = [];
  for (let tries = 0; tries < 300 && !urls.includes(url); tries += 1) {
    await new Promise((done) => setTimeout(done, 100));
    const { body } = await server.get("/api/v1/certificate-lists?limit=100");
    urls = (body["certificateLists"] as { url: string }[]).map((list) => list.url);
  }
  t.ok(urls.includes(url), "and there it is");
});

t.test("a list of the root is promised only of a root that will have one here", async (t) => {
  const machine = await ceremonyMachine(t);
  const promising = { ...signIssuing, rootPublishesLists: true };
  const { status, stderr } = await machine.hold("first", [
    { ...makeRoot, pathLength: 3 },
    requestIssuing,
    { ...signIssuing, pathLength: 1 },
    { ...promising, issuerCertificateFile: "issuing.pem", certificateFile: "below.pem" },
  ]);
  t.equal(status, 1);
  t.match(stderr, /rootPublishesLists: true: issuing\.pem is no root/);
});

t.test(
  "(b) root offline: the request goes, the certificate comes, and the other machine has no database",
  async (t) => {
    const [offline, online] = [await ceremonyMachine(t), await ceremonyMachine(t)];
    const rooted = await offline.hold("root", [makeRoot]);
    t.equal(rooted.status, 0, rooted.stderr);

    const steps = [requestIssuing, importCertificate, activate];
    const waiting = await online.hold("issuing", steps);
    t.equal(waiting.status, 3, waiting.stderr);
    t.match(
      waiting.stdout,
      /Step 2 of 3[^]*waits for the certificate issuing\.pem; bring it, and run the ceremony again\nThe ceremony waits\./,
    );

    await carry("issuing.csr", online, offline);
    const signed = await offline.hold("sign", [{ ...signIssuing, lifetimeDays: 365 }]);
    t.equal(signed.status, 0, signed.stderr);
    for (const name of ["root.pem", "issuing.pem"]) await carry(name, offline, online);
    t.throws(() => statSync(join(offline.place.dataDir, "postgres")), { code: "ENOENT" }, "no database was started");

    const done = await online.again("issuing");
    t.equal(done.status, 0, done.stderr);
    t.match(done.stdout, /Step 1 of 3[^]*was done before[^]*issuer 1 of the line default is active/);
    t.match(await opensslChain(online.file("root.pem"), [], online.file("issuing.pem")), /: OK/);
    t.equal(pointerIn(online.file("issuing.pem")), undefined, "its root publishes nothing here");

    const { server, chain } = await issueOne(t, online);
    t.equal(new X509Certificate(server.root).fingerprint256, await opensslFingerprint(offline.file("root.pem")));
    await opensslVerify(offline.file("root.pem"), chain);
  },
);

t.test("a ceremony that was cut off at each step goes on, with one key and one row for each", async (t) => {
  const machine = await ceremonyMachine(t);
  const steps = [makeRoot, requestIssuing, signIssuing, importCertificate, activate];
  const at = (name: string): string => machine.file(name);
  // As if the power had gone after the signature and before the file was written: the key is there, the file is not.
  t.equal((await machine.hold("cut", steps.slice(0, 1))).status, 0);
  await rm(at("root.pem"));
  const again = await machine.hold("cut", steps.slice(0, 2));
  t.equal(again.status, 0, again.stderr);
  t.match(again.stdout, /uses the key mayfly-issuing-root, which is in PKCS#11 token mayfly/);
  const asked = readFileSync(at("issuing.csr"), "utf8");
  await rm(at("issuing.csr"));
  t.equal((await machine.hold("cut", steps.slice(0, 3))).status, 0);
  t.equal(readFileSync(at("issuing.csr"), "utf8"), asked, "the request that the issuer waits with, not another");
  const whole = await machine.hold("cut", steps);
  t.equal(whole.status, 0, whole.stderr);
  const keys = await openKeys({ provider: "pkcs11", ...machine.token, queueLimit: 8, timeoutMs: 5000 });
  t.teardown(() => keys.close());
  for (const label of ["mayfly-issuing-root", "mayfly-issuing"])
    t.equal((await keys.find({ label }))?.label, label, "one key of the label: of two, neither would be found");
  await writeFile(at("root.pem"), readFileSync(at("issuing.pem")));
  t.match(
    (await machine.again("cut")).stderr,
    /root\.pem: has another certificate than that of this root; name another file/,
  );
});

t.test("name constraints are off unless asked for, and told of", async (t) => {
  const machine = await ceremonyMachine(t);
  const nameConstraints = { uri: ["mayfly.test"] };
  const held = await machine.hold("constrained", [
    makeRoot,
    { ...requestIssuing, nameConstraints },
    { ...signIssuing, nameConstraints },
  ]);
  t.equal(held.status, 0, held.stderr);
  t.equal(held.stdout.match(/WARNING +several verifiers mishandle name constraints of URIs/g)?.length, 2);
  const text = async (name: string): Promise<string> =>
    await succeed("openssl", ["x509", "-in", machine.file(name), "-noout", "-text"]);
  t.match(await text("issuing.pem"), /Name Constraints: critical\s+Permitted:\s+URI:mayfly\.test/);
  t.notMatch(await text("root.pem"), /Name Constraints/);
  const wrong = await machine.hold("wrong", [
    { ...makeRoot, keyLabel: "w", certificateFile: "w.pem", nameConstraints: { uri: ["other.test"] } },
  ]);
  t.equal(wrong.status, 1);
  t.match(
    wrong.stderr,
    /nameConstraintsOfCa \(RFC 5280 §4\.2\.1\.10/,
    "the lint refuses what would make its own leaves invalid",
  );
});
