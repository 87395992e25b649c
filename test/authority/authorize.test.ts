import t from "tap";
import { authorizeListener, authorizeOrder, type CurrentGrant, type Proof } from "../../src/authority/authorize.ts";
import { parseGrantedIdentity } from "../../src/authority/grantedIdentity.ts";
import { serverProfile, workloadProfile } from "../support/issuers.ts";

const workload = workloadProfile();
const server = serverProfile();
const order = { id: "order", accountId: "account", validity: {} };
const identity = parseGrantedIdentity("uri", "spiffe://mayfly.test/{sub}");
const dev: CurrentGrant = { name: "dev", version: "v1", origin: "configuration", profile: "workload", identity };
const grants = new Map([["dev", dev]]);

const byChallenge = (type: "dns" | "ip" | "uri", value: string): Proof => ({
  identifier: { type, value },
  proved: { by: "challenge", challenge: "http-01", at: "2026-01-01T00:00:00Z" },
});
const byEvidence = (value: string, changes: object = {}): Proof => ({
  identifier: { type: "uri", value },
  proved: { by: "attestation", record: { grant: "dev", grantVersion: "v1", ...changes } },
});
const one = byEvidence("spiffe://mayfly.test/one");

t.test("names and proofs of an order become one authorized value", async (t) => {
  const proofs = [byChallenge("dns", "a.test"), byChallenge("ip", "192.0.2.1"), byChallenge("dns", "b.test")];
  const authorized = authorizeOrder(order, proofs, server, grants);
  t.match(authorized, { door: "acme", orderId: "order", accountId: "account" });
  t.same(authorized.names, {
    dns: ["a.test", "b.test"],
    ip: ["192.0.2.1"],
    uri: [],
    permanentIdentifiers: [],
  });
  t.equal(authorized.profile, server);
  t.equal(authorized.evidence, proofs, "and the inventory will tell what proved it");
});

t.test("every identifier is proved, in a way that suits it, under a profile that admits it", async (t) => {
  const refused = (proofs: Proof[], profile: typeof server, message: RegExp) =>
    t.throws(() => authorizeOrder(order, proofs, profile, grants), { name: "NotAuthorized", message });
  refused([], server, /no authorized identifier/);
  refused([byChallenge("uri", "spiffe://mayfly.test/one")], workload, /by evidence only/);
  refused([byChallenge("dns", "a.test")], workload, /does not allow dns/);
  const misnamed = workloadProfile({ identifiers: ["dns"] });
  refused([one], misnamed, /does not allow uri/);
  refused([one, byEvidence("spiffe://mayfly.test/two")], workload, /exactly one uri/);
  const mixed = workloadProfile({ identifiers: ["uri", "dns"] });
  refused([byChallenge("dns", "a.test")], mixed, /exactly one uri/);
  t.same(authorizeOrder(order, [one, byChallenge("dns", "a.test")], mixed, grants).names.dns, ["a.test"]);
});

t.test("a grant must still read as it did when the evidence was judged", async (t) => {
  const refused = (current: Map<string, CurrentGrant>, message: RegExp) =>
    t.throws(() => authorizeOrder(order, [one], workload, current), { name: "NotAuthorized", message });
  refused(new Map(), /policy has changed/);
  refused(new Map([["dev", { ...dev, version: "v2" }]]), /policy has changed/);
  refused(new Map([["dev", { ...dev, profile: "other" }]]), /does not allow this profile/);
});

t.test("evidence and grant limit the validity, beside what the client asked for", async (t) => {
  const notAfter = new Date("2026-01-01T01:00:00Z");
  const validity = (proofs: Proof[], current: CurrentGrant) =>
    authorizeOrder({ ...order, validity: { notAfter } }, proofs, workload, new Map([["dev", current]])).validity;
  t.same(validity([one], dev), { notAfter, notAfterCap: undefined, lifetimeMaxSeconds: undefined });
  const capped = byEvidence("spiffe://mayfly.test/one", { notAfterCap: "2026-01-01T00:30:00.000Z" });
  t.same(validity([capped], { ...dev, maxLifetimeSeconds: 300 }), {
    notAfter,
    notAfterCap: new Date("2026-01-01T00:30:00Z"),
    lifetimeMaxSeconds: 300,
  });
});

t.test("the listener's own names are authorized by being configured, within its profile", async (t) => {
  const names = { dns: ["localhost"], ip: ["127.0.0.1"], uri: [], permanentIdentifiers: [] };
  t.match(authorizeListener(names, server), { door: "listener", orderId: null, accountId: null, names });
  t.throws(() => authorizeListener({ ...names, uri: ["spiffe://mayfly.test/x"] }, server), { name: "NotAuthorized" });
});
