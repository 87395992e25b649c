/** An issuing CA revoked by its root, on two servers: by command and REST, as OpenSSL sees it afterwards, and what is refused. */
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";

import { commands } from "../../src/cli/commands.ts";
import { defaultProfiles } from "../../src/config/schema.ts";
import { readDistributedList } from "../../src/x509/certificateList.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { acmeDriver } from "../support/acmeDriver.ts";
import { issued, leafOf, query } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";
import { sibling } from "../support/replicas.ts";
import { openssl } from "../x509/openssl.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few on a busy machine.

const configuration = {
  // Every certificate of these names its list.
  profiles: { workload: { ...defaultProfiles["workload"], revocation: { shortLivedMaxSeconds: 0 } } },
  revocation: { crlShards: 1 },
};

async function until(condition: () => Promise<boolean>): Promise<void> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > 60_000) throw new Error("it never came true");
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Commands and REST against this server. */
function operator(ca: TestAuthority) {
  const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
  return {
    mayfly: (...words: string[]) => runWords(commands, ["issuers", ...words], { env }),
    revoke: async (id: string, payload: object, path = "revoke") => {
      const headers = { authorization: `Bearer ${ca.operatorToken}` };
      const url = `/api/v1/issuers/${id}/${path}`;
      const reply = await ca.authority.server.inject({ method: "POST", url, headers, payload });
      return { status: reply.statusCode, body: reply.json<Record<string, unknown>>() };
    },
  };
}

const said = { reason: "cACompromise", note: "key exposed" };
const active = (ca: TestAuthority) => ca.authority.issuers.active("default");
const rootOf = (ca: TestAuthority) => {
  const root = ca.authority.issuers.listIssuers().find(({ certifies }) => certifies === "CACerts");
  if (root === undefined) throw new Error("the root has no list");
  return root;
};
const listAt = async (ca: TestAuthority, url: string): Promise<Buffer> => {
  const reply = await ca.authority.server.inject(new URL(url).pathname);
  return reply.statusCode === 200 ? reply.rawPayload : Buffer.alloc(0);
};

/** What OpenSSL finds of a chain by the lists of all that are in it. */
async function checked(t: Test, ca: TestAuthority, chain: string, listUrls: readonly string[]): Promise<string> {
  const dir = t.testdir();
  const lists = await Promise.all(listUrls.map((url) => listAt(ca, url)));
  const files = { root: ca.root, chain, crl: lists.map((list) => pemEncode("X509 CRL", list)).join("") };
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content);
  const [root = "", own = "", crl = ""] = Object.keys(files).map((name) => join(dir, name));
  const flags = ["-crl_check_all", "-extended_crl", "-x509_strict"];
  try {
    return openssl(["verify", ...flags, "-CAfile", root, "-untrusted", own, "-CRLfile", crl, own]).toString();
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr);
  }
}

