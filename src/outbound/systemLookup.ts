/**
 * The system's own lookup (getaddrinfo), with its search list and whatever else it is configured with. For names that the operator wrote
 * into the configuration, never for those that clients choose: it cannot be cancelled, and a process has two threads for slow
 * ones, so that two names whose servers are silent hold up everything that looks a name up in this way, the database's included.
 */
import { lookup } from "node:dns/promises";
import { within } from "./deadline.ts";
import { OutboundFailure } from "./failure.ts";

/** Lookups at once, each of another name. */
const atOnceMax = 2;

export interface SystemLookup {
  /** The addresses of a name, at least one. @throws {OutboundFailure} `dns` there is none · `ours` · `signal.reason` */
  addresses(name: string, signal: AbortSignal): Promise<string[]>;
}

/** @param find asks the system */
export function createSystemLookup(timeoutMs: number, find = everyAddress): SystemLookup {
  // A place is given back when the lookup has ended, not when nobody waits for it any more.
  const underWay = new Map<string, Promise<string[]>>();

  function begin(name: string): Promise<string[]> {
    if (underWay.size >= atOnceMax) throw new OutboundFailure("ours", "too many lookups at once");
    const found = find(name).finally(() => underWay.delete(name));
    underWay.set(name, found);
    found.catch(() => undefined); // Whoever asked may have gone.
    return found;
  }

  return {
    async addresses(name, signal) {
      const late = () => new OutboundFailure("ours", "the system's lookup has not ended in time");
      try {
        return await within(timeoutMs, signal, late, async () => underWay.get(name) ?? begin(name));
      } catch (error) {
        signal.throwIfAborted();
        throw error instanceof OutboundFailure ? error : failureOf(error);
      }
    },
  };
}

async function everyAddress(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

function failureOf(error: unknown): OutboundFailure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
  if (code === "ENOTFOUND")
    return new OutboundFailure("dns", "the name does not exist, or has no addresses", { retryable: true });
  return new OutboundFailure("ours", `the system's lookup failed (${code})`, { cause: error });
}
