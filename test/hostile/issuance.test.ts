/** Races around the one act that cannot be undone (H-19, H-20b): every signature is in the inventory, and an order gives one certificate. */
import t from "tap";
import { acmeDriver, dns, type Reply } from "../support/acmeDriver.ts";
import { attested, certificateKey, http01Target, idOf, leafOf, query, validate } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";

const succeeded = (replies: readonly Reply[]): Reply[] => replies.filter(({ status }) => status === 200);

t.test("issuance under attack", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, { configuration: { validation: { http01Port: target.port } } });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const rowsOf = async (orderUrl: string): Promise<number> => {
    const [row] = await query(ca, "select count(*)::int as n from certificate where order_id = $1", [idOf(orderUrl)]);
    const [open] = await query(ca, "select count(*)::int as n from issuance_intent where order_id = $1", [
      idOf(orderUrl),
    ]);
    t.equal(open?.["n"], 0, "no intent is left");
    return Number(row?.["n"]);
  };

  t.test("H-19 R7.4-9 50 parallel finalizes with one CSR → one 200, 49 orderNotReady, one certificate", async (t) => {
    const { order, key, spiffeId } = await attested(ca, alice);
    const csr = key.csr({ uri: [spiffeId] });
    const replies = await Promise.all(Array.from({ length: 50 }, () => alice.post(order.finalize, { csr })));
    t.equal(succeeded(replies).length, 1);
    for (const reply of replies.filter(({ status }) => status !== 200)) refused(t, reply, 403, "orderNotReady");
    const { body } = await ca.inventory(`/certificates?spiffeId=${encodeURIComponent(spiffeId)}`);
    t.equal((body["certificates"] as unknown[]).length, 1, "the inventory has one row");
    t.equal(await rowsOf(order.url), 1);
    const read = await alice.readOrder(order.url);
    t.equal(read.certificate, succeeded(replies)[0]?.json()["certificate"], "and it is the order's");
  });

  t.test("H-19 30 parallel finalizes with 30 keys → one certificate, for the key that won", async (t) => {
    const order = await alice.newOrder(dns("web.localhost"));
    await validate(target, alice, order);
    const csrs = Array.from({ length: 30 }, () => certificateKey().csr({ dns: ["web.localhost"] }));
    const replies = await Promise.all(csrs.map((csr) => alice.post(order.finalize, { csr })));
    t.equal(succeeded(replies).length, 1);
    t.equal(await rowsOf(order.url), 1);
    const winner = csrs[replies.findIndex(({ status }) => status === 200)] ?? "";
    const { text } = await alice.postAsGet(String(succeeded(replies)[0]?.json()["certificate"]));
    const point = Buffer.from(leafOf(text), "base64url").toString("hex");
    t.match(point, /03420004([0-9a-f]{128})/);
    const [, winning = "none"] = /03420004([0-9a-f]{128})/.exec(Buffer.from(winner, "base64url").toString("hex")) ?? [];
    t.ok(point.includes(winning), "its key");
  });

  t.test("H-19 finalize while the authorization or the account is deactivated: either or, never half", async (t) => {
    for (let round = 0; round < 8; round++) {
      const carol = await acme.account();
      const { order, key, spiffeId, authorization } = await attested(ca, carol);
      const [url, payload] =
        round % 2 ? [authorization.url, { status: "deactivated" }] : [carol.account, { status: "deactivated" }];
      const [finalized, ended] = await Promise.all([
        carol.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) }),
        carol.post(url, payload),
      ]);
      t.equal(ended.status, 200);
      t.ok([200, 401, 403].includes(finalized.status), String(finalized.status));
      const [row] = await query(ca, "select status, certificate_serial from acme_order where id = $1", [
        idOf(order.url),
      ]);
      t.equal(row?.["status"], finalized.status === 200 ? "valid" : "invalid", `finalize: ${finalized.status}`);
      t.equal(await rowsOf(order.url), finalized.status === 200 ? 1 : 0);
    }
  });

  t.test("H-19 no serial twice, and 144 bits of chance in each", async (t) => {
    const serials = (await query(ca, "select encode(serial, 'hex') as serial from certificate")).map(({ serial }) =>
      String(serial),
    );
    t.ok(serials.length >= 3);
    t.equal(new Set(serials).size, serials.length);
    t.ok(
      serials.every(
        (serial) => serial.length >= 18 && serial.length <= 40 && Number.parseInt(serial.slice(0, 2), 16) < 128,
      ),
      "positive, 9 to 20 octets",
    );
  });

  t.test("H-20b a certificate is revoked from the moment on that it can be had", async (t) => {
    const { order, key, spiffeId } = await attested(ca, alice);
    const reply = await alice.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) });
    const url = String(reply.json()["certificate"]);
    const { text } = await alice.postAsGet(url);
    const [revoked, ...reads] = await Promise.all([
      alice.post(acme.directory.revokeCert, { certificate: leafOf(text), reason: 1 }),
      alice.postAsGet(url),
      alice.postAsGet(order.url),
    ]);
    t.equal(revoked.status, 200);
    t.ok(reads.every(({ status }) => status === 200));
    t.match((await ca.inventory(`/certificates/${idOf(url)}`)).body, { state: "revoked" });
  });
});
