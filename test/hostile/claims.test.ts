/** Claims that a tenant of the platform chose (H-25d): derived and recorded as they are, or refused; never an error of ours. */
import { randomUUID } from "node:crypto";
import { promises as fs } from "node:fs";
import os from "node:os";
import path from "node:path";
import t from "tap";
import { compact, testKey } from "../attestation/testIssuer.ts";
import { acmeDriver, uri } from "../support/acmeDriver.ts";
import { audienceOf, certificateKey, challengeOf, type CertificateKey } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { evidenceRefused } from "../support/refused.ts";

t.test("claims", async (t) => {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), "mayfly-test-"));
  t.teardown(() => fs.rm(directory, { recursive: true, force: true }));
  const jwksFile = path.join(directory, "jwks.json");
  const key = testKey("k1");
  await fs.writeFile(jwksFile, JSON.stringify({ keys: [key.jwk] }));
  const grant = {
    source: "ci",
    conditions: [{ claim: "org", equals: "7" }],
    profile: "workload",
    recordClaims: ["note", "sub"],
  };
  const ca = await certificateAuthority(t, {
    configuration: {
      attestation: { sources: [{ ref: "ci", format: "jwt", issuer: "https://ci.example", jwksFile }] },
      grants: [
        { ...grant, name: "bound", spiffeId: "spiffe://mayfly.localhost/bound/{sub}", minBinding: "nonce" },
        { ...grant, name: "bearer", spiffeId: "spiffe://mayfly.localhost/bearer/{sub}", minBinding: "bearer" },
      ],
    },
  });
  const alice = await (await acmeDriver(t, ca)).account();
  const attest = async (
    spiffeId: string,
    claims: Record<string, unknown>,
    certified: CertificateKey = certificateKey(),
  ) => {
    const order = await alice.newOrder(uri(spiffeId));
    const challenge = challengeOf(await alice.readAuthorization(order.authorizations[0]), "workload-attest-01");
    const now = Math.floor(Date.now() / 1000);
    const good = {
      iss: "https://ci.example",
      aud: audienceOf(ca),
      iat: now,
      exp: now + 300,
      jti: randomUUID(),
      org: "7",
      sub: "job",
    };
    const value = compact(key, { ...good, ...claims });
    const reply = await alice.post(challenge.url, {
      spki: certified.spki,
      evidence: [{ format: "jwt", ref: "ci", value }],
    });
    return { order, challenge, reply, certified };
  };

  t.test("the challenge accepts what the grants for this identity do", async (t) => {
    const { challenge } = await attest("spiffe://mayfly.localhost/bound/job", {});
    t.same(challenge["accept"], [{ format: "jwt", ref: "ci", minBinding: "nonce" }]);
  });

  t.test("H-25b a bearer token where the grant wants a bound one → bindingMissing", async (t) => {
    evidenceRefused(t, (await attest("spiffe://mayfly.localhost/bound/job", {})).reply, "bindingMissing");
    t.equal((await attest("spiffe://mayfly.localhost/bearer/job", {})).reply.json()["status"], "valid");
  });

  t.test("H-25d a condition that does not hold → identityNotDerived", async (t) => {
    for (const org of ["8", 7, ["7"], { 7: 1 }, null, undefined, "7 ", true])
      evidenceRefused(
        t,
        (await attest("spiffe://mayfly.localhost/bearer/job", { org })).reply,
        "identityNotDerived",
        JSON.stringify(org),
      );
  });

  t.test("H-22 odd text in a recorded claim is recorded or refused, and the order can be finished", async (t) => {
    for (const note of [
      "a\u0000b",
      "\ud800",
      "\u202e",
      "<b>",
      "'; drop table certificate; --",
      { "a\u0000": "\u0000" },
      ["\udc00\u0000"],
      "x".repeat(8000),
      null,
      1e300,
    ]) {
      const spiffeId = "spiffe://mayfly.localhost/bearer/job";
      const { reply, order, certified } = await attest(spiffeId, { note });
      t.equal(reply.status, 200, `${JSON.stringify(note).slice(0, 30)}: ${reply.text.slice(0, 100)}`);
      const { status } = reply.json();
      t.ok(status === "valid" || status === "invalid", String(status));
      if (status !== "valid") continue;
      const finalized = await alice.post(order.finalize, { csr: certified.csr({ uri: [spiffeId] }) });
      t.equal(finalized.json()["status"], "valid", finalized.text.slice(0, 100));
      const serial = String(finalized.json()["certificate"]).split("/").at(-1);
      t.equal((await ca.inventory(`/certificates/${serial}`)).status, 200);
    }
  });
});
