/** Revocation as relying parties see it: from a certificate's URL to a list that OpenSSL goes by, the same from every server, without TLS. */
import { promises as fs } from "node:fs";
import path from "node:path";

import t, { type Test } from "tap";
import { defaultProfiles } from "../src/config/schema.ts";
import { readDistributedList } from "../src/x509/certificateList.ts";
import { readCertificate } from "../src/x509/certificate.ts";
import { oids } from "../src/x509/oid.ts";
import { pemEncode } from "../src/x509/pem.ts";
import { readCRLDistributionPoints } from "../src/x509/revocationExtensions.ts";
import { acmeDriver } from "./support/acmeDriver.ts";
import { issued, leafOf, query } from "./support/acmeFlows.ts";
import { certificateAuthority, freePort, type TestAuthority } from "./support/certificateAuthority.ts";
import { sibling } from "./support/replicas.ts";
import { openssl } from "./x509/openssl.ts";

/** Every certificate of these names its list. */
const workload = { ...defaultProfiles["workload"], revocation: { shortLivedMaxSeconds: 0 } };
const port = await freePort();
const publicUrl = `http://localhost:${port}`;
const configuration = {
  profiles: { workload, server: defaultProfiles["server"] },
  revocation: { publicUrl, listen: `localhost:${port}`, crlShards: 4 },
};

async function plainCa(t: Test): Promise<TestAuthority> {
  const ca = await certificateAuthority(t, { configuration });
  await ca.authority.plainServer?.listen({ host: "localhost", port });
  return ca;
}

const get = async (url: string): Promise<{ status: number; body: Buffer; headers: Headers }> => {
  const response = await fetch(url);
  return { status: response.status, body: Buffer.from(await response.arrayBuffer()), headers: response.headers };
};

/** The one list that a CA certificate names. */
function pointerOf(certificate: Buffer): string {
  const value = readCertificate(certificate).extensions.find(({ oid }) => oid === oids.cRLDistributionPoints)?.value;
  return readCRLDistributionPoints(value ?? Buffer.alloc(0))[0] ?? "";
}

/** Waits for what comes true a round of work later. */
async function until(condition: () => Promise<boolean>): Promise<number> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > 30_000) throw new Error("it never came true");
    await new Promise((done) => setTimeout(done, 50));
  }
  return performance.now() - start;
}

t.test("from the certificate's own URL, over plain HTTP, OpenSSL learns that it was revoked", async (t) => {
  const ca = await plainCa(t);
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const [bad, good] = [await issued(ca, alice, "bad"), await issued(ca, alice, "good")];
  const issuer = ca.authority.issuers.active("default");
  const serialOf = (chain: string): Buffer => readCertificate(Buffer.from(leafOf(chain), "base64url")).serialNumber;
  const urlOf = (chain: string): string => issuer.crlUrl(serialOf(chain));
  for (const { chain } of [bad, good]) {
    const shown = openssl(["x509", "-noout", "-ext", "crlDistributionPoints"], Buffer.from(chain)).toString();
    t.match(shown, `URI:${urlOf(chain)}`);
    await until(async () => (await get(urlOf(chain))).status === 200);
  }
  const rootUrl = pointerOf(issuer.certificate);
  t.equal(rootUrl, `${publicUrl}/crl/${ca.authority.issuers.roots()[0]?.id}/0.crl`);
  await until(async () => (await get(rootUrl)).status === 200);
  const dir = t.testdir();
  /** The whole chain: the leaf by its issuer's list, the issuing CA and the root by the root's. */
  const check = async ({ chain }: { chain: string }): Promise<string> => {
    const lists = await Promise.all([get(urlOf(chain)), get(rootUrl)]);
    const files = {
      root: ca.root,
      chain,
      crl: lists.map(({ body }) => pemEncode("X509 CRL", body)).join(""),
    };
    for (const [name, content] of Object.entries(files)) await fs.writeFile(path.join(dir, name), content);
    const [root = "", own = "", crl = ""] = Object.keys(files).map((name) => path.join(dir, name));
    try {
      const flags = ["-crl_check_all", "-extended_crl", "-x509_strict"];
      return openssl(["verify", ...flags, "-CAfile", root, "-untrusted", own, "-CRLfile", crl, own]).toString();
    } catch (error) {
      return String((error as { stderr?: Buffer }).stderr);
    }
  };
  t.match(await check(bad), /: OK/);
  const before = await get(urlOf(bad.chain));
  const revoked = await alice.post(acme.directory.revokeCert, { certificate: leafOf(bad.chain), reason: 1 });
  t.equal(revoked.status, 200);
  const took = await until(async () =>
    readDistributedList((await get(urlOf(bad.chain))).body).revokes(serialOf(bad.chain)),
  );
  t.comment(`on the list that is served ${Math.round(took)} ms after the answer to revokeCert`);
  t.match(await check(bad), /certificate revoked/);
  t.match(await check(good), /: OK/);
  const after = await get(urlOf(bad.chain));
  t.notSame(after.headers.get("etag"), before.headers.get("etag"));
  t.equal(after.headers.get("content-type"), "application/pkix-crl");
  const [row] = await query(
    ca,
    "select published_at is not null as published, list_number is not null as numbered from revocation",
  );
  t.same(row, { published: true, numbered: true });

  t.test("the listener of plain HTTP has nothing else", async (t) => {
    const issuerFile = [...ca.authority.issuers.published().keys()][0] ?? "";
    t.equal((await get(`${publicUrl}${issuerFile}`)).status, 200, "CA certificates");
    for (const other of ["/", "/acme/directory", "/api/v1/certificates", "/metrics", "/readyz", "/root.pem"])
      t.equal((await get(`${publicUrl}${other}`)).status, 404, other);
    const post = await fetch(urlOf(bad.chain), { method: "POST" });
    t.equal(post.status, 405);
  });

  t.test("the TLS listener serves the same, and operators see the lists", async (t) => {
    const { pathname } = new URL(urlOf(bad.chain));
    const reply = await ca.authority.server.inject(pathname);
    t.ok(reply.rawPayload.equals(after.body));
    const { status, body } = await ca.inventory("/certificate-lists?limit=3");
    const lists = body["certificateLists"] as Record<string, unknown>[];
    t.equal(status, 200);
    t.equal(lists.length, 3);
    const rest = await ca.inventory(`/certificate-lists?cursor=${String(body["next"])}`);
    lists.push(...(rest.body["certificateLists"] as Record<string, unknown>[]));
    t.equal(lists.length, 5, "four of the issuing CA, and the root's");
    t.match(
      lists.find(({ url }) => url === rootUrl),
      { issuerId: ca.authority.issuers.roots()[0]?.id, shard: 0, entries: 0 },
    );
    const mine = lists.find(({ url }) => url === urlOf(bad.chain));
    t.match(mine, { issuerId: issuer.id, entries: 1, sizeBytes: after.body.length, sha256: /^[0-9a-f]{64}$/ });
    t.equal(`"${String(mine?.["sha256"])}"`, after.headers.get("etag"));
    t.equal((await ca.inventory("/certificate-lists?cursor=x")).status, 400);
    t.equal((await ca.inventory(`/certificate-lists?issuer=${issuer.id.replace(/^./, "f")}`)).status, 200);
    const metrics = (await ca.authority.server.inject("/metrics")).body;
    t.match(
      metrics,
      new RegExp(`mayfly_crl_entries\\{issuer="${issuer.id}",shard="${String(mine?.["shard"])}"\\} 1\n`),
    );
    t.match((await ca.authority.server.inject("/readyz")).json(), { status: "ready" });
  });
});

