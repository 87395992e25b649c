/**
 * Loaded before a program (`node --import`): ends it by SIGKILL at what it does with files, at the first thing that matches `MAYFLY_KILL_AT`:
 * `append TEXT` before a text is added to a file, `write NAME` before a file that was opened is written, `link NAME` and `linked NAME` before and after
 * a file has its second name.
 */
import fs, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename } from "node:path";

const { link, open } = fs;
const pattern = new RegExp(process.env["MAYFLY_KILL_AT"] ?? "^never$");

function at(what: string): void {
  if (pattern.test(what)) process.kill(process.pid, "SIGKILL");
}

/** Paths are all texts here. */
const nameOf = (file: unknown): string => (typeof file === "string" ? basename(file) : "");

fs.link = async (from, to) => {
  at(`link ${nameOf(to)}`);
  await link(from, to);
  at(`linked ${nameOf(to)}`);
};

fs.open = async (...asked): Promise<FileHandle> => {
  const handle = await open(...asked);
  const [appendFile, writeFile] = [handle.appendFile.bind(handle), handle.writeFile.bind(handle)];
  handle.appendFile = (data, options) => {
    at(`append ${data as string}`);
    return appendFile(data, options);
  };
  handle.writeFile = (data, options) => {
    at(`write ${nameOf(asked[0])}`);
    return writeFile(data, options);
  };
  return handle;
};
syncBuiltinESMExports();
