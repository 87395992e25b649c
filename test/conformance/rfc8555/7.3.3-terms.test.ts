/** RFC 8555 §7.3.3: terms of service that change. */
import t from "tap";
import { acmeDriver, dns } from "../../support/acmeDriver.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

t.test("R7.3.3-1 who agreed to other terms orders nothing before it agrees to these", async (t) => {
  const [first, second] = ["https://ca.example/terms/1", "https://ca.example/terms/2"];
  const ca = await certificateAuthority(t, { configuration: { acme: { termsOfService: first } } });
  const before = await acmeDriver(t, ca);
  const alice = await before.account({ termsOfServiceAgreed: true, contact: ["mailto:ops@example.com"] });
  const order = await alice.newOrder(dns("a.localhost"));
  await ca.close();

  const changed = await certificateAuthority(t, {
    databaseUrl: ca.databaseUrl,
    dataDir: ca.dataDir,
    port: Number(new URL(ca.url).port),
    configuration: { acme: { termsOfService: second } },
  });
  const acme = await acmeDriver(t, changed);
  const fresh = async () => ({ header: { nonce: await acme.nonce() } });
  const { newOrder, newAuthz, newAccount } = acme.directory;
  for (const [url, payload] of [
    [newOrder, { identifiers: [dns("a.localhost")] }],
    [newAuthz, { identifier: dns("a.localhost") }],
  ] as const) {
    const reply = await alice.post(url, payload, await fresh());
    const document = refused(t, reply, 403, "userActionRequired", url);
    t.match(reply.headers.link, `<${second}>;rel="terms-of-service"`);
    t.equal(document["instance"], `${ca.url}/#terms-of-service`);
  }
  const page = await acme.request(ca.url);
  t.match(page.text, `<h2 id="terms-of-service">`, "where to agree is a place that is there");
  t.match(page.text, second);

  // What was begun goes on, and an account can always be left.
  t.equal((await alice.postAsGet(order.url, await fresh())).status, 200);
  t.equal((await alice.postAsGet(alice.account, await fresh())).status, 200);
  t.equal((await alice.post(alice.account, { contact: [] }, await fresh())).status, 200);
  t.equal((await alice.post(order.authorizations[0], { status: "deactivated" }, await fresh())).status, 200);

  // §7.3.2: an update is no place to agree, and neither is a newAccount that does not say so.
  await alice.post(alice.account, { termsOfServiceAgreed: true }, await fresh());
  for (const payload of [{}, { termsOfServiceAgreed: false }, { onlyReturnExisting: true, termsOfServiceAgreed: true }])
    t.equal((await alice.post(newAccount, payload, { by: "jwk", ...(await fresh()) })).status, 200);
  refused(
    t,
    await alice.post(newOrder, { identifiers: [dns("a.localhost")] }, await fresh()),
    403,
    "userActionRequired",
  );

  const agreed = await alice.post(
    newAccount,
    { termsOfServiceAgreed: true, contact: ["tel:ignored"] },
    { by: "jwk", ...(await fresh()) },
  );
  t.equal(`${agreed.status} ${agreed.headers.location}`, `200 ${alice.account}`);
  t.match(agreed.json(), { termsOfServiceAgreed: true, contact: [] });
  t.equal((await alice.post(newOrder, { identifiers: [dns("a.localhost")] }, await fresh())).status, 201);
  t.equal((await alice.post(newAuthz, { identifier: dns("a.localhost") }, await fresh())).status, 201);
  t.equal((await alice.post(alice.account, { status: "deactivated" }, await fresh())).status, 200);
  refused(
    t,
    await alice.post(newOrder, { identifiers: [dns("a.localhost")] }, await fresh()),
    401,
    "unauthorized",
    "an account that ended is told so",
  );
});

t.test("R7.3.3-1 without terms nobody is asked", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const client = await acme.account({ termsOfServiceAgreed: true });
  await client.newOrder(dns("a.localhost"));
  t.notMatch((await acme.request(ca.url)).text, "terms-of-service");
});
