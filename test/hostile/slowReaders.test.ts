/** Clients that ask and do not take the answer: they neither keep their places for ever, nor what was to be sent, nor a server from ending. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";

import { certificateListRoutes } from "../../src/http/certificateLists.ts";
import { createServer, type ServerOptions } from "../../src/http/server.ts";
import { portOf } from "../support/dnsServer.ts";

t.setTimeout(120_000);

/** More than sockets on both sides take over by themselves. */
const large = Buffer.alloc(64 * 1024 * 1024, 0x30);
const issuer = "0193a9c0-0000-7000-8000-000000000000";

type Server = ReturnType<typeof createServer>;
function serverWith(options: Partial<ServerOptions> = {}): Server {
  const server = createServer({
    tls: undefined,
    logLevel: "silent",
    bodyLimit: 100,
    maxConnections: 100,
    trustedProxies: [],
    onRequestDone: () => undefined,
    ...options,
  });
  server.get("/small", async () => "small");
  server.get("/large", async (_request, reply) => reply.send(large));
  return server;
}

/** Sends it, and reads nothing. */
async function ask(t: Test, server: Server, text: string): Promise<Socket> {
  const socket = connect(portOf(server.server), "127.0.0.1");
  socket.on("error", () => undefined);
  t.teardown(() => socket.destroy());
  await once(socket, "connect");
  socket.pause();
  socket.write(text);
  return socket;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;

async function connections({ server }: Server): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  return await promise;
}

async function nobodyLeft(server: Server): Promise<void> {
  while ((await connections(server)) > 0) await pause(20);
}

t.test("an answer of which nothing is taken, and many requests in a row of which no answer is", async (t) => {
  const server = serverWith({ stalledMs: 500 });
  await server.listen({ host: "127.0.0.1", port: 0 });
  t.teardown(() => server.close());
  await ask(t, server, get("/large"));
  await ask(t, server, get("/small").repeat(100_000));
  while ((await connections(server)) < 2) await pause(5);
  await nobodyLeft(server);
  t.equal(await connections(server), 0);
});

t.test("a revocation list that is taken by drops", async (t) => {
  const server = serverWith();
  const at = new Date();
  const facts = {
    thisUpdate: at,
    nextUpdate: new Date(at.getTime() + 3_600_000),
    sha256: Buffer.alloc(32),
    size: large.length,
  };
  await server.register(
    certificateListRoutes({
      find: async () => facts,
      read: async () => ({ list: facts, der: large, release: () => undefined }),
      cacheSeconds: 300,
      now: () => at,
      sendingMs: () => 1_000,
    }),
  );
  await server.listen({ host: "127.0.0.1", port: 0 });
  t.teardown(() => server.close());
  const socket = await ask(t, server, get(`/crl/${issuer}/0.crl`));
  let taken = 0;
  socket.on("data", ({ length }: Buffer) => {
    taken += length;
    socket.pause();
    setTimeout(() => socket.resume(), 20);
  });
  await nobodyLeft(server);
  t.ok(taken < large.length, `${taken} octets were taken by then`);
});

t.test("a server that stops waits for an answer, and not for whoever does not take it", async (t) => {
  const server = serverWith({ stopMs: 5_000 });
  const asked = Promise.withResolvers<void>();
  server.get("/soon", async () => {
    asked.resolve();
    await pause(300);
    return "soon";
  });
  await server.listen({ host: "127.0.0.1", port: 0 });
  await ask(t, server, get("/large"));
  const soon = fetch(`http://127.0.0.1:${portOf(server.server)}/soon`);
  await asked.promise;
  while ((await connections(server)) < 2) await pause(5);
  const stopped = server.close();
  t.equal(await (await soon).text(), "soon");
  await stopped;
  t.equal(await connections(server), 0);
});

t.test("what is taken in time is whole", async (t) => {
  const server = serverWith({ stalledMs: 60_000 });
  await server.listen({ host: "127.0.0.1", port: 0 });
  t.teardown(() => server.close());
  const reply = await fetch(`http://127.0.0.1:${portOf(server.server)}/large`);
  t.equal((await reply.arrayBuffer()).byteLength, large.length);
});
