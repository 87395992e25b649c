/**
 * The outbox: events that were committed together with what they tell of, handed to subscribers in this process afterwards. An event
 * is removed in the statement that reads it: at most once each, and none for what was not committed.
 */

export interface OutboxEvent {
  readonly id: number;
  readonly topic: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface OutboxStore {
  /** Takes the oldest events; no other process gets the same. */
  take(limit: number): Promise<OutboxEvent[]>;
}

export type Subscriber = (event: OutboxEvent) => void;

const batch = 1000;

/** Hands over everything that waits now. */
export async function relayOutbox(store: OutboxStore, subscribers: readonly Subscriber[]): Promise<void> {
  for (;;) {
    const events = await store.take(batch);
    for (const event of events) for (const subscriber of subscribers) subscriber(event);
    if (events.length < batch) return;
  }
}
