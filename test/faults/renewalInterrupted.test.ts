/** A renewal by possession that is cut off between intent and record: its lineage follows what becomes of it, and nobody is taken for a clone. */
import t from "tap";
import type { IssuanceLedger } from "../../src/authority/ports.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { acmeDriver } from "../support/acmeDriver.ts";
import { query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { openPool } from "../support/database.ts";
import {
  collect,
  finalize,
  firstCertificate,
  proofFor,
  readyRenewal,
  renew,
  renewalOrder,
  renewing,
  serialOf,
  show,
} from "../support/possessionFlows.ts";
import { evidenceRefused } from "../support/refused.ts";

t.setTimeout(120_000);

t.test("cut off between intent and record", async (t) => {
  const cut = { record: false };
  /** As if the process ended here: what is committed by then stays, and nothing comes behind it. */
  const ledger = (real: IssuanceLedger): IssuanceLedger => ({
    ...real,
    record: (serial, certificate) =>
      cut.record ? Promise.reject(new Error("cut off")) : real.record(serial, certificate),
    // The running server leaves it alone; the test settles.
    openIntents: async (before, limit) => (cut.record ? [] : await real.openIntents(before, limit)),
  });
  const ca = await certificateAuthority(t, { configuration: renewing(), ledger });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const direct = createIssuanceLedger(openPool(t, ca.databaseUrl, 4));
  const newestOf = async (serial: string) =>
    (
      await query(
        ca,
        "select encode(newest_serial, 'hex') as newest, renewals::int, clones::int from renewal_lineage where id = $1",
        [Buffer.from(serial, "hex")],
      )
    )[0];

  /** A renewal of a new lineage with its intent open. */
  async function interrupted() {
    const first = await firstCertificate(ca, alice);
    const flow = await readyRenewal(ca, alice, first);
    cut.record = true;
    const reply = await finalize(flow);
    t.equal(reply.json()["status"], "processing");
    const [intent] = await query(
      ca,
      "select encode(serial, 'hex') as serial from issuance_intent where renewed_from = $1",
      [Buffer.from(serialOf(first), "hex")],
    );
    const serial = String(intent?.["serial"]);
    t.match(await newestOf(serialOf(first)), { newest: serial }, "the lineage moved with the intent");
    return { first, flow, serial };
  }

  t.test("settled: the certificate is the newest of its lineage, and is renewed in its turn", async (t) => {
    const { first, flow, serial } = await interrupted();
    cut.record = false;
    for (let round = 0; (await alice.readOrder(flow.order.url)).status !== "valid"; round++) {
      if (round > 200) throw new Error("the order is not settled");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const second = await collect(flow, await alice.postAsGet(flow.order.url));
    t.equal(serialOf(second), serial);
    await renew(ca, alice, second);
    t.match(await newestOf(serialOf(first)), { renewals: 2, clones: 0 });
  });

  t.test("abandoned: the lineage goes back, and the certificate is renewed once more", async (t) => {
    const { first, flow, serial } = await interrupted();
    await direct.abandon(Buffer.from(serial, "hex"), "test");
    cut.record = false;
    t.match(await newestOf(serialOf(first)), { newest: serialOf(first), renewals: 0, clones: 0 });
    t.match(await alice.readOrder(flow.order.url), { status: "invalid" });
    const second = await renew(ca, alice, first);
    t.match(await newestOf(serialOf(first)), { newest: serialOf(second), renewals: 1, clones: 0 });
  });

  t.test("while it is open, a second renewal is a clone: which of the two is the client's, nobody knows", async (t) => {
    const { first, serial } = await interrupted();
    const again = await renewalOrder(ca, await acme.account(), first.spiffeId);
    evidenceRefused(t, await show(again, proofFor(again, first)), "instanceCloned");
    const [told] = await query(
      ca,
      "select detail from audit_entry where event = 'instance.cloned' and detail->>'lineage' = $1",
      [serialOf(first)],
    );
    t.match(
      told,
      { detail: { newest: serial, newestOf: /-/ } },
      "of a certificate that is on its way, too, it is known whose it is",
    );
    await direct.abandon(Buffer.from(serial, "hex"), "test");
    cut.record = false;
    t.match(await newestOf(serialOf(first)), { newest: serialOf(first), clones: 1 });
    const later = await renewalOrder(ca, alice, first.spiffeId);
    evidenceRefused(t, await show(later, proofFor(later, first)), "instanceCloned", "the mark stays");
  });
});
