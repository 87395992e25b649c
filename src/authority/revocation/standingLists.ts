/**
 * The revocation lists that stand, as this process serves them: the octets are the database's, so that every process has the same. Which list stands is
 * looked up once a second at most; a list that a sibling published is served a second later at the latest.
 */
import type { CertificateListStore, ListPlace, PublishedList } from "../certificateListPorts.ts";

export interface StandingListsOptions {
  readonly store: Pick<CertificateListStore, "readPublished" | "readOctets">;
  /** Octets of lists that are kept in memory. */
  readonly memoryBytes: number;
  /** Milliseconds of a clock that is never put back. */
  readonly elapsed?: () => number;
  /** Told when the database did not say which lists stand: what is known goes on being served, for it says itself how long it counts. */
  readonly onUnknown: (error: unknown) => void;
}

export interface StandingLists {
  /** All of them; at most a second old where the database answers. @throws what the database throws where nothing is known yet */
  all(): Promise<readonly PublishedList[]>;
  find(place: ListPlace): Promise<PublishedList | undefined>;
  /** DER of a list that stands, with what is known of it; undefined where there is none. */
  read(place: ListPlace): Promise<{ list: PublishedList; der: Buffer } | undefined>;
  /** As they were known last, without asking. */
  known(): readonly PublishedList[];
  /** When that was asked for, by `elapsed`: every list that was published by then is served. */
  knownAt(): number;
}

/** What is known of the lists stands so long; milliseconds. */
const knownMs = 1_000;

const keyOf = ({ issuerId, shard }: ListPlace): string => `${issuerId}/${shard}`;

export function openStandingLists(options: StandingListsOptions): StandingLists {
  const { store, onUnknown, elapsed = () => performance.now() } = options;
  let known: ReadonlyMap<string, PublishedList> = new Map();
  let asked = -Infinity;
  let answer: Promise<void> | undefined;
  const octets = keptOctets(store, options.memoryBytes);

  /** One question at a time, whoever asks. */
  async function look(force = false): Promise<void> {
    if (answer === undefined) {
      if (!force && elapsed() - asked < knownMs) return;
      answer = ask(elapsed()).finally(() => (answer = undefined));
    }
    try {
      await answer;
    } catch (error) {
      if (known.size === 0) throw error;
      onUnknown(error);
    }
  }

  async function ask(at: number): Promise<void> {
    const lists = await store.readPublished();
    known = new Map(lists.map((list) => [keyOf(list), list]));
    asked = at;
  }

  return {
    async all() {
      await look();
      return [...known.values()];
    },
    async find(place) {
      await look();
      return known.get(keyOf(place));
    },
    async read(place) {
      await look();
      for (const force of [true, false]) {
        const list = known.get(keyOf(place));
        if (list === undefined) return undefined;
        const der = await octets(list);
        if (der !== undefined) return { list, der };
        if (force) await look(true); // It was replaced twice meanwhile.
      }
      return undefined;
    },
    known: () => [...known.values()],
    knownAt: () => asked,
  };
}

/** Keeps the octets of the newest list of each place, those asked for last, and reads each once however many ask. */
function keptOctets(store: StandingListsOptions["store"], memoryBytes: number) {
  const kept = new Map<string, { number: number; der: Buffer }>();
  const reading = new Map<string, Promise<Buffer | undefined>>();
  let size = 0;

  function keep(list: PublishedList, der: Buffer): void {
    forget(keyOf(list));
    if (der.length > memoryBytes) return;
    kept.set(keyOf(list), { number: list.number, der });
    size += der.length;
    for (const oldest of kept.keys()) {
      if (size <= memoryBytes) break;
      forget(oldest);
    }
  }

  function forget(key: string): void {
    size -= kept.get(key)?.der.length ?? 0;
    kept.delete(key);
  }

  return async (list: PublishedList): Promise<Buffer | undefined> => {
    const key = keyOf(list);
    const found = kept.get(key);
    if (found?.number === list.number) {
      kept.delete(key); // To the end: asked for last.
      kept.set(key, found);
      return found.der;
    }
    const mark = `${key}/${list.number}`;
    let read = reading.get(mark);
    if (read === undefined) {
      read = store
        .readOctets(list, list.number)
        .then((der) => {
          if (der !== undefined) keep(list, der);
          return der;
        })
        .finally(() => reading.delete(mark));
      reading.set(mark, read);
    }
    return await read;
  };
}
