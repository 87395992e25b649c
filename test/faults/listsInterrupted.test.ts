/** Kill -9 while lists of revoked certificates are made: whatever was answered as revoked is on a list afterwards, and no number is used twice. */
import { X509Certificate } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";

import { readCertificate } from "../../src/x509/certificate.ts";
import { readDistributedList, type DistributedList } from "../../src/x509/certificateList.ts";
import { signatureAlgorithmOf, verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { acmeDriver, base64url } from "../support/acmeDriver.ts";
import { askDatabase, finalize, readyOrder } from "../support/processFlows.ts";
import { serverPlace, startServer, type ServerProcess } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const place = await serverPlace(t);
const certificatesPerRound = 6;
/** Before, while and after the job that makes lists each second has its turn. */
const killedAfterMs = [0, 350, 700, 1050, 1400];

/** Revokes new certificates and kills the server so long after the first answer. @returns what was answered as revoked */
async function revokedUntilKilled(t: Test, afterMs: number): Promise<Buffer[]> {
  const server = await startServer(t, place);
  const driver = await acmeDriver(t, server);
  const alice = await driver.account();
  const leaves: Buffer[] = [];
  for (let made = 0; made < certificatesPerRound; made++) {
    const url = String((await finalize(alice, await readyOrder(place, alice))).json()["certificate"]);
    leaves.push(new X509Certificate((await alice.postAsGet(url)).text).raw);
  }
  const answered: Buffer[] = [];
  const revoking = async (): Promise<void> => {
    for (const leaf of leaves) {
      const { status } = await alice.post(driver.directory.revokeCert, { certificate: base64url(leaf), reason: 4 });
      if (status === 200) answered.push(readCertificate(leaf).serialNumber);
    }
  };
  const ended = Promise.allSettled([revoking()]); // The server goes away under it.
  await pause(afterMs);
  await server.stop("SIGKILL");
  await ended;
  return answered;
}

interface Newest {
  readonly shard: number;
  readonly der: Buffer;
}

const newestLists = (): Promise<Newest[]> =>
  askDatabase<Newest>(
    place,
    "select distinct on (issuer_id, shard) shard, der from certificate_list order by issuer_id, shard, number desc",
  );

/** The newest lists, once nothing waits to be published. */
async function listsOnceQuiet(): Promise<DistributedList[]> {
  for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 250) {
    const [row] = await askDatabase<{ n: number }>(
      place,
      "select count(*)::int as n from revocation where published_at is null",
    );
    if (row?.n === 0) return (await newestLists()).map(({ der }) => readDistributedList(der));
    await pause(250);
  }
  throw new Error("revocations stay unpublished");
}

async function requireSignedByIssuer(t: Test, lists: readonly DistributedList[], server: ServerProcess): Promise<void> {
  const { body } = await server.get("/api/v1/issuers");
  t.ok(Array.isArray(body["issuers"]));
  const rows = await askDatabase<{ certificate: Buffer }>(place, "select certificate from issuer");
  t.equal(rows.length, 2, "a root and an issuing CA");
  for (const { issuer, tbs, signature, signatureIdentifier } of lists) {
    const algorithm = signatureAlgorithmOf(signatureIdentifier);
    const own = rows.find(({ certificate }) => readCertificate(certificate).subject.equals(issuer));
    const { publicKey } = new X509Certificate(own?.certificate ?? "");
    t.ok(algorithm !== undefined && verifySignature(algorithm, publicKey, tbs, signature));
  }
}

t.test("H-19 killed while lists are made, time after time", async (t) => {
  const answered: Buffer[] = [];
  for (const afterMs of killedAfterMs) answered.push(...(await revokedUntilKilled(t, afterMs)));
  t.ok(answered.length > certificatesPerRound, `${answered.length} were answered as revoked`);

  const server = await startServer(t, place);
  const lists = await listsOnceQuiet();
  t.same(
    answered.filter((serial) => !lists.some((list) => list.revokes(serial))),
    [],
    "each is on the newest list of its shard",
  );
  await requireSignedByIssuer(t, lists, server);
  const [doubled] = await askDatabase<{ n: number }>(
    place,
    `select count(*)::int as n from (
       select from certificate_list group by issuer_id, shard, number having count(distinct der) > 1) d`,
  );
  t.equal(doubled?.n, 0);
  const [unnamed] = await askDatabase<{ n: number }>(
    place,
    `select count(*)::int as n from revocation r where not exists (
       select from certificate_list_shard s where s.issuer_id = r.issuer_id and s.shard = r.shard and s.published >= r.list_number)`,
  );
  t.equal(unnamed?.n, 0, "each is said to be on a list that was published");
  await server.stop();
});
