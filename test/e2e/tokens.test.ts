/** A whole authority on each of three independent PKCS#11 modules, and on two tokens of which one is lost. */
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";

import { acmeDriver } from "../support/acmeDriver.ts";
import { attested } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { modules } from "../support/pkcs11Modules.ts";
import { addSofthsmToken, softhsmPin, softhsmToken, softhsmUtil } from "../support/softhsm.ts";

t.setTimeout(240_000);

/** Issues one certificate and verifies it up to the root. */
async function issues(t: Test, ca: TestAuthority): Promise<void> {
  const driver = await acmeDriver(t, ca);
  const alice = await driver.account();
  const { order, key, spiffeId } = await attested(ca, alice);
  const reply = await alice.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) });
  t.equal(reply.json()["status"], "valid", reply.text);
  const { certificate = "" } = await alice.readOrder(order.url);
  const pems = (await alice.postAsGet(certificate)).text.split(/(?<=END CERTIFICATE-----\n)/).filter(Boolean);
  const chain = [...pems, ca.root].map((pem) => new X509Certificate(pem));
  for (const [index, one] of chain.entries()) {
    const above = chain[index + 1];
    if (above) t.ok(one.verify(above.publicKey), `certificate ${index} is signed by the next`);
  }
}

for (const { name, model, make, sessions } of modules) {
  t.test(`${name}: root and issuing key are made in the token, and certificates issued by it`, async (t) => {
    const { module, token, pinFile, libraryParameters } = await make(t);
    const parameters = libraryParameters === undefined ? {} : { libraryParameters };
    const pkcs11 = { module, token, pinFile, ...parameters, sessions, timeoutMs: 20_000 };
    const ca = await certificateAuthority(t, { configuration: { keys: { provider: "pkcs11", pkcs11 } } });
    t.match(/\((.*)\)$/.exec(ca.authority.keys.description)?.[1], model);
    await issues(t, ca);
    t.equal((await ca.authority.server.inject("/readyz")).statusCode, 200);
    const metrics = (await ca.authority.server.inject("/metrics")).body;
    t.match(metrics, /mayfly_key_token_usable\{token=".*"\} 1/);
  });
}

t.test(
  "two tokens with the same keys: one is pulled out, and every order is issued; both away, 503 and ready",
  async (t) => {
    const token = softhsmToken(t, { label: "first" });
    addSofthsmToken(token, "second");
    for (const label of ["mayfly-issuing", "mayfly-issuing-root"]) {
      const file = join(token.directory, `${label}.pem`);
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
      for (const where of ["first", "second"]) {
        const id = label.endsWith("root") ? "a1" : "a2";
        softhsmUtil(token, ["--import", file, "--label", label, "--id", id, "--token", where, "--pin", softhsmPin]);
      }
    }
    // A state of its own, as another vendor's module has: SoftHSM looks for tokens only when it is initialized.
    const other = join(token.directory, "other.so");
    copyFileSync(token.module, other);
    const { module, pinFile } = token;
    const replicas = [{ module: other, token: "second", pinFile }];
    const pkcs11 = { module, token: "first", pinFile, replicas, replicaRetrySeconds: 1 };
    const ca = await certificateAuthority(t, { configuration: { keys: { provider: "pkcs11", pkcs11 } } });
    const metrics = async (): Promise<string> => (await ca.authority.server.inject("/metrics")).body;
    await issues(t, ca);

    const tokens = join(token.directory, "tokens");
    const pull = (label: string): void => {
      const folder = readdirSync(tokens).find((name) =>
        readFileSync(join(tokens, name, "token.object")).includes(Buffer.from(label.padEnd(32))),
      );
      if (folder === undefined) throw new Error(`no token ${label}`);
      renameSync(join(tokens, folder), join(token.directory, folder));
    };
    pull("first");
    for (let count = 0; count < 5; count += 1) await issues(t, ca);
    t.match(
      await metrics(),
      /mayfly_key_token_usable\{token="first"\} 0[\s\S]*mayfly_key_token_usable\{token="second"\} 1/,
    );
    t.equal((await ca.authority.server.inject("/readyz")).statusCode, 200, "one token is enough to be ready");

    pull("second");
    const driver = await acmeDriver(t, ca);
    const alice = await driver.account();
    const [lost, refused] = [await attested(ca, alice), await attested(ca, alice)];
    await alice.post(lost.order.finalize, { csr: lost.key.csr({ uri: [lost.spiffeId] }) });
    const reply = await alice.post(refused.order.finalize, { csr: refused.key.csr({ uri: [refused.spiffeId] }) });
    t.match(reply, { status: 503, headers: { "retry-after": /^\d+$/ } });
    t.equal((await alice.readOrder(refused.order.url)).status, "ready");
  },
);
