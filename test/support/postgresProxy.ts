/**
 * Stands between a server and its PostgreSQL and loses the connection at a chosen statement: before PostgreSQL hears of it, or after
 * PostgreSQL has done it and before the server hears of that. Statements are known by the name that the server prepared them under.
 */
import { connect, createServer, type Socket } from "node:net";
import type { TestOwner } from "./certificateAuthority.ts";

/** What becomes of the statement whose connection is lost. */
export type Loss = "unheard" | "unanswered";

export interface PostgresProxy {
  /** For `database.url`. */
  readonly url: string;
  /** Names of the statements since the last call. */
  seen(): string[];
  /** The next statement of this name loses its connection. */
  lose(name: string, loss: Loss): void;
  /** Whether that has happened. */
  lost(): boolean;
}

/** A proxy to the database at `url`, a socket or a TCP address without TLS. */
export async function postgresProxy(t: TestOwner, url: string): Promise<PostgresProxy> {
  const target = new URL(url);
  const host = decodeURIComponent(target.hostname || (target.searchParams.get("host") ?? ""));
  const port = target.port || "5432";
  let names: string[] = [];
  let armed: { readonly name: string; readonly loss: Loss } | undefined;
  const open = new Set<Socket>();

  const server = createServer((client) => {
    const upstream = host.startsWith("/")
      ? connect(`${host}/.s.PGSQL.${port}`)
      : connect({ host: host.replace(/^\[|\]$/g, ""), port: Number(port) });
    let deaf = false; // Nothing more of the answer gets through.
    const close = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", close);
      socket.on("close", () => (open.delete(socket), close()));
    }
    const read = createFrameReader((name) => {
      names.push(name);
      if (armed?.name !== name) return false;
      const { loss } = armed;
      armed = undefined;
      if (loss === "unanswered") deaf = true;
      else close();
      return loss === "unheard";
    });
    client.on("data", (chunk) => {
      if (!read(chunk)) upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      // ReadyForQuery, the last message of an answer: the statement is committed.
      if (deaf && chunk.at(-6) === 0x5a) close();
      else if (!deaf) client.write(chunk);
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  t.teardown(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const credentials = `${target.username}:${target.password}`;
  return {
    url: `postgresql://${credentials}@127.0.0.1:${address.port}${target.pathname}?sslmode=disable`,
    seen() {
      const found = names;
      names = [];
      return found;
    },
    lose(name, loss) {
      armed = { name, loss };
    },
    lost: () => armed === undefined,
  };
}

/**
 * Follows what a client says to PostgreSQL (protocol 3.0) and tells the name of each prepared statement that it binds.
 * @returns true when the connection was given up, and the octets must go nowhere
 */
function createFrameReader(onBind: (name: string) => boolean): (chunk: Buffer) => boolean {
  let rest = Buffer.alloc(0);
  let started = false; // The start-up message has no type.
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    let given = false;
    for (;;) {
      const head = started ? 1 : 0;
      if (rest.length < head + 4) return given;
      const length = rest.readUInt32BE(head) + head;
      if (rest.length < length) return given;
      const message = rest.subarray(0, length);
      rest = rest.subarray(length);
      if (started && message[0] === 0x42) {
        const [, name = ""] = message.subarray(5).toString("latin1").split("\0");
        if (name !== "" && onBind(name)) given = true;
      }
      started = true;
    }
  };
}
