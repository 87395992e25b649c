/**
 * A map that forgets what was used longest ago. Bounded, so that no number of accounts, addresses or certificates grows memory.
 *
 * Two generations: what is used is young, and when half of the places are young the older half is forgotten as a whole. So the half that
 * was used last is always there, and a flood of new keys costs no more than a Map's insertion each. (A Map from which the oldest entry
 * is taken each time is searched from its beginning over all that were taken before.)
 */
export interface LRU<Key, Value> {
  readonly size: number;
  /** To get a value is a use of it, and so is to set one. */
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  /** True when there was one. */
  delete(key: Key): boolean;
  clear(): void;
  entries(): Iterable<readonly [Key, Value]>;
}

/** @param limit the most entries it keeps, at least 1; of these the half that was used last for sure */
export function createLru<Key, Value extends {}>(limit: number): LRU<Key, Value> {
  const generation = Math.max(1, Math.ceil(limit / 2));
  let young = new Map<Key, Value>();
  let old = new Map<Key, Value>();
  function use(key: Key, value: Value): void {
    old.delete(key);
    young.set(key, value);
    if (young.size < generation) return;
    old = young;
    young = new Map();
  }
  return {
    get size() {
      return young.size + old.size;
    },
    get(key) {
      const known = young.get(key);
      if (known !== undefined) return known;
      const value = old.get(key);
      if (value !== undefined) use(key, value);
      return value;
    },
    set: use,
    delete: (key) => young.delete(key) || old.delete(key),
    clear() {
      young = new Map();
      old = new Map();
    },
    entries: () => [...young, ...old],
  };
}
