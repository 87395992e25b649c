/**
 * The body of a 200 response from a URL that the operator configured (a JWKS, say): trusted, hence no address policy, but `https`
 * only, no redirects, and bounded. `http` is taken for loopback when `allowPrivate`.
 * @throws {Error} with a message for people when there is no such response; `signal.reason` when aborted
 */
import { isLocalhostName } from "./resolver.ts";

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
