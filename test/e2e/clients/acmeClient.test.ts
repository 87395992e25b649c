/** npm's acme-client: all three challenge types, a wildcard. */
import { Agent } from "node:https";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import * as acme from "acme-client";
import t from "tap";
import { alpnTarget, clientGround } from "../../support/clientGround.ts";
import { clientRecord } from "../../support/clientRecord.ts";

t.setTimeout(120_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const { version } = createRequire(import.meta.url)("acme-client/package.json") as { version: string };

t.test("acme-client", async (t) => {
  const ground = await clientGround(t, { answersHttp01: true });
  const record = clientRecord({
    client: "acme-client",
    version,
    cannot: { "IP address": "orders everything as a DNS name" },
    remark: "npm; a library",
  });
  const agent = new Agent({ ca: await readFile(ground.rootFile) });
  acme.axios.defaults.httpsAgent = agent;
  t.teardown(() => agent.destroy());
  const client = new acme.Client({
    directoryUrl: ground.directoryUrl,
    accountKey: await acme.crypto.createPrivateEcdsaKey(),
    backoffMin: 100,
  });
  const forAlpn = new Map<string, { key: Buffer; cert: string }>();
  await alpnTarget(t, ground.tlsAlpn01Port, (name) => forAlpn.get(name) ?? { key: "", cert: "" });

  async function challengeCreateFn(
    authorization: acme.Authorization,
    challenge: { readonly type: string; readonly token: string },
    keyAuthorization: string,
  ): Promise<void> {
    const { value } = authorization.identifier;
    if (challenge.type === "http-01")
      return await ground.challenges.set("add-http01", { token: challenge.token, content: keyAuthorization });
    if (challenge.type === "dns-01")
      return await ground.challenges.set("set-txt", { host: `_acme-challenge.${value}.`, value: keyAuthorization });
    const [key, cert] = await acme.crypto.createAlpnCertificate(authorization, keyAuthorization);
    forAlpn.set(value, { key, cert: cert.toString() });
  }
  const cases = [
    { what: ["http-01"], names: ["http.example"] },
    { what: ["tls-alpn-01"], names: ["alpn.example"] },
    { what: ["dns-01", "wildcard"], names: ["wild.example", "*.wild.example"] },
  ] as const;
  for (const { what, names } of cases) {
    const chain = join(ground.folder, `${names[0]}.pem`);
    const obtain = async (): Promise<string> => {
      const [, csr] = await acme.crypto.createCsr({ altNames: [...names] }, await acme.crypto.createPrivateEcdsaKey());
      const pem = await client.auto({
        csr,
        email: "you@example.com",
        termsOfServiceAgreed: true,
        skipChallengeVerification: true,
        challengePriority: [what[0]],
        challengeCreateFn,
        challengeRemoveFn: async () => {},
      });
      await writeFile(chain, pem);
      return await ground.obtained(t, chain, names);
    };
    const first = await obtain();
    const second = await obtain();
    t.not(second, first);
    record.did(...what, "renew");
    await client.revokeCertificate(await readFile(chain, "utf8"));
    await ground.revoked(t, second, null);
    record.did("revoke");
  }
  await record.end(t);
});
