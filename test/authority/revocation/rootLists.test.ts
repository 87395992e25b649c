/** The list of a root, from a real database: what is on it and what it is about, as OpenSSL and @peculiar/x509 see it. */
// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import * as witness from "@peculiar/x509";
import t from "tap";

import { signCa } from "../../../src/authority/makeCa.ts";
import { readCertificate } from "../../../src/x509/certificate.ts";
import { encodeName } from "../../../src/x509/name.ts";
import { oids } from "../../../src/x509/oid.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { readCRLDistributionPoints } from "../../../src/x509/revocationExtensions.ts";
import { listGround, listTimes, type ListGround } from "../../support/certificateLists.ts";
import { migratedDatabase, query } from "../../support/database.ts";
import { openssl, withFiles } from "../../x509/openssl.ts";

const db = await migratedDatabase(t);

const seconds = (date: Date, count: number): Date => new Date(date.getTime() + count * 1000);

async function rootGround() {
  const ground = await listGround(db, { crlShards: 1 });
  const { issuers, make, list, clock } = ground;
  const root = issuers.listIssuers().find(({ certifies }) => certifies === "CACerts");
  if (root === undefined) throw new Error("the root has no lists");
  return {
    ...ground,
    root,
    makeAll: () => make({ issuers }),
    rootList: () => list(0, root.id),
    /** A second later: each has one list of a shard. */
    tick: (count = 1) => (clock.now = seconds(clock.now, count)),
    revoke: async (
      serial: Buffer,
      { reason = null as number | null, notAfter = seconds(clock.now, 3600) } = {},
    ): Promise<void> => {
      await query(
        db,
        `insert into revocation (serial, issuer_id, not_after, revoked_at, reason, revoked_by, shard)
         values ($1, $2, $3, date_trunc('second', now()), $4, 'operator', 0)`,
        [serial, root.id, notAfter, reason],
      );
    },
  };
}

/** What OpenSSL finds of a CA's certificate and of the root's own, by this list. */
function verified(
  { issuers, clock }: Pick<ListGround, "issuers" | "clock">,
  certificate: Buffer,
  list: Buffer,
): string {
  const [root] = issuers.roots();
  const files = [
    pemEncode("CERTIFICATE", root?.certificate ?? Buffer.alloc(0)),
    pemEncode("X509 CRL", list),
    pemEncode("CERTIFICATE", certificate),
  ];
  return withFiles(files, (anchors = "", crl = "", file = "") => {
    const at = String(Math.ceil(clock.now.getTime() / 1000));
    const flags = ["-x509_strict", "-crl_check_all", "-attime", at];
    try {
      return openssl(["verify", ...flags, "-CAfile", anchors, "-CRLfile", crl, file]).toString();
    } catch (error) {
      return String((error as { stderr?: Buffer }).stderr);
    }
  });
}

t.test("one complete list of CA certificates, at the URL that they name", async (t) => {
  const ground = await rootGround();
  const { root, issuer, issuers, makeAll, rootList, failures, clock } = ground;
  t.equal(await makeAll(), 2);
  t.equal(await makeAll(), 0, "and is done then");
  t.same(failures, []);
  const { row, der, read } = await rootList();
  t.same([row.entries, row.shard, read.entries], [0, 0, 0]);
  t.same(read.distributionPoint, { url: undefined, onlyContains: "CACerts" });
  t.equal(read.nextUpdate.getTime() - read.thisUpdate.getTime(), listTimes.lifetimeSeconds * 1000);
  const pointer = readCertificate(issuer.certificate).extensions.find(({ oid }) => oid === oids.cRLDistributionPoints);
  t.same(pointer && readCRLDistributionPoints(pointer.value), [root.listUrl(0)]);
  t.match(verified(ground, issuer.certificate, der), /: OK/);
  const [anchor] = issuers.roots();
  t.match(verified(ground, anchor?.certificate ?? Buffer.alloc(0), der), /: OK/, "the root's own certificate");
  const shown = openssl(["crl", "-inform", "DER", "-noout", "-text"], der).toString();
  t.match(shown, /Issuing Distribution Point: critical\s+Only CA Certificates/);
  t.equal(
    await new witness.X509Crl(der).verify({ publicKey: new witness.X509Certificate(anchor?.certificate ?? "") }),
    true,
  );
  clock.now = seconds(clock.now, listTimes.intervalSeconds);
  t.equal(await makeAll(), 2, "made anew though nothing changed");
  t.ok((await rootList()).row.number > row.number);
});

