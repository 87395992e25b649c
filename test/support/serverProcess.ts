/** A Mayfly server in a process of its own, as `mayfly serve` starts it, that can be killed, stopped and started again on the same data. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { placeDatabase } from "../../src/store/embeddedAccount.ts";
import { installedPostgres } from "../../src/store/embeddedBinaries.ts";
import { endPostmaster, findPostmaster } from "../../src/store/embeddedPostmaster.ts";
import { freePort, type TestOwner } from "./certificateAuthority.ts";
import { capture, cleanEnvironment, mayfly, repository } from "./program.ts";

/** Where a server is and what it is told; the same place started twice is the same CA. */
export interface ServerPlace {
  readonly dataDir: string;
  /** External URL, without a trailing slash. */
  readonly url: string;
  readonly directoryUrl: string;
  readonly rootFile: string;
  readonly http01Port: number;
  readonly tlsAlpn01Port: number;
  /** What the environment of the server and of whoever talks to it must hold. */
  readonly env: Readonly<Record<string, string>>;
}

export interface ServerProcess extends ServerPlace {
  readonly pid: number;
  /** PEM of the root. */
  readonly root: string;
  /** What it has printed so far. */
  readonly printed: { readonly stdout: string; readonly stderr: string };
  /** GET with the root as trust and the operator's token. */
  get(
    path: string,
  ): Promise<{ status: number; headers: Readonly<Record<string, unknown>>; body: Record<string, unknown> }>;
  /** Sends the signal and resolves to the exit status, null when the signal itself ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Resolves to the exit status when it ends by itself; null when a signal ended it. */
  readonly ended: Promise<number | null>;
}

/** A folder for one server, and the ports it will use. At the test's end a database that was left running is stopped, and all is removed. */
export async function serverPlace(t: TestOwner, env: Readonly<Record<string, string>> = {}): Promise<ServerPlace> {
  const dataDir = await mkdtemp(join(tmpdir(), "mayfly-e2e-"));
  t.teardown(() => removeServerData(dataDir));
  const [port, http01Port, tlsAlpn01Port] = [await freePort(), await freePort(), await freePort()];
  const url = `https://localhost:${port}`;
  return {
    dataDir,
    url,
    directoryUrl: `${url}/acme/directory`,
    rootFile: join(dataDir, "root.pem"),
    http01Port,
    tlsAlpn01Port,
    env: {
      MAYFLY_DATA_DIR: dataDir,
      MAYFLY_LISTEN: `localhost:${port}`,
      MAYFLY_HTTP01_PORT: String(http01Port),
      MAYFLY_TLSALPN01_PORT: String(tlsAlpn01Port),
      ...env,
    },
  };
}

/** Ends an embedded PostgreSQL that outlived its server, and removes the data directory. */
export async function removeServerData(dataDir: string): Promise<void> {
  const { home } = await placeDatabase(join(dataDir, "postgres"), await installedPostgres());
  const cluster = join(home, "cluster");
  const postmaster = await findPostmaster(cluster).catch(() => undefined);
  if (postmaster !== undefined) await endPostmaster(postmaster.pid, cluster);
  for (const folder of [home, dataDir]) await rm(folder, { recursive: true, force: true });
}

export interface ServerProcessOptions {
  /** In place of `bin/mayfly.js serve`. */
  readonly command?: readonly string[];
  /** Over the place's own. */
  readonly env?: Readonly<Record<string, string>>;
}

const startMsMax = 60_000;

/** Starts a server at the place and resolves once it listens. It is killed at the test's end, if it still runs then. */
export async function startServer(
  t: TestOwner,
  place: ServerPlace,
  { command = [mayfly, "serve"], env = {} }: ServerProcessOptions = {},
): Promise<ServerProcess> {
  const child = spawn(process.execPath, command, {
    cwd: repository,
    env: cleanEnvironment({ ...place.env, ...env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = capture(child);
  const ended = once(child, "close").then(([status]) => status as number | null);
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const listening = Promise.withResolvers<void>();
  child.stdout.on("data", () => printed.stdout.includes("Ctrl-C stops it.") && listening.resolve());
  const describe = (what: string): Error => new Error(`the server ${what}:\n${printed.stdout}${printed.stderr}`);
  void ended.then((status) => listening.reject(describe(`ended with ${status} before it listened`)));
  const late = setTimeout(() => listening.reject(describe("did not start in time")), startMsMax);
  await listening.promise.finally(() => clearTimeout(late));

  const root = readFileSync(place.rootFile, "utf8");
  return {
    ...place,
    pid: child.pid ?? 0,
    root,
    printed,
    ended,
    get: (path) =>
      getJson(`${place.url}${path}`, root, readFileSync(join(place.dataDir, "operator-token"), "utf8").trim()),
    stop(signal = "SIGTERM") {
      child.kill(signal);
      return ended;
    },
  };
}

/** A server of its own, just started. */
export async function serverProcess(t: TestOwner, env?: Readonly<Record<string, string>>): Promise<ServerProcess> {
  return startServer(t, await serverPlace(t, env));
}

/** The address of the server's embedded database, also while the server itself is gone. */
export function embeddedDatabaseUrl({ dataDir }: ServerPlace): string {
  const home = join(dataDir, "postgres");
  const [, , , port, socket] = readFileSync(join(home, "cluster/postmaster.pid"), "utf8").split("\n");
  const password = readFileSync(join(home, "password"), "utf8").trim();
  return `postgresql://mayfly:${password}@${encodeURIComponent(socket ?? "")}:${port}/mayfly?sslmode=disable`;
}

type Got = Awaited<ReturnType<ServerProcess["get"]>>;

function getJson(url: string, ca: string, token: string): Promise<Got> {
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  get(url, { ca, agent: false, headers: { authorization: `Bearer ${token}` } }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    response.on("error", reject);
    response.on("end", () => {
      const isJson = String(response.headers["content-type"]).includes("json");
      const body = isJson ? (JSON.parse(text) as Record<string, unknown>) : { text };
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    });
  }).on("error", reject);
  return promise;
}
