/** Issuers of a running server: two lines of them, a root whose key is elsewhere, and what commands are refused. */
import { X509Certificate } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";

import { commands } from "../../src/cli/commands.ts";
import { defaultProfiles } from "../../src/config/schema.ts";
import { acmeDriver, dns } from "../support/acmeDriver.ts";
import { certificateKey, http01Target, issued, validate } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";
import { opensslVerify } from "../support/opensslVerify.ts";
import { succeed } from "../support/program.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few on a busy machine.

interface Shown {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly state: string;
  readonly generation: number;
  readonly waitsForCertificate: boolean;
}

/** Commands and REST against this server. */
function operator(ca: TestAuthority) {
  const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
  const mayfly = (...words: string[]) => runWords(commands, ["issuers", ...words], { env });
  const listed = async (): Promise<readonly Shown[]> => {
    const { stdout } = await mayfly("list", "--json");
    return (JSON.parse(stdout) as { issuers: readonly Shown[] }).issuers;
  };
  const rest = async (method: "GET" | "POST", path: string, payload?: object, authorized = true) => {
    const headers = authorized ? { authorization: `Bearer ${ca.operatorToken}` } : {};
    const url = `/api/v1/issuers${path}`;
    const reply = await ca.authority.server.inject({ method, url, headers, ...(payload && { payload }) });
    return { status: reply.statusCode, body: reply.json<Record<string, unknown>>() };
  };
  return { mayfly, listed, rest };
}

async function verified(ca: TestAuthority, name: string, chain: string): Promise<void> {
  const file = join(ca.dataDir, `${name}.pem`);
  await writeFile(file, chain);
  await opensslVerify(join(ca.dataDir, "root.pem"), file);
}

const issuerIn = (chain: string): string => new X509Certificate(chain).issuer;

t.test("two lines at once: each profile's certificates are by its own line's CA", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port: target.port },
      issuers: { servers: { lifetimeDays: 400, keyKind: "ec-p384" } },
      profiles: {
        workload: defaultProfiles.workload,
        server: { ...defaultProfiles.server, issuer: "servers", revocation: { shortLivedMaxSeconds: 60 } },
      },
    },
  });
  const { listed, mayfly } = operator(ca);
  const active = (await listed()).filter(({ kind, state }) => kind === "issuing" && state === "active");
  t.same(active.map(({ name }) => name).sort(), ["default", "servers"]);

  const alice = await (await acmeDriver(t, ca)).account();
  const workload = await issued(ca, alice);
  const order = await alice.newOrder(dns("two.localhost"));
  await validate(target, alice, order);
  const reply = await alice.post(order.finalize, { csr: certificateKey().csr({ dns: ["two.localhost"] }) });
  const server = (await alice.postAsGet(String(reply.json()["certificate"]))).text;
  await verified(ca, "workload", workload.chain);
  await verified(ca, "server", server);
  t.not(issuerIn(workload.chain), issuerIn(server));
  const id = active.find(({ name }) => name === "servers")?.id ?? "";
  await writeFile(join(ca.dataDir, "leaf.pem"), server);
  const text = await succeed("openssl", [
    "x509",
    "-in",
    join(ca.dataDir, "leaf.pem"),
    "-noout",
    "-ext",
    "crlDistributionPoints",
  ]);
  t.match(text, new RegExp(`${ca.url}/crl/${id}/\\d+\\.crl`), "the list is its own line's");
  t.match((await mayfly("show", "--id", id)).stdout, /servers/);
  t.equal((await ca.authority.server.inject("/readyz")).statusCode, 200);
});

/** A root that is signed with elsewhere: its key file is not where the server looks. */
async function rootElsewhere(ca: TestAuthority): Promise<string> {
  const file = join(ca.dataDir, "keys", `${ca.configuration.keys.label}-root.pem`);
  const elsewhere = join(ca.dataDir, "offline-root-key.pem");
  await rename(file, elsewhere);
  return elsewhere;
}

