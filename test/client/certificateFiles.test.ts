import { mkdir, readdir, readFile, readlink, realpath, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { writeCertificateFiles } from "../../src/client/certificateFiles.ts";

const set = (mark: string) => ({ key: `key ${mark}`, cert: `cert ${mark}`, bundle: `bundle ${mark}` });
const names = ["key.pem", "cert.pem", "bundle.pem"];
const read = (directory: string) => Promise.all(names.map((name) => readFile(join(directory, name), "utf8")));

t.test("three plain paths, the key for its owner alone", async (t) => {
  const directory = join(t.testdir(), "new", "agent");
  const paths = await writeCertificateFiles(directory, set("1"));
  t.strictSame(paths, {
    key: join(directory, "key.pem"),
    cert: join(directory, "cert.pem"),
    bundle: join(directory, "bundle.pem"),
  });
  t.strictSame(await read(directory), ["key 1", "cert 1", "bundle 1"]);
  t.equal((await stat(directory)).mode & 0o777, 0o700);
  t.equal((await stat(paths.key)).mode & 0o777, 0o600);
});

t.test("renewal changes one link; an open version stays whole", async (t) => {
  const directory = t.testdir();
  await writeCertificateFiles(directory, set("1"));
  const link = await readlink(join(directory, "key.pem"));
  const opened = await realpath(join(directory, "..data"));
  await writeCertificateFiles(directory, set("2"));
  t.strictSame(await read(directory), ["key 2", "cert 2", "bundle 2"]);
  t.equal(await readlink(join(directory, "key.pem")), link, "the plain paths were not touched");
  t.strictSame(await read(opened), ["key 1", "cert 1", "bundle 1"]);
});

t.test("a reader through ..data never sees halves of two sets", async (t) => {
  const directory = t.testdir();
  await writeCertificateFiles(directory, set("0"));
  const progress = { done: false, reads: 0 };
  const writing = async () => {
    for (let i = 1; i <= 30; i += 1) await writeCertificateFiles(directory, set(String(i)));
    progress.done = true;
  };
  const reading = async () => {
    for (; !progress.done; progress.reads += 1) {
      const marks = (await read(await realpath(join(directory, "..data")))).map((text) => text.split(" ")[1]);
      if (new Set(marks).size !== 1) t.fail(`a mixed set: ${marks.join()}`);
    }
  };
  await Promise.all([writing(), reading()]);
  t.ok(progress.reads > 1);
});

t.test("two writers at once: one set wins, whole", async (t) => {
  const directory = t.testdir();
  await Promise.all(Array.from({ length: 8 }, (_, i) => writeCertificateFiles(directory, set(String(i)))));
  const marks = (await read(directory)).map((text) => text.split(" ")[1]);
  t.equal(new Set(marks).size, 1);
});

t.test("plain files of another tool are replaced, its other files left alone", async (t) => {
  const directory = t.testdir({ "key.pem": "old", "cert.pem": "old", "notes.txt": "mine" });
  await writeCertificateFiles(directory, set("1"));
  t.strictSame(await read(directory), ["key 1", "cert 1", "bundle 1"]);
  t.equal(await readFile(join(directory, "notes.txt"), "utf8"), "mine");
});

t.test("what nobody needs any more goes, the last two versions stay", async (t) => {
  const directory = t.testdir();
  const age = async () => {
    for (const name of await readdir(directory)) {
      if (name.startsWith("..version-")) await utimes(join(directory, name), 0, 0);
    }
  };
  await mkdir(join(directory, "..version-crashed"));
  await writeFile(join(directory, "..version-crashed", "key.pem"), "half");
  for (const mark of ["1", "2", "3"]) {
    await age();
    await writeCertificateFiles(directory, set(mark));
  }
  const versions = (await readdir(directory)).filter((name) => name.startsWith("..version-"));
  const keys = await Promise.all(versions.map((name) => readFile(join(directory, name, "key.pem"), "utf8")));
  t.strictSame(keys.sort(), ["key 2", "key 3"]);
});

t.test("a place that cannot be written: an error, and the former set untouched", async (t) => {
  const directory = t.testdir({ file: "" });
  await t.rejects(writeCertificateFiles(join(directory, "file", "below"), set("1")), { code: "ENOTDIR" });
});
