/** RFC 9773: renewal information, and orders that replace a certificate. */
import pg from "pg";
import t from "tap";
import { acmeDriver, dns, uri, type AcmeClient, type Reply } from "../../support/acmeDriver.ts";
import {
  certificateIdOf,
  certificateKey,
  http01Target,
  idOf,
  issued,
  leafOf,
  query,
  spiffeIdOf,
  validate,
} from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

interface Window {
  readonly suggestedWindow: { readonly start: string; readonly end: string };
  readonly explanationURL?: string;
}

t.test("RFC 9773", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port: target.port, allowPrivate: true },
      acme: { directories: [{ name: "team" }] },
    },
  });
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;
  const alice = await acme.account();
  const ask = (id: string, method = "GET"): Promise<Reply> =>
    acme.request(`${directory.renewalInfo}/${id}`, { method });
  const windowOf = async (id: string): Promise<Window> => (await ask(id)).json() as unknown as Window;
  const replacing = (client: AcmeClient, spiffeId: string, replaces: unknown): Promise<Reply> =>
    client.post(directory.newOrder, { identifiers: [uri(spiffeId)], replaces });
  const serialOf = (certificateUrl: string): string => idOf(certificateUrl);
  async function revoke(chain: string): Promise<void> {
    t.equal((await alice.post(directory.revokeCert, { certificate: leafOf(chain) })).status, 200);
  }

  t.test("R9773-1 renewalInfo in the directory; anybody asks by GET and HEAD, and nothing else", async (t) => {
    t.equal(directory.renewalInfo, `${ca.url}/acme/renewal-info`);
    const { chain } = await issued(ca, alice);
    const id = certificateIdOf(chain);
    const reply = await ask(id);
    t.equal(reply.status, 200);
    t.equal(reply.headers["content-type"], "application/json");
    t.equal(reply.headers["access-control-allow-origin"], "*", "a page in a browser may ask as well");
    t.notOk("replay-nonce" in reply.headers, "a reply that may be kept holds no nonce");
    const head = await ask(id, "HEAD");
    t.same([head.status, head.text, head.headers["retry-after"]], [200, "", reply.headers["retry-after"]]);
    t.equal(head.headers["content-length"], reply.headers["content-length"]);
    const post = await acme.request(`${directory.renewalInfo}/${id}`, { method: "POST", body: "{}" });
    refused(t, post, 405, "malformed");
    t.match(post.headers["allow"], /GET/);
  });

  t.test("R9773-2 the window lies inside the validity; Retry-After and caching fit the lifetime", async (t) => {
    const { chain, certificateUrl } = await issued(ca, alice);
    const reply = await ask(certificateIdOf(chain));
    const { suggestedWindow, ...rest } = reply.json() as unknown as Window;
    t.same(rest, {}, "no explanation where there is nothing to explain");
    t.match(suggestedWindow.start, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const { body } = await ca.inventory(`/certificates/${serialOf(certificateUrl)}`);
    const times = [body["issuedAt"], suggestedWindow.start, suggestedWindow.end, body["notAfter"]].map((text) =>
      Date.parse(String(text)),
    );
    t.same(
      times,
      [...times].sort((a, b) => a - b),
      "issued, start, end, notAfter",
    );
    t.ok((times[1] ?? 0) < (times[2] ?? 0));
    const retryAfter = Number(reply.headers["retry-after"]);
    t.ok(retryAfter >= 1 && retryAfter <= 90, `fifteen minutes: asked again after ${retryAfter} s`);
    const [, maxAge] = /^public, max-age=(\d+)$/.exec(String(reply.headers["cache-control"])) ?? [];
    t.ok(Number(maxAge) <= Math.min(60, retryAfter), "kept no longer than it is good for");
  });

  t.test("R9773-3 what is no id is malformed; what we did not issue is not found", async (t) => {
    const id = certificateIdOf((await issued(ca, alice)).chain);
    const [key = "", serial = ""] = id.split(".");
    for (const bad of [`${id}=`, `${key}=.${serial}`, key, `${key}.`, `.${serial}`, `${id}.AA`, `${key}.h2VDIQ`])
      refused(t, await ask(bad), 400, "malformed", bad);
    refused(t, await ask("a%20b.AIdlQyE"), 400, "malformed", "white space");
    const otherCase = key.replace(/[a-z]/, (letter) => letter.toUpperCase());
    for (const unknown of ["aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", `${key}.AIdlQyE`, `${otherCase}.${serial}`])
      refused(t, await ask(unknown), 404, "malformed", unknown);
    refused(t, await ask("x".repeat(500)), 400, "malformed", "a segment longer than any id");
    const elsewhere = await acme.request(`${ca.url}/acme/team/renewal-info/${id}`);
    refused(t, elsewhere, 404, "malformed", "a certificate of another directory");
  });

  t.test("R9773-4 a revoked certificate has a window that has passed, at once", async (t) => {
    const { chain } = await issued(ca, alice);
    const id = certificateIdOf(chain);
    t.ok(Date.parse((await windowOf(id)).suggestedWindow.start) > Date.now());
    await revoke(chain);
    const { start, end } = (await windowOf(id)).suggestedWindow;
    t.ok(Date.parse(start) < Date.parse(end) && Date.parse(end) < Date.now(), `${start} to ${end}`);
  });

  t.test("R9773-8 a certificate of five minutes has a window of seconds", async (t) => {
    const notAfter = `${new Date(Date.now() + 299_000).toISOString().slice(0, 19)}Z`;
    const order = await alice.order({ identifiers: [dns("five.localhost")], notAfter });
    await validate(target, alice, order);
    const csr = certificateKey().csr({ dns: ["five.localhost"] });
    const done = (await alice.post(order.finalize, { csr })).json();
    const chain = (await alice.postAsGet(String(done["certificate"]))).text;
    const reply = await ask(certificateIdOf(chain));
    const { start, end } = (reply.json() as unknown as Window).suggestedWindow;
    const left = (Date.parse(notAfter) - Date.parse(end)) / 1000;
    t.ok(Date.parse(start) - Date.now() > 120_000 && left >= 55 && left <= 100, `${start} to ${end}`);
    t.ok(Number(reply.headers["retry-after"]) <= 15);
  });

  t.test("R9773-5 replaces: of this account, with a name in common, and known", async (t) => {
    const { chain, spiffeId } = await issued(ca, alice);
    const id = certificateIdOf(chain);
    const bob = await acme.account();
    refused(t, await replacing(bob, spiffeId, id), 404, "malformed", "of another account");
    refused(t, await replacing(alice, spiffeIdOf("other"), id), 400, "malformed", "no name in common");
    refused(t, await replacing(alice, spiffeId, `${id.split(".")[0]}.AIdlQyE`), 404, "malformed", "unknown serial");
    refused(t, await replacing(alice, spiffeId, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"), 404, "malformed", "not ours");
    for (const bad of ["", "x", `${id}=`, 7, [id], { id }])
      refused(t, await replacing(alice, spiffeId, bad), 400, "malformed", JSON.stringify(bad));
    const orders = await query(ca, "select 1 from acme_order where replaces is not null");
    const claims = await query(ca, "select 1 from certificate_replacement");
    t.same([orders.length, claims.length], [0, 0], "nothing was made of it");
    t.equal((await replacing(alice, spiffeId, null)).status, 201, "null is as good as nothing");
    t.equal((await replacing(alice, spiffeId, id)).status, 201);
  });

  t.test("R9773-7 replaces is shown by the order, from newOrder on, and kept as lineage", async (t) => {
    const first = await issued(ca, alice);
    const id = certificateIdOf(first.chain);
    const { order: made, certificateUrl: second } = await issued(ca, alice, first.subject, { replaces: id });
    t.match(made, { status: "pending", replaces: id });
    const { url } = made;
    t.notOk("replaces" in first.order);
    const [before, after] = await Promise.all(
      [first.certificateUrl, second].map(async (one) => (await ca.inventory(`/certificates/${idOf(one)}`)).body),
    );
    t.equal(before?.["replacedBy"], idOf(second));
    t.equal(before?.["replaces"], null);
    t.equal(after?.["replaces"], idOf(first.certificateUrl));
    t.equal(after?.["replacedBy"], null);
    const order = (await alice.postAsGet(url)).json();
    t.match(order, { status: "valid", replaces: id });
    // The order is forgotten one day, its certificate is not.
    await query(ca, "delete from acme_order where id = $1", [idOf(url)]);
    refused(t, await replacing(alice, first.spiffeId, id), 409, "alreadyReplaced", "by a certificate");
    await query(ca, "delete from certificate_replacement");
    refused(t, await replacing(alice, first.spiffeId, id), 409, "alreadyReplaced", "by the lineage alone");
  });

  t.test("R9773-6 replaced once; an order that failed, was deactivated, ran out or is gone gives way", async (t) => {
    const { chain, spiffeId } = await issued(ca, alice);
    const id = certificateIdOf(chain);
    const take = async (why: string): Promise<string> => {
      const reply = await replacing(alice, spiffeId, id);
      t.equal(reply.status, 201, why);
      refused(t, await replacing(alice, spiffeId, id), 409, "alreadyReplaced", `${why}: and no second one`);
      return idOf(String(reply.headers.location));
    };
    const first = await take("nobody replaces it");
    await query(ca, "update acme_order set status = 'invalid' where id = $1", [first]);
    const second = await take("the first is invalid");
    await query(ca, "update acme_order set expires_at = now() where id = $1", [second]);
    const third = await take("the second's time is over while its row says pending");
    const [row] = await query(ca, "select status from acme_order where id = $1", [second]);
    t.equal(row?.["status"], "invalid", "and it is over for good");
    const [{ authorization_ids: ids } = {}] = await query(
      ca,
      "select authorization_ids[1] from acme_order where id = $1",
      [third],
    );
    await alice.post(`${ca.url}/acme/authorization/${String(ids)}`, { status: "deactivated" });
    const fourth = await take("the third's authorization was deactivated");
    await query(ca, "delete from acme_order where id = $1", [fourth]);
    const fifth = await take("the fourth is forgotten");
    await query(ca, "update acme_order set status = 'processing', expires_at = now() where id = $1", [fifth]);
    refused(t, await replacing(alice, spiffeId, id), 409, "alreadyReplaced", "being issued, whatever the time");
  });

  t.test("R9773-6 twenty orders at once: one replaces, nineteen get alreadyReplaced", async (t) => {
    const { chain, spiffeId } = await issued(ca, alice);
    const id = certificateIdOf(chain);
    const race = async (why: string): Promise<void> => {
      const replies = await Promise.all(Array.from({ length: 20 }, () => replacing(alice, spiffeId, id)));
      t.same(
        replies.map(({ status }) => status).sort((a, b) => a - b),
        [201, ...Array.from({ length: 19 }, () => 409)],
        why,
      );
      const open = await query(
        ca,
        "select id from acme_order where replaces_id = $1 and status <> 'invalid' and expires_at > now()",
        [id],
      );
      t.equal(open.length, 1, `${why}: one order in the end`);
    };
    await race("nobody replaces it yet");
    await query(ca, "update acme_order set status = 'invalid' where replaces_id = $1", [id]);
    await race("the one that did is invalid");
    await query(ca, "update acme_order set expires_at = now() where replaces_id = $1", [id]);
    await race("the one that did has run out");
  });

  t.test("R9773-6 an order that is being finalized as its time runs out keeps its place", async (t) => {
    const { chain, spiffeId } = await issued(ca, alice);
    const id = certificateIdOf(chain);
    const order = idOf(String((await replacing(alice, spiffeId, id)).headers.location));
    await query(ca, "update acme_order set status = 'ready', expires_at = now() where id = $1", [order]);
    const finalizing = new pg.Client({ connectionString: ca.databaseUrl });
    await finalizing.connect();
    await finalizing.query("begin");
    await finalizing.query("update acme_order set status = 'processing' where id = $1", [order]);
    const late = replacing(alice, spiffeId, id);
    const waiting = "select 1 from pg_locks where not granted";
    for (let round = 0; round < 100 && (await query(ca, waiting)).length === 0; round++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    await finalizing.query("commit");
    await finalizing.end();
    refused(t, await late, 409, "alreadyReplaced");
    const [row] = await query(ca, "select status from acme_order where id = $1", [order]);
    t.equal(row?.["status"], "processing");
  });

  t.test("renewal information costs one statement, newOrder one with replaces and without", async (t) => {
    const { chain, spiffeId } = await issued(ca, alice);
    const id = certificateIdOf(chain);
    const count = async (): Promise<number> => {
      const { text } = await acme.request(`${ca.url}/metrics`);
      return Number(/^mayfly_sql_statements (\d+)/m.exec(text)?.[1] ?? Number.NaN);
    };
    // A job in the background may add its own.
    const least = async (rounds: number, action: () => Promise<Reply>): Promise<number> => {
      const costs: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const start = await count();
        t.ok((await action()).status < 300);
        costs.push((await count()) - start);
      }
      return Math.min(...costs);
    };
    t.equal(await least(5, () => ask(id)), 1);
    t.equal(await least(5, () => alice.post(directory.newOrder, { identifiers: [uri(spiffeId)] })), 1);
    const again = async (): Promise<Reply> => {
      const reply = await replacing(alice, spiffeId, id);
      await query(ca, "update acme_order set status = 'invalid' where replaces_id = $1", [id]);
      return reply;
    };
    t.equal(await least(5, again), 1);
  });

  t.test("replaces of a revoked certificate, and by a signer that is none any more", async (t) => {
    const { chain, spiffeId } = await issued(ca, alice);
    await revoke(chain);
    t.equal((await replacing(alice, spiffeId, certificateIdOf(chain))).status, 201, "that is what renewal is for");
    const bob = await acme.account();
    const own = await issued(ca, bob);
    await bob.post(bob.account, { status: "deactivated" });
    refused(t, await replacing(bob, own.spiffeId, certificateIdOf(own.chain)), 401, "unauthorized");
  });
});