t.test(
  "what is revoked is on it at once, and OpenSSL refuses it; other CAs are good, also those without a pointer",
  async (t) => {
    const ground = await rootGround();
    const { root, issuer, issuers, keys, makeAll, rootList, revoke, tick } = ground;
    const key = keys.signers.get("issuing-root");
    const [anchor] = issuers.roots();
    if (key === undefined || anchor === undefined) throw new Error("the root is not there");
    const { notBefore, notAfter } = readCertificate(issuer.certificate);
    const { spki } = await keys.generate("older", "ec-p256");
    const { subject, algorithm } = { subject: root.subject, algorithm: key.algorithm };
    const older = await signCa(key, {
      issuer: { subject, spki: key.spki, algorithm, certificate: anchor.certificate },
      subject: encodeName({ commonName: "Older CA" }),
      spki,
      notBefore,
      notAfter,
      pathLength: 0,
      trustDomain: "mayfly.test",
    });
    await makeAll();
    t.match(verified(ground, older, (await rootList()).der), /: OK/, "it names no list, and this one is about it");
    tick();
    const { serialNumber } = readCertificate(issuer.certificate);
    await revoke(serialNumber, { reason: 1, notAfter });
    t.equal(await makeAll(), 1, "the issuing CA's own list stands");
    const { der, read } = await rootList();
    t.equal(read.entries, 1);
    t.ok(read.revokes(serialNumber));
    t.match(verified(ground, issuer.certificate, der), /error 23 at 0 depth lookup: certificate revoked/);
    t.match(verified(ground, older, der), /: OK/);
    const [entry] = new witness.X509Crl(der).entries;
    t.equal(entry?.serialNumber, serialNumber.toString("hex"));
    t.equal(entry?.reason, witness.X509CrlReason.keyCompromise);
    t.match(await query(db, "select published_at is not null as told from revocation"), [{ told: true }]);
    tick();
    await revoke(readCertificate(older).serialNumber, { notAfter });
    await makeAll();
    t.match(verified(ground, older, (await rootList()).der), /certificate revoked/, "without a pointer, too");
  },
);

t.test(
  "serial numbers of CAs begin with no day: those below today's are listed, and left out after their end",
  async (t) => {
    const { makeAll, rootList, revoke, tick, clock } = await rootGround();
    await makeAll();
    tick();
    const serial = (first: number): Buffer => Buffer.concat([Buffer.from([first, 0]), Buffer.alloc(14, first)]);
    const short = { notAfter: seconds(clock.now, 60) };
    await revoke(serial(0x40), short);
    await revoke(serial(0x7f), short);
    await makeAll();
    t.equal((await rootList()).read.entries, 2);
    tick(listTimes.intervalSeconds);
    await makeAll();
    t.equal((await rootList()).read.entries, 2, "for a list's lifetime beyond their end (RFC 5280 §3.3)");
    for (const _ of [1, 2]) {
      tick(listTimes.intervalSeconds);
      await makeAll();
    }
    t.equal((await rootList()).read.entries, 0);
  },
);

t.test("a root whose key is elsewhere has no list, and no place for one", async (t) => {
  const { root, issuers, makeAll, store } = await rootGround();
  await query(db, "update issuer set key_label = null where id = $1", [root.id]);
  await issuers.reread();
  t.equal(await makeAll(), 1);
  t.notOk((await store.readPublished()).some(({ issuerId }) => issuerId === root.id));
  t.same(await query(db, "select from certificate_list_shard where issuer_id = $1", [root.id]), []);
});
