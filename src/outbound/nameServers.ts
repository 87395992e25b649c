/**
 * The name servers that are asked, in turn, and whether it is them or us when there is no answer: a name whose own servers are slow
 * must not pass for an absent resolver, nor the other way round.
 */
import { Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { exchange, type DnsTransport, NoAnswer, type NameServer } from "./dnsExchange.ts";
import { type DnsReply, DnsMessageError, type RecordType, responseCodes } from "./dnsMessage.ts";
import { OutboundFailure, quoted } from "./failure.ts";
import { createSystemLookup } from "./systemLookup.ts";

export interface NameServersOptions {
  /** "host:port" (IPv6 in brackets); the system's resolvers when absent. */
  readonly dnsResolver?: string | undefined;
  readonly dnsTransport?: DnsTransport | undefined;
  /** For one lookup, all its tries together. */
  readonly timeoutMs: number;
  /** The system's name servers as `Resolver.getServers` writes them, asked for before each lookup; as the system has them when absent. */
  readonly systemServers?: () => readonly string[];
}

export interface NameServers {
  /**
   * The first reply that says something about the name, or the last there is.
   * @throws {OutboundFailure} `dns` no answer about this name · `ours` no answer at all · `signal.reason`
   */
  ask(name: string, type: RecordType, signal: AbortSignal): Promise<DnsReply>;
}

const probeTimeoutMsMax = 1_000;
/** For so long after nobody answered it is not asked again: a crowd of lookups wants to know at the same time. */
const silentMs = 1_000;
/** For so long the address of a resolver that was given by name counts. */
const addressKeptMs = 10_000;

/** @throws {TypeError} when `dnsResolver` is not host:port */
export function createNameServers({
  dnsResolver,
  dnsTransport = "udp",
  timeoutMs,
  systemServers = () => new Resolver().getServers(),
}: NameServersOptions): NameServers {
  const configured = dnsResolver === undefined ? undefined : parseServer(dnsResolver);
  const probeTimeoutMs = Math.min(timeoutMs / 2, probeTimeoutMsMax);
  const addressOf = keptAddresses(timeoutMs / 4);
  let answeredAt = -Infinity;
  let silentAt = -Infinity;
  let probing: Promise<boolean> | undefined;

  const servers = async (signal: AbortSignal): Promise<NameServer[]> =>
    configured === undefined
      ? systemServers().map(parseSystemServer)
      : [{ address: await addressOf(configured.address, signal), port: configured.port }];

  async function tryOnce(
    server: NameServer,
    asked: { name: string; type: RecordType },
    tryMs: number,
    signal: AbortSignal,
  ): Promise<DnsReply | Error> {
    try {
      const reply = await exchange(server, asked, { transport: dnsTransport, timeoutMs: tryMs, signal });
      // Whoever refuses everybody is of no more use than nobody.
      if (reply.responseCode !== responseCodes.refused) answeredAt = performance.now();
      return reply;
    } catch (error) {
      signal.throwIfAborted();
      return error instanceof Error ? error : new Error("unknown error", { cause: error });
    }
  }

  async function ask(name: string, type: RecordType, signal: AbortSignal): Promise<DnsReply> {
    const found = await servers(signal);
    const until = performance.now() + timeoutMs;
    let last: DnsReply | Error = new NoAnswer("no name server is configured");
    let triedAt = performance.now();
    // Two rounds: a datagram may be lost. The second has twice the time, and a server that answered is not asked again.
    for (const share of [1 / 4, 1 / 2]) {
      for (const server of found) {
        const tryMs = Math.min((timeoutMs * share) / found.length, until - performance.now());
        if (tryMs < 1) break;
        triedAt = performance.now();
        const outcome = await tryOnce(server, { name, type }, tryMs, signal);
        if (outcome instanceof Error) {
          if (last instanceof Error) last = outcome;
        } else if (isConclusive(outcome)) return outcome;
        else last = outcome;
      }
      if (!(last instanceof NoAnswer)) break;
      void answering(triedAt, signal).catch(() => undefined); // Begun now, so that it is known when the second round is over.
    }
    if (!(last instanceof Error) && last.responseCode !== responseCodes.refused) return last;
    return judge(last, triedAt, signal);
  }

  /** No answer, or a refusal: the name's fault where the name servers answer others. */
  async function judge(last: DnsReply | Error, triedAt: number, signal: AbortSignal): Promise<DnsReply> {
    const code = last instanceof Error && "code" in last ? String(last.code) : undefined;
    const here = code === undefined && (await answering(triedAt, signal));
    if (!here) {
      const reason = `the resolver cannot be used (${code ?? reasonOf(last)})`;
      throw new OutboundFailure("ours", reason, { cause: last });
    }
    if (!(last instanceof Error)) return last;
    const reason = last instanceof DnsMessageError ? last.message : "the resolver did not answer in time";
    throw new OutboundFailure("dns", reason, { retryable: true });
  }

  /** The root is something that every resolver has an answer for, or at least an opinion on. */
  async function probe(): Promise<boolean> {
    const { signal } = new AbortController();
    const replies = await Promise.all(
      (await servers(signal)).map((server) => tryOnce(server, { name: "", type: "NS" }, probeTimeoutMs, signal)),
    );
    return replies.some((reply) => !(reply instanceof Error) && reply.responseCode !== responseCodes.refused);
  }

  /** False when no name server answers, whatever is asked; what came since then (`performance.now()`) is answer enough. */
  async function answering(since: number, signal: AbortSignal): Promise<boolean> {
    if (answeredAt > since) return true;
    if (performance.now() - silentAt < silentMs) return false;
    probing ??= probe()
      .catch(() => false)
      .finally(() => (probing = undefined));
    const answered = await probing;
    if (!answered) silentAt = performance.now();
    signal.throwIfAborted();
    return answered;
  }

  return { ask };
}

/** An answer about the name; another server may know better than one that failed or refused. */
const isConclusive = ({ responseCode }: DnsReply): boolean =>
  responseCode === responseCodes.noError || responseCode === responseCodes.nameError;

const reasonOf = (last: DnsReply | Error): string => (last instanceof Error ? last.message : "it refuses to answer");

function parseServer(text: string): NameServer {
  const { host, port } = /^(?<host>\[[0-9a-f:.]+\]|[^:[\]]+):(?<port>\d{1,5})$/i.exec(text)?.groups ?? {};
  if (host === undefined || Number(port) < 1 || Number(port) > 65535) {
    throw new TypeError(`the DNS resolver must be "host:port", not ${quoted(text)}`);
  }
  return { address: host.replace(/[[\]]/g, ""), port: Number(port) };
}

/** As `Resolver.getServers` writes them: an address, or an address in brackets or with dots and a port. */
function parseSystemServer(text: string): NameServer {
  const { address, port } = /^\[?(?<address>[^\]]+?)\]?(?:(?<=[\].\d]):(?<port>\d+))?$/.exec(text)?.groups ?? {};
  return isIP(text.replace(/%.*/, "")) === 0 && port !== undefined
    ? { address: address ?? text, port: Number(port) }
    : { address: text.replace(/^\[|\]$/g, ""), port: 53 };
}

/**
 * A resolver given by name (a container's, say) is looked up by the system. What was known before counts while that is done anew, so
 * that only the first lookup waits for it. The function throws `ours`, or the signal's reason.
 */
function keptAddresses(timeoutMs: number): (host: string, signal: AbortSignal) => Promise<string> {
  const system = createSystemLookup(timeoutMs);
  let known: string | undefined;
  let askedAt = -Infinity;

  async function find(host: string, signal: AbortSignal): Promise<string> {
    askedAt = performance.now();
    const [first] = await system.addresses(host, signal);
    known = first ?? known;
    return known ?? host;
  }

  return async (host, signal) => {
    if (isIP(host) !== 0) return host;
    if (known !== undefined) {
      if (performance.now() - askedAt > addressKeptMs)
        void find(host, new AbortController().signal).catch(() => undefined);
      return known;
    }
    return find(host, signal).catch((cause: unknown) => {
      signal.throwIfAborted();
      throw new OutboundFailure("ours", "the resolver's own name cannot be looked up", { cause });
    });
  };
}
