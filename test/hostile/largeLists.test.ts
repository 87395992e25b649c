/** A revocation list that is larger than what may be kept, asked for by many at once who take their time: it is in memory once. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";

import { openStandingLists } from "../../src/authority/revocation/standingLists.ts";
import { certificateListRoutes } from "../../src/http/certificateLists.ts";
import { createServer } from "../../src/http/server.ts";
import { portOf } from "../support/dnsServer.ts";

t.setTimeout(120_000);

const issuerId = "0193a9c0-0000-7000-8000-000000000000";
const size = 16 * 1024 * 1024;

async function listening(t: Test) {
  const at = new Date();
  const nextUpdate = new Date(at.getTime() + 3_600_000);
  const list = { issuerId, number: 1, size, entries: 0, sha256: Buffer.alloc(32), thisUpdate: at, nextUpdate };
  const state = { reads: 0 };
  const lists = openStandingLists({
    store: {
      readPublished: async () => [0, 1].map((shard) => ({ ...list, shard, dueAt: at, publishedAt: at })),
      async readOctets() {
        state.reads++;
        return Buffer.alloc(size, 0x30);
      },
    },
    memoryBytes: 1024 * 1024,
    onUnknown: () => undefined,
  });
  const server = createServer({
    tls: undefined,
    logLevel: "silent",
    bodyLimit: 100,
    maxConnections: 200,
    trustedProxies: [],
    onRequestDone: () => undefined,
  });
  await server.register(
    certificateListRoutes({
      find: (id, shard) => lists.find({ issuerId: id, shard }),
      read: (id, shard, end) => lists.read({ issuerId: id, shard }, end),
      cacheSeconds: 300,
      now: () => new Date(),
    }),
  );
  await server.listen({ host: "127.0.0.1", port: 0 });
  t.teardown(() => server.close());
  const port = portOf(server.server);
  const get = (shard: number) => fetch(`http://127.0.0.1:${port}/crl/${issuerId}/${shard}.crl`);
  /** Sends the request, takes the first octets of the answer and no more. */
  async function slow(): Promise<Socket> {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    t.teardown(() => socket.destroy());
    socket.write(`GET /crl/${issuerId}/0.crl HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    await once(socket, "readable");
    return socket;
  }
  return { state, get, slow };
}

t.test("a hundred who take it slowly share it; once they are gone it goes", async (t) => {
  const { state, get, slow } = await listening(t);
  const before = process.memoryUsage().arrayBuffers;
  const sockets: Socket[] = [];
  for (let n = 0; n < 100; n++) sockets.push(await slow()); // One after the other: each would have read it anew.
  t.equal(state.reads, 1);
  const grown = process.memoryUsage().arrayBuffers - before;
  t.ok(grown < 4 * size, `${Math.round(grown / 1e6)} MB more`);

  const refused = await get(1);
  t.match(refused, { status: 503, ok: false });
  t.equal(refused.headers.get("retry-after"), "5");
  t.equal(refused.headers.get("content-type"), "application/problem+json");
  t.equal((await (await get(0)).arrayBuffer()).byteLength, size, "who asks for the same is answered");
  t.equal(state.reads, 1);

  for (const socket of sockets) socket.destroy();
  /** Once there is room: the server hears a moment later that an answer was taken, or will not be. */
  async function taken(shard: number): Promise<number> {
    let reply = await get(shard);
    for (; reply.status === 503; reply = await get(shard)) await pause(20);
    return (await reply.arrayBuffer()).byteLength;
  }
  t.equal(await taken(1), size);
  t.equal(state.reads, 2);
  t.equal(await taken(0), size);
  t.equal(state.reads, 3, "what was taken whole has gone as well");
});
