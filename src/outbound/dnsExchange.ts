/**
 * One query to one name server, over UDP or TCP (RFC 1035 §4.2, RFC 7766). Each has a socket and so a source port of its own, and a
 * random id; what comes back counts only from the server's own address and port, with that id and that question (RFC 5452).
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { type DnsReply, encodeQuery, readReply, type RecordType, recordTypes } from "./dnsMessage.ts";

export interface NameServer {
  readonly address: string;
  readonly port: number;
}

/** `udp` goes on over TCP where an answer is truncated. */
export type DnsTransport = "udp" | "tcp";

/** The server gave no answer in time. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/**
 * Asks, and resolves to the reply, which is not truncated.
 * @throws {NoAnswer} · {DnsMessageError} what came over TCP is not readable · an error of the system with its `code` · `signal.reason`
 */
export async function exchange(
  server: NameServer,
  { name, type }: { name: string; type: RecordType },
  { transport, timeoutMs, signal }: { transport: DnsTransport; timeoutMs: number; signal: AbortSignal },
): Promise<DnsReply> {
  signal.throwIfAborted();
  const id = randomInt(0x10000);
  const query = encodeQuery(id, name, type);
  const isOurs = (reply: DnsReply): boolean =>
    reply.id === id && reply.question.name === name.toLowerCase() && reply.question.type === recordTypes[type];
  const begun = performance.now();
  if (transport === "udp") {
    const reply = await overUdp(server, query, isOurs, timeoutMs, signal);
    if (!reply.truncated) return reply;
  }
  const leftMs = Math.max(1, timeoutMs - (performance.now() - begun));
  const reply = await overTcp(server, query, leftMs, signal);
  if (!isOurs(reply) || reply.truncated) throw new NoAnswer("the answer over TCP is another question's, or truncated");
  return reply;
}

function overUdp(
  { address, port }: NameServer,
  query: Buffer,
  isOurs: (reply: DnsReply) => boolean,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<DnsReply> {
  const { promise, resolve, reject } = Promise.withResolvers<DnsReply>();
  const socket = createSocket(isIPv6(address.replace(/%.*/, "")) ? "udp6" : "udp4");
  const abort = (): void => reject(signal.reason);
  const timer = setTimeout(() => reject(new NoAnswer("no answer in time")), timeoutMs);
  signal.addEventListener("abort", abort, { once: true });
  socket.on("error", reject);
  socket.on("message", (message) => {
    // Anybody can send a datagram: what is not the answer is as if it had not come.
    const reply = readable(message);
    if (reply !== undefined && isOurs(reply)) resolve(reply);
  });
  // Connected, so that the kernel drops what is from elsewhere and tells when nobody listens there.
  socket.connect(port, address);
  socket.once("connect", () => socket.send(query));
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    socket.close();
  });
}

function readable(message: Buffer): DnsReply | undefined {
  try {
    return readReply(message);
  } catch {
    return undefined;
  }
}

function overTcp(
  { address, port }: NameServer,
  query: Buffer,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<DnsReply> {
  const { promise, resolve, reject } = Promise.withResolvers<DnsReply>();
  const socket = connect({ host: address, port, noDelay: true });
  const abort = (): void => reject(signal.reason);
  const timer = setTimeout(() => reject(new NoAnswer("no answer in time")), timeoutMs);
  signal.addEventListener("abort", abort, { once: true });
  let received = Buffer.alloc(0);
  socket.on("error", reject);
  socket.once("close", () => reject(new NoAnswer("the connection was closed without an answer")));
  socket.once("connect", () => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query])); // In one segment: some servers want length and message together (RFC 7766 §8).
  });
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    const wanted = received.length < 2 ? undefined : 2 + received.readUInt16BE(0);
    if (wanted === undefined || received.length < wanted) return;
    socket.pause();
    try {
      resolve(readReply(received.subarray(2, wanted)));
    } catch (error) {
      reject(error);
    }
  });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    socket.destroy();
  });
}
