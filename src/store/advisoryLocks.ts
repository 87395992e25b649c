/**
 * Advisory locks of Postgres: one process at a time does what must not be done twice. Whoever waits for a lock keeps a connection meanwhile, so
 * of each process one caller waits in the database and the others here: the pool is for everybody else, and for whoever has the lock.
 */
import type pg from "pg";

/** Runs `action` while this process alone holds the lock `key`, waiting for whoever holds it now. */
export type Exclusively = <T>(key: number, action: () => Promise<T>) => Promise<T>;

const ignore = (): void => undefined;

/** @param trouble - makes of an error of the database what its callers know */
export function advisoryLocks(pool: pg.Pool, trouble: (error: unknown) => unknown): Exclusively {
  /** By key, when all who came before are through. */
  const turns = new Map<number, Promise<unknown>>();

  async function locked<T>(key: number, action: () => Promise<T>): Promise<T> {
    let client: pg.PoolClient | undefined;
    try {
      client = await pool.connect();
      client.on("error", ignore); // It shows at the next statement; without a listener it would end the process.
      await client.query("set statement_timeout = 0"); // Waiting for another start to end is no slow statement.
      await client.query("select pg_advisory_lock($1)", [key]);
    } catch (error) {
      client?.release(true);
      throw trouble(error);
    }
    try {
      return await action();
    } finally {
      // The connection is closed rather than given back: the lock and the setting go with it, whatever state it is in.
      client.release(true);
    }
  }

  return function exclusively<T>(key: number, action: () => Promise<T>): Promise<T> {
    const mine = (turns.get(key) ?? Promise.resolve()).then(() => locked(key, action));
    turns.set(key, mine.catch(ignore));
    return mine;
  };
}
