import { randomBytes } from "node:crypto";
import t from "tap";
import { BadSignature } from "../../../src/authority/issuingKey.ts";
import { certIdOf } from "../../../src/authority/revocation/prepareResponse.ts";
import { createSignatureBudget } from "../../../src/authority/revocation/signatureBudget.ts";
import { KeyUnavailable } from "../../../src/keys/signer.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { encodeOcspRequest, readOcspRequest } from "../../../src/x509/ocspRequest.ts";
import { readOcspResponse } from "../../../src/x509/ocspResponse.ts";
import { opensslOcsp } from "../../support/ocspExchange.ts";
import { hour, ocspGround, type OcspGround } from "../../support/ocspGround.ts";

const said = ({ der }: { der: Buffer }) => {
  const response = readOcspResponse(der);
  return response.error ?? response.basic.responses[0]?.status;
};
const answered = async (ground: OcspGround, request: Buffer, issuerId?: string) =>
  said(await ground.responder.answer(request, issuerId));
const noTrouble = (ground: OcspGround) => ground.count.troubles;

t.test("good, then revoked with its time and its reason; with either hash", async (t) => {
  const ground = await ocspGround();
  const serial = ground.record();
  for (const hash of ["sha1", "sha256"] as const) {
    const answer = await ground.responder.answer(ground.ask(serial, { hash }));
    t.equal(answer.outcome, "good");
    const thisUpdate = ground.clock.now;
    const nextUpdate = new Date(thisUpdate.getTime() + 4 * hour);
    t.match(answer.freshness, { thisUpdate, nextUpdate, refreshAt: new Date(thisUpdate.getTime() + 2 * hour) });
    const certId = certIdOf(ground.issuing, hash, serial);
    t.match(readOcspResponse(answer.der), {
      basic: {
        producedAt: thisUpdate,
        certificates: [],
        responses: [{ status: "good", certId, thisUpdate, nextUpdate }],
      },
    });
  }
  const at = new Date("2026-11-26T12:00:05Z");
  const record = ground.records.get(serial.toString("hex"));
  if (record !== undefined) record.revocation = { at, reason: 4 };
  await ground.responder.catchUp();
  const answer = await ground.responder.answer(ground.ask(serial));
  t.match(
    readOcspResponse(answer.der),
    {
      basic: { producedAt: at, responses: [{ status: "revoked", revocationTime: at, reason: 4 }] },
    },
    "also where the database's clock is ahead",
  );
  t.same(noTrouble(ground), []);
});

t.test("OpenSSL verifies it with the issuing CA and no other certificate", async (t) => {
  const ground = await ocspGround();
  // OpenSSL looks at its own clock.
  ground.clock.now = new Date();
  const serial = ground.record();
  for (const hash of ["sha1", "sha256"] as const) {
    const { der } = await ground.responder.answer(ground.ask(serial, { hash }));
    const files = {
      root: pemEncode("CERTIFICATE", ground.rootCertificate),
      issuer: pemEncode("CERTIFICATE", ground.issuing.certificate),
      response: der,
    };
    const asked = ["-serial", `0x${serial.toString("hex")}`, "-no_nonce", "-respin", "response"];
    const { stdout, stderr } = opensslOcsp(
      files,
      [`-${hash}`, "-CAfile", "root", "-issuer", "issuer", ...asked],
      (ran) => ran,
    );
    t.match(stderr, /Response verify OK/);
    t.match(stdout, /: good\n/);
  }
});

t.test("signed once, remembered, and renewed when it is due", async (t) => {
  const ground = await ocspGround();
  const request = ground.ask(ground.record());
  const first = await ground.responder.answer(request);
  const again = ground.responder.answer(request);
  t.notOk(again instanceof Promise, "at once");
  t.equal((await again).der, first.der);
  t.equal(ground.count.finds, 1);
  ground.clock.now = new Date(ground.clock.now.getTime() + 31_000);
  t.same((await ground.responder.answer(request)).der, first.der);
  t.equal(ground.count.finds, 2, "after half a minute the database is asked again");
  ground.clock.now = new Date(ground.clock.now.getTime() + 2 * hour);
  const next = await ground.responder.answer(request);
  t.notSame(next.der, first.der);
  t.equal(ground.count.signed.length, 2);
});

t.test(
  "a clock that was ahead: what it said is made anew when it is put back, in memory and where it is kept",
  async (t) => {
    const ground = await ocspGround({ budget: { take: async (_, sign) => await sign() } });
    const [good, revoked] = [
      ground.ask(ground.record({ notAfter: new Date(ground.clock.now.getTime() + 1000 * hour) })),
      ground.ask(
        ground.record({
          notAfter: new Date(ground.clock.now.getTime() + 1000 * hour),
          revocation: { at: ground.clock.now, reason: 1 },
        }),
      ),
    ];
    const right = ground.clock.now;
    for (const ahead of [0.5, 3, 49]) {
      ground.clock.now = new Date(right.getTime() + ahead * hour);
      await ground.responder.catchUp();
      for (const request of [good, revoked]) await ground.responder.answer(request);
      ground.clock.now = right;
      for (const caughtUp of [false, true]) {
        if (caughtUp) await ground.responder.catchUp();
        for (const [request, status] of [
          [good, "good"],
          [revoked, "revoked"],
        ] as const) {
          const { outcome, freshness } = await ground.responder.answer(request);
          t.equal(outcome, status);
          t.same(freshness?.thisUpdate, right, `${ahead} hours: no relying party takes a response from the future`);
        }
      }
    }
  },
);

