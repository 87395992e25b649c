/**
 * Statements that come at the same time, sent as one group: one write to the socket, one transaction, one commit for all of them. A commit costs
 * Postgres more than most of what it commits, and whoever waits for it anyway may as well wait together.
 *
 * Nobody waits for company: a statement goes at once while a lane is free, and what arrives while all lanes are taken is the next group.
 * Where one of a group fails, Postgres takes all of it back, and each is sent by itself: then it fails or succeeds as if there were no groups.
 */
import pg from "pg";

/** What a group sends with: `pg`'s connection, as far as its own queries use it. */
interface Connection {
  readonly parsedStatements: Readonly<Record<string, string | undefined>>;
  readonly submittedNamedStatements: Record<string, string | undefined>;
  parse(statement: { name: string; text: string }): void;
  bind(values: { statement: string; values: readonly unknown[]; valueMapper: (value: unknown) => unknown }): void;
  describe(portal: { type: "P"; name: "" }): void;
  execute(portal: object): void;
  sync(): void;
}

/** How `pg` writes a value; its types leave it out. */
const { prepareValue } = (pg as unknown as { utils: { prepareValue: (value: unknown) => unknown } }).utils;

/** `pg`'s own query, which sends its statement once; here it is bound and executed for each of the group, with one sync at the end. */
class GroupQuery extends pg.Query {
  readonly #statement: { readonly name: string; readonly text: string };
  readonly #group: readonly (readonly unknown[])[];

  constructor(statement: { readonly name: string; readonly text: string }, group: readonly (readonly unknown[])[]) {
    super({ ...statement, values: [...(group[0] ?? [])] });
    this.#statement = statement;
    this.#group = group;
  }

  /** Called by `submit`, with the socket corked. */
  prepare(connection: Connection): void {
    const { name, text } = this.#statement;
    const known = connection.parsedStatements[name] ?? connection.submittedNamedStatements[name];
    if (known === undefined) {
      connection.parse({ name, text });
      connection.submittedNamedStatements[name] = text;
    }
    for (const values of this.#group) {
      connection.bind({ statement: name, values, valueMapper: prepareValue });
      connection.describe({ type: "P", name: "" });
      connection.execute({});
    }
    connection.sync();
  }
}

interface Waiting<Row> {
  readonly values: readonly unknown[];
  readonly resolve: (rows: Row[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Sends a query and resolves to its results: one, or several where it had several. */
export type GroupSend<Row extends object> = (query: pg.Query) => Promise<pg.QueryResult<Row> | pg.QueryResult<Row>[]>;

/** SQLSTATE of a connection that failed or a server that goes down: what became of the transaction is not known. */
const ofTheConnection = /^(08|57P)/;

/** Groups of one statement that are under way at the same time. */
const lanes = 2;
const groupMax = 16;

/**
 * Runs a statement for its values, in a group where others come at the same time.
 * @param one - runs it by itself
 * @param send - sends a query on a connection of the pool
 */
export function groupedStatement<Row extends object>(
  statement: { readonly name: string; readonly text: string },
  one: (values: readonly unknown[]) => Promise<Row[]>,
  send: (query: pg.Query, size: number) => ReturnType<GroupSend<Row>>,
): (values: readonly unknown[]) => Promise<Row[]> {
  const waiting: Waiting<Row>[] = [];
  let underWay = 0;

  async function run(group: readonly Waiting<Row>[]): Promise<void> {
    const [first] = group;
    if (group.length === 1 && first !== undefined) return await settle(first);
    try {
      const results = await send(
        new GroupQuery(
          statement,
          group.map(({ values }) => values),
        ),
        group.length,
      );
      const each = Array.isArray(results) ? results : [results];
      if (each.length !== group.length) throw new Error(`a group of ${group.length} had ${each.length} results`);
      for (const [index, member] of group.entries()) member.resolve(each[index]?.rows ?? []);
    } catch (error) {
      // What Postgres itself refused has not happened. Of anything else nobody knows, and it must not be done twice.
      if (error instanceof pg.DatabaseError && !ofTheConnection.test(error.code ?? "08"))
        await Promise.all(group.map(settle));
      else for (const member of group) member.reject(error);
    }
  }

  async function settle({ values, resolve, reject }: Waiting<Row>): Promise<void> {
    await one(values).then(resolve, reject);
  }

  function next(): void {
    while (underWay < lanes && waiting.length > 0) {
      underWay++;
      void run(waiting.splice(0, groupMax)).finally(() => {
        underWay--;
        next();
      });
    }
  }

  return (values) => {
    const { promise, resolve, reject } = Promise.withResolvers<Row[]>();
    waiting.push({ values, resolve, reject });
    next();
    return promise;
  };
}