/** What the people of the offline root do with a request, in OpenSSL's words. */
async function signedElsewhere(ca: TestAuthority, rootKey: string, requestFile: string, days = 300): Promise<string> {
  const certificateFile = join(ca.dataDir, "offline-signed.pem");
  const by = [
    "-CA",
    join(ca.dataDir, "root.pem"),
    "-CAkey",
    rootKey,
    "-passin",
    `file:${join(ca.dataDir, "key-passphrase")}`,
  ];
  const serial = ["-set_serial", "0x4a01f200c0ffee0123456789abcdef01"];
  const said = ["-days", String(days), "-copy_extensions", "copyall", ...serial, "-out", certificateFile];
  await succeed("openssl", ["x509", "-req", "-in", requestFile, ...by, ...said]);
  return certificateFile;
}

async function nextOfDefault({ listed }: ReturnType<typeof operator>): Promise<Shown> {
  const found = (await listed()).find(
    (one) => one.kind === "issuing" && one.name === "default" && one.generation === 2,
  );
  if (found === undefined) throw new Error("there is no second generation");
  return found;
}

t.test("a root whose key is elsewhere: request out, certificate in, and what follows issues", async (t: Test) => {
  const ca = await certificateAuthority(t);
  const people = operator(ca);
  const { mayfly, rest } = people;
  const rootKey = await rootElsewhere(ca);
  const alice = await (await acmeDriver(t, ca)).account();
  await issued(ca, alice);
  const [first] = (await people.listed()).filter(({ kind }) => kind === "issuing");
  t.match(await mayfly("prepare"), { status: 0 });
  const waiting = await nextOfDefault(people);
  t.match(waiting, { state: "prepared", waitsForCertificate: true });
  t.match(await mayfly("publish", "--id", waiting.id), { status: 1, stderr: /waits for its certificate/ });

  const request = await mayfly("request", "--id", waiting.id);
  t.match(request, { status: 0, stdout: /BEGIN CERTIFICATE REQUEST/ });
  const requestFile = join(ca.dataDir, "issuing.csr");
  await writeFile(requestFile, request.stdout);
  t.match(await succeed("openssl", ["req", "-in", requestFile, "-noout", "-verify", "-text"]), /CA:TRUE/);

  const rootFile = join(ca.dataDir, "root.pem");
  const refused = await mayfly("import", "--id", waiting.id, "--certificate", rootFile, "--root-certificate", rootFile);
  t.match(refused, { status: 1, stderr: /key/ }, "the root's own is none for this key");
  t.match(await rest("POST", `/${waiting.id}/certificate`, { certificatePem: "no PEM" }), { status: 400 });
  const formerFile = join(ca.dataDir, "former.pem");
  await writeFile(formerFile, String((await rest("GET", `/${first?.id}`)).body["certificatePem"]));
  t.match(
    await mayfly("import", waiting.id, "--certificate", formerFile, "--root-certificate", rootFile),
    { status: 1, stderr: new RegExp(`the certificate is that of issuer ${first?.id} \\(active\\)`) },
    "one that another issuer has is not taken for this one's",
  );
  t.equal((await nextOfDefault(people)).waitsForCertificate, true, "and it still waits");

  const certificate = await signedElsewhere(ca, rootKey, requestFile);
  t.match(await mayfly("import", "--id", waiting.id, "--certificate", certificate, "--root-certificate", rootFile), {
    status: 0,
  });
  t.equal((await nextOfDefault(people)).waitsForCertificate, false);
  t.match(await mayfly("activate", "--id", waiting.id, "--force"), { status: 0 });
  t.equal((await nextOfDefault(people)).state, "active");

  t.match(
    await mayfly("retire", first?.id ?? ""),
    { status: 1, stderr: /the issuer is retiring: certificates of it, .* end at \S+Z; it is retired after that/ },
    "what it signed counts",
  );
  const { chain } = await issued(ca, alice);
  await verified(ca, "after", chain);
  const above = new X509Certificate(await readFile(certificate));
  t.ok(new X509Certificate(chain).verify(above.publicKey), "by the CA that was certified elsewhere");
});

