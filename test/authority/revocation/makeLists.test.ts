/** Lists as they are made from a real database: what is on them, who makes them, when, and what interruptions and clocks do. */
import { verify } from "node:crypto";

import t from "tap";
import { issuingKey } from "../../../src/authority/issuingKey.ts";
import { ListLintFailed } from "../../../src/authority/revocation/lintList.ts";
import { KeyUnavailable } from "../../../src/keys/signer.ts";
import { createCertificateListStore } from "../../../src/store/certificateLists.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { listGround, listTimes } from "../../support/certificateLists.ts";
import { migratedDatabase, query } from "../../support/database.ts";
import { sha256 } from "../../support/issuers.ts";
import { openssl, withFiles } from "../../x509/openssl.ts";

const db = await migratedDatabase(t);

const seconds = (date: Date, count: number): Date => new Date(date.getTime() + count * 1000);

t.test("an issuer has all its lists before anything is revoked, numbered, signed and empty", async (t) => {
  const { issuer, make, list, clock, failures, store } = await listGround(db);
  t.equal(await make(), 4);
  t.equal(await make(), 0, "and is done then");
  t.same(failures, []);
  const all = await store.readPublished();
  t.same(
    all.map(({ shard, entries }) => [shard, entries]),
    [0, 1, 2, 3].map((shard) => [shard, 0]),
  );
  for (const shard of [0, 1, 2, 3]) {
    const { row, der, read } = await list(shard);
    t.equal(verify("sha256", read.tbs, issuer.key.publicKey, read.signature), true);
    t.ok(read.issuer.equals(issuer.subject));
    t.same(read.distributionPoint, {
      url: `http://crl.test/crl/${issuer.id}/${shard}.crl`,
      onlyContains: "UserCerts",
    });
    t.ok(row.sha256.equals(sha256(der)));
    t.equal(row.size, der.length);
    t.equal(BigInt(`0x${read.number.toString("hex")}`), BigInt(row.number));
    t.equal(read.thisUpdate.getTime(), Math.floor(clock.now.getTime() / 1000) * 1000);
    t.equal(read.nextUpdate.getTime() - read.thisUpdate.getTime(), listTimes.lifetimeSeconds * 1000);
    const shown = withFiles([pemEncode("CERTIFICATE", issuer.certificate)], (file = "") =>
      openssl(["crl", "-inform", "DER", "-noout", "-text", "-verify", "-CAfile", file], der).toString(),
    );
    t.match(shown, "No Revoked Certificates");
  }
});

t.test("a revocation makes its own list anew, at once, and is published by it", async (t) => {
  const { make, revoke, list, clock } = await listGround(db);
  await make();
  const before = await list(2);
  clock.now = seconds(clock.now, 1);
  const [one, two] = [await revoke(2, { reason: 1 }), await revoke(2)];
  t.equal(await make(), 1, "the other lists stand");
  const { row, read, der } = await list(2);
  t.ok(row.number > before.row.number, "the number grows");
  t.equal(row.entries, 2);
  t.ok(read.revokes(one) && read.revokes(two));
  const published = await query<{ published: boolean; list_number: number }>(
    db,
    "select published_at is not null as published, list_number from revocation",
  );
  t.same(
    published,
    [1, 2].map(() => ({ published: true, list_number: row.number })),
  );
  const shown = openssl(["crl", "-inform", "DER", "-noout", "-text"], der).toString();
  t.match(shown, /Key Compromise/);
  t.equal(shown.split("CRL Reason Code").length, 2, "no reason given, none told");
  const events = await query<{ payload: object }>(
    db,
    "select payload from outbox where topic = 'certificateList.published' order by id desc limit 1",
  );
  t.match(events[0]?.payload, { shard: 2, number: row.number, entries: 2, new: 2, sha256: row.sha256.toString("hex") });
  const audited = await query(db, "select from audit_entry where event = 'certificateList.published'");
  t.equal(audited.length, 5);
});

t.test("the list before stays for whoever reads it, and those before that go", async (t) => {
  const { make, revoke, clock } = await listGround(db, { crlShards: 1 });
  for (let round = 0; round < 4; round += 1) {
    clock.now = seconds(clock.now, 1);
    await revoke(0);
    t.equal(await make(), 1);
  }
  t.equal((await query(db, "select from certificate_list")).length, 2);
});