t.test("what is remembered counts while revocations are heard of, and no longer than five minutes", async (t) => {
  let away = false;
  const ground = await ocspGround();
  const { store } = ground;
  const request = ground.ask(ground.record());
  const later = (seconds: number): void =>
    void (ground.clock.now = new Date(ground.clock.now.getTime() + seconds * 1000));
  const revokedLately = store.revokedLately.bind(store);
  const find = store.find.bind(store);
  const lost = async (): Promise<never> => Promise.reject(new KeyUnavailable("the database is away"));
  Object.assign(store, {
    revokedLately: async (...of: Parameters<typeof revokedLately>) => (away ? lost() : revokedLately(...of)),
    find: async (...of: Parameters<typeof find>) => (away ? lost() : find(...of)),
  });
  t.equal(await answered(ground, request), "good");
  for (let second = 0; second < 299; second++) {
    later(1);
    await ground.responder.catchUp();
    await ground.responder.answer(request);
  }
  t.equal(ground.count.finds, 1);
  later(1);
  await ground.responder.answer(request);
  t.equal(ground.count.finds, 2);
  away = true;
  for (let second = 0; second < 28; second++) {
    later(1);
    await t.rejects(ground.responder.catchUp());
    t.equal(await answered(ground, request), "good");
  }
  later(1);
  t.equal(await answered(ground, request), "tryLater", "who does not hear of revocations says nothing");
  away = false;
  t.equal(await answered(ground, request), "good");
});

t.test("many questions about one certificate at the same moment are one look and one signature", async (t) => {
  const ground = await ocspGround();
  const request = ground.ask(ground.record());
  const answers = await Promise.all(Array.from({ length: 500 }, async () => ground.responder.answer(request)));
  t.equal(new Set(answers.map(({ der }) => der)).size, 1);
  t.same([ground.count.finds, ground.count.signed.length], [1, 1]);
});

t.test("nothing is said of what is not ours, and it costs no signature", async (t) => {
  const ground = await ocspGround();
  const other = await ocspGround();
  const serial = ground.record();
  const certId = certIdOf(ground.issuing, "sha1", serial);
  const ask = (changes: object) => encodeOcspRequest({ certIds: [{ ...certId, ...changes }], nonce: undefined });
  for (const [what, request] of [
    ["a serial number that was not recorded", ground.ask(randomBytes(16))],
    ["another issuer", ground.ask(serial, { issuer: other.issuing })],
    ["another name", ask({ issuerNameHash: Buffer.alloc(20) })],
    ["another key", ask({ issuerKeyHash: Buffer.alloc(20) })],
    ["no serial number of a certificate", ask({ serialNumber: Buffer.from("ff", "hex") })],
    ["a longer one", ask({ serialNumber: Buffer.alloc(21, 1) })],
    ["two certificates", encodeOcspRequest({ certIds: [certId, certId], nonce: undefined })],
    ["one that has expired", ground.ask(ground.record({ notAfter: new Date(ground.clock.now.getTime() - 1000) }))],
    ["one of an issuer that is not here", ground.ask(ground.record({ issuerId: "another" }))],
  ] as const)
    t.equal(await answered(ground, request), "unauthorized", what);
  t.equal(await answered(ground, ground.ask(serial), "another"), "unauthorized", "the URL of another issuer");
  t.equal(await answered(ground, ground.ask(serial), ground.issuing.id), "good");
  t.same(ground.count.signed, ["asked"]);
  for (const request of [Buffer.alloc(0), Buffer.from("hello"), ground.issuing.certificate])
    t.equal(await answered(ground, request), "malformedRequest");
  const known = ground.responder;
  t.ok(known.knows(ground.issuing.id) && !known.knows("another"));
});

t.test("a certificate that expires is forgotten at once", async (t) => {
  const ground = await ocspGround();
  const request = ground.ask(ground.record({ notAfter: new Date(ground.clock.now.getTime() + 5000) }));
  t.equal(await answered(ground, request), "good");
  ground.clock.now = new Date(ground.clock.now.getTime() + 5000);
  t.equal(await answered(ground, request), "good", "its last second is its own");
  ground.clock.now = new Date(ground.clock.now.getTime() + 1000);
  t.equal(await answered(ground, request), "unauthorized");
});

