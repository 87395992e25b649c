/** The settling job and a live issuance meet on one intent: one certificate, whoever is first, and only that one is ever released. */
import { X509Certificate } from "node:crypto";
import t from "tap";
import { issuingKey } from "../../src/authority/issuingKey.ts";

import { authorizeListener } from "../../src/authority/authorize.ts";
import { createIssuing, type Issuing } from "../../src/authority/issue.ts";
import type { Issuer } from "../../src/authority/issuer.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import type { Database } from "../../src/store/database.ts";
import { acmeDriver } from "../support/acmeDriver.ts";
import { attested } from "../support/acmeFlows.ts";
import { p256 } from "../support/authorized.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { makeIssuer, migratedDatabase, openPool, query } from "../support/database.ts";
import { memoryHierarchy, serverProfile } from "../support/issuers.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

/** Later than any intent: the job takes even the one that is made now for an old one. */
const soon = (): Date => new Date(Date.now() + 60_000);

function issuingOf(db: Database, issuer: Issuer): Issuing {
  return createIssuing({
    ledger: createIssuanceLedger(db),
    issuers: { active: () => issuer, byId: () => issuer, reread: async () => undefined },
    now: () => new Date(),
    onUnfinished(_serial, error) {
      throw error;
    },
    onRefused({ findings }) {
      throw new Error(findings.join());
    },
  });
}

/** A round that began later may have taken an intent from the one before: also those are waited for that come meanwhile. */
async function allOf(rounds: readonly Promise<unknown>[]): Promise<void> {
  for (let waited = 0; waited < rounds.length;) {
    waited = rounds.length;
    await Promise.all(rounds);
  }
}

t.test("forty issuances with the settling job at their heels", async (t) => {
  const db = await migratedDatabase(t);
  const { issuing: issuer, signer } = await memoryHierarchy(new Date());
  await makeIssuer(db, issuer.id);
  const job = issuingOf(db, issuer);
  const rounds: Promise<unknown>[] = [];
  let signatures = 0;
  const watched: Issuer = {
    ...issuer,
    key: issuingKey({
      ...signer,
      async sign(message) {
        // Every second signature takes so long that the job, in whichever round, is surely first; the others are a race.
        rounds.push(job.settle(soon()));
        if (signatures++ % 2 === 0) await allOf(rounds);
        return signer.sign(message);
      },
    }),
  };
  const live = issuingOf(db, watched);
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      live.issue(
        authorizeListener({ dns: [`n${index}.test`], ip: [], uri: [], permanentIdentifiers: [] }, serverProfile()),
        p256(),
      ),
    ),
  );
  await Promise.all(rounds);

  const lost = outcomes.filter(({ outcome }) => outcome === "unfinished");
  t.ok(lost.length >= 20, `${lost.length} issuances found their intent settled`);
  const recorded = await query<{ serial: string; der: Buffer; dns_names: string[] }>(
    db,
    "select encode(serial, 'hex') as serial, der, dns_names from certificate",
  );
  t.equal(recorded.length, 40, "each once");
  t.equal(new Set(recorded.flatMap(({ dns_names }) => dns_names)).size, 40);
  const bySerial = new Map(recorded.map((row) => [row.serial, row]));
  for (const outcome of outcomes) {
    if (outcome.outcome !== "issued") continue;
    t.ok(bySerial.get(outcome.serial.toString("hex"))?.der.equals(outcome.certificate), "released is what is recorded");
  }
  const [counts] = await query<Record<string, number>>(
    db,
    `select (select count(*) from issuance_intent) as intents, (select sum(certificate_count)::int from identity) as counted,
            (select count(*) from audit_entry where event = 'certificate.issued') as audited, (select count(*) from outbox) as told`,
  );
  t.strictSame(counts, { intents: 0, counted: 40, audited: 40, told: 40 });
});

t.test(
  "finalize loses the race: the order is processing for an instant, and the client gets the job's certificate",
  async (t) => {
    let overtake: (() => Promise<unknown>) | undefined;
    let ours: Buffer | undefined;
    const ca = await certificateAuthority(t, {
      ledger: (real) => ({
        ...real,
        async record(serial, certificate) {
          if (overtake !== undefined) ours = certificate;
          await overtake?.();
          return real.record(serial, certificate);
        },
      }),
    });
    const job = issuingOf(openPool(t, ca.databaseUrl), ca.authority.issuers.active("default"));
    const alice = await (await acmeDriver(t, ca)).account();
    const flow = await attested(ca, alice);
    overtake = async () => t.match(await job.settle(soon()), { recorded: 1, abandoned: 0, open: 0 });
    const reply = await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
    t.equal(reply.json()["status"], "processing");
    t.match(reply.headers["retry-after"], /^\d+$/);

    const order = await alice.readOrder(flow.order.url);
    t.equal(order.status, "valid");
    const leaf = new X509Certificate((await alice.postAsGet(order.certificate ?? "")).text);
    t.ok(leaf.checkPrivateKey(flow.key.privateKey));
    t.notOk(leaf.raw.equals(ours ?? leaf.raw), "the signature that came too late is not released");
    const { body } = await ca.inventory(`/certificates?spiffeId=${encodeURIComponent(flow.spiffeId)}`);
    t.match(body["certificates"], {
      length: 1,
      0: { fingerprintSha256: leaf.fingerprint256.replaceAll(":", "").toLowerCase() },
    });
  },
);
