/** A whole authority in this process, on real Postgres and a real TLS listener at a free port, gone with the test. */
import { randomInt } from "node:crypto";
import { promises as fs } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";

import { compose, type Authority, type Replacements } from "../../src/compose.ts";
import { loadConfiguration, type Configuration } from "../../src/config/load.ts";
import { openDevIssuer } from "../../src/development/devIssuer.ts";
import { stringify } from "yaml";
import { temporaryPostgres } from "./postgres.ts";

export interface TestOwner {
  teardown(action: () => void | Promise<void>): unknown;
}

export interface TestAuthority {
  readonly authority: Authority;
  readonly configuration: Configuration;
  /** External URL, without a trailing slash. */
  readonly url: string;
  readonly directoryUrl: string;
  /** PEM of the root: trust for TLS and for chains. */
  readonly root: string;
  readonly operatorToken: string;
  readonly dataDir: string;
  readonly databaseUrl: string;
  /** A token of the development evidence source. */
  devToken(subject: string, audience: string): Promise<string>;
  /** GET on the REST interface with the operator's token; JSON. */
  inventory(pathAndQuery: string): Promise<{ status: number; body: Record<string, unknown> }>;
  /** Ends it before the test does, for instance to start another one on the same data. */
  close(): Promise<void>;
}

export interface TestAuthorityOptions extends Replacements {
  /** Merged over what the harness sets, as in the YAML file. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  readonly databaseUrl?: string;
  readonly dataDir?: string;
  readonly port?: number;
}

/**
 * A TCP port that nobody uses at the moment, on either address of loopback. From below the ports that the system hands out by itself, so
 * that no connection of another test takes it before the server does.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    if ((await canListen("127.0.0.1", port)) && (await canListen("::1", port))) return port;
  }
}

function canListen(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  // A machine without IPv6 has nobody there either.
  server.once("error", ({ code }: NodeJS.ErrnoException) =>
    resolve(code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT"),
  );
  server.listen(port, host, () => server.close(() => resolve(true)));
  return promise;
}

type Tree = Readonly<Record<string, unknown>>;
const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value);

function merged(base: Tree, over: Tree): Tree {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = result[key];
    result[key] = isTree(value) && isTree(below) ? merged(below, value) : value;
  }
  return result;
}

export async function certificateAuthority(t: TestOwner, options: TestAuthorityOptions = {}): Promise<TestAuthority> {
  const dataDir = options.dataDir ?? (await fs.mkdtemp(path.join(os.tmpdir(), "mayfly-test-")));
  if (options.dataDir === undefined) t.teardown(() => fs.rm(dataDir, { recursive: true, force: true }));
  const databaseUrl = options.databaseUrl ?? (await temporaryPostgres(t)).url;
  const port = options.port ?? (await freePort());
  const file = path.join(dataDir, "mayfly.yaml");
  const defaults = {
    listen: `localhost:${port}`,
    dataDir,
    database: { url: databaseUrl, poolSize: 8 },
    log: { level: "silent" },
    validation: { allowLocalhostNames: true, timeoutMs: 2000, attempts: 2, retryDelayMs: 50 },
    attestation: { developmentSource: true },
  };
  await fs.writeFile(file, stringify(merged(defaults, options.configuration ?? {})));
  const configuration = loadConfiguration(file, {});
  const authority = await compose(configuration, options);
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= authority.close());
  t.teardown(close);
  await authority.server.listen({ host: configuration.listenHost, port: configuration.listenPort });

  const url = configuration.externalUrl;
  const operatorToken = (await fs.readFile(authority.operatorTokenFile, "utf8")).trim();
  return {
    authority,
    configuration,
    url,
    directoryUrl: `${url}/acme/directory`,
    root: authority.issuers.rootPem(),
    operatorToken,
    dataDir,
    databaseUrl,
    async devToken(subject, audience) {
      const issuer = await openDevIssuer(path.join(dataDir, "dev-issuer.jwk"));
      return await issuer.mint({ subject, audience, issuer: `${url}/dev`, now: new Date() });
    },
    async inventory(pathAndQuery) {
      const response = await authority.server.inject({
        url: `/api/v1${pathAndQuery}`,
        headers: { authorization: `Bearer ${operatorToken}` },
      });
      return { status: response.statusCode, body: response.json() };
    },
    close,
  };
}
