/** One deadline over everything that is done for one purpose. */

/**
 * Runs `work` until it ends, the time is up or the caller gives up. Its signal aborts in each of the three cases, so that nothing it
 * opened outlives it.
 * @param late - what it rejects with when the time is up
 * @throws what `work` does · `late()` · `signal.reason`
 */
export async function within<T>(
  timeoutMs: number,
  signal: AbortSignal,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const lifetime = new AbortController();
  const giveUp = Promise.withResolvers<never>();
  const stop = (): void => giveUp.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(() => giveUp.reject(late()), timeoutMs);
  try {
    // A race, so that the deadline holds even where an operation cannot be cancelled (getaddrinfo).
    return await Promise.race([work(lifetime.signal), giveUp.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    lifetime.abort();
  }
}
