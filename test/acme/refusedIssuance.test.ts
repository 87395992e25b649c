import { createHash } from "node:crypto";
import t from "tap";
import { acmeDriver } from "../support/acmeDriver.ts";
import { attested, certificateKey, issued } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { inline, order } from "../support/inlineFlows.ts";

t.setTimeout(240_000);

t.test("an issuance that lints stop is our own fault, and ends its order", async (t) => {
  let source = (size: number): Buffer => Buffer.from(Array.from({ length: size }, (_, at) => at + 1));
  const ca = await certificateAuthority(t, { randomBytes: (size) => source(size) });
  source = (size) => Buffer.alloc(size); // From now on nothing random comes.
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const flow = await attested(ca, alice);
  const csr = flow.key.csr({ uri: [flow.spiffeId] });
  const reply = await alice.post(flow.order.finalize, { csr });
  t.equal(reply.status, 500);
  t.equal(reply.json()["type"], "urn:ietf:params:acme:error:serverInternal");
  t.notMatch(reply.text, /lint|serial/i, "nothing is told of why");
  const { status, error } = (await alice.readOrder(flow.order.url)) as unknown as Record<string, unknown>;
  t.equal(status, "invalid", "nobody waits for it");
  t.match(error, { type: "urn:ietf:params:acme:error:serverInternal", detail: "the certificate could not be issued" });
  t.equal((await alice.post(flow.order.finalize, { csr })).status, 403);

  const evidence = await inline(ca, acme, alice);
  const answer = await order(alice, acme, evidence);
  t.equal(answer.status, 500, "with evidence in the order as well");
  const { body } = await ca.authority.server.inject("/metrics");
  t.match(body, /^mayfly_lint_failures_total\{lint="serialNotConstant"\} 2$/m);
});

t.test("a profile's rule for keys, by every way to a certificate", async (t) => {
  const profiles = (keyReuse: string) => ({
    workload: {
      description: "SVIDs",
      identifiers: ["uri"],
      lifetimeDefaultSeconds: 900,
      lifetimeMinSeconds: 60,
      lifetimeMaxSeconds: 86_400,
      backdateSeconds: 30,
      keyKinds: ["ec-p256"],
      extendedKeyUsage: ["serverAuth", "clientAuth"],
      keyReuse,
    },
  });
  const ca = await certificateAuthority(t, { configuration: { profiles: profiles("identity") } });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const key = certificateKey();
  const ask = async (subject: string) => await order(alice, acme, await inline(ca, acme, alice, subject, key));
  t.equal((await ask("one")).status, 201);
  t.equal((await ask("one")).status, 201);
  const refused = await ask("two");
  t.equal(refused.status, 400);
  t.match(refused.json(), {
    type: "urn:ietf:params:acme:error:badCSR",
    detail: "the certificate's key was certified for another identity; make a new one",
  });

  const record = await ca.inventory("/certificates?limit=1");
  const [{ profileHash }] = record.body["certificates"] as [{ profileHash: string }];
  const { status, body } = await ca.inventory(`/profiles/${profileHash}`);
  t.equal(status, 200);
  t.match(body, { hash: profileHash, name: "workload", configuration: { keyReuse: "identity", issuer: "default" } });
  const sorted = JSON.stringify({ ...(body["configuration"] as object), name: "workload" }, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  t.equal(createHash("sha256").update(sorted).digest("hex"), profileHash, "anybody can compute it again");
  t.equal((await ca.inventory(`/profiles/${"0".repeat(64)}`)).status, 404);
  t.equal((await ca.inventory("/profiles/x")).status, 400);
  await ca.close();

  const { dataDir, databaseUrl } = ca;
  const later = await certificateAuthority(t, { dataDir, databaseUrl, configuration: { profiles: profiles("never") } });
  const driver = await acmeDriver(t, later);
  const bob = await driver.account();
  const flow = await issued(later, bob, "three");
  const second = await attested(later, bob, "three");
  t.ok(second.order);
  const once = await order(bob, driver, await inline(later, driver, bob, "three", flow.key));
  t.equal(once.status, 400);
  t.match(once.json()["detail"], /was certified before, and the profile wants a new one each time/);
});
