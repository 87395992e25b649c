/** Kill -9 at every point of an issuance: after the restart no certificate is missing, none is there twice, and no order hangs. */
import { X509Certificate } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";

import { readCertificate } from "../../src/x509/certificate.ts";
import { acmeDriver, type AcmeClient } from "../support/acmeDriver.ts";
import { crashServer, signedLine, type CrashPoint } from "../support/crashServer.ts";
import { inventoryOf } from "../support/inventoryOf.ts";
import { askDatabase, finalize, readyOrder, returning, type ReadyOrder } from "../support/processFlows.ts";
import { serverPlace, startServer, type ServerProcess } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

/** One data directory for all: what one crash leaves behind must not trouble the next start either. */
const place = await serverPlace(t);

interface Crashed {
  readonly alice: AcmeClient;
  readonly flow: ReadyOrder;
  /** DER of the certificate that was signed before the end, if one was. */
  readonly signed: Buffer | undefined;
}

/** Drives one issuance into the crash. */
async function crash(t: Test, point: CrashPoint): Promise<Crashed> {
  const server = await startServer(t, place, { command: [crashServer], env: { MAYFLY_CRASH_AT: point } });
  const alice = await (await acmeDriver(t, server)).account();
  const flow = await readyOrder(place, alice);
  await t.rejects(finalize(alice, flow), "the client gets no answer");
  t.equal(await server.ended, null, "the server was killed");
  const [, hex] = signedLine.exec(server.printed.stdout) ?? [];
  return { alice, flow, signed: hex === undefined ? undefined : Buffer.from(hex, "hex") };
}

const orderId = ({ order }: ReadyOrder): string => order.url.slice(order.url.lastIndexOf("/") + 1);

/** What the database holds of an order, in a line. */
async function traces(flow: ReadyOrder): Promise<string> {
  const [row] = await askDatabase<{ line: string }>(
    place,
    `select concat_ws(' · ', (select status from acme_order where id = o.id),
       (select count(*) from issuance_intent where order_id = o.id and abandoned_at is null) || ' open',
       (select count(*) from issuance_intent where order_id = o.id and abandoned_at is not null) || ' abandoned',
       (select count(*) from certificate where order_id = o.id) || ' recorded') as line
     from (values ($1::uuid)) as o(id)`,
    [orderId(flow)],
  );
  return row?.line ?? "";
}

const leftBehind: readonly { point: CrashPoint; traces: string; restarted: string }[] = [
  { point: "before intend", traces: "ready · 0 open · 0 abandoned · 0 recorded", restarted: "ready" },
  { point: "after intend", traces: "processing · 1 open · 0 abandoned · 0 recorded", restarted: "valid" },
  { point: "after sign", traces: "processing · 1 open · 0 abandoned · 0 recorded", restarted: "valid" },
  { point: "after record", traces: "valid · 0 open · 0 abandoned · 1 recorded", restarted: "valid" },
];

for (const expected of leftBehind) {
  t.test(`H-19 killed ${expected.point}: the order can be finished, with one certificate`, async (t) => {
    const { alice, flow, signed } = await crash(t, expected.point);
    t.equal(await traces(flow), expected.traces, "left behind");

    const server = await startServer(t, place);
    const again = await returning(await acmeDriver(t, server), alice);
    t.equal((await again.readOrder(flow.order.url)).status, expected.restarted, "after the restart");
    if (expected.restarted === "ready") t.equal((await finalize(again, flow)).json()["status"], "valid");

    const { certificate = "" } = await again.readOrder(flow.order.url);
    const downloaded = await again.postAsGet(certificate);
    t.equal(downloaded.status, 200);
    const leaf = new X509Certificate(downloaded.text);
    t.ok(leaf.checkPrivateKey(flow.key.privateKey), "the certificate of this client's key");
    t.equal(leaf.subjectAltName, `URI:${flow.spiffeId}`);
    await requireInInventory(t, server, flow, leaf);
    t.equal(await traces(flow), "valid · 0 open · 0 abandoned · 1 recorded");
    if (signed !== undefined) {
      t.equal(tbsOf(leaf.raw), tbsOf(signed), "what was signed before the kill stands for the same content");
      if (expected.point === "after record") t.ok(leaf.raw.equals(signed), "and what was recorded is what is released");
    }
    await server.stop("SIGKILL");
  });
}

