/**
 * DNS for validations: the addresses of a name, and its TXT records. Either by a configured resolver, asked directly, or by the
 * system (addresses through getaddrinfo, so `/etc/hosts` and the search list count as they do for everything on this machine).
 * A resolver asked directly is trusted to chase CNAMEs; truncated answers are asked for again over TCP, and answers with a wrong id
 * or from a wrong port are dropped, by c-ares.
 */
import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { createGate } from "./gate.ts";
import { OutboundFailure, quoted } from "./failure.ts";

/** Answers beyond this many are not looked at. */
const answersMax = 100;

export interface NameResolver {
  /** IPv6 and IPv4 addresses, at least one, in the order they came. @throws {OutboundFailure} `dns` */
  addresses(name: string, signal: AbortSignal): Promise<string[]>;
  /** TXT records with their pieces joined (RFC 7208 §3.3 does the same); empty when the name has none. @throws {OutboundFailure} `dns` */
  txt(name: string, signal: AbortSignal): Promise<string[]>;
}

/**
 * @param dnsResolver "host:port" (IPv6 in brackets); the system's resolver when absent. @throws {TypeError} when it is not that.
 * @param timeoutMs for one lookup, all its tries together
 */
export function createResolver({
  dnsResolver,
  timeoutMs,
}: {
  dnsResolver?: string | undefined;
  timeoutMs: number;
}): NameResolver {
  const server = dnsResolver === undefined ? undefined : parseServer(dnsResolver);
  // getaddrinfo cannot be cancelled: without a bound, names whose servers never answer would pile up in its queue.
  const gate = createGate({ perTarget: 8, inAll: 64, waitingPerTarget: 64, waitingInAll: 1024 });

  /** Runs `query` with a resolver of its own: it alone is cancelled, and every lookup has its own source port and no cache. */
  async function ask<T>(name: string, signal: AbortSignal, query: (resolver: Resolver) => Promise<T>): Promise<T> {
    if (!isDnsName(name)) throw new OutboundFailure("dns", `${quoted(name)} cannot be asked for in the DNS`);
    const leave = await gate.enter(name, signal).catch(() => {
      signal.throwIfAborted();
      throw new OutboundFailure("ours", "too many lookups at once");
    });
    // Two tries, the second twice as long as the first, end before the time is up; getaddrinfo is left behind when it is.
    const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / 4), tries: 2 });
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(Object.assign(new Error(), { code: "ETIMEOUT" })), timeoutMs);
    const cancel = () => resolver.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    // The place in the gate is given back when the query has really ended.
    const asked = (async () => {
      if (server !== undefined) resolver.setServers([await serverAddress(server)]);
      return query(resolver);
    })().finally(leave);
    try {
      return await Promise.race([asked, late.promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", cancel);
      cancel();
    }
  }

  return {
    async addresses(name, signal) {
      // RFC 6761 §6.3: names under localhost are loopback, and nobody is asked.
      if (isLocalhostName(name)) return ["::1", "127.0.0.1"];
      return ask(name, signal, async (resolver) => {
        if (server === undefined) return (await lookup(name, { all: true })).map(({ address }) => address);
        return bothFamilies(await Promise.allSettled([resolver.resolve6(name), resolver.resolve4(name)]));
      }).then(
        (found) => found.slice(0, answersMax),
        (error: unknown) => {
          throw lookupFailure(error, name, "address");
        },
      );
    },

    async txt(name, signal) {
      if (isLocalhostName(name)) return [];
      return ask(name, signal, (resolver) => resolver.resolveTxt(name)).then(
        (records) => records.slice(0, answersMax).map((pieces) => pieces.join("")),
        (error: unknown) => {
          if (codeOf(error) === "ENODATA") return [];
          throw lookupFailure(error, name, "TXT");
        },
      );
    },
  };
}

/** True for `localhost` and every name below it (RFC 6761 §6.3). */
export function isLocalhostName(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost");
}

/** One family's addresses will do; a lookup counts as failed only when neither family has any. */
function bothFamilies(answers: readonly PromiseSettledResult<string[]>[]): string[] {
  const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  if (found.length > 0) return found;
  const reasons = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
  // A failure is told rather than "no data": the other family might have had an answer.
  throw (
    reasons.find((reason) => codeOf(reason) !== "ENODATA") ??
    reasons[0] ??
    Object.assign(new Error(), { code: "ENODATA" })
  );
}

function lookupFailure(error: unknown, name: string, kind: "address" | "TXT"): unknown {
  const meanings: Record<string, string> = {
    ENOTFOUND: "the name does not exist",
    ENODATA: `the name has no ${kind} records`,
    ETIMEOUT: "the resolver did not answer in time",
    ESERVFAIL: "the resolver answered SERVFAIL",
    EREFUSED: "the resolver refused to answer",
    ECONNREFUSED: "the resolver could not be reached",
    EAI_AGAIN: "the resolver did not answer",
  };
  const code = codeOf(error);
  // Anything without a code is not an answer of the DNS: a OutboundFailure of ours, or a fault.
  if (code === undefined) return error;
  // A record that is missing now may only be late in spreading: every failed lookup is worth another try.
  return new OutboundFailure("dns", `${kind} lookup of ${name} failed: ${meanings[code] ?? code}`, {
    retryable: true,
  });
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** RFC 1035 §2.3.4 lengths; letters, digits, hyphen and the underscore of `_acme-challenge`. */
function isDnsName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => /^[a-z0-9_-]{1,63}$/i.test(label));
}

function parseServer(text: string): { host: string; port: number } {
  const { host, port } = /^(?<host>\[[0-9a-f:.]+\]|[^:[\]]+):(?<port>\d{1,5})$/i.exec(text)?.groups ?? {};
  if (host === undefined || Number(port) < 1 || Number(port) > 65535) {
    throw new TypeError(`the DNS resolver must be "host:port", not ${quoted(text)}`);
  }
  return { host: host.replace(/[[\]]/g, ""), port: Number(port) };
}

/** c-ares takes only addresses; a resolver given by name (a container's, say) is looked up by the system. */
async function serverAddress({ host, port }: { host: string; port: number }): Promise<string> {
  const address = isIP(host) === 0 ? (await lookup(host)).address : host;
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}
