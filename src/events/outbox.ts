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

/**
 * Hands over everything that waits now. The events are gone from the store by then, so a subscriber that fails takes nothing from the
 * others and from itself only the one event.
 * @throws {AggregateError} afterwards, with what the subscribers threw
 */
export async function relayOutbox(store: OutboxStore, subscribers: readonly Subscriber[]): Promise<void> {
  const errors: unknown[] = [];
  for (;;) {
    const events = await store.take(batch);
    for (const event of events) for (const subscriber of subscribers) handOver(event, subscriber, errors);
    if (events.length < batch) break;
  }
  if (errors.length > 0) throw new AggregateError(errors, `subscribers failed ${errors.length} times`);
}

function handOver(event: OutboxEvent, subscriber: Subscriber, errors: unknown[]): void {
  try {
    subscriber(event);
  } catch (error) {
    errors.push(error);
  }
}
