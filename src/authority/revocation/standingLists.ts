/**
 * The revocation lists that stand, as this process serves them: the octets are the database's, so that every process has the same. Which list stands is
 * looked up once a second at most; a list that a sibling published is served a second later at the latest.
 */
import type { CertificateListStore, ListPlace, PublishedList } from "../certificateListPorts.ts";
import { keyOfPlace, type LentOctets, openListOctets } from "./listOctets.ts";

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
  /**
   * DER of a list that stands, with what is known of it, until it is released; undefined where there is none, `busy` where too much is being sent.
   * @param end ends the sending, where it is slow and others need the room
   */
  read(place: ListPlace, end: () => void): Promise<(LentOctets & { list: PublishedList }) | "busy" | undefined>;
  /** As they were known last, without asking. */
  known(): readonly PublishedList[];
  /** When that was asked for, by `elapsed`: every list that was published by then is served. */
  knownAt(): number;
}

/** What is known of the lists stands so long; milliseconds. */
const knownMs = 1_000;

export function openStandingLists(options: StandingListsOptions): StandingLists {
  const { store, onUnknown, elapsed = () => performance.now() } = options;
  let known: ReadonlyMap<string, PublishedList> = new Map();
  let asked = -Infinity;
  let answer: Promise<void> | undefined;
  const octets = openListOctets({ store, memoryBytes: options.memoryBytes, elapsed });

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
    known = new Map(lists.map((list) => [keyOfPlace(list), list]));
    asked = at;
  }

  return {
    async all() {
      await look();
      return [...known.values()];
    },
    async find(place) {
      await look();
      return known.get(keyOfPlace(place));
    },
    async read(place, end) {
      await look();
      for (const force of [true, false]) {
        const list = known.get(keyOfPlace(place));
        if (list === undefined) return undefined;
        const lent = await octets.lend(list, end);
        if (lent !== undefined) return lent === "busy" ? lent : { ...lent, list };
        if (force) await look(true); // It was replaced twice meanwhile.
      }
      return undefined;
    },
    known: () => [...known.values()],
    knownAt: () => asked,
  };
}