t.test("a list is made anew when its interval is over, long before it ends", async (t) => {
  const { make, list, clock } = await listGround(db, { crlShards: 1 });
  await make();
  const first = await list(0);
  clock.now = seconds(first.read.thisUpdate, listTimes.intervalSeconds - 1);
  t.equal(await make(), 0);
  clock.now = seconds(first.read.thisUpdate, listTimes.intervalSeconds);
  t.equal(await make(), 1);
  const second = await list(0);
  t.ok(second.row.number > first.row.number);
  t.equal(second.read.nextUpdate.getTime() - first.read.nextUpdate.getTime(), listTimes.intervalSeconds * 1000);
});

t.test("who expired leaves the list only after one that was issued beyond the end (RFC 5280 §3.3)", async (t) => {
  const { make, revoke, list, clock } = await listGround(db, { crlShards: 1 });
  const serial = await revoke(0, { notAfter: seconds(clock.now, 600) });
  await make();
  t.ok((await list(0)).read.revokes(serial));
  // Nobody made a list for two days: the next one is the first beyond the end, and has it.
  clock.now = seconds(clock.now, 2 * 86_400);
  t.equal(await make(), 1);
  t.ok((await list(0)).read.revokes(serial));
  clock.now = seconds(clock.now, listTimes.intervalSeconds);
  t.equal(await make(), 1);
  t.notOk((await list(0)).read.revokes(serial));
  t.equal((await list(0)).row.entries, 0);
});

t.test("who expired stays for a list's lifetime, for those who fetch one only when the last ends", async (t) => {
  const { make, revoke, list, clock } = await listGround(db, { crlShards: 1 });
  const end = seconds(clock.now, 600);
  const serial = await revoke(0, { notAfter: end });
  for (const after of [1, 43_200, 86_400]) {
    clock.now = seconds(end, after);
    await revoke(0);
    t.equal(await make(), 1);
    t.equal((await list(0)).read.revokes(serial), true, `${after} s after its end`);
  }
  clock.now = seconds(end, 86_402);
  await revoke(0);
  t.equal(await make(), 1);
  t.equal((await list(0)).read.revokes(serial), false);
});

t.test("what was revoked after its end is on a list all the same", async (t) => {
  const { make, revoke, list, clock } = await listGround(db, { crlShards: 1 });
  await make();
  clock.now = seconds(clock.now, 5 * 86_400);
  const serial = await revoke(0, { notAfter: seconds(clock.now, -4 * 86_400) });
  t.equal(await make(), 1);
  t.ok((await list(0)).read.revokes(serial));
});

t.test("processes that make lists at once make each one once", async (t) => {
  const { make, revoke, clock, failures } = await listGround(db, { crlShards: 64 });
  const rounds = await Promise.all([make(), make(), make()]);
  t.equal(
    rounds.reduce((sum, count) => sum + count),
    64,
  );
  for (let round = 0; round < 3; round += 1) {
    clock.now = seconds(clock.now, 1);
    await Promise.all(Array.from({ length: 20 }, (_, index) => revoke(index)));
    const made = await Promise.all([make(), make(), make()]);
    t.equal(
      made.reduce((sum, count) => sum + count),
      20,
    );
  }
  t.same(failures, []);
  t.equal((await query(db, "select from revocation where published_at is null")).length, 0);
  const twice = await query(
    db,
    "select from audit_entry where event = 'certificateList.published' group by subject, detail ->> 'shard', detail ->> 'number' having count(*) > 1",
  );
  t.equal(twice.length, 0, "never two lists with one number");
});

t.test("two attempts at one list: the newer one counts, and what each has is told exactly", async (t) => {
  const { make, revoke, list, clock, store } = await listGround(db, { crlShards: 1 });
  await make();
  clock.now = seconds(clock.now, 1);
  const first = await revoke(0);
  let second: Buffer = Buffer.alloc(0);
  // A maker that stops for longer than its turn, between reading and publishing: another one takes over.
  const slow: typeof store = {
    ...store,
    async publish(signed) {
      await query(db, "update certificate_list_shard set taken_until = now() - interval '1 second'");
      second = await revoke(0);
      t.equal(await make(), 1, "the other one publishes");
      const published = await store.publish(signed);
      t.equal(published, false, "the slow one does not");
      return published;
    },
  };
  t.equal(await make({ store: slow }), 0);
  const { read, row } = await list(0);
  t.ok(read.revokes(first) && read.revokes(second));
  t.equal((await query(db, "select from certificate_list where number > $1", [row.number])).length, 0);
  t.equal(
    (await query(db, "select from revocation where list_number <> $1 or published_at is null", [row.number])).length,
    0,
  );
});

