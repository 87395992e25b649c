/** What `mayfly request` says when it is refused: each with its reason, in one sentence, with nothing written and nothing issued. */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";

import { ask, attestingServer, request } from "../support/attestingServer.ts";
import { inventoryOf } from "../support/inventoryOf.ts";
import { serverProcess } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("refusals, each with its reason, and nothing written", async (t) => {
  const { server, platform, cluster, folder } = await attestingServer(t);
  const foreign = { rootFile: (await serverProcess(t)).rootFile };
  const audience = `${server.url}/wa`;
  const files: Readonly<Record<string, string>> = {
    expired: platform.mint({
      sub: "late",
      aud: audience,
      iat: Date.now() / 1000 - 4000,
      exp: Date.now() / 1000 - 3600,
    }),
    elsewhere: platform.mint({ sub: "lost", aud: "https://other.example/wa" }),
    replayed: platform.mint({ sub: "unbound", aud: `${audience}/${"B".repeat(43)}` }),
    pod: cluster.mintProjected(audience, { namespace: "shop", name: "till" }),
    carried: platform.mint({ sub: "bearer", aud: audience }),
  };
  for (const [name, token] of Object.entries(files)) await writeFile(join(folder, name + ".token"), token);
  const file = (name: string): string => join(folder, `${name}.token`);
  const id = (path: string): string => `spiffe://example.org/${path}`;

  const cases: readonly {
    what: string;
    spiffeId: string;
    evidence: string;
    reason: RegExp;
    at?: { readonly rootFile: string };
  }[] = [
    {
      what: "another root",
      spiffeId: id("bound/a"),
      evidence: ask(platform, "a"),
      reason: /certificate/,
      at: foreign,
    },
    { what: "another subject", spiffeId: id("bound/a"), evidence: ask(platform, "b"), reason: /identityNotDerived/ },
    {
      what: "another service account",
      spiffeId: id("ns/shop/sa/cart"),
      evidence: `k8s:${file("pod")}`,
      reason: /identityNotDerived/,
    },
    {
      what: "a bearer token where a bound one is asked for",
      spiffeId: id("bound/bearer"),
      evidence: `jwt:${file("carried")}`,
      reason: /bindingMissing/,
    },
    {
      what: "a token of another request",
      spiffeId: id("bound/unbound"),
      evidence: `jwt:${file("replayed")}`,
      reason: /bindingMismatch/,
    },
    {
      what: "an expired token",
      spiffeId: id("carried/late"),
      evidence: `jwt:${file("expired")}`,
      reason: /evidenceExpired/,
    },
    {
      what: "a token for somebody else",
      spiffeId: id("carried/lost"),
      evidence: `jwt:${file("elsewhere")}`,
      reason: /evidenceInvalid|audience/,
    },
    {
      what: "an identity that nobody may have",
      spiffeId: id("root"),
      evidence: `jwt:${file("carried")}`,
      reason: /rejectedIdentifier/,
    },
    {
      what: "another trust domain",
      spiffeId: "spiffe://other.org/bound/a",
      evidence: ask(platform, "a"),
      reason: /rejectedIdentifier/,
    },
    {
      what: "a command that fails",
      spiffeId: id("bound/a"),
      evidence: "exec:exit 3",
      reason: /the evidence command ended with status 3/,
    },
  ];
  const before = (await inventoryOf(server, "")).length;
  for (const { what, spiffeId, evidence, reason, at = {} } of cases) {
    const out = join(folder, "refused");
    const ended = await request({ ...server, ...at }, spiffeId, evidence, out);
    t.equal(ended.status, 1, what);
    t.match(ended.stderr, reason, what);
    t.match(ended.stderr, /^mayfly: [^\n]+\n$/, `${what}: one sentence`);
    for (const token of Object.values(files)) t.notOk(ended.stderr.includes(token), `${what}: no token is shown`);
    for (const name of ["key.pem", "cert.pem"]) t.notOk(existsSync(join(out, name)), `${what}: no ${name}`);
  }
  t.equal((await inventoryOf(server, "")).length, before, "and nothing was issued");
});
