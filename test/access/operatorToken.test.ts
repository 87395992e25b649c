import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { openOperatorAccess } from "../../src/access/operatorToken.ts";

const directory = mkdtempSync(join(tmpdir(), "mayfly-test-access-"));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

t.test("makes a token of 256 bits that its owner alone can read, and keeps it", async (t) => {
  const file = join(directory, "token");
  await openOperatorAccess(file);
  const made = readFileSync(file, "utf8");
  t.match(made, /^[A-Za-z0-9_-]{43}\n$/);
  t.equal(statSync(file).mode & 0o777, 0o600);
  await openOperatorAccess(file);
  t.equal(readFileSync(file, "utf8"), made);
});

t.test("of openings at once all have the same token", async (t) => {
  const file = join(directory, "race");
  const opened = await Promise.all(Array.from({ length: 10 }, () => openOperatorAccess(file)));
  const token = readFileSync(file, "utf8").trim();
  for (const access of opened) t.doesNotThrow(() => access.require(`Bearer ${token}`));
});

t.test("takes the token as RFC 6750 §2.1 has it, and nothing else", async (t) => {
  const file = join(directory, "known");
  const token = "an-operator-token-of-40-characters-------";
  writeFileSync(file, ` ${token}\n\n`);
  const access = await openOperatorAccess(file);
  for (const header of [`Bearer ${token}`, `bearer ${token}`, `Bearer  ${token}`]) {
    t.doesNotThrow(() => access.require(header), header);
  }
  const wrong = [
    undefined,
    "",
    "Bearer",
    "Bearer ",
    token,
    `Basic ${token}`,
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
  ];
  for (const header of [
    ...wrong,
    `Bearer ${token} x`,
    `Bearer ${token.toUpperCase()}`,
    `Bearer ${"x".repeat(10_000)}`,
  ]) {
    t.throws(() => access.require(header), {
      code: "restUnauthenticated",
      status: 401,
      options: { headers: { "www-authenticate": 'Bearer realm="mayfly"' } },
    });
  }
  try {
    access.require("Bearer guessed-secret");
    t.fail("it was taken");
  } catch (error) {
    t.notMatch(JSON.stringify(error) + String(error), new RegExp(`guessed-secret|${token}`), "and quotes neither");
  }
});

t.test("a file that is too short to be a secret stops the start", async (t) => {
  const file = join(directory, "short");
  writeFileSync(file, `${"x".repeat(31)}\n`);
  await t.rejects(openOperatorAccess(file), { message: /shorter than 32 characters/ });
  writeFileSync(file, "");
  await t.rejects(openOperatorAccess(file), { message: /shorter than 32 characters/ });
});
