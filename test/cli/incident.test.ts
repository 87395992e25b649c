import { join } from "node:path";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { acmeDriver } from "../support/acmeDriver.ts";
import { certificateIdOf, idOf, issued } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";

t.test("mayfly incident create, list, end", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const { chain, certificateUrl, spiffeId } = await issued(ca, await acme.account());
  const serial = idOf(certificateUrl);
  const env = { MAYFLY_CONFIG: join(ca.dataDir, "mayfly.yaml") };
  const incident = (...words: string[]) => runWords(commands, ["incident", ...words], { env });
  const windowEnd = async (): Promise<number> => {
    const reply = await acme.request(`${acme.directory.renewalInfo}/${certificateIdOf(chain)}`);
    return Date.parse((reply.json()["suggestedWindow"] as { end: string }).end);
  };

  t.test("create says what it would do, and does it when it is confirmed; list shows it; end ends it", async (t) => {
    const asked = ["create", "--reason", "key exposed", "--identity", spiffeId];
    t.strictSame(await incident(...asked), {
      status: 0,
      stdout: `This would cover 1 certificate in force, 0 of them replaced already; the newest:\n  ${serial}\nNothing was made: with --confirm the incident is.\n`,
      stderr: "",
    });
    t.ok((await windowEnd()) > Date.now());
    const none = { status: 0, stdout: "ID  MADE  STATE  REASON\n", stderr: "" };
    t.strictSame(await incident("list"), none);

    const made = await incident(...asked, "--serial", serial, "--serial", "00", "--confirm");
    t.equal(made.stderr, "");
    const [, id = ""] =
      /^Incident ([0-9a-f-]{36}) is open\.\nIt covers 1 certificate in force, 0 of them replaced already\.\n$/.exec(
        made.stdout,
      ) ?? [];
    t.ok((await windowEnd()) < Date.now());
    t.match((await incident("list", "--open")).stdout, new RegExp(`\\n${id}  \\S+Z  open   key exposed\\n$`));
    const [shown] = (await incident("list", "--json")).stdout.split("\n");
    t.match(JSON.parse(shown ?? ""), { id, selection: { identity: spiffeId, serials: [serial, "00"] } });

    t.match(await incident("end", "--id", id), {
      status: 0,
      stdout: new RegExp(`^Incident ${id} ended at .*Z\\.\\n$`),
    });
    t.ok((await windowEnd()) > Date.now());
    t.strictSame(await incident("list", "--open"), none);
    t.match((await incident("list")).stdout, `${id}  `);
  });

  t.test("every way to select, as the server understands it", async (t) => {
    const { body } = await ca.inventory(`/certificates/${serial}`);
    const all = {
      "--spki-sha256": String(body["spkiSha256"]),
      "--account": String(body["account"]),
      "--issuer": String(body["issuer"]),
      "--issued-after": String(body["issuedAt"]),
      "--issued-before": new Date().toISOString(),
      "--explanation-url": "https://ca.example/1",
    };
    const { stdout } = await incident("create", "--reason", "r", "--json", ...Object.entries(all).flat());
    t.match(JSON.parse(stdout), { dryRun: true, certificates: 1, serials: [serial] });
  });

  t.test("what goes wrong is one sentence", async (t) => {
    const table: [string[], number, RegExp][] = [
      [["create", "--reason", "r"], 2, /needs to know which certificates/],
      [["create", "--serial", serial], 2, /needs --reason/],
      [["create", "--reason", "r", "--serial", "xyz"], 1, /a serial is up to 20 octets/],
      [["create", "--reason", "r", "--identity", "nobody", "--confirm"], 1, /no identity has this name/],
      [["end", "--id", "../../x"], 1, /there is no such/],
      [["creat"], 2, /did you mean "incident create"\?/],
    ];
    for (const [words, status, sentence] of table) {
      const result = await incident(...words);
      t.equal(result.status, status, words.join(" "));
      t.match(result.stderr, sentence);
      t.equal(result.stdout, "");
      t.equal(result.stderr.indexOf("\n"), result.stderr.length - 1, "one line");
    }
  });
});
