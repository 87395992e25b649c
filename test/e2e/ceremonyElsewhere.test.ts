/** `mayfly ceremony` with another PKI, made with OpenSSL: it signs us, we sign it, and the one root that follows another. */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { appendFile, copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";

import { pemDecode } from "../../src/x509/pem.ts";
import {
  ceremonyMachine,
  firstSteps,
  issueOne,
  nodeVerifies,
  opensslChain,
  opensslFingerprint,
} from "../support/ceremonyGround.ts";
import { opensslVerify } from "../support/opensslVerify.ts";
import { succeed } from "../support/program.ts";
import type { ServerProcess } from "../support/serverProcess.ts";

t.setTimeout(300_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const { makeRoot, requestIssuing, signIssuing, importCertificate, activate } = firstSteps;

const certificatesIn = (file: string): number => pemDecode(readFileSync(file, "utf8"), "CERTIFICATE").length;

/** A PKI that is none of ours: a root and a CA below it, made and used with OpenSSL. */
async function otherPki(folder: string) {
  const at = (name: string): string => join(folder, name);
  const openssl = (...parameters: string[]): Promise<string> => succeed("openssl", parameters, { cwd: folder });
  const ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
  await writeFile(at("other-ca.ext"), `${ca}authorityKeyIdentifier=keyid\n`);
  const key = ["-newkey", "rsa:2048", "-nodes"];
  const extensions = ca
    .trimEnd()
    .split("\n")
    .flatMap((line) => ["-addext", line]);
  await openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "other-root.key",
    "-out",
    "other-root.pem",
    "-subj",
    "/O=Other/CN=Other Root",
    "-days",
    "3650",
    ...extensions,
  );
  await openssl(
    "req",
    "-new",
    ...key,
    "-keyout",
    "other-sub.key",
    "-out",
    "other-sub.csr",
    "-subj",
    "/O=Other/CN=Other Sub CA",
  );
  const sign = async (csr: string, out: string, issuer: string, days: number, extfile?: string): Promise<void> => {
    const given = extfile === undefined ? ["-copy_extensions", "copyall"] : ["-extfile", extfile];
    const by = ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`, "-days", String(days)];
    await openssl("x509", "-req", "-in", csr, "-out", out, ...by, ...given);
  };
  await sign("other-sub.csr", "other-sub.pem", "other-root", 3000, "other-ca.ext");
  return { at, sign };
}

t.test(
  "(c) root elsewhere: another PKI signs us, with a CA in between, and its root is the trust bundle",
  async (t) => {
    const machine = await ceremonyMachine(t);
    const { at, sign } = await otherPki(machine.folder);
    const steps = [requestIssuing, { ...importCertificate, rootFile: "other-root.pem" }, activate];
    t.equal((await machine.hold("elsewhere", steps)).status, 3);

    await sign("issuing.csr", "issuing.pem", "other-sub", 1000, "other-ca.ext");
    const whole = (): Promise<void> => appendFile(at("issuing.pem"), readFileSync(at("other-sub.pem")));
    await whole();
    const warned = await machine.again("elsewhere");
    t.equal(warned.status, 0, warned.stderr);
    t.match(warned.stdout, /WARNING +the certificate is no SVID/);
    t.match(warned.stdout, /WARNING +the certificate has another subject key identifier than was asked for/);
    t.match(warned.stdout, /WARNING +the certificate allows any number of CAs below/);

    const { server, chain } = await issueOne(t, machine);
    t.equal(new X509Certificate(server.root).fingerprint256, await opensslFingerprint(at("other-root.pem")));
    t.equal(certificatesIn(chain), 3, "leaf, ours, the CA in between");
    await opensslVerify(at("other-root.pem"), chain);
  },
);

t.test("(c) what another PKI got wrong is refused with all reasons, and nothing is brought in", async (t) => {
  const machine = await ceremonyMachine(t);
  const { at, sign } = await otherPki(machine.folder);
  const steps = [requestIssuing, { ...importCertificate, rootFile: "other-root.pem" }, activate];
  t.equal((await machine.hold("elsewhere", steps)).status, 3);
  await writeFile(
    at("wrong.ext"),
    "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectAltName=URI:spiffe://other.test\n",
  );
  await sign("issuing.csr", "issuing.pem", "other-root", 4000, "wrong.ext");
  const refused = await machine.again("elsewhere");
  t.equal(refused.status, 1);
  for (const reason of [
    /issuing\.pem: is not taken:/,
    /an SVID of spiffe:\/\/other\.test, and the trust domain is spiffe:\/\/mayfly\.test/,
    /is no CA's/,
    /key usage without keyCertSign/,
    /after its issuer, which ends on/,
  ])
    t.match(refused.stderr, reason);
  t.match(machine.transcript("elsewhere"), /failed: issuing\.pem: is not taken/);
  await sign("issuing.csr", "issuing.pem", "other-root", 1000); // This time as it was asked for.
  const taken = await machine.again("elsewhere");
  t.equal(taken.status, 0, taken.stderr);
  t.notMatch(taken.stdout, /WARNING/);
});

t.test("(d) cross-signing: another root signs ours, and the chain is offered; ours signs another's", async (t) => {
  const machine = await ceremonyMachine(t);
  const steps = [makeRoot, requestIssuing, signIssuing, importCertificate, activate];
  t.equal((await machine.hold("first", steps)).status, 0);
  const { at, sign } = await otherPki(machine.folder);

  const crossing = [
    { step: "requestCross", certificateFile: "root.pem", requestFile: "cross.csr" },
    { step: "offerChain", certificateFile: "cross.pem" },
  ];
  t.equal((await machine.hold("cross", crossing)).status, 3);
  await sign("cross.csr", "cross.pem", "other-root", 1000);
  const offered = await machine.again("cross");
  t.equal(offered.status, 0, offered.stderr);
  t.match(offered.stdout, /offers it to clients as an alternate chain of 1 issuing CA/);
  t.match(await opensslChain(at("other-root.pem"), [at("cross.pem")], at("issuing.pem")), /: OK/);
  t.ok(nodeVerifies(at("cross.pem"), at("other-root.pem")) && nodeVerifies(at("issuing.pem"), at("cross.pem")));
  t.match((await machine.again("cross")).stdout, /Step 2 of 2[^]*was done before/);

  const { chain, server } = await issueOne(t, machine);
  await opensslVerify(at("root.pem"), chain);
  const leaf = at("leaf.pem");
  await copyFile(chain, leaf);
  t.match(
    await opensslChain(at("other-root.pem"), [at("cross.pem"), leaf], leaf),
    /: OK/,
    "by the alternate chain too",
  );
  const cross = createHash("sha256")
    .update(pemDecode(readFileSync(at("cross.pem"), "utf8"), "CERTIFICATE")[0] ?? "")
    .digest("hex");
  t.equal(await statusOf(server, `/ca/${cross}.cer`), 200, "the cross certificate is published");

  await server.stop();
  const theirs = [
    {
      step: "crossSign",
      subjectFile: "other-root.pem",
      issuerCertificateFile: "root.pem",
      certificateFile: "theirs.pem",
      nameConstraints: { dns: ["other.test"] },
    },
  ];
  const signed = await machine.hold("theirs", theirs);
  t.equal(signed.status, 0, signed.stderr);
  t.match(signed.stdout, /WARNING +several verifiers mishandle name constraints/);
  t.match(await opensslChain(at("root.pem"), [at("theirs.pem")], at("other-sub.pem")), /: OK/);
});

const statusOf = async (server: ServerProcess, path: string): Promise<number> =>
  await server.get(path).then(
    ({ status }) => status,
    (error: unknown) => (error instanceof SyntaxError ? 200 : 0), // A certificate is no JSON.
  );

t.test(
  "(d) rotation of a root: the new one signs the key of the old one, and the old one that of the new one",
  async (t) => {
    const machine = await ceremonyMachine(t);
    const subject = (name: string) => ({ organization: "Mayfly", commonName: name });
    const steps = [
      { ...makeRoot, keyLabel: "old", subject: subject("Root 1"), certificateFile: "old.pem" },
      { ...makeRoot, keyLabel: "new", subject: subject("Root 2"), certificateFile: "new.pem", keyKind: "rsa-3072" },
      {
        step: "crossSign",
        subjectFile: "old.pem",
        issuerCertificateFile: "new.pem",
        certificateFile: "old-by-new.pem",
      },
      {
        step: "crossSign",
        subjectFile: "new.pem",
        issuerCertificateFile: "old.pem",
        certificateFile: "new-by-old.pem",
      },
      requestIssuing,
      { ...signIssuing, issuerCertificateFile: "new.pem" },
    ];
    const held = await machine.hold("rotation", steps);
    t.equal(held.status, 0, held.stderr);
    const at = (name: string): string => machine.file(name);
    t.match(await opensslChain(at("new.pem"), [], at("issuing.pem")), /: OK/);
    t.match(await opensslChain(at("old.pem"), [at("new-by-old.pem")], at("issuing.pem")), /: OK/);
    t.match(await opensslChain(at("new.pem"), [], at("old-by-new.pem")), /: OK/);
  },
);