t.test("what is revoked while a list is read is on the next one, and is not called published before", async (t) => {
  const { make, revoke, list, clock, store } = await listGround(db, { crlShards: 1 });
  await make();
  clock.now = seconds(clock.now, 1);
  const first = await revoke(0);
  let second: Buffer = Buffer.alloc(0);
  const during: typeof store = {
    ...store,
    async readRevoked(turn, before, visit) {
      const count = await store.readRevoked(turn, before, visit);
      second = await revoke(0);
      return count;
    },
  };
  t.equal(await make({ store: during }), 1);
  const { read } = await list(0);
  t.same([read.revokes(first), read.revokes(second)], [true, false]);
  t.same(await query(db, "select serial from revocation where published_at is null"), [{ serial: second }]);
  clock.now = seconds(clock.now, 1);
  t.equal(await make(), 1);
  t.ok((await list(0)).read.revokes(second));
});

t.test("a process that dies between signature and publication loses nothing", async (t) => {
  const { make, revoke, list, clock, store } = await listGround(db, { crlShards: 1 });
  await make();
  const before = await list(0);
  clock.now = seconds(clock.now, 1);
  const serial = await revoke(0);
  let signed = 0;
  const dying: typeof store = {
    ...store,
    publish: async (dead) => {
      signed = dead.turn.number;
      throw new Error("killed");
    },
    giveBack: async () => undefined, // The dead give nothing back.
  };
  t.equal(await make({ store: dying }), 0);
  t.ok(signed > before.row.number);
  t.equal((await list(0)).row.number, before.row.number, "the list before stands");
  t.equal(await make(), 0, "its turn is not over yet");
  await query(db, "update certificate_list_shard set taken_until = now()");
  t.equal(await make(), 1);
  const { read, row } = await list(0);
  t.ok(read.revokes(serial));
  t.ok(row.number > signed, "the number of the list that was signed and never shown is not used again");
});

t.test("a failure gives the list back, and no other issuer waits for it", async (t) => {
  const { make, clock, issuer, failures } = await listGround(db, { crlShards: 2 });
  const away = { ...issuer.key, sign: async () => Promise.reject(new KeyUnavailable("the token is away")) };
  const broken = { ...issuer, key: away };
  t.equal(await make({ issuers: { listIssuers: () => [broken] } }), 0);
  t.equal(failures.length, 1, "one of its lists was tried, not each");
  t.ok(failures[0] instanceof KeyUnavailable);
  const queueFull = {
    ...issuer.key,
    requireReady: () => {
      throw new KeyUnavailable("the queue is full");
    },
  };
  t.equal(await make({ issuers: { listIssuers: () => [{ ...issuer, key: queueFull }] } }), 0);
  t.equal(failures.length, 1, "a token that is known to be away is not asked");
  clock.now = seconds(clock.now, 1);
  t.equal(await make(), 1, "the one that was not tried");
  await query(db, "update certificate_list_shard set taken_until = now()");
  t.equal(await make(), 1);
});

t.test("a clock that was ahead: its lists are replaced when it is put back", async (t) => {
  const { make, revoke, list, clock } = await listGround(db, { crlShards: 1 });
  const right = clock.now;
  clock.now = seconds(right, 7200);
  await make();
  const ahead = await list(0);
  clock.now = right;
  t.equal(await make(), 1, "nobody could use a list from the future");
  const back = await list(0);
  t.ok(back.row.number > ahead.row.number);
  t.ok(back.read.thisUpdate < ahead.read.thisUpdate);
  t.equal(await make(), 0);
  clock.now = seconds(right, 30);
  await make();
  clock.now = seconds(right, 10);
  const serial = await revoke(0);
  t.equal(await make(), 1, "a clock that is a little behind revokes as well");
  t.ok((await list(0)).read.revokes(serial));
});

t.test("a list in a second: its time tells it from the next", async (t) => {
  const { make, revoke, clock } = await listGround(db, { crlShards: 1 });
  await make();
  await revoke(0);
  t.equal(await make(), 0);
  clock.now = seconds(clock.now, 1);
  t.equal(await make(), 1);
});

t.test("256 lists, and no more once the issuer has ended", async (t) => {
  const { make, revoke, store, issuer, clock } = await listGround(db, { crlShards: 256 });
  t.equal(await make(), 256);
  clock.now = seconds(clock.now, 1);
  const serials = await Promise.all([0, 1, 127, 128, 255].map((shard) => revoke(shard)));
  t.equal(await make(), 5);
  t.same(
    (await store.readPublished()).filter(({ entries }) => entries > 0).map(({ shard }) => shard),
    [0, 1, 127, 128, 255],
  );
  t.same(
    serials.map((serial) => issuer.crlUrl(serial).split("/").at(-1)),
    ["0.crl", "1.crl", "127.crl", "128.crl", "255.crl"],
  );
  clock.now = seconds(issuer.notAfter, -60);
  t.equal(await make(), 256);
  t.ok(
    (await store.readPublished()).every(({ nextUpdate }) => nextUpdate <= issuer.notAfter),
    "none outlives its issuer",
  );
  clock.now = issuer.notAfter;
  t.equal(await make(), 0);
});

