/**
 * The other server processes on this database: whether there are any, and messages to one of them, over LISTEN and NOTIFY on one connection
 * outside of the pool. The connection is opened again whenever it breaks; nothing waits for it meanwhile.
 */
import { randomBytes } from "node:crypto";
import type pg from "pg";

import { ignore, type Database } from "./database.ts";

export interface Message {
  /** Instance id of the process that is to get it, hexadecimal. */
  readonly to: string;
  /** Less than 8000 octets. */
  readonly text: string;
}

export interface Siblings {
  /** This process' id: random octets, so that no two processes have the same, also one after the other. */
  readonly instance: Buffer;
  /** True when no other process was on this database as this one came to it. */
  readonly alone: boolean;
  readonly connected: () => boolean;
  /** Sends all in one statement. Whether somebody listens is not known. @throws when there is no connection, or it breaks */
  send(messages: readonly Message[]): Promise<void>;
  /** Who is told of messages to this process (anybody with a login to the database can send one), and of a lost connection. */
  subscribe(subscriber: Subscriber): void;
  close(): Promise<void>;
}

export interface Subscriber {
  onMessage(text: string): void;
  onLost(): void;
  /** Some process changed a grant, or says so: anybody with a login to the database can. */
  onGrantsChanged?(): void;
}

export interface SiblingsOptions {
  readonly instanceOctets: number;
  readonly onLost: (reason: string) => void;
  /** How often it is made sure that the connection is there; milliseconds. */
  readonly probeMs?: number;
}

/** Pauses between attempts to connect; milliseconds. The last one stays. */
const pausesMs = [100, 250, 500, 1000, 2000, 5000];
const probeMsDefault = 10_000;

/** Advisory lock that every process on a database shares as long as it lives; any number that nothing else uses. */
const presenceLock = 0x6d61_7970;

/** Told to all processes by the statement that changes a grant. */
export const grantsChannel = "mayfly_grants";

const channelOf = (instance: string): string => `mayfly_${instance}`;

const notify = {
  name: "sibling_notify",
  text: "select pg_notify(m.channel, m.payload) from unnest($1::text[], $2::text[]) as m(channel, payload)",
};

/** Comes to the siblings. A connection that cannot be made now is made later. */
export async function joinSiblings(
  db: Database,
  { instanceOctets, onLost, probeMs = probeMsDefault }: SiblingsOptions,
): Promise<Siblings> {
  const instance = randomBytes(instanceOctets);
  const ownChannel = channelOf(instance.toString("hex"));
  const subscribers: Subscriber[] = [];
  let current: pg.Client | undefined;
  let closed = false;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;

  /** @returns whether nobody else was there @throws when there is no connection */
  async function connect(): Promise<boolean> {
    const client = db.client("mayfly siblings");
    client.on("error", (error) => lost(client, error.message));
    client.on("end", () => lost(client, "the connection ended"));
    client.on("notification", ({ channel, payload = "" }) => {
      if (channel === ownChannel) for (const subscriber of subscribers) subscriber.onMessage(payload);
      if (channel === grantsChannel) for (const subscriber of subscribers) subscriber.onGrantsChanged?.();
    });
    try {
      await client.connect();
      const alone = await takePresence(client);
      await client.query(`listen ${ownChannel}`);
      await client.query(`listen ${grantsChannel}`);
      if (closed) throw new Error("closed meanwhile");
      current = client;
      failures = 0;
      probeLater(client);
      return alone;
    } catch (error) {
      client.end().catch(ignore);
      throw error;
    }
  }

  function lost(client: pg.Client, reason: string): void {
    if (client !== current) return;
    current = undefined;
    clearTimeout(timer);
    client.end().catch(ignore);
    if (closed) return;
    onLost(reason);
    for (const subscriber of subscribers) subscriber.onLost();
    reconnectLater();
  }

  function reconnectLater(): void {
    const pause = pausesMs[Math.min(failures++, pausesMs.length - 1)];
    timer = setTimeout(() => void connect().catch(() => closed || reconnectLater()), pause).unref();
  }

  /** A connection that a firewall forgot says nothing; only a statement that gets no answer shows it. */
  function probeLater(client: pg.Client): void {
    timer = setTimeout(() => {
      client.query("select 1").then(
        () => client === current && probeLater(client),
        (error: unknown) => lost(client, String(error)),
      );
    }, probeMs).unref();
  }

  let alone = false;
  try {
    alone = await connect();
  } catch (error) {
    onLost(String(error));
    reconnectLater();
  }
  return {
    instance,
    alone,
    connected: () => current !== undefined,
    async send(messages) {
      if (current === undefined) throw new Error("there is no connection to the siblings");
      await current.query({
        ...notify,
        values: [messages.map(({ to }) => channelOf(to)), messages.map(({ text }) => text)],
      });
    },
    subscribe: (subscriber) => void subscribers.push(subscriber),
    async close() {
      closed = true;
      clearTimeout(timer);
      const client = current;
      current = undefined;
      await client?.end().catch(ignore);
    },
  };
}

/**
 * The lock is held in common by all who are there, and ends with the connection, however the process ends. Only whoever finds nobody gets
 * it exclusively; of two that come at once at most one does.
 */
async function takePresence(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ alone: boolean }>("select pg_try_advisory_lock($1) as alone", [presenceLock]);
  const alone = rows[0]?.alone === true;
  await client.query("select pg_advisory_lock_shared($1)", [presenceLock]);
  if (alone) await client.query("select pg_advisory_unlock($1)", [presenceLock]);
  return alone;
}
