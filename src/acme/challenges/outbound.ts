/**
 * The one guarded way off the machine. A validation may be asked for by anybody and names its own target (RFC 8555 §10.4), so here a
 * name is resolved once, its addresses are judged, and the connection goes to an address that was judged; time, bytes and the number
 * of connections are bounded.
 */
import { connect as connectSocket, isIP, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { connectionOrder, forbiddenAddress } from "./addresses.ts";
import { createGate, GateFull } from "./gate.ts";
import { createResolver, isLocalhostName } from "./resolver.ts";
import { ValidationFailure } from "./validation.ts";

/** Of one name, at most this many addresses are tried. */
const addressesTriedMax = 4;
/** RFC 8305 §5: how long an attempt runs alone before the next address is tried beside it. */
const fallbackDelayMs = 250;

export interface OutboundOptions {
  /** "host:port" of the resolver to ask; the system's when absent. */
  readonly dnsResolver?: string | undefined;
  /** Private, link-local and loopback addresses may be reached; metadata services, multicast and the like never. */
  readonly allowPrivate: boolean;
  /** `localhost` and the names under it may reach loopback: for development. */
  readonly allowLocalhostNames: boolean;
  readonly http01Port: number;
  readonly tlsAlpn01Port: number;
  /** For one attempt as a whole; at most 10 000. */
  readonly timeoutMs: number;
  readonly userAgent: string;
}

export interface Outbound {
  readonly http01Port: number;
  readonly tlsAlpn01Port: number;
  readonly timeoutMs: number;
  readonly userAgent: string;
  /** TXT records, pieces joined; none is an empty list. @throws {ValidationFailure} `dns` */
  txt(name: string, signal: AbortSignal): Promise<string[]>;
  /**
   * A TCP connection to a permitted address of `host`, a DNS name or an IP address. The socket is destroyed when `signal` aborts, and
   * whoever uses it must bound what is read.
   * @throws {ValidationFailure} `dns` · `rejectedIdentifier` when no address is permitted · `connection`
   */
  connect(host: string, port: number, signal: AbortSignal): Promise<Socket>;
}

/** Opens the way out, with the operator's limits; whatever they say, nothing takes longer than ten seconds. */
export function createOutbound(options: OutboundOptions): Outbound {
  const { allowPrivate, allowLocalhostNames, http01Port, tlsAlpn01Port, userAgent } = options;
  const timeoutMs = Math.min(options.timeoutMs, 10_000);
  const resolver = createResolver({ dnsResolver: options.dnsResolver, timeoutMs: Math.ceil(timeoutMs * 0.8) });
  const gate = createGate({ perTarget: 8, inAll: 256, waitingPerTarget: 256, waitingInAll: 2048 });

  async function permittedAddresses(host: string, signal: AbortSignal): Promise<string[]> {
    const policy = { allowPrivate, allowLoopback: allowLocalhostNames && isLocalhostName(host) };
    const found = isIP(host) === 0 ? await resolver.addresses(host, signal) : [host];
    const permitted = found.filter((address) => forbiddenAddress(address, policy) === undefined);
    if (permitted.length > 0) return permitted;
    const what = forbiddenAddress(found[0] ?? "", policy);
    throw new ValidationFailure("rejectedIdentifier", `${host} has no address that this CA connects to (${what})`);
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
    http01Port,
    tlsAlpn01Port,
    timeoutMs,
    userAgent,
    txt: (name, signal) => resolver.txt(name, signal),
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
export function connectionFailure(error: unknown, doing: string): ValidationFailure {
  if (error instanceof ValidationFailure) return error;
  if (error instanceof GateFull) throw error; // Our own crowd, not the client's fault: the validation is taken up again later.
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
  return new ValidationFailure("connection", `${doing} failed: ${reasons[code] ?? code}`, { retryable: true });
}

/**
 * A TLS handshake over `socket`, without verification of the certificate: the validators look at it, or rightly do not care.
 * @throws {ValidationFailure} `tls`, or `connection` when the connection broke
 */
export async function handshake(
  socket: Socket,
  { servername, protocol }: { servername: string; protocol: string },
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const secured = connectTls({
    socket,
    servername,
    ALPNProtocols: [protocol],
    minVersion: "TLSv1.2",
    // Finite-field Diffie-Hellman lets the target choose a modulus so large that the handshake holds up the whole process.
    ciphers: "DEFAULT:!kDHE",
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  secured.once("secureConnect", () => resolve(secured));
  secured.on("error", reject);
  secured.once("close", () => reject(Object.assign(new Error(), { code: "ECONNRESET" })));
  return promise.catch((error: NodeJS.ErrnoException) => {
    const code = error.code ?? "";
    // OpenSSL's codes, among them the alerts of the other side, are a fixed vocabulary and safe to show.
    if (/^(ERR_SSL_|ERR_TLS_|EPROTO)/.test(code))
      throw new ValidationFailure("tls", `the TLS handshake failed: ${code}`);
    throw connectionFailure(error, "the TLS handshake");
  });
}

/**
 * The body of a 200 response from a URL that the operator configured (a JWKS, say): trusted, hence no address policy, but `https`
 * only, no redirects, and bounded. `http` is taken for loopback when `allowPrivate`.
 * @throws {Error} with a message for people when there is no such response; `signal.reason` when aborted
 */
export async function fetchHttps(
  url: string,
  options: { maxBytes: number; timeoutMs: number; signal?: AbortSignal; allowPrivate?: boolean },
): Promise<Buffer> {
  const { protocol, hostname } = new URL(url);
  const loopback = isLocalhostName(hostname) || hostname === "127.0.0.1" || hostname === "[::1]";
  const plainAllowed = protocol === "http:" && options.allowPrivate === true && loopback;
  if (protocol !== "https:" && !plainAllowed) throw new Error(`${url} is not an https URL`);

  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  const response = await fetch(url, { redirect: "error", signal }).catch((error: unknown) => {
    options.signal?.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new Error(`${url} could not be fetched: ${cause instanceof Error ? cause.message : "unknown error"}`, {
      cause,
    });
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`${url} answered with status ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    // Leaving the loop cancels the body, so nothing more is read.
    if (bytes > options.maxBytes) throw new Error(`${url} answered with more than ${options.maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
