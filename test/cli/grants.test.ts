import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { stringify } from "yaml";
import { commands } from "../../src/cli/commands.ts";
import { query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";

t.setTimeout(120_000);

t.test("mayfly grants and mayfly explain", async (t) => {
  const ca = await certificateAuthority(t);
  const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
  const mayfly = (...words: string[]) => runWords(commands, words, { env });
  const file = join(ca.dataDir, "grants.yaml");
  const team = {
    name: "team",
    spiffeId: "spiffe://mayfly.localhost/team/{sub}",
    source: "dev",
    minBinding: "bearer",
    profile: "workload",
  };
  const other = { ...team, name: "other", spiffeId: "spiffe://mayfly.localhost/other/{sub}", owner: "them" };
  const rows = () => query(ca, "select name from grant_version where origin = 'database'");

  t.test("grants apply: what is new, changed and unchanged, and nothing in a dry run", async (t) => {
    await writeFile(file, stringify({ grants: [team, other] }));
    const dry = await mayfly("grants", "apply", "--file", file, "--dry-run");
    t.match(dry, { status: 0, stderr: "" });
    t.match(dry.stdout, /^team: new\n {2}\+ name: "team"\n[^]*^other: new\n[^]*Nothing was written\.\n$/m);
    t.same(await rows(), []);
    t.match(await mayfly("grants", "apply", "--file", file, "--comment", "first"), { status: 0, stderr: "" });
    t.equal((await mayfly("grants", "apply", "--file", file)).stdout, "team: unchanged\nother: unchanged\n");
    await writeFile(
      file,
      stringify([
        { ...team, maxLifetimeSeconds: 300 },
        { ...other, owner: "us" },
      ]),
    );
    const changed = await mayfly("grants", "apply", "--file", file, "--comment", "shorter");
    t.equal(
      changed.stdout,
      'team: changed\n  + maxLifetimeSeconds: 300\nother: changed\n  - owner: "them"\n  + owner: "us"\n',
    );
    t.equal((await rows()).length, 4);
    await writeFile(file, stringify(team));
    const [line = ""] = (await mayfly("grants", "apply", "--file", file, "--json")).stdout.split("\n");
    t.match(JSON.parse(line), { name: "team", origin: "database" }, "one alone is enough");
  });

  t.test("grants apply: a mistake in one leaves all as they are", async (t) => {
    const before = await rows();
    await writeFile(
      file,
      stringify([
        { ...team, owner: "x" },
        { ...other, source: "nowhere" },
      ]),
    );
    t.match(await mayfly("grants", "apply", "--file", file), {
      status: 1,
      stdout: "",
      stderr: /grants\.other\.source: "nowhere": expected the ref of a configured source/,
    });
    const bad: [text: string, message: RegExp][] = [
      ["[1]", /expected grants with their names/],
      ["name: a\nname: b", /unique/i],
      [stringify([team, team]), /there twice/],
      [stringify({ ...team, name: "development" }), /one of the configuration/],
      [stringify({ ...team, name: "../x" }), /./],
    ];
    for (const [text, message] of bad) {
      await writeFile(file, text);
      t.match(await mayfly("grants", "apply", "--file", file), { status: 1, stderr: message }, text);
    }
    t.match(await mayfly("grants", "apply", "--file", `${file}x`), { status: 1, stderr: /cannot be read \(ENOENT\)/ });
    t.match(await mayfly("grants", "apply"), { status: 2, stderr: /--file/ });
    t.same(await rows(), before);
  });

  t.test("grants list, show, history, remove", async (t) => {
    const listed = await mayfly("grants", "list");
    t.match(
      listed.stdout,
      /^NAME +VERSION +ORIGIN +SOURCE +SPIFFE ID +STATE\ndevelopment +[0-9a-f]{16} +configuration +dev /,
    );
    t.match(listed.stdout, /^team +[0-9a-f]{16} +database +dev +spiffe:\/\/mayfly\.localhost\/team\/\{sub\} +active$/m);
    const mine = await mayfly("grants", "list", "--spiffe-id", "spiffe://mayfly.localhost/team/x", "--json");
    const { name, version } = JSON.parse(mine.stdout) as { name: string; version: string };
    t.equal(name, "team");
    t.equal((await mayfly("grants", "list", "--inactive", "--json")).stdout, "");
    const shown = await mayfly("grants", "show", "--name", "team");
    t.match(
      shown.stdout,
      new RegExp(
        `^# version ${version}, in the database\n# written \\S+Z by operator\n[^]*^spiffeId: spiffe://mayfly.localhost/team/\\{sub\\}$`,
        "m",
      ),
    );
    await writeFile(file, shown.stdout);
    t.equal(
      (await mayfly("grants", "apply", "--file", file)).stdout,
      "team: unchanged\n",
      "what is shown can be applied",
    );
    const history = await mayfly("grants", "history", "--name", "team");
    t.match(history.stdout, /^VERSION[^]*replaced \S+Z +shorter\n[^]*replaced \S+Z +first\n$/);
    const [, , old = ""] = history.stdout.trimEnd().split("\n");
    const past = await mayfly("grants", "show", "--name", "team", "--version", old.slice(0, 16));
    t.match(past.stdout, /^# replaced \S+Z$/m);
    t.match(past.stdout, /^maxLifetimeSeconds: 300$/m);
    t.equal((await mayfly("grants", "history", "--name", "team", "--json")).stdout.trimEnd().split("\n").length, 3);
    t.match(await mayfly("grants", "remove", "--name", "team"), { status: 0, stdout: "Removed: team.\n" });
    t.match(await mayfly("grants", "remove", "--name", "team"), { status: 1, stderr: /there is no such grant/ });
    t.match(await mayfly("grants", "remove", "--name", "development"), { status: 1, stderr: /configuration/ });
    t.match(await mayfly("grants", "show", "--name", "team"), { status: 1, stderr: /there is no such grant/ });
  });

  t.test("explain: a block for each grant, and the exit status says whether", async (t) => {
    const token = join(ca.dataDir, "token");
    await writeFile(token, await ca.devToken("agent", ca.configuration.audience));
    const id = "spiffe://mayfly.localhost/dev/agent";
    const good = await mayfly("explain", "--spiffe-id", id, "--evidence", `jwt:${token}`);
    t.match(good, { status: 0, stderr: "" });
    t.match(good.stdout, /^✓ evidence 0: jwt dev, bound as bearer$/m);
    t.match(good.stdout, /^✓ grant development \([0-9a-f]{16}, configuration\) – this one counts$/m);
    t.match(good.stdout, /^ {4}✓ spiffeId\n {4}✓ minBinding$/m);
    t.match(good.stdout, /^✓ a certificate of profile workload for 900 s, until \S+Z\n$/m);
    const bad = await mayfly("explain", "--spiffe-id", `${id}-2`, "--evidence", `jwt:${token}`, "--ref", "dev");
    t.equal(bad.status, 1);
    t.match(
      bad.stdout,
      /^ {4}✗ spiffeId: the claims derive another SPIFFE ID; expected "\S+agent-2", found "\S+agent"$/m,
    );
    t.match(bad.stdout, /^✗ no certificate: identityNotDerived: /m);
    const claims = join(ca.dataDir, "claims.json");
    await writeFile(claims, JSON.stringify({ ref: "dev", claims: { sub: "a\u001b[2Jb" }, bindingLevel: "bearer" }));
    const odd = await mayfly("explain", "--spiffe-id", id, "--claims", claims);
    t.equal(odd.status, 1);
    t.notOk(odd.stdout.includes("\u001b"), "no claim moves the terminal's cursor");
    const json = await mayfly("explain", "--spiffe-id", id, "--evidence", `jwt:${token}`, "--json");
    t.match(JSON.parse(json.stdout), { counts: { grant: "development" } });
    t.match(await mayfly("explain", "--spiffe-id", id), { status: 2, stderr: /--evidence or --claims/ });
    t.match(await mayfly("explain", "--spiffe-id", id, "--evidence", token), { status: 2, stderr: /FORMAT:FILE/ });
    t.match(await mayfly("explain", "--spiffe-id", id, "--evidence", `jwt:${token}x`), { status: 1, stderr: /ENOENT/ });
    t.match(await mayfly("explain", "--spiffe-id", id, "--claims", token), { status: 1, stderr: /not JSON/ });
    t.match(await mayfly("explain", "--spiffe-id", "x", "--evidence", `jwt:${token}`), { status: 1, stderr: /spiffe/ });
    t.match(await mayfly("explain", "--spiffe-id", id, "--claims", claims, "--ref", "dev"), {
      status: 2,
      stderr: /more --ref/,
    });
  });
});
