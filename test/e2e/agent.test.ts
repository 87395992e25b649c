/** `mayfly request` as an agent runs it: evidence of five kinds, chains that OpenSSL verifies, and mutual TLS. */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import t, { type Test } from "tap";

import { ask, askToVouch, attestingServer, request } from "../support/attestingServer.ts";
import { inventoryOf, type InventoryEntry } from "../support/inventoryOf.ts";
import { leafIn, opensslVerify } from "../support/opensslVerify.ts";
import { mayfly, run, succeed } from "../support/program.ts";
import { serverProcess, type ServerProcess } from "../support/serverProcess.ts";
import { listen } from "../support/validationTargets.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

const ground = await attestingServer(t);

/** Everything that must hold of what an agent got: files, chain, names, inventory. */
async function examine(t: Test, server: ServerProcess, spiffeId: string, out: string): Promise<InventoryEntry> {
  const chain = join(out, "cert.pem");
  const { certificate, serial, fingerprint } = await leafIn(chain);
  t.ok(
    certificate.checkPrivateKey(createPrivateKey(await readFile(join(out, "key.pem"), "utf8"))),
    "key and certificate",
  );
  t.equal((await stat(join(out, "key.pem"))).mode & 0o777, 0o600, "key.pem is the owner's alone");
  t.equal(
    new X509Certificate(await readFile(join(out, "bundle.pem"), "utf8")).fingerprint256,
    new X509Certificate(server.root).fingerprint256,
    "the bundle is the root",
  );
  for (const purpose of ["sslserver", "sslclient"] as const) await opensslVerify(server.rootFile, chain, purpose);
  const shown = await succeed("openssl", ["x509", "-in", chain, "-noout", "-ext", "subjectAltName"]);
  t.equal(shown.split("\n").slice(1).join("").trim(), `URI:${spiffeId}`, "OpenSSL sees exactly the SPIFFE ID");
  const [entry, ...others] = await inventoryOf(server, `serial=${serial}`);
  if (entry === undefined) throw new Error(`${serial} is not in the inventory`);
  t.strictSame(others, []);
  t.match(entry, { spiffeId, state: "valid", fingerprintSha256: fingerprint });
  return entry;
}

t.test("exec: dev-token, at a server without a configuration; renewed into the same place", async (t) => {
  const server = await serverProcess(t);
  const spiffeId = "spiffe://mayfly.localhost/dev/agent-1";
  const out = join(server.dataDir, "agent-1");
  const evidence = `exec:'${process.execPath}' '${mayfly}' dev-token --subject agent-1`;
  const { status, stdout, stderr } = await request(server, spiffeId, evidence, out);
  t.equal(stderr, "");
  t.equal(status, 0);
  t.match(stdout, spiffeId);
  const first = await examine(t, server, spiffeId, out);
  t.match(first, { evidenceSource: "dev", evidenceFormat: "jwt", rule: "development", bindingLevel: "nonce" });
  t.match(first.evidenceDigest, /^[0-9a-f]{64}$/);

  t.equal((await request(server, spiffeId, evidence, out)).status, 0);
  const second = await examine(t, server, spiffeId, out);
  t.not(second.serial, first.serial, "key, chain and bundle are those of the renewal");
  t.equal((await inventoryOf(server, `spiffeId=${encodeURIComponent(spiffeId)}`)).length, 2);
});

t.test("format and source are known: one signed request from the account to the certificate", async (t) => {
  const { server, platform, folder } = ground;
  const spiffeId = "spiffe://example.org/bound/deploy-8";
  const out = join(folder, "inline");
  const evidence = ask(platform, "deploy-8").replace("exec:", "exec@fetched:");
  t.match(await request(server, spiffeId, evidence, out, ["--format", "jwt"]), { status: 0, stderr: "" });
  t.match(await examine(t, server, spiffeId, out), {
    evidenceSource: "fetched",
    evidenceFormat: "jwt",
    rule: "bound",
    bindingLevel: "nonce",
  });
  const metrics = await succeed("curl", ["-sS", "--cacert", server.rootFile, `${server.url}/metrics`]);
  t.notMatch(metrics, /route="\/acme\/order\/:order\/finalize"/, "nothing was finalized");
});

t.test("a token bound to the request, from an issuer whose keys are fetched", async (t) => {
  const { server, platform, folder } = ground;
  const spiffeId = "spiffe://example.org/bound/deploy-7";
  const out = join(folder, "bound");
  t.match(await request(server, spiffeId, ask(platform, "deploy-7"), out), { status: 0, stderr: "" });
  t.match(await examine(t, server, spiffeId, out), {
    evidenceSource: "fetched",
    evidenceFormat: "jwt",
    bindingLevel: "nonce",
    rule: "bound",
    evidenceDigest: sha256(platform.given.at(-1) ?? ""),
  });
});

