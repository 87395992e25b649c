/**
 * The REST interface of a running server, for the commands that administer it. Where it is, what its TLS leads to and the operator's token
 * come from the server's own configuration, or from options for a server elsewhere.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import type { ClientError } from "../client/errors.ts";
import type { Configuration } from "../config/load.ts";
import type { CommandContext, CommandOptions } from "./command.ts";
import { configOption } from "./configurationOption.ts";

/** The options that these commands share. */
export const restOptions = {
  ...configOption,
  server: { type: "string", value: "URL", defaultText: "externalUrl of the configuration", description: "the server" },
  root: {
    type: "string",
    value: "FILE",
    defaultText: "root.pem in the data directory, or the system's roots where tls.mode is not auto",
    description: "PEM of what the server's TLS certificate leads to",
  },
  "token-file": {
    type: "string",
    value: "FILE",
    defaultText: "operator-token in the data directory",
    description: "file of the operator's token",
  },
  json: { type: "boolean", description: "print the server's answer as JSON" },
} as const satisfies CommandOptions;

/** The same for commands that list something. */
export const listOptions = {
  ...restOptions,
  json: { type: "boolean", description: "print them as JSON, one in a line" },
} as const satisfies CommandOptions;

/** One request and its JSON. Paths begin behind `/api/v1`; what the server refuses is thrown with its own sentence. */
export interface Rest {
  /** URL, without a trailing slash. */
  readonly server: string;
  /** PEM file of what its TLS leads to; undefined for the system's roots. */
  readonly rootFile: string | undefined;
  /** The server's, where it had to be read. */
  readonly configuration: Configuration | undefined;
  get(path: string, query?: Readonly<Record<string, string | undefined>>): Promise<Json>;
  /** All entries of a list, page by page; `member` holds them in each. */
  list<Entry>(path: string, member: string, query?: Readonly<Record<string, string | undefined>>): Promise<Entry[]>;
  post(path: string, body?: object): Promise<Json>;
  put(path: string, body: object, headers: Readonly<Record<string, string>>): Promise<Json>;
  delete(path: string): Promise<Json>;
}
export type Json = Readonly<Record<string, unknown>>;

type RestContext = Pick<CommandContext<typeof restOptions>, "values" | "env">;

const answerBytesMax = 16 * 1024 * 1024;
const timeoutMs = 30_000;

/**
 * Runs `action` with a connection to the server, and closes that afterwards.
 * @throws {Error} with a sentence: no token file, no answer, or what the server said
 */
export async function withRest<T>(context: RestContext, action: (rest: Rest) => Promise<T>): Promise<T> {
  const { server, rootFile, configuration, trustAnchors, token } = await readWhere(context);
  const { httpsTransport } = await import("../client/http.ts");
  const transport = httpsTransport({ trustAnchors, userAgent: "mayfly", answerBytesMax });

  async function ask(
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    body?: object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Json> {
    const exchange = {
      method,
      url: `${server}/api/v1${path}`,
      headers: {
        authorization: `Bearer ${token}`,
        accept: "application/json",
        ...headers,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    };
    const answer = await transport.send(exchange).catch((error: unknown) => {
      throw untrusted(error) && rootFile !== undefined ? otherRoot(error, rootFile) : error;
    });
    const read = jsonOf(answer.body);
    if (answer.status >= 200 && answer.status < 300) return read;
    throw new Error(refusalIn(read) ?? `the server answered with status ${answer.status}`);
  }

  const get: Rest["get"] = (path, query = {}) => ask("GET", `${path}${queryOf(query)}`);

  async function list<Entry>(path: string, member: string, query: Parameters<Rest["list"]>[2] = {}): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await get(path, { limit: "1000", ...query, cursor });
      entries.push(...(page[member] as readonly Entry[]));
      if (page["next"] === undefined) return entries;
      cursor = page["next"] as string;
    }
  }

  try {
    return await action({
      server,
      rootFile,
      configuration,
      get,
      list,
      post: (path, body) => ask("POST", path, body),
      put: (path, body, headers) => ask("PUT", path, body, headers),
      delete: (path) => ask("DELETE", path),
    });
  } finally {
    transport.close();
  }
}

function queryOf(query: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`;
}

/** What a problem document says: each fault where it lists them, in a line of its own. */
function refusalIn({ detail, faults }: Json): string | undefined {
  const details = (Array.isArray(faults) ? faults : [])
    .map((fault) => (fault as { detail?: unknown } | null)?.detail)
    .filter((one) => typeof one === "string");
  if (details.length > 0) return details.join("\n");
  return typeof detail === "string" ? detail : undefined;
}

function jsonOf(body: Buffer): Json {
  if (body.length === 0) return {};
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  } catch {
    // Something else is listening there; the status says the rest.
  }
  return {};
}

/** The server's TLS certificate does not lead to the root: often that is the root of another data directory. */
const untrusted = (error: unknown): error is ClientError =>
  error instanceof Error && "code" in error && error.code === "tls";

function otherRoot(error: ClientError, rootFile: string): Error {
  const advice = "name the right one with --root, or the server's data directory with MAYFLY_DATA_DIR";
  return new Error(`${error.message}; the root was read from ${rootFile}: ${advice}`, { cause: error });
}

interface Where {
  readonly server: string;
  readonly rootFile: string | undefined;
  readonly configuration: Configuration | undefined;
  readonly trustAnchors: string;
  readonly token: string;
}

/** The configuration is read only where an option leaves something open: the operator need not be on the server's machine. */
async function readWhere({ values, env }: RestContext): Promise<Where> {
  const { server, root } = values;
  const tokenFile = values["token-file"];
  const needed = server === undefined || root === undefined || tokenFile === undefined;
  const { loadConfiguration } = await import("../config/load.ts");
  const configuration = needed ? loadConfiguration(values.config, env) : undefined;
  const rootFile = root ?? (configuration?.tls.mode === "auto" ? join(configuration.dataDir, "root.pem") : undefined);
  const token =
    tokenFile ?? configuration?.access.operatorTokenFile ?? join(configuration?.dataDir ?? "data", "operator-token");
  const read = async (file: string, what: string): Promise<string> => {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "is not there" : "cannot be read";
      throw new Error(
        `${what} ${file} ${reason}; is this the folder, or the configuration, that the server runs with?`,
        {
          cause: error,
        },
      );
    }
  };
  return {
    server: (server ?? configuration?.externalUrl ?? "").replace(/\/+$/, ""),
    rootFile,
    configuration,
    trustAnchors:
      rootFile === undefined
        ? (await import("node:tls")).rootCertificates.join("\n")
        : await read(rootFile, "the root"),
    token: (await read(token, "the operator token")).trim(),
  };
}

/** Rows under headings, as wide as they need to be. For terminals; `--json` is for programs. */
export function tableOf(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return [headings, ...rows].map((row) => `${line(row)}\n`).join("");
}
