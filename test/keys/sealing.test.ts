import { randomBytes } from "node:crypto";
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { openSealing } from "../../src/keys/sealing.ts";

t.test("what was sealed opens with the same key and context, and with nothing else", async (t) => {
  const folder = t.testdir();
  const file = join(folder, "key");
  const sealing = await openSealing(file);
  t.equal((await stat(file)).mode & 0o777, 0o600);
  const secret = randomBytes(32);
  const sealed = sealing.seal(secret, "here");
  t.notOk(sealed.includes(secret));
  t.same((await openSealing(file)).open(sealed, "here"), secret, "another server with the same file");
  t.notSame(sealing.seal(secret, "here"), sealed, "no two are alike");
  t.throws(() => sealing.open(sealed, "there"));
  for (let i = 0; i < sealed.length; i++) {
    const changed = Buffer.from(sealed);
    changed[i] = (changed[i] ?? 0) ^ 1;
    t.throws(() => sealing.open(changed, "here"), `octet ${i}`);
  }
  for (const length of [0, 3, 16, sealed.length - 1]) t.throws(() => sealing.open(sealed.subarray(0, length), "here"));
  const other = await openSealing(join(folder, "other"));
  t.throws(() => other.open(sealed, "here"), /not sealed with the key in .*other/);
});

t.test("servers that start at once with one file have one key", async (t) => {
  const file = join(t.testdir(), "key");
  const all = await Promise.all(Array.from({ length: 10 }, () => openSealing(file)));
  const sealed = all[0]?.seal(Buffer.from("x"), "c") ?? Buffer.alloc(0);
  for (const one of all) t.same(one.open(sealed, "c"), Buffer.from("x"));
});

t.test("a file that is open to others, or holds no key, is refused without its content", async (t) => {
  const file = join(t.testdir(), "key");
  await openSealing(file);
  await chmod(file, 0o644);
  await t.rejects(openSealing(file), /chmod 0600/);
  const content = await readFile(file, "utf8");
  for (const wrong of ["", "short", content.slice(2), `${content.trim()}=`, "x".repeat(2000)]) {
    await writeFile(file, wrong);
    await chmod(file, 0o600);
    const refusal = await openSealing(file).then(() => "opened", String);
    t.match(refusal, /does not hold 32 octets|is larger/);
    t.notOk(wrong.trim() !== "" && refusal.includes(wrong.trim()));
  }
});