t.test("two servers on one database make each list once and serve the same octets", async (t) => {
  const first = await certificateAuthority(t, { configuration: { ...configuration, revocation: { crlShards: 4 } } });
  const second = await sibling(t, first, { configuration: { profiles: configuration.profiles } });
  const acme = await acmeDriver(t, first);
  const alice = await acme.account();
  const chains: string[] = [];
  for (let index = 0; index < 6; index += 1) {
    const { chain } = await issued(first, alice, `s${index}`);
    chains.push(chain);
    await alice.post(acme.directory.revokeCert, { certificate: leafOf(chain) });
  }
  const open = async (): Promise<number> =>
    (await query(first, "select from revocation where published_at is null")).length;
  await until(async () => (await open()) === 0);
  await new Promise((done) => setTimeout(done, 1_100)); // What is known of lists is that old at most.
  const issuer = first.authority.issuers.active("default");
  let entries = 0;
  for (const url of [...[0, 1, 2, 3].map(issuer.listUrl), pointerOf(issuer.certificate)]) {
    const { pathname } = new URL(url);
    const replies = await Promise.all([first, second.ca].map((ca) => ca.authority.server.inject(pathname)));
    t.ok(replies[0]?.rawPayload.equals(replies[1]?.rawPayload ?? Buffer.alloc(0)), pathname);
    t.same(replies[0]?.headers["etag"], replies[1]?.headers["etag"]);
    entries += readDistributedList(replies[0]?.rawPayload ?? Buffer.alloc(0)).entries;
  }
  t.equal(entries, 6);
  const numbers = await query(
    first,
    "select from audit_entry where event = 'certificateList.published' group by subject, detail ->> 'shard', detail ->> 'number' having count(*) > 1",
  );
  t.equal(numbers.length, 0);
});

t.test("a list that is late is told of by readiness, which stays green", async (t) => {
  const clock = { ahead: 0 };
  const now = (): Date => new Date(Date.now() + clock.ahead);
  const ca = await certificateAuthority(t, { configuration: { ...configuration, revocation: { crlShards: 1 } }, now });
  const issuer = ca.authority.issuers.active("default");
  const { pathname } = new URL(issuer.listUrl(0));
  t.equal((await ca.authority.server.inject(pathname)).statusCode, 503, "nothing is made before the first round");
  await until(async () => (await ca.authority.server.inject(pathname)).statusCode === 200);
  await until(async () => (await query(ca, "select from certificate_list")).length === 2);
  // Nobody can take the turn: as if the token were away.
  await query(ca, "update certificate_list_shard set taken_until = now() + interval '1 hour'");
  clock.ahead = 60_000_000;
  t.same((await ca.authority.server.inject("/readyz")).json(), { status: "ready" }, "the margin is for that");
  clock.ahead = 70_000_000;
  const late = (await ca.authority.server.inject("/readyz")).json<{ status: string; warnings: string[] }>();
  t.equal(late.status, "ready");
  const [root] = ca.authority.issuers.roots();
  for (const id of [issuer.id, root?.id]) {
    const warning = `revocation list 0 of issuer ${id} is late: it ends at `;
    t.ok(
      late.warnings.some((one) => one.startsWith(warning)),
      warning,
    );
  }
  await query(ca, "update certificate_list_shard set taken_until = null");
  await until(
    async () => (await ca.authority.server.inject("/readyz")).json<{ warnings?: string[] }>().warnings === undefined,
  );
});
