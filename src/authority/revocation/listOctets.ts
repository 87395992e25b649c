/**
 * The octets of revocation lists, as they are sent. Those asked for last are kept; of whatever is being sent there is one copy, however many it is sent
 * to. Octets that are being sent and not kept are as many again at most: who takes them slowly gives way to who asks.
 */
import { createLru } from "../../cache/lru.ts";
import type { CertificateListStore, ListPlace, PublishedList } from "../certificateListPorts.ts";

/** Octets that are sent. */
export interface LentOctets {
  readonly der: Buffer;
  /** They were sent, or will not be. */
  readonly release: () => void;
}

export interface ListOctets {
  /**
   * `busy` where too much is being sent that is not kept; undefined where a newer list took this one's place long ago.
   * @param end ends the sending, where others need the room
   */
  lend(list: PublishedList, end: () => void): Promise<LentOctets | "busy" | undefined>;
}

export interface ListOctetsOptions {
  readonly store: Pick<CertificateListStore, "readOctets">;
  /** Of octets that are kept. As many again may be sent that are not kept, or not any more; one list, however large, always. */
  readonly memoryBytes: number;
  /** Milliseconds of a clock that is never put back. */
  readonly elapsed: () => number;
}

interface User {
  readonly sinceMs: number;
  readonly end: () => void;
}

interface Loan {
  readonly der: Promise<Buffer | undefined>;
  readonly size: number;
  readonly users: Set<User>;
}

/** Whoever takes longer may be ended; milliseconds. */
const slowMs = 60_000;

/** Of a list's place. */
export const keyOfPlace = ({ issuerId, shard }: ListPlace): string => `${issuerId}/${shard}`;
const markOf = (list: PublishedList): string => `${keyOfPlace(list)}/${list.number}`;

/** Nothing is read before it is asked for. */
export function openListOctets({ store, memoryBytes, elapsed }: ListOctetsOptions): ListOctets {
  const kept = createLru<string, { readonly mark: string; readonly der: Buffer }>(memoryBytes, ({ der }) => der.length);
  const loans = new Map<string, Loan>();

  /** What is lent and not kept. */
  function* beside(): Generator<Loan> {
    const marks = new Set([...kept.entries()].map(([, { mark }]) => mark));
    for (const [mark, loan] of loans) if (!marks.has(mark)) yield loan;
  }

  function hasRoom({ size }: PublishedList): boolean {
    const others = [...beside()];
    const octets = others.reduce((sum, loan) => sum + loan.size, 0);
    if (octets === 0 || octets + size <= memoryBytes) return true;
    const slowSince = elapsed() - slowMs;
    for (const { users } of others)
      if ([...users].every(({ sinceMs }) => sinceMs <= slowSince)) for (const { end } of users) end();
    return false;
  }

  async function read(list: PublishedList): Promise<Buffer | undefined> {
    const der = await store.readOctets(list, list.number);
    if (der !== undefined) kept.set(keyOfPlace(list), { mark: markOf(list), der });
    return der;
  }

  function loanOf(list: PublishedList): Loan | undefined {
    const mark = markOf(list);
    const found = kept.get(keyOfPlace(list));
    const running = loans.get(mark);
    if (running !== undefined) return running;
    if (found?.mark !== mark && !hasRoom(list)) return undefined;
    const der = found?.mark === mark ? Promise.resolve(found.der) : read(list);
    const loan = { der, size: list.size, users: new Set<User>() };
    loans.set(mark, loan);
    return loan;
  }

  return {
    async lend(list, end) {
      const loan = loanOf(list);
      if (loan === undefined) return "busy";
      const user = { sinceMs: elapsed(), end };
      const release = (): void => {
        loan.users.delete(user);
        if (loan.users.size === 0 && loans.get(markOf(list)) === loan) loans.delete(markOf(list));
      };
      loan.users.add(user);
      let der: Buffer | undefined;
      try {
        der = await loan.der;
      } finally {
        if (der === undefined) release();
      }
      return der && { der, release };
    },
  };
}
