import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { acmeDriver, dns } from "../support/acmeDriver.ts";
import { certificateKey, http01Target, idOf, query, settled, show } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";

t.test("mayfly limits, pauses, keys", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port: target.port, attempts: 1 },
      acme: { rateLimits: { ordersPerAccountPerMinute: 1, ordersPerAccountBurst: 1, pauseAfterFailures: 1 } },
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const account = idOf(alice.account);
  const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
  const mayfly = (...words: string[]) => runWords(commands, words, { env });

  t.test("limits list and reset", async (t) => {
    const authorization = await alice.readAuthorization((await alice.newOrder(dns("bad.localhost"))).authorizations[0]);
    t.equal((await alice.post(acme.directory.newOrder, { identifiers: [dns("b.localhost")] })).status, 429);
    const shown = await mayfly("limits", "list");
    t.match(shown, { status: 0, stderr: "" });
    t.match(shown.stdout, /^requestsPerAddress +off +0 +0$/m);
    t.match(shown.stdout, /^ordersPerAccount +1 in 60 s +1 +1 +1$/m);
    t.match(shown.stdout, new RegExp(`^ordersPerAccount +${account} +\\d+ s$`, "m"));
    t.match(JSON.parse((await mayfly("limits", "list", "--json")).stdout), {
      limits: [{ limit: "requestsPerAddress" }],
    });
    t.strictSame(await mayfly("limits", "reset", "--limit", "ordersPerAccount", "--key", account), {
      status: 0,
      stdout: "Forgotten: 1.\n",
      stderr: "",
    });
    t.equal((await mayfly("limits", "reset", "--limit", "ordersPerAccount")).stdout, "Forgotten: 0.\n");
    t.match(await mayfly("limits", "reset", "--limit", "../x"), {
      status: 1,
      stderr: /there is no such limit, only .*ordersPerAccount/,
    });
    t.match(await mayfly("limits", "reset"), { status: 2, stderr: /--limit/ });
    const challenge = show(target, alice, authorization);
    target.set(challenge.token, "wrong");
    await alice.post(challenge.url, {});
    await settled(alice, authorization.url);
  });

  t.test("pauses list and resume", async (t) => {
    const shown = await mayfly("pauses", "list", "--account", account);
    t.match(shown.stdout, new RegExp(`^${account} +dns bad\\.localhost +1 +\\S+Z$`, "m"));
    t.match(JSON.parse((await mayfly("pauses", "list", "--json")).stdout), { account });
    t.match(await mayfly("pauses", "resume"), { status: 2, stderr: /--account or --value/ });
    t.equal((await mayfly("pauses", "resume", "--value", "bad.localhost")).stdout, "Resumed: 1.\n");
    t.equal((await mayfly("pauses", "resume", "--account", account)).stdout, "Resumed: 0.\n");
  });

  t.test("keys block, list, unblock", async (t) => {
    const { privateKey, spki } = certificateKey();
    const file = join(ca.dataDir, "leaked.pem");
    await writeFile(file, privateKey.export({ type: "pkcs8", format: "pem" }));
    const digest = Buffer.from(spki, "base64url").toString("hex");
    t.equal((await mayfly("keys", "block", "--file", file, "--note", "leaked")).stdout, `Blocked: ${digest}.\n`);
    t.match((await mayfly("keys", "list")).stdout, new RegExp(`^${digest} +\\S+Z +operator +leaked$`, "m"));
    t.match(JSON.parse((await mayfly("keys", "list", "--json")).stdout), { spkiSha256: digest });
    t.equal(
      (await mayfly("keys", "unblock", "--spki-sha256", digest.toUpperCase())).stdout,
      `Not blocked any more: ${digest}.\n`,
    );
    t.match(await mayfly("keys", "unblock", "--file", file), { status: 1, stderr: /not blocked/ });
    t.same(await query(ca, "select 1 from blocked_key"), []);

    await writeFile(file, ca.root);
    const root = createHash("sha256")
      .update(ca.authority.issuers.active("default").key.publicKey.export({ type: "spki", format: "der" }))
      .digest("hex");
    const blocked = await mayfly("keys", "block", "--file", file);
    t.match(blocked.stdout, /^Blocked: [0-9a-f]{64}\.\n$/, "the key of a certificate");
    t.notMatch(blocked.stdout, root, "of that one");
    await writeFile(file, "nothing");
    t.match(await mayfly("keys", "block", "--file", file), { status: 1, stderr: /no public key in PEM/ });
    t.match(await mayfly("keys", "block", "--file", `${file}x`), {
      status: 1,
      stderr: /^mayfly: the file \S+ is not there\n$/,
    });
    t.match(await mayfly("keys", "block"), { status: 2, stderr: /--spki-sha256 and --file/ });
    t.match(await mayfly("keys", "block", "--spki-sha256", "ab"), { status: 1 });
  });
});
