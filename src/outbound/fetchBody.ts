/**
 * Asking what the operator configured by URL (for a JWK Set, or the API server of a cluster): the guard's connections, with the server's
 * certificate verified.
 */
import { isIP } from "node:net";
import { within } from "./deadline.ts";
import { OutboundFailure } from "./failure.ts";
import { hostOf, httpRequest, type HttpAnswer } from "./httpRequest.ts";
import type { Outbound } from "./outbound.ts";
import { isLocalhostName } from "./resolver.ts";

const headerBytesMax = 16_384;

export interface FetchOptions {
  readonly maxBytes: number;
  /** For everything together: lookup, connection, handshake, answer and body. */
  readonly timeoutMs: number;
  /** PEM certificates to trust for this fetch in place of Node's own. */
  readonly trust?: string | undefined;
  readonly signal?: AbortSignal;
}

/** The body of a 200 answer. @throws {OutboundFailure} · `signal.reason` when aborted */
export type FetchBody = (url: string, options: FetchOptions) => Promise<Buffer>;

/** A request with a JSON text to exactly this origin. */
export interface PostOptions extends FetchOptions {
  readonly json: string;
  /** Whole value of the header; it goes to `origin` and nowhere else. */
  readonly authorization: string;
}

/**
 * Status and body of an answer that is no redirect. `origin` is scheme, host and port.
 * @throws {OutboundFailure} · `signal.reason` when aborted
 */
export type PostJson = (
  origin: string,
  path: string,
  options: PostOptions,
) => Promise<{ readonly status: number; readonly body: Buffer }>;

/**
 * A fetch by way of `outbound`, whose address policy counts: `https` alone, but for plain `http` on loopback where that may be
 * reached. No redirect is followed, nothing is decompressed.
 */
export function createFetchBody(outbound: Pick<Outbound, "connect">, userAgent: string): FetchBody {
  return (url, options) =>
    asked(URL.parse(url), options, async (target, signal) => {
      const verify = { trust: options.trust };
      const answer = await httpRequest(target, outbound, { userAgent, headerBytesMax, signal, verify });
      const { status } = answer;
      return read(answer, options.maxBytes, status === 200 ? undefined : `the answer has status ${status}, not 200`);
    });
}

/** The same for requests that carry a credential: never to another origin than the one named, whatever the path. */
export function createPostJson(outbound: Pick<Outbound, "connect">, userAgent: string): PostJson {
  return (origin, path, { json, authorization, ...options }) =>
    asked(URL.parse(path, origin), options, async (target, signal) => {
      if (target.origin !== origin || target.username !== "" || target.password !== "")
        throw new OutboundFailure("forbidden", "the path leads away from its origin");
      const verify = { trust: options.trust };
      const post = { json, authorization };
      const answer = await httpRequest(target, outbound, { userAgent, headerBytesMax, signal, verify, post });
      return { status: answer.status, body: await read(answer, options.maxBytes) };
    });
}

/** One deadline over everything. */
function asked<T>(
  target: URL | null,
  { timeoutMs, signal = new AbortController().signal }: FetchOptions,
  ask: (target: URL, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = () =>
    new OutboundFailure("connection", `no complete answer within ${timeoutMs} ms`, { retryable: true });
  return within(timeoutMs, signal, late, async (lifetime) => {
    if (target === null || !isFetchable(target)) throw new OutboundFailure("forbidden", "it is not an https URL");
    return ask(target, lifetime);
  });
}

function isFetchable(url: URL): boolean {
  if (url.protocol === "https:") return true;
  const host = hostOf(url);
  const loopback = isLocalhostName(host) || (isIP(host) !== 0 && (host === "::1" || host.startsWith("127.")));
  return url.protocol === "http:" && loopback;
}

async function read(answer: HttpAnswer, maxBytes: number, fault?: string): Promise<Buffer> {
  const refusal = refusalOf(answer) ?? fault;
  if (refusal === undefined) return answer.body(maxBytes);
  answer.close();
  throw new OutboundFailure("answer", refusal);
}

function refusalOf({ status, contentEncoding }: HttpAnswer): string | undefined {
  if (status >= 300 && status < 400) return `it redirects (status ${status}), and redirects are not followed`;
  // Nothing but identity was asked for; what unpacks to more than it is would get round the limit.
  if (contentEncoding !== undefined && contentEncoding.trim().toLowerCase() !== "identity")
    return "the answer is compressed";
  return undefined;
}