t.test("a token by which an authority vouches for the account key", async (t) => {
  const { server, platform, folder } = ground;
  const spiffeId = "spiffe://example.org/vouched/checkout";
  const out = join(folder, "vouched");
  t.match(await request(server, spiffeId, askToVouch(platform), out), { status: 0, stderr: "" });
  t.match(await examine(t, server, spiffeId, out), {
    evidenceSource: "orchestrator",
    evidenceFormat: "atc",
    bindingLevel: "key",
    rule: "vouched",
    evidenceDigest: sha256(platform.given.at(-1) ?? ""),
  });

  const file = join(folder, "vouched.jwt");
  await writeFile(file, platform.given.at(-1) ?? "");
  const elsewhere = await request(server, spiffeId, `atc:${file}`, join(folder, "stolen"));
  t.match(elsewhere, { status: 1, stderr: /^mayfly: .*bindingMismatch/ }, "a fresh account has another key");
  t.notOk(existsSync(join(folder, "stolen/key.pem")));
});

t.test("jwt:FILE, a bearer token from an issuer whose keys are in a file", async (t) => {
  const { server, platform, folder } = ground;
  const spiffeId = "spiffe://example.org/carried/batch-9";
  const out = join(folder, "carried");
  const token = platform.mint({ sub: "batch-9", aud: `${server.url}/wa` });
  const file = join(folder, "batch-9.jwt");
  await writeFile(file, `${token}\n`);
  t.match(await request(server, spiffeId, `jwt:${file}`, out), { status: 0, stderr: "" });
  t.match(await examine(t, server, spiffeId, out), {
    evidenceSource: "static",
    bindingLevel: "bearer",
    rule: "carried",
    evidenceDigest: sha256(token),
  });

  const again = await request(server, spiffeId, `jwt:${file}`, join(folder, "replayed"));
  t.equal(again.status, 1);
  t.match(again.stderr, /^mayfly: .*evidenceReplayed/, "a token is good for one use");
  t.notOk(existsSync(join(folder, "replayed/key.pem")));
});

t.test("k8s:FILE, a projected service-account token", async (t) => {
  const { server, cluster, folder } = ground;
  const spiffeId = "spiffe://example.org/ns/shop/sa/cart";
  const out = join(folder, "pod");
  const token = cluster.mintProjected(`${server.url}/wa`, { namespace: "shop", name: "cart" });
  const file = join(folder, "token");
  await writeFile(file, token);
  t.match(await request(server, spiffeId, `k8s:${file}`, out), { status: 0, stderr: "" });
  t.match(await examine(t, server, spiffeId, out), {
    evidenceSource: "prod-east",
    evidenceFormat: "k8s",
    bindingLevel: "bearer",
    rule: "pods",
    evidenceDigest: sha256(token),
  });
});

/** An agent's credentials as `node:tls` takes them. */
async function credentials(name: string) {
  const [key, cert, ca] = await Promise.all(
    ["key.pem", "cert.pem", "bundle.pem"].map((file) => readFile(join(ground.folder, name, file), "utf8")),
  );
  return { key: key ?? "", cert: cert ?? "", ca: ca ?? "", minVersion: "TLSv1.2" as const };
}

/** The SPIFFE ID of whoever is at the other end of a connection that was verified. */
const peerOf = (socket: TLSSocket): string =>
  socket.authorized ? (socket.getPeerCertificate().subjectaltname ?? "") : "nobody";

t.test("mutual TLS between a pod and a deployment", async (t) => {
  const seen = Promise.withResolvers<string>();
  const server = createServer(
    { ...(await credentials("pod")), requestCert: true, rejectUnauthorized: true },
    (socket) => {
      seen.resolve(peerOf(socket));
      socket.end("hello");
    },
  );
  const port = await listen(t, server);
  // An SVID names no host: the peer's identity is checked in place of a host name (X.509-SVID §5).
  const checkServerIdentity = (_host: string, { subjectaltname = "" }): Error | undefined =>
    subjectaltname === "URI:spiffe://example.org/ns/shop/sa/cart" ? undefined : new Error(subjectaltname);
  const socket = connect({ port, host: "127.0.0.1", ...(await credentials("bound")), checkServerIdentity });
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  t.equal(text, "hello");
  t.equal(await seen.promise, "URI:spiffe://example.org/bound/deploy-7");

  const { ca } = await credentials("bound");
  const stranger = connect({ port, host: "127.0.0.1", ca, checkServerIdentity });
  const end = await new Promise((resolve) =>
    stranger
      .once("error", resolve)
      .once("end", () => resolve("ended"))
      .resume(),
  );
  t.match(end, { code: /CERTIFICATE_REQUIRED/ }, "who shows no certificate is turned away");

  // OpenSSL's own client thinks the same of both.
  const [cert, key, root] = ["cert", "key", "bundle"].map((name) => join(ground.folder, "bound", `${name}.pem`));
  const client = `s_client -connect 127.0.0.1:${port} -ign_eof -verify_return_error -CAfile ${root} -cert ${cert} -cert_chain ${cert} -key ${key}`;
  const { stdout } = await run("openssl", client.split(" "));
  t.match(stdout, "Verify return code: 0 (ok)");
  t.match(stdout, "hello");
});
