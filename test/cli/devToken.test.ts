import { join } from "node:path";
import * as jose from "jose";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { openDevIssuer } from "../../src/development/devIssuer.ts";
import { runWords } from "../support/commandLine.ts";

t.test("a token that the development issuer's key verifies", async (t) => {
  const directory = t.testdir();
  const { publicJwk } = await openDevIssuer(join(directory, "dev-issuer.jwk"));
  const mint = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const { status, stdout, stderr } = await runWords(commands, ["dev-token", "--subject", "agent", ...args], {
      env: { MAYFLY_DATA_DIR: directory, ...env },
    });
    t.strictSame({ status, stderr }, { status: 0, stderr: "" });
    return (await jose.jwtVerify(stdout.trim(), await jose.importJWK(publicJwk, "ES256"))).payload;
  };
  const plain = await mint(["--audience", "https://ca.test/wa"]);
  t.match(plain, { sub: "agent", aud: "https://ca.test/wa", iss: "https://localhost:8443/dev" });
  t.equal((plain.exp ?? 0) - (plain.iat ?? 0), 300);

  const environment = { MAYFLY_AUDIENCE: "https://ca.test/wa/B", MAYFLY_EXTERNAL_URL: "https://ca.test/" };
  t.match(await mint([], environment), { aud: "https://ca.test/wa/B", iss: "https://ca.test/dev" });
  const chosen = await mint(["--issuer", "https://other.test", "--lifetime", "60"], environment);
  t.equal(chosen.iss, "https://other.test");
  t.equal((chosen.exp ?? 0) - (chosen.iat ?? 0), 60);
});

t.test("without the file: a sentence that says where the source exists, and no new key", async (t) => {
  const directory = t.testdir();
  const { status, stderr } = await runWords(commands, ["dev-token", "--subject", "a", "--audience", "b"], {
    env: { MAYFLY_DATA_DIR: directory },
  });
  t.equal(status, 1);
  t.match(stderr, /^mayfly: there is no .*dev-issuer\.jwk: the development source exists only where/);
  t.equal(stderr.indexOf("\n"), stderr.length - 1);
});

t.test("what is missing or out of range", async (t) => {
  t.match(await runWords(commands, ["dev-token", "--subject", "a"]), {
    status: 2,
    stderr: /needs --audience AUDIENCE/,
  });
  t.match(await runWords(commands, ["dev-token", "--subject", "a", "--audience", "b", "--lifetime", "86401"]), {
    status: 2,
    stderr: /--lifetime is "86401", expected a whole number of seconds from 1 to 86400/,
  });
});
