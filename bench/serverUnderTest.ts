/** A server of our own as a child process: embedded Postgres with full durability, keys in SoftHSM2 or development files. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { freePort } from "../test/support/certificateAuthority.ts";
import { softhsmToken, type SofthsmToken } from "../test/support/softhsm.ts";

export interface ServerUnderTest {
  readonly pid: number;
  readonly postmasterPid: number;
  readonly url: string;
  readonly dataDir: string;
  readonly root: string;
  readonly http01Port: number;
  readonly token: SofthsmToken | undefined;
  stop(): Promise<void>;
}

const repository = fileURLToPath(new URL("..", import.meta.url));
const startTimeoutMs = 60_000;

/** @param configuration what the file says that it is started with; without one it has none */
export async function startServer(keys: "softhsm" | "development", configuration?: object): Promise<ServerUnderTest> {
  const clean: (() => void)[] = [];
  const dataDir = mkdtempSync(path.join(os.tmpdir(), "mayfly-bench-"));
  clean.push(() => rmSync(dataDir, { recursive: true, force: true }));
  const file = path.join(dataDir, "mayfly.yaml");
  const provider = { provider: keys === "softhsm" ? "pkcs11" : "development" };
  // JSON is YAML.
  if (configuration !== undefined) writeFileSync(file, JSON.stringify({ keys: provider, ...configuration }));
  const token = keys === "softhsm" ? softhsmToken({ teardown: (action) => clean.push(action) }) : undefined;
  const port = await freePort();
  const http01Port = await freePort();
  const child = spawn(process.execPath, [path.join(repository, "bin/mayfly.js"), "serve"], {
    env: {
      ...process.env,
      MAYFLY_CONFIG: configuration === undefined ? "" : file,
      MAYFLY_DATA_DIR: dataDir,
      MAYFLY_LISTEN: `localhost:${port}`,
      MAYFLY_HTTP01_PORT: String(http01Port),
      MAYFLY_LOG_LEVEL: "warn",
      ...(token && {
        ...token.env,
        MAYFLY_PKCS11_MODULE: token.module,
        MAYFLY_PKCS11_TOKEN: token.token,
        MAYFLY_PKCS11_PIN_FILE: token.pinFile,
      }),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await listening(child);
  return {
    pid: child.pid ?? 0,
    postmasterPid: Number(readFileSync(path.join(dataDir, "postgres/cluster/postmaster.pid"), "utf8").split("\n")[0]),
    url: `https://localhost:${port}`,
    dataDir,
    root: readFileSync(path.join(dataDir, "root.pem"), "utf8"),
    http01Port,
    token,
    async stop() {
      const ended = Promise.withResolvers<void>();
      child.once("exit", () => ended.resolve());
      child.kill("SIGTERM");
      await ended.promise;
      for (const action of clean.toReversed()) action();
    },
  };
}

/** Resolves when the banner's last line is out. */
async function listening(child: ChildProcess): Promise<void> {
  const ready = Promise.withResolvers<void>();
  let printed = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
    if (printed.includes("Ctrl-C stops it.")) ready.resolve();
  });
  child.once("exit", (code) => ready.reject(new Error(`the server ended with status ${code} before it listened`)));
  const timer = setTimeout(() => ready.reject(new Error("the server did not start in time")), startTimeoutMs);
  await ready.promise.finally(() => clearTimeout(timer));
}
