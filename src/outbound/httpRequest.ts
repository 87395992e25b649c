/** One request over a connection of the guard's: no redirect is followed, nothing is decompressed, nothing is kept alive. */
import { request, type IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { OutboundFailure } from "./failure.ts";
import { handshake } from "./handshake.ts";
import { connectionFailure, type Outbound } from "./outbound.ts";

const interimResponsesMax = 10;

export interface HttpRequestOptions {
  readonly userAgent: string;
  readonly headerBytesMax: number;
  /** Ends the request, and the reading of its body. */
  readonly signal: AbortSignal;
  /** A POST with this JSON text and this Authorization; a GET without any when absent. */
  readonly post?: { readonly json: string; readonly authorization: string };
  /** Verify the certificate of an `https` server, by these PEM certificates or Node's own; unverified when absent. */
  readonly verify?: { readonly trust?: string | undefined };
}

/** An answer whose body is still unread; `body` or `close` ends it. */
export interface HttpAnswer {
  readonly status: number;
  readonly location: string | undefined;
  readonly contentEncoding: string | undefined;
  /** The body, at most `bytesMax` long. @throws {OutboundFailure} `answer` · `connection` */
  body(bytesMax: number): Promise<Buffer>;
  close(): void;
}

/**
 * Sends one request.
 * @throws {OutboundFailure} as `Outbound.connect` and `handshake` do · `answer` where it is none that is read
 */
export async function httpRequest(
  url: URL,
  outbound: Pick<Outbound, "connect">,
  { userAgent, headerBytesMax, signal, verify, post }: HttpRequestOptions,
): Promise<HttpAnswer> {
  const host = hostOf(url);
  const socket = await outbound.connect(host, portOf(url), signal);
  const tls = { host, servername: isIP(host) === 0 ? host : "", protocol: "http/1.1", verify };
  const transport = url.protocol === "https:" ? await handshake(socket, tls) : socket;

  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asking = request({
    createConnection: () => transport,
    method: post === undefined ? "GET" : "POST",
    path: url.pathname + url.search,
    // No Accept-Encoding: a compressed answer would be an answer we have to unpack.
    headers: {
      Host: url.host,
      "User-Agent": userAgent,
      Accept: post === undefined ? "*/*" : "application/json",
      Connection: "close",
      ...(post && {
        Authorization: post.authorization,
        "Content-Type": "application/json",
        "Content-Length": Buffer.byteLength(post.json),
      }),
    },
    maxHeaderSize: headerBytesMax,
    insecureHTTPParser: false,
  });
  let interim = 0;
  asking.on("information", () => {
    interim += 1;
    if (interim > interimResponsesMax) asking.destroy(new OutboundFailure("answer", "too many interim responses"));
  });
  asking.once("upgrade", (_, upgraded) => {
    upgraded.destroy();
    reject(new OutboundFailure("answer", "the answer is an upgrade to another protocol"));
  });
  asking.once("response", resolve);
  asking.on("error", reject);
  asking.once("close", () => reject(Object.assign(new Error(), { code: "ECONNRESET" })));
  asking.end(post?.json);
  const response = await promise.catch((error: unknown) => {
    throw httpFailure(error);
  });
  return {
    status: response.statusCode ?? 0,
    location: response.headers.location,
    contentEncoding: response.headers["content-encoding"],
    body: (bytesMax) =>
      readBody(response, bytesMax).catch((error: unknown) => {
        throw httpFailure(error);
      }),
    close: () => void response.destroy(),
  };
}

/** The host without brackets and without the final dot of an absolute name. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}

/** The port, also where the URL leaves it to the scheme. */
export function portOf(url: URL): number {
  return Number(url.port || (url.protocol === "https:" ? 443 : 80));
}

function httpFailure(error: unknown): OutboundFailure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code.startsWith("HPE_"))
    return new OutboundFailure("connection", `the answer is not HTTP that we accept: ${code}`);
  return connectionFailure(error, "reading the answer");
}

async function readBody(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    // Leaving the loop destroys the response and its socket.
    if (bytes > bytesMax) throw new OutboundFailure("answer", `the body has more than ${bytesMax} bytes`);
  }
  return Buffer.concat(chunks);
}