t.test("a flood finds bounds: signatures a second, memory", async (t) => {
  const ground = await ocspGround({ budget: createSignatureBudget(50), cacheBytes: 100_000 });
  const serials = Array.from({ length: 500 }, () => ground.record());
  const answers = await Promise.all(
    serials.map(async (serial) => said(await ground.responder.answer(ground.ask(serial)))),
  );
  t.equal(answers.filter((one) => one === "good").length, 50);
  t.equal(answers.filter((one) => one === "tryLater").length, 450);
  for (let round = 0; round < 9; round++) {
    ground.clock.now = new Date(ground.clock.now.getTime() + 1000);
    for (const serial of serials) await ground.responder.answer(ground.ask(serial));
  }
  t.equal(ground.count.signed.length, 500, "in ten seconds all are there");
  t.ok(ground.responder.remembered() < 150, `${ground.responder.remembered()} are in memory`);
  const before = ground.count.finds;
  for (let n = 0; n < 10_000; n++) await ground.responder.answer(ground.ask(randomBytes(16)));
  t.ok(ground.count.finds <= before + 10_000);
  t.equal(ground.count.signed.length, 500, "what is unknown costs none");
  t.ok(ground.responder.remembered() < 150, "and no memory");
});

t.test("more questions at once than the database is to have", async (t) => {
  const ground = await ocspGround();
  const unknown = (): Buffer => Buffer.concat([Buffer.from([0x4f]), randomBytes(15)]);
  const asking = (client: string, length: number) =>
    Array.from({ length }, async () =>
      said(await ground.responder.answer(ground.ask(unknown()), undefined, () => client)),
    );
  const [hostile, others] = [asking("one", 10_000), ["two", "three", "four"].map((client) => asking(client, 50))];
  const refused = (answers: (string | undefined)[]): number => answers.filter((one) => one === "tryLater").length;
  t.equal(refused(await Promise.all(hostile)), 9_500, "one client has half of the room");
  for (const each of others) t.equal(refused(await Promise.all(each)), 0, "and others find theirs beside it");
  t.equal(await answered(ground, ground.ask(ground.record())), "good", "afterwards there is room again");
});

t.test("nonces: ignored, or answered while there are signatures", async (t) => {
  const nonce = randomBytes(32);
  const nonceOf = ({ der }: { der: Buffer }) => {
    const read = readOcspResponse(der);
    return read.error === undefined ? read.basic.nonce : read.error;
  };
  const ignoring = await ocspGround();
  const plain = ignoring.ask(ignoring.record(), { nonce });
  t.same(readOcspRequest(plain).nonce, nonce);
  t.equal(nonceOf(await ignoring.responder.answer(plain)), undefined);

  const budget = createSignatureBudget(4);
  const ground = await ocspGround({ budget, nonceBudget: createSignatureBudget(2, budget) });
  const serial = ground.record();
  await ground.responder.answer(ground.ask(serial));
  const request = ground.ask(serial, { nonce });
  for (let n = 0; n < 2; n++) {
    const answer = await ground.responder.answer(request);
    t.same(nonceOf(answer), nonce);
    t.equal(answer.freshness, undefined, "nobody may keep it");
  }
  t.equal(nonceOf(await ground.responder.answer(request)), undefined, "the third one gets what is there");
  t.equal(
    await answered(ground, ground.ask(ground.record())),
    "good",
    "what is kept for everybody has signatures left",
  );
  t.same(ground.count.signed, ["asked", "nonce", "nonce", "asked"]);
  const record = ground.records.get(serial.toString("hex"));
  if (record !== undefined) record.revocation = { at: ground.clock.now, reason: null };
  ground.clock.now = new Date(ground.clock.now.getTime() + 1000);
  t.equal(await answered(ground, request), "revoked", "a response of its own knows of a revocation at once");
  t.equal(await answered(ground, ground.ask(randomBytes(16), { nonce })), "unauthorized");
  t.equal(ground.count.signed.length, 5);
});

t.test("the token is away: what is there goes on; what is not is to be asked for later", async (t) => {
  const ground = await ocspGround();
  const [known, unknown] = [ground.ask(ground.record()), ground.ask(ground.record())];
  const first = await ground.responder.answer(known);
  const sign = ground.signer.sign.bind(ground.signer);
  Object.assign(ground.signer, { sign: async () => Promise.reject(new KeyUnavailable("away")) });
  t.equal(await answered(ground, unknown), "tryLater");
  ground.clock.now = new Date(ground.clock.now.getTime() + 3 * hour);
  t.equal((await ground.responder.answer(known)).der, first.der, "due, and still good");
  ground.clock.now = new Date(ground.clock.now.getTime() + 2 * hour);
  t.equal(await answered(ground, known), "tryLater", "over");
  t.ok(ground.count.troubles.every((error) => error instanceof KeyUnavailable));
  Object.assign(ground.signer, { sign: async () => Buffer.from("3006020101020101", "hex") });
  t.equal(await answered(ground, known), "internalError", "a signature that does not verify never leaves");
  t.ok(ground.count.troubles.at(-1) instanceof BadSignature);
  Object.assign(ground.signer, { sign });
  t.equal(await answered(ground, known), "good");
});
