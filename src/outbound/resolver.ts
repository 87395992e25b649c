/**
 * The DNS as it is asked here: the addresses of a name, its TXT and its CAA records, by the configured resolver, or else by the
 * system's name servers, where its hosts file comes first for addresses. Names are absolute: a search list does not count.
 * The resolver is trusted to chase CNAMEs.
 */
import {
  addressIn,
  answersOf,
  type CaaRecord,
  caaIn,
  DnsMessageError,
  type DnsRecord,
  type RecordType,
  responseCodes,
  textIn,
} from "./dnsMessage.ts";
import { OutboundFailure, quoted } from "./failure.ts";
import { createGate } from "./gate.ts";
import { createHostsFile, type HostsFile } from "./hostsFile.ts";
import { createNameServers, type NameServersOptions } from "./nameServers.ts";

/** Answers beyond this many are not looked at. */
const answersMax = 100;
/** Every CAA record counts, so a set with more of them is refused. */
const caaRecordsMax = 1000;

export interface NameResolver {
  /** IPv6 and IPv4 addresses, at least one, in the order they came. @throws {OutboundFailure} `dns` · `ours` */
  addresses(name: string, signal: AbortSignal): Promise<string[]>;
  /**
   * TXT records with their pieces joined (RFC 7208 §3.3 does the same); empty when the name has none.
   * @throws {OutboundFailure} `dns` · `ours`
   */
  txt(name: string, signal: AbortSignal): Promise<string[]>;
  /** All CAA records of this very name; empty when it has none or does not exist. @throws {OutboundFailure} `dns` · `ours` */
  caa(name: string, signal: AbortSignal): Promise<CaaRecord[]>;
}

export interface ResolverOptions extends NameServersOptions {
  /** Counts where there is no `dnsResolver`; the system's when absent. */
  readonly hostsFile?: HostsFile;
}

/** @throws {TypeError} when `dnsResolver` is not host:port */
export function createResolver(options: ResolverOptions): NameResolver {
  const { dnsResolver, timeoutMs, hostsFile = createHostsFile() } = options;
  const nameServers = createNameServers(options);
  // Without a bound, names whose servers never answer would use up the process's sockets.
  // A quarter of the time to wait for a place and three quarters to ask in: what kept a lookup waiting is never taken for the name's.
  const gate = createGate({
    perTarget: 8,
    inAll: 64,
    waitingPerTarget: 64,
    waitingInAll: 1024,
    patienceMs: timeoutMs / 4,
  });

  /** Runs `query` when there is room for it. The place is given back when it has really ended. */
  async function ask<T>(name: string, signal: AbortSignal, query: () => Promise<T>): Promise<T> {
    if (!isDnsName(name)) throw new OutboundFailure("dns", `${quoted(name)} cannot be asked for in the DNS`);
    const leave = await gate.enter(name, signal).catch(() => {
      signal.throwIfAborted();
      throw new OutboundFailure("ours", "too many lookups at once");
    });
    return query().finally(leave);
  }

  /** The records of one type. @throws {OutboundFailure} `dns` with NXDOMAIN, SERVFAIL and the like told apart · `ours` */
  async function records(name: string, type: RecordType, what: string, signal: AbortSignal): Promise<DnsRecord[]> {
    try {
      const reply = await nameServers.ask(name, type, signal);
      if (reply.responseCode === responseCodes.noError) return answersOf(reply, type);
      throw new OutboundFailure("dns", meaningOf(reply.responseCode), {
        retryable: true,
        cause: reply.responseCode === responseCodes.nameError ? noSuchName : undefined,
      });
    } catch (error) {
      throw told(error, name, what);
    }
  }

  return {
    async addresses(name, signal) {
      // RFC 6761 §6.3: names under localhost are loopback, and nobody is asked.
      if (isLocalhostName(name)) return ["::1", "127.0.0.1"];
      const known = dnsResolver === undefined ? await hostsFile.addresses(name) : [];
      if (known.length > 0) return known.slice(0, answersMax);
      const found = await ask(name, signal, async () => {
        const families = ["AAAA", "A"] as const;
        const asked = families.map((type) => records(name, type, "address", signal));
        return bothFamilies(await Promise.allSettled(asked), name);
      });
      return found.slice(0, answersMax);
    },

    async txt(name, signal) {
      if (isLocalhostName(name)) return [];
      const found = await ask(name, signal, () => records(name, "TXT", "TXT", signal));
      return readEach(found.slice(0, answersMax), textIn, name, "TXT");
    },

    async caa(name, signal) {
      if (isLocalhostName(name)) return [];
      const found = await ask(name, signal, () => records(name, "CAA", "CAA", signal)).catch((error: unknown) => {
        if (error instanceof OutboundFailure && error.cause === noSuchName) return [];
        throw error;
      });
      if (found.length > caaRecordsMax)
        throw new OutboundFailure("dns", `${name} has more than ${caaRecordsMax} CAA records`);
      return readEach(found, caaIn, name, "CAA");
    },
  };
}

/** Marks the failure that says that the name is not there. */
const noSuchName = Symbol("NXDOMAIN");

/** True for `localhost` and every name below it (RFC 6761 §6.3). */
export function isLocalhostName(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost");
}

/** One family's addresses will do; a lookup counts as failed only when neither family has any. */
function bothFamilies(answers: readonly PromiseSettledResult<DnsRecord[]>[], name: string): string[] {
  const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  if (found.length > 0) return readEach(found, addressIn, name, "address");
  const reasons = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
  // A failure is told rather than "no data": the other family might have had an answer. And ours before the name's.
  const ours = reasons.find((reason) => reason instanceof OutboundFailure && reason.problem === "ours");
  const none = new OutboundFailure("dns", "the name has no address records", { retryable: true });
  throw ours ?? reasons[0] ?? told(none, name, "address");
}

function readEach<T>(found: readonly DnsRecord[], read: (record: DnsRecord) => T, name: string, what: string): T[] {
  try {
    return found.map(read);
  } catch (error) {
    throw told(error, name, what);
  }
}

function meaningOf(responseCode: number): string {
  if (responseCode === responseCodes.nameError) return "the name does not exist";
  if (responseCode === responseCodes.serverFailure) return "the resolver answered SERVFAIL";
  if (responseCode === responseCodes.refused) return "the resolver refused to answer";
  return `the resolver answered with code ${responseCode}`;
}

/** What was being done, before what came of it. A record that is missing now may only be late: a failed lookup is worth another try. */
function told(error: unknown, name: string, what: string): unknown {
  if (error instanceof DnsMessageError) {
    return new OutboundFailure("dns", `${what} lookup of ${name} failed: ${error.message}`, { retryable: true });
  }
  if (!(error instanceof OutboundFailure)) return error;
  const { problem, retryable, message, cause } = error;
  return new OutboundFailure(problem, `${what} lookup of ${name} failed: ${message}`, { retryable, cause });
}

/** RFC 1035 §2.3.4 lengths; letters, digits, hyphen and the underscore of `_acme-challenge`. */
function isDnsName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => /^[a-z0-9_-]{1,63}$/i.test(label));
}
