/**
 * What the tests of the validators share: an outbound for tests, a name server that knows one name, targets on loopback.
 */
import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { ValidationGround } from "../../src/acme/challenges/validation.ts";
import { createOutbound, type Outbound, type OutboundOptions } from "../../src/outbound/outbound.ts";
import { portOf, startDnsServer, type DnsServer } from "./dnsServer.ts";

export interface Teardown {
  teardown(handler: () => void): void;
}

/** What a validation says beside identifier and token where neither plays a part. */
export const plainly = {
  wildcard: false,
  subdomains: false,
  issuerDomainNames: [],
  account: {
    url: "https://ca.example/acme/account/1",
    hashPrefix: "https://ca.example/acme/account-hash/",
    thumbprints: () => Promise.resolve([]),
  },
} as const;

/** What a test may say about its outbound. */
export type OutboundWishes = OutboundOptions & Omit<ValidationGround, keyof Outbound>;

/** An outbound that may reach loopback and gives up after 600 ms. */
export function testOutbound(wishes: Partial<OutboundWishes>): ValidationGround {
  const {
    http01Port = 80,
    tlsAlpn01Port = 443,
    timeoutMs = 600,
    userAgent = "Mayfly-test/1",
    now = () => new Date(),
    ...options
  } = wishes;
  const guard = createOutbound({
    allowPrivate: true,
    allowLocalhostNames: false,
    lookupTimeoutMs: Math.ceil(timeoutMs * 0.8),
    ...options,
  });
  return { ...guard, http01Port, tlsAlpn01Port, timeoutMs, userAgent, now };
}

/** A name server for which every name has these addresses. */
export async function addressesAre(t: Teardown, ...addresses: string[]): Promise<DnsServer> {
  const dns = await startDnsServer((_, type) =>
    addresses
      .filter((address) => type === (address.includes(":") ? "AAAA" : "A"))
      .map((address) => ({ type: type === "A" ? "A" : "AAAA", data: address })),
  );
  t.teardown(() => dns.close());
  return dns;
}

/** An HTTP server on 127.0.0.1 (or `host`); resolves to its port. */
export async function httpTarget(t: Teardown, listener: RequestListener, host = "127.0.0.1"): Promise<number> {
  const server = createHttpServer(listener);
  t.teardown(() => server.closeAllConnections());
  return listen(t, server, host);
}

/** A name's web server that takes requests and says nothing until it is told to. */
export interface HesitantTarget {
  readonly port: number;
  /** When the first request is there. */
  readonly asked: Promise<void>;
  /** Answers those that wait, and all later ones, with this. */
  answer(text: string): void;
}

/** Such a server, on 127.0.0.1. */
export async function hesitantTarget(t: Teardown): Promise<HesitantTarget> {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<string>();
  const port = await httpTarget(t, (_request, response) => {
    asked.resolve();
    void answer.promise.then((text) => response.end(text));
  });
  return { port, asked: asked.promise, answer: answer.resolve };
}

/** A TCP server on 127.0.0.1; resolves to its port. */
export async function tcpTarget(t: Teardown, onConnection: (socket: Socket) => void): Promise<number> {
  return listen(t, createTcpServer(onConnection));
}

/** Starts any server, with an end to its connections at teardown; resolves to its port. */
export async function listen(t: Teardown, server: Server, host = "127.0.0.1"): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, host);
  await once(server, "listening");
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return portOf(server);
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}
