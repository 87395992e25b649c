import { renameSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { openSourceFile } from "../../src/attestation/sourceFile.ts";

const text = (octets: Buffer): string => {
  if (octets.length === 0) throw new Error("it is empty");
  return octets.toString("utf8");
};

t.test("a file is read at once, and again only when it changes", async (t) => {
  const file = join(t.testdir({ file: "one" }), "file");
  let parsed = 0;
  const read = openSourceFile(file, 10, (octets) => {
    parsed += 1;
    return text(octets);
  });
  t.equal(parsed, 1);
  t.same(await Promise.all([read(), read()]), ["one", "one"]);
  t.equal(parsed, 1, "nothing new");
  writeFileSync(file, "another");
  t.same(await Promise.all([read(), read(), read()]), ["another", "another", "another"]);
  t.equal(parsed, 2, "once for all who asked");
});

t.test("another file of the same size and time, by rename, is seen", async (t) => {
  const folder = t.testdir({ file: "one" });
  const [file, next] = [join(folder, "file"), join(folder, "next")];
  const read = openSourceFile(file, 10, text);
  writeFileSync(next, "two");
  const { atime, mtime } = statSync(file);
  utimesSync(next, atime, mtime);
  utimesSync(file, atime, mtime);
  renameSync(next, file);
  t.equal(await read(), "two");
});

t.test("what cannot be used stops the start, and later nothing else than the questions meanwhile", async (t) => {
  const folder = t.testdir({ file: "one", empty: "", large: "x".repeat(11) });
  const file = join(folder, "file");
  t.throws(() => openSourceFile(folder, 10, text), /is not a regular file/);
  t.throws(() => openSourceFile(join(folder, "large"), 10, text), /large is larger than 10 bytes/);
  t.throws(() => openSourceFile(join(folder, "empty"), 10, text), /it is empty/);
  const read = openSourceFile(file, 10, text);
  writeFileSync(file, "");
  await t.rejects(read(), /it is empty/);
  await t.rejects(read(), /it is empty/, "and still");
  writeFileSync(file, "x".repeat(11));
  await t.rejects(read(), /is larger than 10 bytes/);
  writeFileSync(file, "whole");
  t.equal(await read(), "whole");
});
