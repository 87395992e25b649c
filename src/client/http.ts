/**
 * HTTPS for the agent: one keep-alive agent, a trust anchor of its own, answers of bounded size. Knows no ACME.
 */
import { Agent, request } from "node:https";
import type { IncomingMessage } from "node:http";
import { ClientError } from "./errors.ts";

export interface HttpsAnswer {
  readonly status: number;
  /** The header's value; the first where it came several times. */
  header(name: string): string | undefined;
  readonly body: Buffer;
}

export interface HttpsExchange {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** A way to one or more HTTPS servers. Redirects are not followed. */
export interface HttpsTransport {
  /** @throws {ClientError} network · tls · protocol (not https, too large) · the signal's own reason when it aborts */
  send(exchange: HttpsExchange): Promise<HttpsAnswer>;
  /** Closes idle connections. Idempotent. */
  close(): void;
}

export interface HttpsOptions {
  /** PEM of what the server's certificate must lead to. Nothing else is trusted. */
  readonly trustAnchors: string | Buffer;
  readonly userAgent: string;
  readonly answerBytesMax: number;
}

/** HTTPS with connections kept alive, for one set of trust anchors. */
export function httpsTransport({ trustAnchors, userAgent, answerBytesMax }: HttpsOptions): HttpsTransport {
  const agent = new Agent({ keepAlive: true, ca: trustAnchors, minVersion: "TLSv1.2" });

  const exchangeOnce = ({ method, url, headers, body, signal }: HttpsExchange): Promise<HttpsAnswer> =>
    new Promise((resolve, reject) => {
      const outgoing = request(url, {
        method,
        agent,
        signal,
        headers: {
          "User-Agent": userAgent,
          ...headers,
          ...(body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) }),
        },
      });
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        reject(new ConnectionFailure(error, outgoing.reusedSocket));
      });
      outgoing.on("response", (incoming) => {
        readAnswer(incoming, answerBytesMax).then(resolve, reject);
      });
      outgoing.end(body);
    });

  return {
    async send(exchange) {
      const origin = originOf(exchange.url);
      try {
        return await exchangeOnce(exchange).catch((error: unknown) => {
          // A server may close an idle connection just as we use it; nothing was answered, so one fresh connection is tried.
          if (!(error instanceof ConnectionFailure) || !error.wasStale || exchange.signal.aborted) throw error;
          return exchangeOnce(exchange);
        });
      } catch (error) {
        exchange.signal.throwIfAborted();
        throw error instanceof ConnectionFailure ? describeFailure(error.failure, origin) : error;
      }
    },
    close: () => agent.destroy(),
  };
}

/** @throws {ClientError} protocol, when the URL is not https: neither evidence nor certificates travel in the clear. */
export function originOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === "https:") return parsed.origin;
  throw new ClientError("protocol", `only https URLs are used, not "${url.slice(0, 200)}"`);
}

class ConnectionFailure extends Error {
  readonly failure: NodeJS.ErrnoException;
  /** The connection was an old one and ended before any answer. */
  readonly wasStale: boolean;
  constructor(failure: NodeJS.ErrnoException, reusedSocket: boolean) {
    super(failure.message);
    this.failure = failure;
    this.wasStale = reusedSocket && (failure.code === "ECONNRESET" || failure.code === "EPIPE");
  }
}

function readAnswer(incoming: IncomingMessage, bytesMax: number): Promise<HttpsAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    incoming.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= bytesMax) return;
      incoming.destroy();
      reject(new ClientError("protocol", `the server's answer is larger than ${bytesMax} bytes`));
    });
    incoming.on("error", (error) => reject(new ConnectionFailure(error, false)));
    incoming.on("end", () => {
      const { statusCode = 0, headers } = incoming;
      const header = (name: string): string | undefined => {
        const value = headers[name.toLowerCase()];
        return typeof value === "string" ? value : value?.[0];
      };
      resolve({ status: statusCode, header, body: Buffer.concat(chunks) });
    });
  });
}

/** Node's codes for a server certificate that does not verify: OpenSSL's names and Node's own for the host name. */
const trustFailure =
  /^(?:UNABLE_TO_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|ERR_TLS_CERT)/;

function describeFailure(failure: NodeJS.ErrnoException, origin: string): ClientError {
  const code = failure.code ?? failure.name;
  const options = { cause: failure };
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return new ClientError("tls", `the TLS certificate of ${origin} is for another name`, options);
  }
  if (trustFailure.test(code)) {
    return new ClientError(
      "tls",
      `the TLS certificate of ${origin} is not trusted by the given root (${code})`,
      options,
    );
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL_")) {
    return new ClientError("tls", `no TLS connection to ${origin} (${code})`, options);
  }
  if (code === "ECONNREFUSED") return new ClientError("network", `nothing listens at ${origin}`, options);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new ClientError("network", `the host of ${origin} is not found (${code})`, options);
  }
  return new ClientError("network", `the connection to ${origin} failed (${code})`, options);
}
