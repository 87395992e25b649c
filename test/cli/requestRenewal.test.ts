/** `mayfly request` as a renewal: it says what it replaces, and with --if-due waits for the window that the server suggests. */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { MayflyClient } from "../../src/client/mayflyClient.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";
import { mayfly } from "../support/program.ts";

t.test("renewals of an agent", async (t) => {
  const ca = await certificateAuthority(t);
  const spiffeId = "spiffe://mayfly.localhost/dev/agent";
  const folder = t.testdir();
  const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url, MAYFLY_DIRECTORY: ca.directoryUrl };
  const request = async (out: string, ...more: string[]) => {
    const evidence = `exec:'${process.execPath}' '${mayfly}' dev-token --subject agent`;
    const words = ["request", "--spiffe-id", spiffeId, "--evidence", evidence, "--out", join(folder, out), "--json"];
    const { status, stdout, stderr } = await runWords(commands, [...words, ...more], { env });
    t.strictSame({ status, stderr }, { status: 0, stderr: "" });
    return JSON.parse(stdout) as { serial?: string; due?: string };
  };
  const entryOf = async (serial = ""): Promise<Record<string, unknown>> =>
    (await ca.inventory(`/certificates/${serial}`)).body;
  const keep = ["--account-key", join(folder, "account.pem")];

  t.test("the account that is kept says what it replaces; a fresh one does not", async (t) => {
    const first = await request("kept", ...keep);
    const second = await request("kept", ...keep);
    t.match(await entryOf(second.serial), { replaces: first.serial });
    t.match(await entryOf(first.serial), { replacedBy: second.serial });
    const third = await request("kept");
    t.match(await entryOf(third.serial), { replaces: null });
    const fourth = await request("kept", ...keep);
    t.match(await entryOf(fourth.serial), { replaces: null }, "the certificate of another account is none of its own");
  });

  t.test("--if-due: not before the window, at once when it has passed", async (t) => {
    const first = await request("due", "--if-due", ...keep);
    t.type(first.serial, "string", "nothing is there yet");
    const early = await request("due", "--if-due", ...keep);
    t.notOk("serial" in early);
    const { notAfter } = await entryOf(first.serial);
    const due = Date.parse(early.due ?? "");
    t.ok(due > Date.now() + 400_000 && due < Date.parse(String(notAfter)), `due at ${early.due}`);
    t.equal((await request("due", "--if-due", ...keep)).due, early.due, "the same moment whenever it is asked");

    const { statusCode } = await ca.authority.server.inject({
      method: "POST",
      url: "/api/v1/incidents",
      headers: { authorization: `Bearer ${ca.operatorToken}` },
      payload: { reason: "test", dryRun: false, certificates: { serials: [first.serial] } },
    });
    t.equal(statusCode, 201);
    const renewed = await request("due", "--if-due", ...keep);
    t.match(await entryOf(renewed.serial), { replaces: first.serial });
    t.notOk("serial" in (await request("due", "--if-due", ...keep)), "and no second time");
  });

  t.test("a predecessor that is replaced already is no reason to have no certificate", async (t) => {
    const client = new MayflyClient({ directoryUrl: ca.directoryUrl, root: ca.root });
    t.teardown(() => client.close());
    const evidence = async ({ boundAudience }: { boundAudience: string }) => [
      { format: "jwt", ref: "dev", value: await ca.devToken("agent", boundAudience) },
    ];
    const first = await client.request({ spiffeId, evidence });
    const [second, third] = [
      await client.request({ spiffeId, evidence, replaces: first.leaf }),
      await client.request({ spiffeId, evidence, replaces: first.leaf }),
    ];
    t.match(await entryOf(second.serial), { replaces: first.serial });
    t.match(await entryOf(third.serial), { replaces: null });
    const info = await client.renewalInfo(third.leaf);
    t.ok(info !== undefined && info.start < info.end && info.end < third.notAfter);
    const root = new X509Certificate(await readFile(join(ca.dataDir, "root.pem")));
    await t.rejects(client.renewalInfo(root), { message: /refused to say when to renew: .*no such resource/ });
  });
});
