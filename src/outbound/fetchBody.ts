/**
 * Fetching what the operator configured by URL (a JWK Set, say): the guard's connections, with the server's certificate verified.
 */
import { isIP } from "node:net";
import { within } from "./deadline.ts";
import { OutboundFailure } from "./failure.ts";
import { hostOf, httpGet } from "./httpGet.ts";
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

/**
 * A fetch by way of `outbound`, whose address policy counts: `https` alone, but for plain `http` on loopback where that may be
 * reached. No redirect is followed, nothing is decompressed.
 */
export function createFetchBody(outbound: Pick<Outbound, "connect">, userAgent: string): FetchBody {
  return (url, { maxBytes, timeoutMs, trust, signal = new AbortController().signal }) => {
    const late = () =>
      new OutboundFailure("connection", `no complete answer within ${timeoutMs} ms`, { retryable: true });
    return within(timeoutMs, signal, late, async (lifetime) => {
      const target = URL.parse(url);
      if (target === null || !isFetchable(target)) throw new OutboundFailure("forbidden", "it is not an https URL");
      const asked = { userAgent, headerBytesMax, signal: lifetime, verify: { trust } };
      const answer = await httpGet(target, outbound, asked);
      const refusal = refusalOf(answer.status, answer.contentEncoding);
      if (refusal === undefined) return answer.body(maxBytes);
      answer.close();
      throw new OutboundFailure("answer", refusal);
    });
  };
}

function isFetchable(url: URL): boolean {
  if (url.protocol === "https:") return true;
  const host = hostOf(url);
  const loopback = isLocalhostName(host) || (isIP(host) !== 0 && (host === "::1" || host.startsWith("127.")));
  return url.protocol === "http:" && loopback;
}

function refusalOf(status: number, contentEncoding: string | undefined): string | undefined {
  if (status >= 300 && status < 400) return `it redirects (status ${status}), and redirects are not followed`;
  if (status !== 200) return `the answer has status ${status}, not 200`;
  // Nothing but identity was asked for; what unpacks to more than it is would get round the limit.
  if (contentEncoding !== undefined && contentEncoding.trim().toLowerCase() !== "identity")
    return "the answer is compressed";
  return undefined;
}
