/**
 * The door to Postgres: one pool, named prepared statements for the issuing path, kysely for searches and migrations.
 */
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";

import { problem } from "../problem/problem.ts";
import { advisoryLocks, type Exclusively } from "./advisoryLocks.ts";
import { groupedStatement, type GroupSend } from "./grouped.ts";
import type { Tables } from "./tables.ts";

/** Where Postgres is: a URL, or the embedded server's socket. */
export type DatabaseAddress =
  | { readonly url: string }
  | {
      readonly host: string;
      readonly port: number;
      readonly user: string;
      readonly password: string;
      readonly database: string;
    };

export interface DatabaseOptions {
  readonly address: DatabaseAddress;
  readonly poolSize: number;
  /** A statement that takes longer is cancelled by Postgres; milliseconds, 0 for as long as it takes. */
  readonly statementTimeoutMs: number;
  readonly onError: (error: Error) => void;
}

export interface Database {
  /** Runs a prepared statement; its name makes Postgres plan it once per connection. */
  run<Row extends object>(statement: Statement, values: readonly unknown[]): Promise<Row[]>;
  /**
   * The same for a statement that many send at once: what comes together is committed together (`grouped.ts`). Of one that fails the others
   * learn nothing.
   */
  runGrouped<Row extends object>(statement: Statement, values: readonly unknown[]): Promise<Row[]>;
  /** For searches whose shape depends on the request, and for migrations. */
  readonly kysely: Kysely<Tables>;
  /** A connection outside of the pool, not made yet, for whoever listens. A statement on it that gets no answer in time fails. */
  client(applicationName: string): pg.Client;
  readonly exclusively: Exclusively;
  /** Statements sent so far, for the benchmark and `/metrics`. */
  readonly statistics: { statements: number };
  close(): Promise<void>;
}

/** SQL text with a name that is unique in the program. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Declares a statement. The name appears in Postgres' own statistics. */
export function statement(name: string, text: string): Statement {
  return { name, text };
}

// timestamptz as Date, bigint as number: counts and ids stay far below 2^53.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/**
 * How named statements are planned: once per connection, and by their keys. Planning some of them anew each time, as Postgres would like
 * to, costs more than running them; and what it plans while its tables are small reads them whole when they have grown.
 */
const planning = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off";

/** Opens the pool; connects lazily, so a database that is away shows at the first statement as 503, not as a crash. */
export function openDatabase({ address, poolSize, statementTimeoutMs, onError }: DatabaseOptions): Database {
  const connection = {
    ...("url" in address ? { connectionString: address.url } : address),
    connectionTimeoutMillis: 5_000,
    statement_timeout: statementTimeoutMs,
    keepAlive: true,
    application_name: "mayfly",
  };
  // Searches have connections of their own: their plans depend on what is searched for, those of the named statements must not.
  const searching = Math.max(1, Math.floor(poolSize / 4));
  const pool = new pg.Pool({
    ...connection,
    max: Math.max(2, poolSize - searching), // Whoever holds a lock on one of them needs another.
    // The pool waits for the promise, which its types do not say.
    onConnect: (client): void => client.query(planning) as unknown as void,
  });
  const searchPool = new pg.Pool({ ...connection, max: searching });
  let closing = false;
  // An idle connection that breaks must not end the process; one that breaks while all are closed is no news.
  for (const each of [pool, searchPool]) each.on("error", (error) => closing || onError(error));
  const statistics = { statements: 0 };
  const groups = new Map<string, (values: readonly unknown[]) => Promise<object[]>>();
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: searchPool }) });
  return {
    kysely,
    statistics,
    async run<Row extends object>({ name, text }: Statement, values: readonly unknown[]): Promise<Row[]> {
      for (let attempt = 1; ; attempt++) {
        statistics.statements++;
        try {
          const result = await pool.query<Row>({ name, text, values: values as unknown[] });
          return result.rows;
        } catch (error) {
          // Of two statements that lock each other out Postgres ends one, whole: as if it had not been sent yet.
          const deadlocked = error instanceof pg.DatabaseError && error.code === deadlockDetected;
          if (!deadlocked || attempt === deadlockAttempts) throw databaseTrouble(error);
        }
      }
    },
    async runGrouped<Row extends object>(grouped: Statement, values: readonly unknown[]): Promise<Row[]> {
      let run = groups.get(grouped.name);
      if (run === undefined) {
        const one = (of: readonly unknown[]) => this.run<Row>(grouped, of);
        run = groupedStatement<Row>(grouped, one, async (query, size) => {
          statistics.statements += size;
          // The pool sets the query's callback; its types know of texts alone.
          return await (pool.query as unknown as GroupSend<Row>).call(pool, query);
        });
        groups.set(grouped.name, run);
      }
      try {
        return (await run(values)) as Row[];
      } catch (error) {
        throw databaseTrouble(error);
      }
    },
    client: (application_name) => new pg.Client({ ...connection, application_name, query_timeout: 5_000 }),
    exclusively: advisoryLocks(pool, databaseTrouble),
    async close() {
      closing = true;
      await Promise.all([pool.end(), kysely.destroy()]);
    },
  };
}

/** For the failure of a connection that is given up anyway. */
export const ignore = (): void => undefined;

const deadlockDetected = "40P01";
const deadlockAttempts = 3;

/** SQLSTATE classes that mean "Postgres is away or busy", not "our statement is wrong". PostgreSQL, appendix A. */
const transientClasses = new Set(["08", "53", "57", "40"]);

/** Makes a lost database a 503 with Retry-After; anything else stays what it is and becomes a 500 without detail. */
export function databaseTrouble(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const lost = /^(ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/.test(
    code,
  );
  const cut =
    error instanceof Error &&
    /connection terminated|timeout exceeded when trying to connect|encountered a connection error/i.test(error.message);
  if (lost || cut || (code.length === 5 && transientClasses.has(code.slice(0, 2))) || code === "25006") {
    return problem("unavailable", "the database is not available right now", { retryAfterSeconds: 5, cause: error });
  }
  return error;
}

/** The SQLSTATE class of integrity constraint violations. */
const integrityClass = "23";

/**
 * What a Postgres error says was violated, or undefined: the name of a constraint or unique index, or for a not-null column, which has no
 * constraint of a name, `table.column`.
 */
export function violatedConstraint(error: unknown): string | undefined {
  if (!(error instanceof pg.DatabaseError) || !error.code?.startsWith(integrityClass)) return undefined;
  return error.constraint ?? (error.column === undefined ? undefined : `${error.table}.${error.column}`);
}
