/** Whatever certificates of a lineage are shown in whatever order: the newest is renewed, and anything else ends the lineage. */
import fc from "fast-check";
import t from "tap";
import { acmeDriver } from "../support/acmeDriver.ts";
import { query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import {
  collect,
  finalize,
  firstCertificate,
  proofFor,
  renewalOrder,
  renewing,
  serialOf,
  show,
} from "../support/possessionFlows.ts";

t.setTimeout(240_000);

for (const onClone of ["refuse", "alert"] as const) {
  t.test(`sequences of renewals, ${onClone}`, async (t) => {
    const ca = await certificateAuthority(t, { configuration: renewing({ onClone }) });
    const acme = await acmeDriver(t, ca);
    const alice = await acme.account();
    // Which of the certificates there are is shown, counted from the newest: mostly that one.
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(4)), {
      minLength: 1,
      maxLength: 7,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (shown) => {
        const certificates = [await firstCertificate(ca, alice)];
        let [clones, ended, newest] = [0, false, 0];
        for (const back of shown) {
          const at = Math.max(0, certificates.length - 1 - back);
          const held = certificates[at];
          if (held === undefined) throw new Error("no certificate");
          const flow = await renewalOrder(ca, alice, held.spiffeId);
          const { status } = (await show(flow, proofFor(flow, held))).json();
          const isClone = at !== newest;
          const taken = onClone === "alert" || (!ended && !isClone);
          if (isClone) clones += 1;
          if (isClone && onClone === "refuse") ended = true;
          if ((status === "valid") !== taken) throw new Error(`shown ${shown.join()}: ${String(status)} at ${at}`);
          if (!taken) continue;
          newest = certificates.push(await collect(flow, await finalize(flow))) - 1;
        }
        const [row] = await query(
          ca,
          "select encode(newest_serial, 'hex') as newest, clones::int, renewals::int from renewal_lineage where id = $1",
          [Buffer.from(serialOf(certificates[0] as (typeof certificates)[number]), "hex")],
        );
        const last = certificates[newest];
        const expected = { newest: last && serialOf(last), clones, renewals: certificates.length - 1 };
        // A lineage of which nothing was renewed has no row.
        if (row === undefined ? certificates.length > 1 : JSON.stringify(row) !== JSON.stringify(expected))
          throw new Error(`shown ${shown.join()}: ${JSON.stringify(row)} is not ${JSON.stringify(expected)}`);
      }),
      { numRuns: 12 },
    );
    t.pass("all sequences end as the model does");
  });
}
