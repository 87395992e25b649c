import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import t from "tap";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

t.test("a reader that goes away takes nothing down with it", async (t) => {
  const child = spawn(process.execPath, [main, "check-config"], { stdio: ["ignore", "pipe", "pipe"], env: {} });
  child.stdout.destroy(); // As `mayfly check-config | head -0` would: long before anything is written.
  const [stderr, [status, signal]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  t.strictSame({ status, signal, stderr }, { status: 0, signal: null, stderr: "" });
});