t.test("after a compromise of the root: as it is printed, and nothing leads to the old one", async (t) => {
  const ca = await certificateAuthority(t);
  const { mayfly, listed } = operator(ca);
  const old = (await listed()).find(({ kind }) => kind === "root")?.id ?? "";
  const replaced = await mayfly("replace", "--kind", "root", "--confirm");
  t.match(replaced, { status: 0, stdout: /^Root 2 is active\.$/m });
  t.match(replaced.stdout, /each line at once with: mayfly issuers replace --confirm --line NAME$/m);
  t.match(replaced.stdout, new RegExp(`end it with: mayfly issuers retire --force --id ${old}$`, "m"));
  t.match(await mayfly("replace", "--confirm", "--line", "default"), {
    status: 0,
    stdout: /^Issuing CA 2 .* is active/,
  });
  t.match(await mayfly("retire", old), { status: 1, stderr: /something that it signed counts/ });
  const active = (await listed()).filter(({ state }) => state === "active");
  const certificateOf = async (of: string) => {
    const { stdout } = await mayfly("show", active.find(({ kind }) => kind === of)?.id ?? "");
    return new X509Certificate(stdout.slice(stdout.indexOf("-----BEGIN")));
  };
  const [root, issuing] = [await certificateOf("root"), await certificateOf("issuing")];
  t.ok(issuing.verify(root.publicKey), "what signs from now on is below the new root");
  t.match(await mayfly("retire", "--force", "--id", old), { status: 0, stdout: /^Root 1 is retired\.$/m });
});

t.test("commands and REST refuse what cannot be", async (t) => {
  const ca = await certificateAuthority(t);
  const people = operator(ca);
  const { mayfly, rest, listed } = people;
  const unknown = "01900000-0000-7000-8000-000000000000";
  const [root, issuing] = await listed();
  t.match([root, issuing], [{ kind: "root" }, { kind: "issuing", state: "active" }]);
  const id = issuing?.id ?? "";
  const table: readonly [string, "GET" | "POST", string, object | undefined, number][] = [
    ["unknown", "GET", `/${unknown}`, undefined, 404],
    ["no id", "GET", "/x", undefined, 404],
    ["unknown to publish", "POST", `/${unknown}/publish`, undefined, 404],
    ["unknown to retire", "POST", `/${unknown}/retire`, { force: true }, 404],
    ["active already", "POST", `/${id}/publish`, undefined, 409],
    ["active already", "POST", `/${id}/activate`, {}, 409],
    ["active, not forced", "POST", `/${id}/retire`, {}, 409],
    ["no such line", "POST", "", { name: "nobody" }, 409],
    ["no such line of roots", "POST", "", { kind: "root", name: "nobody" }, 409],
    ["nor to replace one of", "POST", "/replace", { kind: "root", name: "nobody" }, 409],
    ["no name", "POST", "", { name: "../x" }, 400],
    ["no kind", "POST", "", { kind: "leaf" }, 400],
    ["unknown member", "POST", "", { names: "default" }, 400],
    ["waits for none", "POST", `/${id}/certificate`, { certificatePem: ca.root }, 409],
  ];
  for (const [name, method, path, payload, status] of table) {
    const reply = await rest(method, path, payload);
    t.equal(reply.status, status, `${name}: ${JSON.stringify(reply.body)}`);
    t.match(reply.body, { status, type: /^(urn:|about:blank|https?:)/ });
  }
  for (const path of ["", `/${id}`]) t.equal((await rest("GET", path, undefined, false)).status, 401);
  t.equal((await rest("POST", "/replace", {}, false)).status, 401);
  t.match(await mayfly("show", "--id", unknown), { status: 1, stderr: /no such issuer/ });
  t.match(await mayfly("retire", "--id", id), { status: 1, stderr: /the issuer is active/ });
  t.match(await mayfly("show"), { status: 2, stderr: /--id/ });
  t.equal((await listed()).length, 2, "nothing was made by any of it");

  t.match(await mayfly("prepare"), { status: 0 });
  t.match(await mayfly("prepare"), { status: 1, stderr: /is the next one already/ });
  const next = await nextOfDefault(people);
  t.match(await mayfly("retire", "--id", next.id), { status: 0 }, "one that never issued is given up");
  t.equal((await nextOfDefault(people)).state, "retired");
});
