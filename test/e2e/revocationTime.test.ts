/**
 * How long a revocation takes, measured from the call of the operator, with clients that go on renewing at two servers: until renewals are refused, until
 * list and responder tell of it on both, until both have said so, and until nobody can accept what was revoked.
 */
import { X509Certificate } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";

import { certIdOf } from "../../src/authority/revocation/prepareResponse.ts";
import { defaultProfiles } from "../../src/config/schema.ts";
import { readDistributedList } from "../../src/x509/certificateList.ts";
import { encodeOcspRequest } from "../../src/x509/ocspRequest.ts";
import { readOcspResponse } from "../../src/x509/ocspResponse.ts";
import { acmeDriver } from "../support/acmeDriver.ts";
import { attested, issued } from "../support/acmeFlows.ts";
import { replicas, type Replica } from "../support/replicas.ts";

t.setTimeout(240_000);

const workload = {
  ...defaultProfiles["workload"],
  lifetimeDefaultSeconds: 3600,
  backdateSeconds: 5,
  revocation: { shortLivedMaxSeconds: 120, crl: true, ocsp: true },
};
const profiles = { workload, server: defaultProfiles["server"] };
const both = await replicas(t, { configuration: { profiles } });
const [one, two] = both;
const { ca } = one;
const acme = await acmeDriver(t, ca);
const alice = await acme.account();
const aliceAtTwo = await two.as(alice);
const [issuing] = ca.authority.issuers.all();
if (issuing === undefined) throw new Error("there is an issuing CA");

const serialOf = (chain: string): Buffer => Buffer.from(new X509Certificate(chain).serialNumber, "hex");

async function revoke(identity: string): Promise<Record<string, unknown>> {
  const reply = await ca.authority.server.inject({
    method: "POST",
    url: "/api/v1/revocations",
    headers: { authorization: `Bearer ${ca.operatorToken}` },
    payload: { by: { identity }, reason: "keyCompromise", note: "measured", dryRun: false },
  });
  if (reply.statusCode !== 201) throw new Error(reply.body);
  return reply.json();
}

async function isListed({ acme: driver }: Replica, serial: Buffer): Promise<boolean> {
  const { status, body } = await driver.request(issuing?.crlUrl(serial) ?? "");
  return status === 200 && readDistributedList(body).revokes(serial); // The first lists come a second after the start.
}

async function isToldRevoked({ acme: driver }: Replica, serial: Buffer): Promise<boolean> {
  if (issuing === undefined) return false;
  const body = encodeOcspRequest({ certIds: [certIdOf(issuing, "sha1", serial)], nonce: undefined });
  const headers = { "content-type": "application/ocsp-request" };
  const response = readOcspResponse((await driver.request(issuing.ocspUrl, { method: "POST", headers, body })).body);
  return response.error === undefined && response.basic.responses[0]?.status === "revoked";
}

/** Milliseconds since `began` at which all of these hold. */
async function reached(began: number, ...conditions: (() => Promise<boolean>)[]): Promise<number> {
  await Promise.all(
    conditions.map(async (holds) => {
      while (!(await holds())) {
        if (performance.now() - began > 60_000) throw new Error("it never came true");
        await pause(20);
      }
    }),
  );
  return performance.now() - began;
}

/** Clients that renew at both servers, until they are refused. */
function renewing(subject: string) {
  const seen = { lastIssued: 0, firstRefused: Infinity, issued: 0 };
  const done = Promise.all(
    [alice, aliceAtTwo].flatMap((client) =>
      [0, 1].map(async () => {
        for (;;) {
          const flow = await attested(ca, client, subject).catch(() => undefined);
          const csr = flow?.key.csr({ uri: [flow.spiffeId] });
          const reply = flow && (await client.post(flow.order.finalize, { csr }));
          if (reply?.status !== 200) {
            seen.firstRefused = Math.min(seen.firstRefused, performance.now());
            return;
          }
          seen.issued++;
          seen.lastIssued = performance.now();
        }
      }),
    ),
  );
  return { seen, done };
}

const figures: Record<string, number[]> = {};
const note = (name: string, milliseconds: number): void => void (figures[name] ??= []).push(milliseconds);

async function measure(t: Test): Promise<void> {
  const soon = new Date(Date.now() + 90_000).toISOString();
  const long = await issued(ca, alice);
  const short = await issued(ca, alice, long.subject, { notAfter: soon });
  const [longSerial, shortSerial] = [serialOf(long.chain), serialOf(short.chain)];
  for (const server of both) t.notOk((await isListed(server, longSerial)) || (await isToldRevoked(server, longSerial)));
  const { seen, done } = renewing(long.subject);
  while (seen.issued < 4) await pause(10);

  const began = performance.now();
  const calledAt = Date.now();
  const action = await revoke(long.spiffeId);
  note("the call is answered", performance.now() - began);
  const until = (holds: () => Promise<boolean>) => reached(began, holds);
  const read = async () => (await ca.inventory(`/revocations/${String(action["id"])}`)).body;
  await Promise.all([
    done,
    reached(began, ...both.map((server) => () => isListed(server, longSerial))).then((ms) =>
      note("both serve the list", ms),
    ),
    reached(began, ...both.map((server) => () => isToldRevoked(server, longSerial))).then((ms) =>
      note("both respond revoked", ms),
    ),
    until(async () => {
      const { processes } = await read();
      return (
        (processes as { shownAt: string | null }[]).filter(({ shownAt }) => shownAt !== null).length === both.length
      );
    }).then((ms) => note("both have said so", ms)),
  ]);
  note("the last certificate is answered", Math.max(0, seen.lastIssued - began));
  note("the first renewal is refused", seen.firstRefused - began);

  const told = await read();
  t.match(told, { state: "done", stops: /quarantine/, publishedAt: /Z$/ });
  t.ok(await isListed(one, shortSerial), "what says nothing of it is on the list all the same");
  const { body } = await ca.inventory(`/certificates?spiffeId=${encodeURIComponent(long.spiffeId)}`);
  const found = body["certificates"] as { state: string; notAfter: string; serial: string }[];
  t.same([...new Set(found.map(({ state }) => state))], ["revoked"]);
  const ends = new Date(new X509Certificate(short.chain).validTo).getTime();
  const last = new Date(String(told["lastAcceptance"])).getTime();
  t.ok(last >= ends, "whoever has the short one accepts it to its end");
  t.equal(told["lastNotAfter"], told["lastAcceptance"], "the lists' lifetime is longer than the hour of the others");
  note("the certificate of 90 s ends", ends - calledAt);
}

t.test("from the call to the last acceptance", async (t) => {
  for (let round = 0; round < 5; round++) await measure(t);
  for (const [name, all] of Object.entries(figures)) {
    const sorted = all.toSorted((a, b) => a - b).map((ms) => Math.round(ms));
    t.comment(`${name}: ${sorted.join(", ")} ms`);
  }
  const most = (name: string): number => Math.max(...(figures[name] ?? [Infinity]));
  // Ten times what a quiet machine takes.
  t.ok(most("the first renewal is refused") < 5_000);
  t.ok(most("the last certificate is answered") < 5_000, "nothing but what was under way");
  t.ok(most("both serve the list") < 20_000);
  t.ok(most("both respond revoked") < 20_000);
  t.ok(most("both have said so") < 30_000);
});
