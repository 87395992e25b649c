/**
 * Questions and answers about nonces between the processes of a deployment: implements `NonceIssuers`. Whoever issued a nonce is asked to
 * spend it and is the only one who can, so nothing has to be agreed on. What comes while a statement is under way goes with the next one.
 */
import { createSecretKey, randomInt } from "node:crypto";

import type { NonceIssuers } from "../acme/noncePorts.ts";
import { encodeNonceMessage, itemsMax, readNonceMessage, type NonceMessage } from "./nonceMessages.ts";
import type { Message, Siblings } from "./siblings.ts";

/** What became of a question. Only `accepted` lets a request pass. */
export type ForeignNonce = "accepted" | "refused" | "unanswered" | "disconnected" | "overloaded";

export interface NonceChannelOptions {
  readonly siblings: Siblings;
  /** 32 octets, the same in all processes of the deployment. */
  readonly key: Buffer;
  /** Spends a nonce of this process: true exactly once. */
  readonly spend: (nonce: string) => boolean;
  readonly onAsked: (outcome: ForeignNonce) => void;
  readonly deadlineMs?: number;
}

/** A sibling that does not answer within this time is not waited for: clients have a fresh nonce and can repeat. */
const deadlineMsDefault = 1000;

/**
 * An issuer that left a question unanswered has ended, most likely, and nobody waits for it any more. At this interval a question goes to it
 * all the same, whose nonce is refused: when it is heard of, it is asked like any other again.
 */
const probeMs = 500;
/** Silent issuers that are kept in mind; the one that has been silent longest is forgotten for the next. */
const silentMax = 1000;

/** Questions that may wait for an answer at the same time. */
const waitingMax = 2000;
/** Questions and answers that may wait to be sent; more are dropped, which refuses their nonces. */
const outgoingMax = 10_000;
/** Messages in one statement. */
const messagesMax = 50;

interface Question {
  readonly issuer: string;
  end(outcome: ForeignNonce): void;
}

type Outgoing = { readonly to: string; readonly kind: NonceMessage["kind"] } & {
  readonly item: NonceMessage["items"][number];
};

export function createNonceChannel(options: NonceChannelOptions): NonceIssuers {
  const { siblings, spend, onAsked, deadlineMs = deadlineMsDefault } = options;
  const self = siblings.instance.toString("hex");
  const key = createSecretKey(options.key);
  const waiting = new Map<number, Question>();
  /** Issuer → when it may be probed. */
  const silent = new Map<string, number>();
  let outgoing: Outgoing[] = [];
  let sending = false;
  let next = randomInt(2 ** 40);

  function onMessage(line: string): void {
    const message = readNonceMessage(key, self, line);
    if (message === undefined) return;
    const { kind, from, items } = message;
    silent.delete(from);
    for (const [number, value] of items) {
      if (kind === "ask") push({ to: from, kind: "answer", item: [number, spend(value) ? "1" : "0"] });
      else if (waiting.get(number)?.issuer === from) waiting.get(number)?.end(value === "1" ? "accepted" : "refused");
    }
  }

  function push(item: Outgoing): void {
    if (outgoing.length >= outgoingMax) return;
    outgoing.push(item);
    if (!sending) void send();
  }

  async function send(): Promise<void> {
    sending = true;
    try {
      // Not in this turn of the loop: what else has arrived in it goes along.
      await new Promise((resolve) => setImmediate(resolve));
      while (outgoing.length > 0) {
        const { messages, rest } = packed(outgoing);
        outgoing = rest;
        await siblings.send(messages.map(({ to, ...message }) => lineOf(to, message)));
      }
    } catch {
      outgoing = []; // The connection is gone, and whoever waits is told by `onLost` or its deadline.
    } finally {
      sending = false;
    }
  }

  const lineOf = (to: string, message: Omit<NonceMessage, "from">): Message => ({
    to,
    text: encodeNonceMessage(key, to, { ...message, from: self }),
  });

  function ask(issuer: string, nonce: string): Promise<ForeignNonce> {
    const { promise, resolve } = Promise.withResolvers<ForeignNonce>();
    const number = next++;
    const timer = setTimeout(() => {
      fellSilent(issuer);
      end("unanswered");
    }, deadlineMs);
    function end(outcome: ForeignNonce): void {
      clearTimeout(timer);
      waiting.delete(number);
      resolve(outcome);
    }
    waiting.set(number, { issuer, end });
    push({ to: issuer, kind: "ask", item: [number, nonce] });
    return promise;
  }

  function fellSilent(issuer: string): void {
    const [oldest] = silent.keys();
    if (silent.size >= silentMax && oldest !== undefined) silent.delete(oldest);
    silent.set(issuer, 0);
  }

  function probe(issuer: string, nonce: string): void {
    const now = performance.now();
    if (now < (silent.get(issuer) ?? 0)) return;
    silent.set(issuer, now + probeMs);
    push({ to: issuer, kind: "ask", item: [next++, nonce] });
  }

  siblings.subscribe({
    onMessage,
    onLost() {
      for (const question of waiting.values()) question.end("disconnected");
    },
  });

  return {
    async spend(issuer, nonce) {
      let outcome: ForeignNonce;
      if (!siblings.connected()) outcome = "disconnected";
      else if (silent.has(issuer)) {
        probe(issuer, nonce);
        outcome = "unanswered";
      } else if (waiting.size >= waitingMax) outcome = "overloaded";
      else outcome = await ask(issuer, nonce);
      onAsked(outcome);
      return outcome === "accepted";
    },
  };
}

interface Packed extends Omit<NonceMessage, "from"> {
  readonly to: string;
}

/** As many as go into one statement, those of one kind for one process together in one message. */
function packed(outgoing: readonly Outgoing[]): { messages: Packed[]; rest: Outgoing[] } {
  const groups = Map.groupBy(outgoing, ({ to, kind }) => `${kind} ${to}`);
  const messages: Packed[] = [];
  const rest: Outgoing[] = [];
  for (const group of groups.values()) {
    for (let from = 0; from < group.length; from += itemsMax) {
      const part = group.slice(from, from + itemsMax);
      const [first] = part;
      if (first === undefined) continue;
      if (messages.length === messagesMax) rest.push(...part);
      else messages.push({ to: first.to, kind: first.kind, items: part.map(({ item }) => item) });
    }
  }
  return { messages, rest };
}
