/**
 * A small DNS server on loopback, UDP and TCP on one port: it answers what the test says, and counts what it was asked.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, isIPv4, type Server } from "node:net";

/** Answer records, or how to fail. `forged` sends two wrong datagrams (wrong id, wrong port) before the right one. */
export type DnsAnswer =
  | readonly DnsRecord[]
  | "NXDOMAIN"
  | "SERVFAIL"
  | "REFUSED"
  | "silence"
  | { readonly forged: readonly DnsRecord[]; readonly records: readonly DnsRecord[] };

export interface DnsRecord {
  readonly type: "A" | "AAAA" | "TXT" | "CNAME" | "CAA";
  /** TXT: the pieces. CAA: flags, tag, value. */
  readonly data: string | readonly string[];
  /** The owner; the question's name when absent. */
  readonly name?: string;
}

export interface DnsServer {
  /** For `dnsResolver`. */
  readonly address: string;
  readonly port: number;
  /** "TXT _acme-challenge.a.example over udp", in order of arrival. */
  readonly questions: string[];
  close(): void;
}

const types = { A: 1, NS: 2, CNAME: 5, TXT: 16, AAAA: 28, CAA: 257 } as const;
const typeNames = new Map<number, string>(Object.entries(types).map(([name, number]) => [number, name]));

/** Starts it; `root` is its answer for the root's name servers. An answer of more than 512 bytes is truncated over UDP (RFC 1035 §4.2.1), so that TCP is asked. */
export async function startDnsServer(
  answer: (name: string, type: string) => DnsAnswer,
  host = "127.0.0.1",
  { root = () => [], port: wanted = 0 }: { root?: () => DnsAnswer; port?: number } = {},
): Promise<DnsServer> {
  const questions: string[] = [];

  function reply(query: Buffer, transport: "udp" | "tcp"): { datagrams: Buffer[]; forged: Buffer[] } {
    const { name, type, end } = readQuestion(query);
    // What is asked to find out whether anybody is there: it is nobody's question, and has its own answer.
    const probe = name === "" && type === "NS";
    if (!probe) questions.push(`${type} ${name} over ${transport}`);
    const answered = probe ? root() : answer(name, type);
    if (answered === "silence") return { datagrams: [], forged: [] };
    if (typeof answered === "string") {
      return { datagrams: [message(query, end, [], { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 }[answered])], forged: [] };
    }
    if ("records" in answered) {
      return {
        datagrams: [message(query, end, answered.records, 0)],
        forged: [message(query, end, answered.forged, 0)],
      };
    }
    const whole = message(query, end, answered, 0);
    const fits = transport === "tcp" || whole.length <= 512;
    return { datagrams: [fits ? whole : message(query, end, [], 0x0200)], forged: [] };
  }

  const tcp = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      for (const datagram of reply(chunk.subarray(2), "tcp").datagrams) {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(datagram.length);
        socket.write(Buffer.concat([length, datagram]));
      }
    });
  });
  tcp.listen(wanted, host);
  await once(tcp, "listening");
  const port = portOf(tcp);

  const family = isIPv4(host) ? "udp4" : "udp6";
  const udp = createSocket(family);
  const stranger = createSocket(family);
  udp.on("message", (query, { port: to, address }) => {
    const { datagrams, forged } = reply(query, "udp");
    for (const datagram of forged) {
      stranger.send(datagram, to, address);
      const wrongId = Buffer.from(datagram);
      wrongId.writeUInt16BE(datagram.readUInt16BE(0) ^ 0x5555, 0);
      udp.send(wrongId, to, address);
    }
    const send = () => datagrams.forEach((datagram) => udp.send(datagram, to, address));
    if (forged.length > 0) setTimeout(send, 50);
    else send();
  });
  udp.bind(port, host);
  await once(udp, "listening");

  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    tcp.close();
    udp.close();
    stranger.close();
  };
  return { address: `${isIPv4(host) ? host : `[${host}]`}:${port}`, port, questions, close };
}

/** The port that a server listens on. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server does not listen on a port");
  return address.port;
}

function readQuestion(query: Buffer): { name: string; type: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  // c-ares may mix upper and lower case at random (DNS 0x20).
  return { name: labels.join(".").toLowerCase(), type: typeNames.get(query.readUInt16BE(at + 1)) ?? "?", end: at + 5 };
}

/** @param flags the response code, and the truncation bit where wanted */
function message(query: Buffer, questionEnd: number, records: readonly DnsRecord[], flags: number): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  header.writeUInt16BE(0x8180 | flags, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, query.subarray(12, questionEnd), ...records.map(resourceRecord)]);
}

function resourceRecord({ type, data, name }: DnsRecord): Buffer {
  const content = recordData(type, data);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(types[type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(60, 4);
  fixed.writeUInt16BE(content.length, 8);
  const owner = name === undefined ? Buffer.from([0xc0, 0x0c]) : encodeName(name);
  return Buffer.concat([owner, fixed, content]);
}

function recordData(type: DnsRecord["type"], data: string | readonly string[]): Buffer {
  const texts = typeof data === "string" ? [data] : data;
  const [first = ""] = texts;
  if (type === "TXT") return Buffer.concat(texts.map(characterString));
  if (type === "CAA") {
    const [flags = "0", tag = "", value = ""] = texts;
    return Buffer.concat([Buffer.from([Number(flags)]), characterString(tag), Buffer.from(value, "latin1")]);
  }
  return type === "CNAME" ? encodeName(first) : addressOctets(first);
}

function characterString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

function encodeName(name: string): Buffer {
  return Buffer.concat([...name.split(".").map(characterString), Buffer.alloc(1)]);
}

/** The octets of an address, also of forms that `x509/names.ts` refuses (IPv4-mapped). IPv6 without a dotted quad. */
function addressOctets(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  const [head, tail] = address.split("::");
  const zeros = Array<string>(8 - groups(head).length - groups(tail).length).fill("0");
  const all = [...groups(head), ...zeros, ...groups(tail)];
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex");
}

function groups(part = ""): string[] {
  return part === "" ? [] : part.split(":");
}
