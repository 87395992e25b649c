/** Incidents of other systems, each as a test of what is done here: whole requests. Those of verification are in attestation/incidents. */
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import t from "tap";
import { http01 } from "../../src/acme/challenges/http01.ts";
import { acmeDriver, uri } from "../support/acmeDriver.ts";
import { attested, attesting, audienceOf, certificateIdOf, issued, respond, spiffeIdOf } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { inline, order } from "../support/inlineFlows.ts";
import { temporaryPostgres } from "../support/postgres.ts";
import { postgresProxy } from "../support/postgresProxy.ts";
import { evidenceRefused, refused, tokenRefused } from "../support/refused.ts";
import { tokenAuthority } from "../support/tokenAuthority.ts";
import { tokenIssuer } from "../support/tokenIssuer.ts";
import { addressesAre, httpTarget, plainly, testOutbound } from "../support/validationTargets.ts";

t.setTimeout(120_000);

t.test("incidents", async (t) => {
  const folder = t.testdir();
  const platform = await tokenIssuer(t, "https://platform.example");
  const jwksFile = join(folder, "jwks.json");
  await writeFile(jwksFile, platform.jwks);
  const orchestrator = await tokenAuthority(folder, "orchestrator");
  const grant = { minBinding: "bearer", profile: "workload" };
  const ca = await certificateAuthority(t, {
    configuration: {
      attestation: {
        sources: [
          { ref: "elsewhere", format: "jwt", issuer: platform.issuer, jwksFile },
          { ref: "orchestrator", ...orchestrator.source },
          { ref: "stranger", ...(await tokenAuthority(folder, "stranger")).source },
        ],
      },
      grants: [
        { ...grant, name: "elsewhere", spiffeId: "spiffe://mayfly.localhost/elsewhere/{sub}", source: "elsewhere" },
        {
          ...grant,
          name: "vouched",
          spiffeId: "spiffe://mayfly.localhost/vouched/{path2}",
          source: "orchestrator",
          minBinding: "key",
        },
      ],
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const bob = await acme.account();

  t.test(
    "CVE-2025-44005 one way to a signature: what was authorized for one account or source is nothing to another",
    async (t) => {
      const flow = await attested(ca, alice);
      const csr = flow.key.csr({ uri: [flow.spiffeId] });
      t.equal((await bob.post(flow.order.finalize, { csr })).status, 404, "another account");
      const waiting = await attesting(ca, alice);
      const value = platform.mint({ sub: waiting.subject, aud: waiting.boundAudience });
      const evidence = [{ format: "jwt", ref: "elsewhere", value }];
      evidenceRefused(
        t,
        await alice.post(waiting.challenge.url, { spki: waiting.key.spki, evidence }),
        "formatNotAccepted",
        "a source that no grant names for this identity",
      );
      refused(
        t,
        await alice.post(waiting.order.finalize, { csr: waiting.key.csr({ uri: [waiting.spiffeId] }) }),
        403,
        "orderNotReady",
      );
      t.equal((await alice.post(flow.order.finalize, { csr })).status, 200, "and the right way leads there");
    },
  );

  t.test("GHSA-7qjx-gp9h-65qj the same policy on every path: challenge, order with evidence, tkauth-01", async (t) => {
    const waiting = await attesting(ca, alice);
    const value = platform.mint({ sub: waiting.subject, aud: audienceOf(ca) });
    const evidence = [{ format: "jwt", ref: "elsewhere", value }];
    evidenceRefused(
      t,
      await alice.post(waiting.challenge.url, { spki: waiting.key.spki, evidence }),
      "formatNotAccepted",
    );
    const flow = await inline(ca, acme, alice);
    const reply = await order(alice, acme, flow, { evidence });
    t.equal(reply.status, 400, "newOrder with that evidence");
    t.match(reply.text, /formatNotAccepted/);
    const spiffeId = "spiffe://mayfly.localhost/vouched/checkout";
    const made = await alice.order({ identifiers: [uri(spiffeId)] });
    const authorization = await alice.readAuthorization(made.authorizations[0]);
    const tkauth = authorization.challenges.find(({ type }) => type === "tkauth-01");
    const stranger = await tokenAuthority(folder, "stranger");
    tokenRefused(
      t,
      await alice.post(tkauth?.url ?? "", { tkauth: stranger.vouch(alice, spiffeId) }),
      "sourceNotConfigured",
    );
  });

  t.test("CVE-2026-39388 a renewal proves nothing: identity and key are judged anew", async (t) => {
    const first = await issued(ca, alice);
    const replaces = certificateIdOf(first.chain);
    const other = await alice.post(acme.directory.newOrder, { identifiers: [uri(spiffeIdOf(randomUUID()))], replaces });
    t.not(other.status, 201, "another identity does not renew this one");
    const stranger = await bob.post(acme.directory.newOrder, { identifiers: [uri(first.spiffeId)], replaces });
    t.not(stranger.status, 201, "nor does another account");
    const renewal = await attesting(ca, alice, first.subject, { replaces });
    t.equal(renewal.order.status, "pending", "it wants fresh evidence");
    const reply = await respond(renewal, await ca.devToken(renewal.subject, renewal.boundAudience));
    t.equal(reply.json()["status"], "valid");
    const csr = first.key.csr({ uri: [first.spiffeId] });
    refused(t, await alice.post(renewal.order.finalize, { csr }), 400, "badCSR", "the old key was not committed to");
  });

  t.test("CVE-2026-40097 malformed evidence of every kind fails its challenge, and the server goes on", async (t) => {
    const odd = ["MAA", "oA", "gIA", "_w", "MIAwADAA", "e30", "A".repeat(40_000), "\u0000", "ÿ"];
    for (const value of odd) {
      const flow = await attesting(ca, alice);
      evidenceRefused(t, await respond(flow, value), "evidenceMalformed", JSON.stringify(value.slice(0, 12)));
    }
    t.equal((await attested(ca, alice)).order.status, "pending", "and the next one is served");
  });

  t.test("SPIRE 1.14.6 join-token: 50 answers at once with one token → one is valid", async (t) => {
    const flows = await Promise.all(Array.from({ length: 50 }, () => attesting(ca, alice, "joined")));
    const token = await ca.devToken("joined", audienceOf(ca));
    const replies = await Promise.all(flows.map((flow) => respond(flow, token)));
    const statuses = replies.map((reply) => String(reply.json()["status"]));
    t.equal(statuses.filter((status) => status === "valid").length, 1);
    t.equal(statuses.filter((status) => status === "invalid").length, 49);
  });
});

t.test(
  "SPIRE 1.14.2 http_challenge: http-01 goes to no address of ours by a redirect, and echoes little",
  async (t) => {
    let inside = 0;
    const secret = await httpTarget(t, (_, response) => {
      inside += 1;
      response.end("s3cret");
    });
    for (const location of [
      `http://127.0.0.1:${secret}/`,
      `http://[::1]:${secret}/`,
      "http://169.254.169.254/latest/",
    ]) {
      const port = await httpTarget(t, (_, response) => response.writeHead(302, { location }).end());
      const dns = await addressesAre(t, "127.0.0.1");
      const outbound = testOutbound({ dnsResolver: dns.address, http01Port: port });
      const identifier = { type: "dns", value: "target.example" } as const;
      const asked = { identifier, token: "t".repeat(43), keyAuthorization: `${"t".repeat(43)}.x`, ...plainly };
      const outcome = await http01(asked, outbound, new AbortController().signal);
      t.match(outcome, { ok: false, problem: "unauthorized" }, location);
      t.notMatch(JSON.stringify(outcome), /s3cret/);
    }
    t.equal(inside, 0);
  },
);

t.test("SPIRE 1.15.2 #6964 the issuer survives whatever statement is lost", async (t) => {
  const { url: databaseUrl } = await temporaryPostgres(t);
  const proxy = await postgresProxy(t, databaseUrl);
  const ca = await certificateAuthority(t, { databaseUrl: proxy.url, configuration: { database: { poolSize: 3 } } });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const chainOf = (pem: string) => pem.split("-----END CERTIFICATE-----").slice(1).join("");
  const before = await issued(ca, alice);
  const flow = await attested(ca, alice);
  proxy.seen();
  await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
  const statements = [...new Set(proxy.seen())];
  t.ok(statements.length > 0, statements.join(" "));
  for (const statement of statements) {
    const { order: made, key, spiffeId } = await attested(ca, alice);
    proxy.lose(statement, "unanswered");
    const reply = await alice.post(made.finalize, { csr: key.csr({ uri: [spiffeId] }) });
    t.ok(reply.status === 200 || reply.status >= 500, `${statement}: ${reply.status}, the client is not to blame`);
  }
  const after = await issued(ca, alice);
  t.equal(chainOf(after.chain), chainOf(before.chain), "the same issuer");
  await ca.close();
  const again = await certificateAuthority(t, { databaseUrl, dataDir: ca.dataDir, port: ca.configuration.listenPort });
  t.equal(again.root, ca.root, "and after a restart");
  const client = (await acmeDriver(t, again)).client(alice.key);
  await client.register({ onlyReturnExisting: true });
  t.equal(chainOf((await issued(again, client)).chain), chainOf(before.chain));
});