t.test("revoked: it signs nothing more on any server, is on its root's list, and its own lists go on", async (t) => {
  const first = await certificateAuthority(t, { configuration });
  const { ca: second } = await sibling(t, first, { configuration });
  const acme = await acmeDriver(t, first);
  const alice = await acme.account();
  const before = await issued(first, alice, "before");
  const former = active(first);
  const root = rootOf(first);
  await until(async () => (await listAt(first, root.listUrl(0))).length > 0);
  await until(async () => (await listAt(first, former.listUrl(0))).length > 0);
  t.match(await checked(t, first, before.chain, [former.listUrl(0), root.listUrl(0)]), /: OK/);

  const { mayfly, revoke } = operator(first);
  const words = ["revoke", "--id", former.id, "--reason", said.reason, "--note", said.note];
  const dry = await mayfly(...words);
  t.match(dry, {
    status: 0,
    stdout: /would be revoked[^]*would issue nothing[^]*Nothing was done: with --confirm it is/,
  });
  t.match(await mayfly(...words, "--yes"), { status: 1, stderr: /nothing would issue for the line default: prepare/ });
  t.match(await mayfly(...words, "--yes", "--confirm"), { status: 2, stderr: /one of --yes and --confirm/ });
  t.equal(active(first).id, former.id);
  t.same(await query(first, "select from revocation"), [], "nothing was done");

  t.match(await mayfly("prepare"), { status: 0 });
  t.match(await mayfly(...words), { status: 0, stdout: /would issue in its place[^]*with --yes it is/ });
  // Two operators at once: one statement, one revocation.
  const both = await Promise.all([revoke(former.id, said), operator(second).revoke(former.id, said)]);
  t.same(
    both.map(({ status }) => status).sort((a, b) => a - b),
    [200, 409],
  );
  t.match(both.find(({ status }) => status === 409)?.body, { detail: /was revoked at|at the same moment/ });

  for (const ca of [first, second]) {
    await until(async () => active(ca).id !== former.id);
    t.equal(ca.authority.issuers.byId(former.id)?.state, "retiring");
  }
  const [row] = await query(
    first,
    `select state, revoked_at is not null as revoked from issuer where id = '${former.id}'`,
  );
  t.same(row, { state: "retiring", revoked: true });
  const after = await issued(first, alice, "after");
  t.not(new X509Certificate(after.chain).issuer, new X509Certificate(before.chain).issuer);

  const { serialNumber } = readCertificate(former.certificate);
  for (const ca of [first, second])
    await until(async () => {
      const list = await listAt(ca, root.listUrl(0));
      return list.length > 0 && readDistributedList(list).revokes(serialNumber);
    });
  const lists = (own: { listUrl: (shard: number) => string }) => [own.listUrl(0), root.listUrl(0)];
  for (const ca of [first, second]) await until(async () => (await listAt(ca, active(ca).listUrl(0))).length > 0);
  t.match(await checked(t, first, before.chain, lists(former)), /error 23 at 1 depth lookup: certificate revoked/);
  t.match(await checked(t, second, after.chain, lists(active(second))), /: OK/);

  // Leaves of the revoked CA can still be judged: its list goes on.
  const revoked = await alice.post(acme.directory.revokeCert, { certificate: leafOf(before.chain), reason: 1 });
  t.equal(revoked.status, 200);
  const leaf = readCertificate(Buffer.from(leafOf(before.chain), "base64url")).serialNumber;
  await until(async () => readDistributedList(await listAt(second, former.listUrl(0))).revokes(leaf));

  t.match(await revoke(former.id, said), { status: 409, body: { detail: /was revoked at 2/ } });
  const [audit] = await query(first, "select detail from audit_entry where event = 'issuer.revoked'");
  t.match(audit?.["detail"], { serial: serialNumber.toString("hex"), reason: 2, note: said.note });
});

t.test(
  "refused: roots, unknown ones, those of a root elsewhere; what never issued is revoked and given up",
  async (t) => {
    const ca = await certificateAuthority(t, { configuration });
    const { revoke, mayfly } = operator(ca);
    const root = rootOf(ca);
    const unknown = "00000000-0000-4000-8000-000000000000";
    t.match(await revoke(unknown, said), { status: 404, body: { detail: /no such issuer/ } });
    t.match(await revoke("x", said), { status: 404 });
    t.match(await revoke(root.id, said), { status: 409, body: { detail: /no issuing CA/ } });
    t.match(await revoke(active(ca).id, { ...said, reason: "unknown" }), { status: 400 });
    t.match(await revoke(active(ca).id, { reason: "superseded" }), { status: 400 });

    t.match(await mayfly("prepare"), { status: 0 });
    const [next] = await query(ca, "select id from issuer where generation = 2 and kind = 'issuing'");
    const nextId = String(next?.["id"]);
    t.match(await revoke(nextId, said), { status: 200, body: { next: null, stopsLine: false } });
    const [row] = await query(ca, `select state, revoked_at is not null as revoked from issuer where id = '${nextId}'`);
    t.same(row, { state: "retired", revoked: true });

    await query(ca, "update issuer set key_label = null where kind = 'root'");
    await ca.authority.issuers.reread();
    t.match(await revoke(active(ca).id, { ...said, force: true }), {
      status: 409,
      body: { detail: /the key of the CA above it is not here/ },
    });
  },
);

t.test("confirmed where nothing follows: the line issues nothing until the rotation has made the next", async (t) => {
  const ca = await certificateAuthority(t, { configuration });
  const former = active(ca);
  const { mayfly } = operator(ca);
  const words = ["revoke", "--id", former.id, "--note", said.note];
  t.match(await mayfly(...words, "--confirm"), { status: 0, stdout: /is revoked[^]*issues nothing until another/ });
  await until(async () => {
    try {
      return active(ca).id !== former.id;
    } catch {
      return false; // None is active for a moment.
    }
  });
  const alice = await (await acmeDriver(t, ca)).account();
  const { chain } = await issued(ca, alice, "again");
  t.not(new X509Certificate(chain).issuer, new X509Certificate(former.certificate).subject);
});
