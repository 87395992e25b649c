/**
 * A map that forgets what was used longest ago. Bounded, so that no number of accounts, addresses or certificates grows memory.
 *
 * The entries are a ring in the order of their use, so that the oldest one is known: a Map from which the oldest entry is taken each time is
 * searched from its beginning over all that were taken before.
 */
export interface LRU<Key, Value> {
  readonly size: number;
  /** To get a value is a use of it, and so is to set one. */
  get(key: Key): Value | undefined;
  /** What weighs more than all together may is not kept, and drives nothing out. */
  set(key: Key, value: Value): void;
  /** True when there was one. */
  delete(key: Key): boolean;
  clear(): void;
  /** What was used last comes first. */
  entries(): Iterable<readonly [Key, Value]>;
}

interface Place {
  newer: Place;
  older: Place;
}

interface Entry<Key, Value> extends Place {
  readonly key: Key;
  readonly value: Value;
  readonly weight: number;
}

/**
 * @param limit the most entries it keeps, at least 1
 * @param weigh what an entry counts of the limit where that is not 1, octets for instance
 */
export function createLru<Key, Value extends {}>(
  limit: number,
  weigh: (value: Value) => number = () => 1,
): LRU<Key, Value> {
  const known = new Map<Key, Entry<Key, Value>>();
  const end = {} as Place; // Between the newest and the oldest one.
  let weight = 0;
  function clear(): void {
    known.clear();
    end.newer = end.older = end;
    weight = 0;
  }
  function remove(key: Key): boolean {
    const entry = known.get(key);
    if (entry === undefined) return false;
    unlink(entry);
    weight -= entry.weight;
    return known.delete(key);
  }
  clear();
  return {
    get size() {
      return known.size;
    },
    get(key) {
      const entry = known.get(key);
      if (entry === undefined) return undefined;
      unlink(entry);
      linkBehind(end, entry);
      return entry.value;
    },
    set(key, value) {
      const own = weigh(value);
      if (own > limit) return void remove(key);
      const before = known.get(key);
      if (before !== undefined) {
        unlink(before);
        weight -= before.weight;
      }
      const entry = { key, value, weight: own, newer: end, older: end };
      known.set(key, entry);
      linkBehind(end, entry);
      weight += own;
      while (weight > limit) remove((end.newer as Entry<Key, Value>).key);
    },
    delete: remove,
    clear,
    *entries() {
      for (let at = end.older; at !== end; at = at.older) {
        const { key, value } = at as Entry<Key, Value>;
        yield [key, value] as const;
      }
    },
  };
}

function unlink({ newer, older }: Place): void {
  newer.older = older;
  older.newer = newer;
}

/** As the next older one. */
function linkBehind(newer: Place, place: Place): void {
  const { older } = newer;
  place.newer = newer;
  place.older = older;
  newer.older = place;
  older.newer = place;
}
