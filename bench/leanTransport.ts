/**
 * HTTP/1.1 over kept TLS connections with as little work as possible: the load generator shares the machine with what it measures, so
 * its own cost must be small. Only for replies with a Content-Length, which ours always have; other servers get the client's transport.
 */
import { connect, type TLSSocket } from "node:tls";

import type { HttpsAnswer, HttpsExchange, HttpsTransport } from "../src/client/http.ts";

interface Connection {
  exchange(text: string, isHead: boolean): Promise<HttpsAnswer>;
  end(): void;
}

/** @param trustAnchors PEM */
export function leanTransport(origin: string, trustAnchors: string): HttpsTransport {
  const { hostname, port, host } = new URL(origin);
  const idle: Connection[] = [];

  return {
    async send({ method, url, headers = {}, body = "" }: HttpsExchange): Promise<HttpsAnswer> {
      const path = url.slice(origin.length);
      let text = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: mayfly-bench\r\n`;
      for (const name in headers) text += `${name}: ${headers[name]}\r\n`;
      text += method === "POST" ? `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}` : "\r\n";
      const connection = idle.pop() ?? (await open(hostname, Number(port), trustAnchors));
      const answer = await connection.exchange(text, method === "HEAD");
      idle.push(connection);
      return answer;
    },
    close() {
      for (const connection of idle) connection.end();
    },
  };
}

async function open(hostname: string, port: number, ca: string): Promise<Connection> {
  const ready = Promise.withResolvers<void>();
  const socket: TLSSocket = connect({ host: "127.0.0.1", servername: hostname, port, ca }, () => ready.resolve());
  socket.setNoDelay(true);
  let waiting: { resolve: (answer: HttpsAnswer) => void; reject: (error: Error) => void; isHead: boolean } | undefined;
  let received: Buffer = Buffer.alloc(0);
  const fail = (error: Error): void => {
    ready.reject(error);
    waiting?.reject(error);
  };
  socket.on("error", fail);
  socket.on("close", () => fail(new Error("the connection was closed")));
  socket.on("data", (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const answer = readAnswer(received, waiting?.isHead ?? false);
    if (answer === undefined || waiting === undefined) return;
    received = Buffer.alloc(0);
    const { resolve } = waiting;
    waiting = undefined;
    resolve(answer);
  });
  await ready.promise;
  return {
    exchange(text, isHead) {
      const { promise, resolve, reject } = Promise.withResolvers<HttpsAnswer>();
      waiting = { resolve, reject, isHead };
      socket.write(text, "latin1");
      return promise;
    },
    end: () => void socket.end(),
  };
}

/** A whole answer, or undefined while some of it is missing. */
function readAnswer(received: Buffer, isHead: boolean): HttpsAnswer | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = received.toString("latin1", 0, end);
  const lower = head.toLowerCase();
  const header = (name: string): string | undefined => {
    const at = lower.indexOf(`\r\n${name.toLowerCase()}:`);
    if (at < 0) return undefined;
    const start = at + name.length + 3;
    const stop = head.indexOf("\r\n", start);
    return head.slice(start, stop < 0 ? undefined : stop).trim();
  };
  const length = isHead ? 0 : Number(header("content-length") ?? 0);
  if (received.length < end + 4 + length) return undefined;
  return { status: Number(head.slice(9, 12)), header, body: received.subarray(end + 4, end + 4 + length) };
}
