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

/**
 * @param limit the most entries it keeps, at least 1; of these the half that was used last for sure
 * @param weigh what an entry counts of the limit where that is not 1, octets for instance: then it keeps that much, and two entries over it at most
 */
export function createLru<Key, Value extends {}>(
  limit: number,
  weigh: (value: Value) => number = () => 1,
): LRU<Key, Value> {
  const generation = Math.max(1, Math.ceil(limit / 2));
  let young = new Map<Key, Value>();
  let old = new Map<Key, Value>();
  let weight = 0; // Of the young ones.
  function use(key: Key, value: Value): void {
    old.delete(key);
    const before = young.get(key);
    weight += weigh(value) - (before === undefined ? 0 : weigh(before));
    young.set(key, value);
    if (weight < generation) return;
    old = young;
    young = new Map();
    weight = 0;
  }
  function remove(key: Key): boolean {
    const value = young.get(key);
    if (value === undefined) return old.delete(key);
    weight -= weigh(value);
    return young.delete(key);
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
    delete: remove,
    clear() {
      young = new Map();
      old = new Map();
      weight = 0;
    },
    entries: () => [...young, ...old],
  };
}
