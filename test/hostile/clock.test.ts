/** H-27: the server's clock jumps. No certificate is longer than policy, none ends before it begins, and nothing that had ended comes back. */
import { X509Certificate } from "node:crypto";
import t from "tap";
import { acmeDriver, dns, type AcmeClient, type Order, type Reply } from "../support/acmeDriver.ts";
import { certificateKey, http01Target, settled, show, validate } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";

t.setTimeout(120_000);
const hourMs = 3_600_000;
const lifetimeSeconds = 86_400;

t.test("a clock that jumps", async (t) => {
  let aheadMs = 0;
  /** Stands still at this moment where a test sets it. */
  let fixed: Date | undefined;
  const now = (): Date => fixed ?? new Date(Date.now() + aheadMs);
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, { now, configuration: { validation: { http01Port: target.port } } });
  const driver = await acmeDriver(t, ca);
  const alice = await driver.account();
  t.beforeEach(() => {
    aheadMs = 0;
    fixed = undefined;
  });

  const ready = async (by: AcmeClient = alice): Promise<Order> => {
    const order = await by.newOrder(dns("a.localhost"));
    await validate(target, by, order);
    return order;
  };
  const finalize = (order: Order): Promise<Reply> =>
    alice.post(order.finalize, { csr: certificateKey().csr({ dns: ["a.localhost"] }) });
  const leaf = async (reply: Reply): Promise<X509Certificate> =>
    new X509Certificate((await alice.postAsGet(String(reply.json()["certificate"]))).text);
  /** Within what the profile allows, seen from the clock that signed. */
  const inPolicy = (certificate: X509Certificate, at: Date): boolean => {
    const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
    return from < to && to - from <= lifetimeSeconds * 1000 + 60_000 && from <= at.getTime() && to > at.getTime();
  };

  t.test("H-27 by an hour, forth and back, between each two steps: what is issued is within policy", async (t) => {
    for (const [first, second, third] of [
      [0, hourMs, hourMs],
      [0, -hourMs, -hourMs],
      [hourMs, 0, -hourMs],
      [-hourMs, hourMs, 0],
    ] as const) {
      aheadMs = first;
      const order = await alice.newOrder(dns("a.localhost"));
      const authorization = await alice.readAuthorization(order.authorizations[0]);
      aheadMs = second;
      await alice.post(show(target, alice, authorization).url, {});
      t.equal((await settled(alice, authorization.url)).status, "valid", "nobody's order fails by it");
      aheadMs = third;
      const reply = await finalize(order);
      t.equal(reply.json()["status"], "valid", `${first} ${second} ${third}: ${reply.text}`);
      t.ok(inPolicy(await leaf(reply), now()), "its validity is that of the clock that signed");
    }
  });

  t.test("H-27 past the order's end it is over; back again, it is what it was, and still within policy", async (t) => {
    const order = await ready();
    aheadMs = 25 * hourMs;
    refused(t, await finalize(order), 403, "orderNotReady", "a day later");
    t.equal((await alice.readOrder(order.url)).status, "invalid");
    aheadMs = 0;
    const reply = await finalize(order);
    if (reply.status === 200) t.ok(inPolicy(await leaf(reply), now()));
    else refused(t, reply, 403, "orderNotReady", "or the end was recorded meanwhile");
  });

  t.test("H-27 notBefore and notAfter against a clock that moved", async (t) => {
    const at = (offsetMs: number): string => new Date(Date.now() + offsetMs).toISOString().replace(/\.\d+Z/, "Z");
    const identifiers = [dns("a.localhost")];
    const order = async (members: object): Promise<Reply> =>
      alice.post(driver.directory.newOrder, { identifiers, ...members });
    const reply = await order({ notBefore: at(10 * 60_000), notAfter: at(30 * 60_000) });
    if (reply.status === 201) {
      const made = { ...reply.json(), url: String(reply.headers.location) } as unknown as Order;
      await validate(target, alice, made);
      aheadMs = hourMs; // The whole validity lies in the past now.
      const late = await finalize(made);
      t.not(late.status, 200, "no certificate that has ended already");
      t.ok(late.status >= 400 && late.status < 500, late.text);
    } else refused(t, reply, 400, "malformed");
    aheadMs = 0;
    refused(t, await order({ notAfter: at(-1000) }), 400, "malformed", "an end in the past");
    refused(t, await order({ notBefore: at(hourMs), notAfter: at(hourMs) }), 400, "malformed", "no time at all");
    refused(t, await order({ notBefore: at(2 * hourMs), notAfter: at(hourMs) }), 400, "malformed", "the end first");
    refused(t, await order({ notAfter: at(30 * 24 * hourMs) }), 400, "malformed", "longer than policy");
  });

  t.test("H-27 R7.4-2 fractions and the last second of a day are rounded within policy", async (t) => {
    for (const text of ["T23:59:59.999Z", "T23:59:59.001Z", "T00:00:00.000Z"]) {
      const day = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
      fixed = new Date(`${day}${text}`);
      const order = await ready();
      const reply = await finalize(order);
      t.equal(reply.json()["status"], "valid", reply.text);
      const certificate = await leaf(reply);
      t.ok(inPolicy(certificate, fixed), `${text}: ${certificate.validFrom} to ${certificate.validTo}`);
    }
    const leap = { identifiers: [dns("a.localhost")], notAfter: "2026-12-31T23:59:60Z" };
    fixed = new Date("2026-12-31T12:00:00Z");
    refused(t, await alice.post(driver.directory.newOrder, leap), 400, "malformed", "a leap second");
    const midnight = { ...leap, notAfter: "2026-12-31T24:00:00Z" }; // JavaScript would take it for the next day.
    refused(t, await alice.post(driver.directory.newOrder, midnight), 400, "malformed", "a twenty-fourth hour");
  });
});
