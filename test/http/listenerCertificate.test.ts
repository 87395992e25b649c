import { createPrivateKey, createPublicKey, randomBytes, X509Certificate, type KeyObject } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { authorizeListener } from "../../src/authority/authorize.ts";
import { prepare } from "../../src/authority/prepare.ts";
import { ensureListenerCertificate, listenerNames, type ListenerNames } from "../../src/http/listenerCertificate.ts";
import { assembleCertificate } from "../../src/x509/certificate.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { keyOf } from "../../src/x509/publicKey.ts";
import { memoryHierarchy, serverProfile } from "../support/issuers.ts";

const start = new Date("2026-01-01T00:00:00Z");
const { issuing, signer } = await memoryHierarchy(start);
const other = (await memoryHierarchy(start)).issuing;
const hour = 3_600_000;
const profile = serverProfile({ lifetimeDefaultSeconds: 3 * 3600, backdateSeconds: 0 });
const names: ListenerNames = { dns: ["localhost"], ip: ["127.0.0.1", "::1"] };

/** A folder with a certificate of three hours in it, and a way to ask for it again. */
function folder(test: { teardown(action: () => void): unknown }) {
  const directory = mkdtempSync(join(tmpdir(), "mayfly-test-listener-"));
  const unkept: unknown[] = [];
  test.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const ensure = (hours: number, changes: { names?: ListenerNames; issuerCertificate?: Buffer } = {}) => {
    const now = new Date(start.getTime() + hours * hour);
    const asked = changes.names ?? names;
    return ensureListenerCertificate({
      directory,
      names: asked,
      issuerCertificate: issuing.certificate,
      now,
      onUnkept: (error: unknown) => void unkept.push(error),
      async issue(publicKey: KeyObject) {
        const authorized = authorizeListener({ ...asked, uri: [], permanentIdentifiers: [] }, profile);
        const { tbs } = prepare(authorized, keyOf(publicKey), issuing, { now, random: randomBytes(14) });
        const certificate = assembleCertificate(tbs, signer.algorithm, await signer.sign(tbs));
        return pemEncode("CERTIFICATE", certificate) + issuing.chainPem;
      },
      ...changes,
    });
  };
  return {
    directory,
    unkept,
    ensure,
    keyFile: join(directory, "listener-key.pem"),
    certificateFile: join(directory, "listener.pem"),
  };
}

t.test("made once, kept with its key, readable by its owner alone", async (t) => {
  const { ensure, keyFile, certificateFile } = folder(t);
  const made = await ensure(0);
  t.equal(made.renewed, true);
  t.equal(readFileSync(keyFile, "utf8"), made.key);
  t.equal(readFileSync(certificateFile, "utf8"), made.certificate);
  t.equal(statSync(keyFile).mode & 0o777, 0o600);
  t.ok(new X509Certificate(made.certificate).publicKey.equals(createPublicKey(createPrivateKey(made.key))));
  t.same(await ensure(1), { ...made, renewed: false });
});

t.test("made again when a third of its life is left", async (t) => {
  const { ensure } = folder(t);
  const made = await ensure(0);
  t.equal((await ensure(1.99)).renewed, false);
  const next = await ensure(2.01);
  t.equal(next.renewed, true);
  t.not(next.key, made.key, "with a new key");
  t.equal((await ensure(2.02)).renewed, false);
  t.equal((await ensure(100)).renewed, true, "or none is left");
  t.equal((await ensure(-1)).renewed, true, "or the clock was put back before it begins");
});

t.test("made again for other names or another issuer", async (t) => {
  const { ensure } = folder(t);
  await ensure(0);
  t.equal((await ensure(0, { names: { dns: ["localhost", "ca.test"], ip: names.ip } })).renewed, true);
  t.equal((await ensure(0, { names: { dns: ["localhost"], ip: ["192.0.2.7"] } })).renewed, true);
  t.equal((await ensure(0, { issuerCertificate: other.certificate })).renewed, true);
});

t.test("made again when the files are broken, missing or of two pairs", async (t) => {
  const { ensure, keyFile, certificateFile } = folder(t);
  const first = await ensure(0);
  rmSync(certificateFile);
  t.equal((await ensure(0)).renewed, true, "a missing certificate");
  writeFileSync(keyFile, first.key);
  t.equal((await ensure(0)).renewed, true, "another pair's key");
  writeFileSync(keyFile, "");
  t.equal((await ensure(0)).renewed, true, "an empty key");
  writeFileSync(certificateFile, "-----BEGIN CERTIFICATE-----\nAAAA");
  t.equal((await ensure(0)).renewed, true, "half a certificate");
  t.equal((await ensure(0)).renewed, false);
});

t.test("where issuing fails the old files stay", async (t) => {
  const { ensure, directory, keyFile } = folder(t);
  const made = await ensure(0);
  const failing = ensureListenerCertificate({
    directory,
    names,
    issuerCertificate: issuing.certificate,
    now: new Date(start.getTime() + 2.5 * hour),
    issue: () => Promise.reject(new Error("token away")),
    onUnkept: () => t.fail("there is nothing to keep"),
  });
  await t.rejects(failing, { message: "token away" });
  t.equal(readFileSync(keyFile, "utf8"), made.key);
});

t.test("what cannot be written serves all the same, and is made again by whoever looks for it", async (t) => {
  const { ensure, directory, certificateFile, unkept } = folder(t);
  mkdirSync(join(directory, `listener.pem.${process.pid}.new`));
  const made = await ensure(0);
  t.ok(new X509Certificate(made.certificate).publicKey.equals(createPublicKey(createPrivateKey(made.key))));
  t.match(unkept, [{ code: "EISDIR" }]);
  t.throws(() => statSync(certificateFile), { code: "ENOENT" });
  t.equal((await ensure(0)).renewed, true);
});

t.test("the names: the external URL's host, and this machine's own", async (t) => {
  const local = { dns: ["localhost"], ip: ["127.0.0.1", "::1"] };
  t.same(listenerNames("https://localhost:8443"), local);
  t.same(listenerNames("https://ca.test"), { ...local, dns: ["ca.test", "localhost"] });
  t.same(listenerNames("https://192.0.2.1:8443"), { ...local, ip: ["127.0.0.1", "192.0.2.1", "::1"] });
  t.same(listenerNames("https://[2001:db8::1]:8443"), { ...local, ip: ["127.0.0.1", "2001:db8::1", "::1"] });
});
