import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";

t.test("mayfly delegation", async (t) => {
  const ca = await certificateAuthority(t, {
    configuration: {
      delegation: { sources: [{ ref: "idp", issuer: "https://idp.example", jwksUrl: "http://127.0.0.1:1/jwks" }] },
    },
  });
  const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
  const mayfly = (...words: string[]) => runWords(commands, ["delegation", ...words], { env });
  const task = ["--source", "idp", "--task", "order-1"];
  const end = ["end", ...task, "--reason", "task is done"];

  t.test(
    "end only says what it would do until it is confirmed; list shows what was ended, resume takes it away",
    async (t) => {
      t.match(await mayfly(...end), {
        status: 0,
        stdout: /^This would revoke 0 certificates in force\.\nNothing was done/,
      });
      t.equal((await mayfly("list")).stdout.split("\n").length, 2, "a head and nothing else");
      t.match(await mayfly(...end, "--confirm"), { status: 0, stdout: /^Ended\. Revoked: 0 certificates\./ });
      const listed = await mayfly("list");
      t.match(listed, { status: 0, stderr: "" });
      t.match(listed.stdout, /^KIND +SOURCE +ENDED +PSEUDONYM +REASON\ntask +idp +\S+Z +[0-9a-f]{72} +task is done\n$/);
      t.notMatch(listed.stdout, /order-1/, "the task's name is not kept");
      t.match(JSON.parse((await mayfly("list", "--json")).stdout), {
        kind: "task",
        source: "idp",
        reason: "task is done",
      });
      t.match(await mayfly("resume", ...task), { status: 0, stdout: "Resumed.\n" });
      t.equal((await mayfly("list")).stdout.split("\n").length, 2);
    },
  );

  t.test("what is asked for wrongly", async (t) => {
    t.match(await mayfly("resume", ...task), { status: 1 }, "not ended");
    const other = ["--source", "other", "--task", "order-1", "--reason", "x"];
    t.match(await mayfly("end", ...other), { status: 1, stderr: /no delegation source has this ref/ });
    t.match(await mayfly("end", ...task, "--delegator", "jo", "--reason", "x"), {
      status: 2,
      stderr: /one of --task and --delegator/,
    });
  });
});