async function requireInInventory(
  t: Test,
  server: ServerProcess,
  flow: ReadyOrder,
  leaf: X509Certificate,
): Promise<void> {
  const entries = await inventoryOf(server, `spiffeId=${encodeURIComponent(flow.spiffeId)}`);
  t.match(entries, {
    length: 1,
    0: {
      serial: leaf.serialNumber.toLowerCase(),
      fingerprintSha256: leaf.fingerprint256.replaceAll(":", "").toLowerCase(),
      state: "valid",
    },
  });
}

t.test(
  "H-19 killed before the signature and down until the validity has passed: abandoned, and its serial stays used",
  async (t) => {
    const { alice, flow } = await crash(t, "after intend");
    const [intent] = await askDatabase<{ serial: Buffer }>(
      place,
      "select serial from issuance_intent where order_id = $1",
      [orderId(flow)],
    );
    const serial = intent?.serial.toString("hex") ?? "none";

    // The profile's certificates are valid for 15 minutes.
    const late = await startServer(t, place, { command: [crashServer], env: { MAYFLY_CLOCK_AHEAD_SECONDS: "1200" } });
    const reply = await (await returning(await acmeDriver(t, late), alice)).postAsGet(flow.order.url);
    t.match(reply.json(), {
      status: "invalid",
      error: { type: "urn:ietf:params:acme:error:serverInternal", detail: /interrupted.*validity has passed/ },
    });
    t.equal(await traces(flow), "invalid · 0 open · 1 abandoned · 0 recorded");
    t.equal((await late.get(`/api/v1/certificates/${serial}`)).status, 404);
    await late.stop();

    const server = await startServer(t, place);
    const again = await returning(await acmeDriver(t, server), alice);
    t.equal((await again.readOrder(flow.order.url)).status, "invalid", "no later start takes it up again");
    const next = await readyOrder(place, again);
    t.equal((await finalize(again, next)).json()["status"], "valid", "and the next order is as good as any");
    await server.stop("SIGKILL");
  },
);

interface Received {
  readonly spiffeId: string;
  readonly leaf: X509Certificate;
}

/** Agents that obtain one certificate after another until the server is gone; what they got, they got. */
async function busyAgents(t: Test, server: ServerProcess, count: number, received: Received[]): Promise<void> {
  const agent = async (): Promise<never> => {
    const alice = await (await acmeDriver(t, server)).account();
    for (;;) {
      const flow = await readyOrder(place, alice);
      const url = String((await finalize(alice, flow)).json()["certificate"]);
      received.push({ spiffeId: flow.spiffeId, leaf: new X509Certificate((await alice.postAsGet(url)).text) });
    }
  };
  await Promise.allSettled(Array.from({ length: count }, agent));
}

for (const enough of [5, 40]) {
  t.test(
    `H-19 killed under load, after ${enough} certificates: nothing that a client received is missing`,
    async (t) => {
      const server = await startServer(t, place);
      const received: Received[] = [];
      const agents = busyAgents(t, server, 6, received);
      while (received.length < enough) await sleep(5);
      await server.stop("SIGKILL");
      await agents;
      const restarted = await startServer(t, place);
      const entries = new Map((await inventoryOf(restarted, "")).map((entry) => [entry.serial, entry]));
      const missing = received.filter(({ spiffeId, leaf }) => {
        const entry = entries.get(leaf.serialNumber.toLowerCase());
        const fingerprint = leaf.fingerprint256.replaceAll(":", "").toLowerCase();
        return entry?.spiffeId !== spiffeId || entry.fingerprintSha256 !== fingerprint;
      });
      t.strictSame(missing, []);
      const [left] = await askDatabase<Record<string, number>>(
        place,
        `select (select count(*) from issuance_intent where abandoned_at is null)::int as intents,
              (select count(*) from acme_order where status = 'processing')::int as processing,
              (select count(*) from (select from certificate group by order_id having order_id is not null and count(*) > 1) c)::int as doubled,
              (select count(*) from acme_order o where status = 'valid' and not exists (
                 select from certificate where serial = o.certificate_serial and order_id = o.id))::int as empty`,
      );
      t.strictSame(left, { intents: 0, processing: 0, doubled: 0, empty: 0 });
      await restarted.stop("SIGKILL");
    },
  );
}

function tbsOf(der: Buffer): string {
  return readCertificate(der).tbs.toString("hex");
}
