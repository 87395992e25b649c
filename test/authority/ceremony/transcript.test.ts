import { createHash } from "node:crypto";
import t from "tap";
import { faultOfTranscript, openTranscript } from "../../../src/authority/ceremony/transcript.ts";

/** A file in memory. */
function memoryFile(before = "") {
  const file = { text: before, before: Buffer.from(before), append: async (text: string) => void (file.text += text) };
  return file;
}
const now = (): Date => new Date("2026-01-01T00:00:00Z");

t.test("each line has its time, and the last one the digest of all above it, earlier runs included", async (t) => {
  const first = memoryFile();
  const transcript = openTranscript(first, now);
  await transcript.write("one");
  await transcript.write("two\nthree");
  await transcript.finish();
  const lines = first.text.split("\n");
  t.same(lines.slice(0, 2), ["2026-01-01T00:00:00.000Z  one", "2026-01-01T00:00:00.000Z  two ⏎ three"]);
  const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");
  t.equal(lines[2], `SHA-256 of all lines above: ${digestOf(`${lines.slice(0, 2).join("\n")}\n`)}`);

  const second = memoryFile(first.text);
  const again = openTranscript(second, now);
  await again.write("four");
  await again.finish();
  const [last = "", ...above] = second.text.trimEnd().split("\n").toReversed();
  t.equal(last, `SHA-256 of all lines above: ${digestOf(`${above.toReversed().join("\n")}\n`)}`);
  t.equal(faultOfTranscript(Buffer.from(second.text)), undefined);
});

t.test("what was changed, or cut off, is told", async (t) => {
  const file = memoryFile();
  const transcript = openTranscript(file, now);
  await transcript.write("one");
  const cut = file.text;
  await transcript.finish();
  const fault = (text: string): string => faultOfTranscript(Buffer.from(text)) ?? "";
  t.equal(fault(""), "");
  t.equal(fault(file.text), "");
  t.match(fault(cut), /the run before was cut off$/);
  t.match(fault(cut.slice(0, -1)), /in the middle of a line/);
  t.match(fault(file.text.replace("one", "two")), /the transcript was changed/);
  t.match(fault(`2026-01-01T00:00:00.000Z  zero\n${file.text}`), /the transcript was changed/);
});
