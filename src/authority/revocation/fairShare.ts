/**
 * Room for so many things at a time, shared between those who ask: none has more under way than there is room left. One alone has half of it, two a
 * third each, and whoever comes next finds room. What finds none is not queued. Pure but for the promise it waits for.
 */
export interface FairShare {
  /** Runs `action` where there is room for this client. Undefined where there is none: then nothing was run. */
  run<T>(client: string, action: () => Promise<T>): Promise<T> | undefined;
}

/** @param most at a time, at least 1 */
export function createFairShare(most: number): FairShare {
  const underWay = new Map<string, number>(); // No client without something under way: bounded by `most`.
  let all = 0;
  function add(client: string, count: 1 | -1): void {
    const own = (underWay.get(client) ?? 0) + count;
    all += count;
    if (own === 0) underWay.delete(client);
    else underWay.set(client, own);
  }
  return {
    run(client, action) {
      if ((underWay.get(client) ?? 0) >= most - all) return undefined;
      add(client, 1);
      return action().finally(() => add(client, -1));
    },
  };
}