t.test("a list that breaks a rule is not signed, and the one before stands", async (t) => {
  const { make, revoke, list, clock, issuer, failures, store } = await listGround(db, { crlShards: 2 });
  await make();
  const before = await list(1);
  clock.now = seconds(clock.now, 1);
  await revoke(1);
  let signatures = 0;
  const counting = {
    ...issuer.key,
    sign: async (...linted: Parameters<typeof issuer.key.sign>) => {
      signatures += 1;
      return await issuer.key.sign(...linted);
    },
  };
  const counted = { ...issuer, key: counting };
  const bent = async (readRevoked: typeof store.readRevoked): Promise<string> => {
    failures.length = 0;
    await query(db, "update certificate_list_shard set taken_until = null");
    await make({ store: { ...store, readRevoked }, issuers: { listIssuers: () => [counted] } });
    const [failure] = failures;
    return failure instanceof ListLintFailed ? failure.findings.join() : String(failure);
  };
  const foreign = Buffer.from("4f0002000000000000000000000000ff", "hex");
  t.match(await bent(async (turn, at, visit) => (await store.readRevoked(turn, at, visit)) + 1), /as many entries/);
  t.match(
    await bent(async (_turn, _at, visit) => (visit(foreign, 0, 16, 1_795_000_000, 1), 1)),
    /every certificate on it names it/,
  );
  t.match(
    await bent(
      async (_turn, _at, visit) => (
        visit(foreign, 0, 16, 1_795_000_000, 1),
        visit(foreign, 0, 16, 1_795_000_000, 1),
        2
      ),
    ),
    /not in their order/,
  );
  t.equal(signatures, 0);
  t.equal((await list(1)).row.number, before.row.number);
});

t.test("a signature that does not verify is never published", async (t) => {
  const { make, issuer, failures, store, keys } = await listGround(db, { crlShards: 1 });
  const signer = [...keys.signers.values()].find(({ spki }) => spki.equals(issuer.key.spki));
  if (signer === undefined) throw new Error("the key is gone");
  const wrong = {
    ...signer,
    sign: async (message: Uint8Array) => {
      const other = Buffer.from(message);
      other[9] = (other[9] ?? 0) ^ 1;
      return await signer.sign(other);
    },
  };
  const bad = { ...issuer, key: issuingKey(wrong) };
  t.equal(await make({ issuers: { listIssuers: () => [bad] } }), 0);
  t.match(String(failures[0]), /does not verify/);
  t.same(await store.readPublished(), []);
});

t.test("octets of a list that is gone are none, and large ones come in parts", async (t) => {
  const { issuer, make, list } = await listGround(db, { crlShards: 1 });
  await make();
  const { row } = await list(0);
  const store = createCertificateListStore(db);
  t.equal(await store.readOctets(row, row.number - 1), undefined);
  const large = Buffer.alloc(9_000_001, 0x5a);
  large[8_388_608] = 1;
  await query(
    db,
    "insert into certificate_list select issuer_id, shard, number + 1, this_update, next_update, 0, $1, sha256, now() from certificate_list",
    [large],
  );
  t.ok((await store.readOctets({ issuerId: issuer.id, shard: 0 }, row.number + 1))?.equals(large));
});

t.test("of very many at once one list has a hundred thousand, and the next one the rest", async (t) => {
  const { make, list, clock, issuer, failures } = await listGround(db, { crlShards: 1 });
  await make();
  const day = Math.floor(clock.now.getTime() / 86_400_000) + 30;
  await query(
    db,
    `insert into revocation (serial, issuer_id, not_after, revoked_at, revoked_by, shard)
     select int2send($2::smallint) || substring(decode(md5(n::text), 'hex') for 14), $1, now() + interval '30 days',
            date_trunc('second', now()), 'operator', 0
     from generate_series(1, 100003) n`,
    [issuer.id, day],
  );
  for (const entries of [100_000, 100_003]) {
    clock.now = seconds(clock.now, 1);
    t.equal(await make(), 1);
    t.equal((await list(0)).row.entries, entries);
    t.equal((await query(db, "select from revocation where published_at is null")).length, 100_003 - entries);
  }
  t.equal(await make(), 0);
  t.same(failures, []);
});
