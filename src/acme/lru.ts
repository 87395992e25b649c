/** A map that forgets what was used longest ago. Bounded, so that no number of accounts grows memory. */
export interface LRU<Key, Value> {
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  delete(key: Key): void;
}

/** @param limit the most entries it keeps */
export function createLru<Key, Value>(limit: number): LRU<Key, Value> {
  const entries = new Map<Key, Value>(); // A Map iterates in order of insertion: the first entry is the oldest.
  return {
    get(key) {
      const value = entries.get(key);
      if (value !== undefined) {
        entries.delete(key);
        entries.set(key, value);
      }
      return value;
    },
    set(key, value) {
      entries.delete(key);
      entries.set(key, value);
      if (entries.size > limit) entries.delete(entries.keys().next().value as Key);
    },
    delete(key) {
      entries.delete(key);
    },
  };
}
