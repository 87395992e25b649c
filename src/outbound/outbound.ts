/**
 * Connections to the outside. A validation may be asked for by anybody and names its own target (RFC 8555 §10.4), so here a name is resolved once, its addresses are judged, and the connection goes to an address that was judged; time, bytes and the number
 * of connections are bounded.
 */
import { connect as connectSocket, isIP, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connectionOrder, forbiddenAddress } from "./addresses.ts";
import { createGate, GateFull } from "./gate.ts";
import { createResolver, isLocalhostName } from "./resolver.ts";
import type { DnsTransport } from "./dnsExchange.ts";
import type { CaaRecord } from "./dnsMessage.ts";
import { OutboundFailure } from "./failure.ts";
import { createSystemLookup } from "./systemLookup.ts";

/** Of one name, at most this many addresses are tried. */
const addressesTriedMax = 4;
/** RFC 8305 §5: how long an attempt runs alone before the next address is tried beside it. */
const fallbackDelayMs = 250;

export interface OutboundOptions {
  /** "host:port" of the resolver to ask; the system's when absent. */
  readonly dnsResolver?: string | undefined;
  readonly dnsTransport?: DnsTransport | undefined;
  /** Private, link-local and loopback addresses may be reached; metadata services, multicast and the like never. */
  readonly allowPrivate: boolean;
  /** `localhost` and the names under it may reach loopback: for development. */
  readonly allowLocalhostNames: boolean;
  /** Longest time for a lookup, all its tries together. */
  readonly lookupTimeoutMs: number;
  /** Addresses by the system's own lookup, search list and all: for hosts that the operator named, see `systemLookup.ts`. */
  readonly bySystem?: boolean;
}

export interface Outbound {
  /** TXT records, pieces joined; none is an empty list. @throws {OutboundFailure} `dns` · `ours` */
  txt(name: string, signal: AbortSignal): Promise<string[]>;
  /** CAA records of this very name; none is an empty list. @throws {OutboundFailure} `dns` · `ours` */
  caa(name: string, signal: AbortSignal): Promise<CaaRecord[]>;
  /**
   * A TCP connection to a permitted address of `host`, a DNS name or an IP address. The socket is destroyed when `signal` aborts, and
   * whoever uses it must bound what is read.
   * @throws {OutboundFailure} `dns` · `forbidden` when no address is permitted · `connection`
   */
  connect(host: string, port: number, signal: AbortSignal): Promise<Socket>;
}

/** Opens the way out, with the operator's limits. */
export function createOutbound(options: OutboundOptions): Outbound {
  const { allowPrivate, allowLocalhostNames, dnsResolver, dnsTransport, lookupTimeoutMs, bySystem = false } = options;
  const resolver = createResolver({ dnsResolver, dnsTransport, timeoutMs: lookupTimeoutMs });
  const system = createSystemLookup(lookupTimeoutMs);
  // Whoever waits for a place learns that before the time of a validation is up: the crowd is ours, not the target's.
  const patienceMs = lookupTimeoutMs / 4;
  const gate = createGate({ perTarget: 8, inAll: 256, waitingPerTarget: 256, waitingInAll: 2048, patienceMs });

  async function permittedAddresses(host: string, signal: AbortSignal): Promise<string[]> {
    const policy = { allowPrivate, allowLoopback: allowLocalhostNames && isLocalhostName(host) };
    const book = bySystem && !isLocalhostName(host) ? system : resolver;
    const found = isIP(host) === 0 ? await book.addresses(host, signal) : [host];
    const permitted = found.filter((address) => forbiddenAddress(address, policy) === undefined);
    if (permitted.length > 0) return permitted;
    const what = forbiddenAddress(found[0] ?? "", policy);
    throw new OutboundFailure("forbidden", `${host} has no address that this CA connects to (${what})`);
  }

  /** Connects to one address. The slot in the gate belongs to the socket and is given back when the socket closes. */
  async function open(address: string, port: number, signal: AbortSignal): Promise<Socket> {
    const leave = await gate.enter(address, signal);
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const socket = connectSocket({ host: address, port, noDelay: true, signal });
    socket.once("connect", () => resolve(socket));
    socket.on("error", reject); // stays, so that a later error never goes unheard
    socket.once("close", leave);
    return promise;
  }

  return {
    txt: (name, signal) => resolver.txt(name, signal),
    caa: (name, signal) => resolver.caa(name, signal),
    async connect(host, port, signal) {
      const addresses = connectionOrder(await permittedAddresses(host, signal)).slice(0, addressesTriedMax);
      return firstConnected(addresses, signal, (address, attempt) => open(address, port, attempt)).catch(
        (error: unknown) => {
          signal.throwIfAborted();
          throw connectionFailure(error, `connecting to ${host} port ${port}`);
        },
      );
    },
  };
}

/** Tries the addresses in order, the next one as soon as the last has failed or is slow (RFC 8305); the first to connect stays. */
export async function firstConnected(
  addresses: readonly string[],
  signal: AbortSignal,
  open: (address: string, signal: AbortSignal) => Promise<Socket>,
): Promise<Socket> {
  signal.throwIfAborted();
  const attempts = addresses.map(() => new AbortController());
  const abortAll = () => attempts.forEach((attempt) => attempt.abort());
  signal.addEventListener("abort", abortAll, { once: true });
  let winner: Socket | undefined;
  let previous: Promise<unknown> = Promise.resolve();

  const sockets = attempts.map((controller, index) => {
    const turn = previous;
    const socket = turn.then(async () => {
      const connected = await open(addresses[index] ?? "", controller.signal);
      if (winner === undefined) {
        for (const other of attempts) if (other !== controller) other.abort();
        winner = connected;
      } else connected.destroy(); // both connected in the same instant
      return winner;
    });
    const patience = turn.then(() => sleep(fallbackDelayMs, undefined, { signal: controller.signal, ref: false }));
    previous = Promise.race([socket, patience]).catch(() => undefined);
    return socket;
  });
  return Promise.any(sockets).catch((error: AggregateError) => {
    throw error.errors.at(-1);
  });
}

/** What failed on the wire, as a `connection` failure; the system's text is kept out, its code is translated. */
export function connectionFailure(error: unknown, doing: string): OutboundFailure {
  if (error instanceof OutboundFailure) return error;
  // Our own crowd says nothing about the target.
  if (error instanceof GateFull) return new OutboundFailure("ours", "too many connections at once", { cause: error });
  const reasons: Record<string, string> = {
    ECONNREFUSED: "connection refused",
    ECONNRESET: "connection reset",
    EPIPE: "connection reset",
    EHOSTUNREACH: "no route to the host",
    ENETUNREACH: "no route to the network",
    EADDRNOTAVAIL: "no route to the network",
    ETIMEDOUT: "no answer",
  };
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
  // Nothing was sent: this process may open no more, or no such, connections.
  if (["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPERM", "EACCES"].includes(code))
    return new OutboundFailure("ours", `${doing} failed: ${code}`, { cause: error });
  return new OutboundFailure("connection", `${doing} failed: ${reasons[code] ?? code}`, { retryable: true });
}
