/** RFC 8555 §6.1: clients in a browser. What a browser checks is in headers, so headers are what is asserted. */
import type { IncomingHttpHeaders } from "node:http";
import t, { type Test } from "tap";
import { acmeDriver, dns, type Reply } from "../../support/acmeDriver.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";

const origin = "https://app.example";

function readable(t: Test, { headers }: { readonly headers: IncomingHttpHeaders }, message: string): void {
  t.equal(headers["access-control-allow-origin"], "*", `${message}: any origin may read it`);
  const exposed = String(headers["access-control-expose-headers"]).toLowerCase().split(", ");
  for (const name of ["link", "location", "replay-nonce", "retry-after"])
    t.ok(exposed.includes(name), `${message}: exposes ${name}`);
  t.notOk("access-control-allow-credentials" in headers, `${message}: no cookies`);
}

t.test("R6.1-2 scripts of any origin may use the ACME resources, and nothing else", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;
  const alice = await acme.account();
  const order = await alice.newOrder(dns("web.localhost"));
  const authorization = await alice.readAuthorization(order.authorizations[0]);
  const from = { headers: { origin } };

  t.test("replies and refusals carry the headers", async (t) => {
    readable(t, await acme.request(ca.directoryUrl, from), "directory");
    readable(t, await acme.request(directory.newNonce, { ...from, method: "HEAD" }), "newNonce");
    readable(t, await alice.post(directory.newOrder, { identifiers: [dns("b.localhost")] }, from), "newOrder");
    readable(t, await alice.postAsGet(order.url, from), "order");
    readable(t, await acme.request(`${directory.renewalInfo}/AAAA.AAAA`, from), "renewalInfo");
    const refusals: [string, Reply][] = [
      ["malformed", await alice.post(directory.newOrder, {}, from)],
      ["405", await acme.request(order.url, from)],
      ["404", await acme.request(`${ca.url}/acme/nothing`, from)],
      ["413", await acme.request(directory.newOrder, { ...from, method: "POST", body: Buffer.alloc(60_000) })],
      ["415", await alice.post(directory.newOrder, {}, { headers: { origin, "content-type": "application/json" } })],
      ["badNonce", await alice.post(directory.newOrder, {}, { ...from, header: { nonce: "AAAA" } })],
    ];
    for (const [what, reply] of refusals) {
      t.ok(reply.status >= 400, what);
      readable(t, reply, what);
    }
  });

  t.test("a preflight is answered for every resource", async (t) => {
    const posted = [
      directory.newAccount,
      directory.newOrder,
      directory.revokeCert,
      directory.keyChange,
      alice.account,
      `${alice.account}/orders`,
      order.url,
      order.finalize,
      authorization.url,
      authorization.challenges[0]?.url ?? "",
      `${ca.url}/acme/certificate/00`,
    ];
    const both = [ca.directoryUrl, directory.newNonce];
    const read = [`${directory.renewalInfo}/AAAA.AAAA`]; // RFC 9773 §4.1: asked by GET, without a signature.
    for (const url of [...posted, ...both, ...read]) {
      const reply = await acme.request(url, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
      });
      t.equal(reply.status, 204, url);
      t.equal(reply.text, "");
      readable(t, reply, url);
      const allowed = String(reply.headers["access-control-allow-methods"]).split(", ").sort();
      const methods = [...(posted.includes(url) ? [] : ["GET", "HEAD"]), ...(read.includes(url) ? [] : ["POST"])];
      t.same(allowed, methods);
      t.match(reply.headers["access-control-allow-headers"], /Content-Type/);
      t.ok(Number(reply.headers["access-control-max-age"]) >= 600);
      t.notOk("replay-nonce" in reply.headers, "a preflight gets no nonce");
    }
    const unknown = await acme.request(`${ca.url}/acme/nothing`, { method: "OPTIONS", headers: { origin } });
    t.equal(unknown.status, 404);
  });

  t.test("REST and everything else stay closed to other origins", async (t) => {
    const token = { authorization: `Bearer ${ca.operatorToken}` };
    for (const path of ["/api/v1/certificates", "/api/v1/identities", "/metrics", "/healthz"]) {
      const reply = await acme.request(`${ca.url}${path}`, { headers: { origin, ...token } });
      t.equal(reply.status, 200, path);
      t.notOk("access-control-allow-origin" in reply.headers, path);
      const preflight = await acme.request(`${ca.url}${path}`, { method: "OPTIONS", headers: { origin } });
      t.equal(preflight.status, 405, `OPTIONS ${path}`);
      t.notOk("access-control-allow-origin" in preflight.headers, `OPTIONS ${path}`);
    }
  });
});
