import { join } from "node:path";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { acmeDriver, dns, ip } from "../support/acmeDriver.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";
import { binding } from "../support/externalAccounts.ts";
import { refused } from "../support/refused.ts";

t.test("mayfly eab create, list, revoke", async (t) => {
  const acme = { directories: [{ name: "servers", profiles: ["server"] }], externalAccountRequired: true };
  const ca = await certificateAuthority(t, { configuration: { acme } });
  const driver = await acmeDriver(t, ca);
  const env = { MAYFLY_CONFIG: join(ca.dataDir, "mayfly.yaml") };
  const eab = (...words: string[]) => runWords(commands, ["eab", ...words], { env });
  const none = "ID  DIRECTORY  STATE  USES  EXPIRES  DESCRIPTION\n";

  t.test("a key for one account: what create prints registers one, and list says so", async (t) => {
    t.strictSame(await eab("list"), { status: 0, stdout: none, stderr: "" });
    const made = await eab("create");
    t.equal(made.stderr, "");
    const [, kid = "", hmac = ""] = /--eab-kid=(\S+) --eab-hmac-key=(\S+) /.exec(made.stdout) ?? [];
    t.match(made.stdout, `Key id    ${kid}\nMAC key   ${hmac}\n`);
    t.match(made.stdout, `--server ${ca.directoryUrl} --eab --kid=${kid} --hmac=${hmac} `);
    t.equal(Buffer.from(hmac, "base64url").length, 32);
    t.match((await eab("list")).stdout, new RegExp(`\\n${kid}  default +usable +0/1 +never\\n$`));

    const [first, second] = [driver.client(), driver.client()];
    const bound = ({ key }: typeof first) => ({
      externalAccountBinding: binding(driver, { key }, { id: kid, macKey: hmac }),
    });
    t.equal((await first.register(bound(first))).status, 201);
    refused(t, await second.register(bound(second)), 403, "unauthorized");
    t.match((await eab("list")).stdout, new RegExp(`\\n${kid}  default +used up +1/1 +never\\n$`));
    t.strictSame(await eab("list", "--usable"), { status: 0, stdout: none, stderr: "" });
    t.notMatch((await eab("list", "--json")).stdout, hmac, "the MAC key is nowhere else");
  });

  t.test("every option, as the server understands it", async (t) => {
    const many = "create --json --uses unlimited --expires-in-days 7 --dns A.example --dns b.example --ip 10.2.0.0/16";
    const more = "--spiffe spiffe://mayfly.localhost/x/ --profile server --directory servers --description";
    const text = await eab(...`${many} ${more}`.split(" "), "the team");
    t.equal(text.stderr, "");
    const made = JSON.parse(text.stdout) as { id: string; macKey: string; expiresAt: string };
    t.match(made, {
      directory: "servers",
      description: "the team",
      usable: true,
      uses: { max: null },
      identifiers: { dns: ["a.example", "b.example"], ip: ["10.2.0.0/16"], spiffe: ["spiffe://mayfly.localhost/x"] },
      profiles: ["server"],
    });
    t.ok(Math.abs(Date.parse(made.expiresAt) - Date.now() - 7 * 86_400_000) < 60_000);
    t.match(
      (await eab("list", "--directory", "servers")).stdout,
      new RegExp(`\\n${made.id}  servers +usable +unlimited`),
    );
    t.notMatch((await eab("list", "--directory", "default")).stdout, made.id);

    const servers = await acmeDriver(t, { ...ca, directoryUrl: `${ca.url}/acme/servers/directory` });
    const client = servers.client();
    const registered = await client.register({ externalAccountBinding: binding(servers, client, made) });
    t.equal(registered.status, 201);
    t.equal((await client.newOrder(dns("x.a.example"), ip("10.2.255.1"))).status, "pending");
    const other = { identifiers: [dns("xa.example")] };
    refused(t, await client.post(servers.directory.newOrder, other), 400, "rejectedIdentifier");

    t.match(await eab("create", "--directory", "servers", "--expires-at", "2999-01-01T00:00:00Z"), {
      stdout: new RegExp(`Expires   2999-01-01.*--server ${ca.url}/acme/servers/directory `, "s"),
    });
  });

  t.test("revoke", async (t) => {
    const { id } = JSON.parse((await eab("create", "--json")).stdout) as { id: string };
    const revoked = await eab("revoke", "--id", id);
    t.match(revoked, { status: 0, stdout: new RegExp(`^Key ${id} was revoked at \\S+Z\\.\\n$`), stderr: "" });
    t.strictSame(await eab("revoke", "--id", id), revoked, "a second time changes nothing");
    t.match((await eab("list")).stdout, new RegExp(`\\n${id}  default +revoked +0/1`));
    const ending = await eab("revoke", "--id", id, "--deactivate-accounts");
    t.match(ending, { status: 0, stdout: `${revoked.stdout}Accounts that ended with this: 0.\n` });
  });

  t.test("what goes wrong is one sentence", async (t) => {
    const table: [string[], number, RegExp][] = [
      [["create", "--uses", "0"], 2, /--uses is "0", expected a whole number of accounts .* or unlimited/],
      [["create", "--expires-in-days", "1", "--expires-at", "x"], 2, /not both/],
      [["create", "--expires-at", "tomorrow"], 1, /expiresAt/],
      [["create", "--expires-at", "2001-01-01T00:00:00Z"], 1, /past/],
      [["create", "--dns", "a b"], 1, /identifiers\.dns: "a b"/],
      [["create", "--ip", "10.0.0.1/8"], 1, /identifiers\.ip/],
      [["create", "--spiffe", "spiffe://elsewhere/x"], 1, /identifiers\.spiffe/],
      [["create", "--profile", "none"], 1, /no profile none/],
      [["create", "--directory", "none"], 1, /directory/],
      [["revoke", "--id", "../../x"], 1, /there is no such/],
      [["revoke"], 2, /needs --id/],
      [["creat"], 2, /did you mean "eab create"\?/],
    ];
    for (const [words, status, sentence] of table) {
      const result = await eab(...words);
      t.equal(result.status, status, words.join(" "));
      t.match(result.stderr, sentence);
      t.equal(result.stdout, "");
      t.equal(result.stderr.indexOf("\n"), result.stderr.length - 1, "one line");
    }
  });
});
