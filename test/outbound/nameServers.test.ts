/** Whose trouble it is when a lookup has no answer, and the two transports. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import t from "tap";
import { dns01 } from "../../src/acme/challenges/dns01.ts";
import { createNameServers } from "../../src/outbound/nameServers.ts";
import { createResolver } from "../../src/outbound/resolver.ts";
import { type DnsAnswer, startDnsServer } from "../support/dnsServer.ts";
import { closedPort, listen, plainly, type Teardown, testOutbound } from "../support/validationTargets.ts";

const { signal } = new AbortController();
const dnsFailure = (message: RegExp) => ({ name: "OutboundFailure", problem: "dns", retryable: true, message });
const ours = (message: RegExp) => ({ name: "OutboundFailure", problem: "ours", retryable: false, message });

async function server(t: Teardown, answer: (name: string, type: string) => DnsAnswer) {
  const dns = await startDnsServer(answer);
  t.teardown(() => dns.close());
  return dns;
}

/** A UDP port where datagrams arrive and nobody answers. */
async function silentPort(t: Teardown): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.teardown(() => socket.close());
  return socket.address().port;
}

t.test("a resolver that is not there is our trouble, a name whose servers do not answer is the name's", async (t) => {
  const closed = createResolver({ dnsResolver: `127.0.0.1:${await closedPort()}`, timeoutMs: 400 });
  await t.rejects(closed.txt("a.example", signal), ours(/TXT lookup of a\.example failed: .*ECONNREFUSED/));
  await t.rejects(closed.addresses("a.example", signal), ours(/ECONNREFUSED/));
  await t.rejects(closed.caa("a.example", signal), ours(/ECONNREFUSED/));
  const silent = createResolver({ dnsResolver: `127.0.0.1:${await silentPort(t)}`, timeoutMs: 400 });
  await t.rejects(silent.txt("a.example", signal), ours(/cannot be used \(no answer in time\)/));
  const unknown = createResolver({ dnsResolver: "does-not-exist.invalid:53", timeoutMs: 400 });
  await t.rejects(unknown.txt("a.example", signal), ours(/own name cannot be looked up/));

  const dns = await server(t, (name) => (name.startsWith("silent") ? "silence" : [{ type: "TXT", data: "here" }]));
  const lively = createResolver({ dnsResolver: dns.address, timeoutMs: 400 });
  await t.rejects(lively.txt("silent.example", signal), dnsFailure(/did not answer in time/));
  t.same(await lively.txt("a.example", signal), ["here"]);
});

t.test("a refusal is the name's where others are answered, and ours where everybody is refused", async (t) => {
  const picky = await server(t, () => "REFUSED");
  const some = createResolver({ dnsResolver: picky.address, timeoutMs: 400 });
  await t.rejects(some.txt("a.example", signal), dnsFailure(/the resolver refused to answer/));
  const closed = await startDnsServer(() => "REFUSED", "127.0.0.1", { root: () => "REFUSED" });
  t.teardown(() => closed.close());
  const none = createResolver({ dnsResolver: closed.address, timeoutMs: 400 });
  await t.rejects(none.txt("a.example", signal), ours(/it refuses to answer/));
});

t.test("a resolver that goes silent is our trouble from the first lookup on", async (t) => {
  let silent = false;
  const answer = (): DnsAnswer => (silent ? "silence" : [{ type: "TXT", data: "here" }]);
  const dns = await startDnsServer(answer, "127.0.0.1", { root: () => (silent ? "silence" : []) });
  t.teardown(() => dns.close());
  const resolver = createResolver({ dnsResolver: dns.address, timeoutMs: 400 });
  t.same(await resolver.txt("a.example", signal), ["here"]);
  silent = true;
  await t.rejects(resolver.txt("a.example", signal), ours(/cannot be used/));
  await t.rejects(resolver.txt("a.example", signal), ours(/cannot be used/));
  silent = false;
  t.same(await resolver.txt("a.example", signal), ["here"]);
});

t.test("over TCP alone where that is asked for", async (t) => {
  const dns = await server(t, (_, type) => (type === "TXT" ? [{ type: "TXT", data: "here" }] : []));
  const resolver = createResolver({ dnsResolver: dns.address, dnsTransport: "tcp", timeoutMs: 400 });
  t.same(await resolver.txt("a.example", signal), ["here"]);
  t.same(dns.questions, ["TXT a.example over tcp"]);
});

t.test("H-15b over TCP: an answer that is cut off, another question's, none at all, and byte by byte", async (t) => {
  const asked = (answer: (query: Buffer) => Buffer[] | undefined) =>
    listen(
      t,
      createServer((socket) => {
        socket.on("data", (chunk) => {
          const parts = answer(chunk.subarray(2));
          if (parts === undefined) socket.destroy();
          for (const part of parts ?? []) socket.write(part);
        });
      }),
    );
  const reply = (query: Buffer): Buffer => {
    const message = Buffer.from(query);
    message.writeUInt16BE(0x8180, 2);
    return message;
  };
  const framed = (message: Buffer): Buffer => Buffer.concat([Buffer.from([0, message.length]), message]);
  const at = (port: number) =>
    createResolver({ dnsResolver: `127.0.0.1:${port}`, dnsTransport: "tcp", timeoutMs: 400 }).txt("a.example", signal);

  t.same(await at(await asked((query) => [...framed(reply(query))].map((octet) => Buffer.from([octet])))), []);
  await t.rejects(at(await asked(() => undefined)), ours(/cannot be used/), "closed");
  const wrongId = await asked((query) => {
    const message = reply(query);
    message.writeUInt16BE(query.readUInt16BE(0) ^ 1, 0);
    return [framed(message)];
  });
  await t.rejects(at(wrongId), ours(/another question's/));
  await t.rejects(at(await asked(() => [Buffer.from([0, 3, 1, 2, 3])])), ours(/cannot be used/), "no message");
  await t.rejects(at(await asked((query) => [framed(reply(query)).subarray(0, 9)])), ours(/no answer in time/));
});

t.test("H-33 a lookup is given up at once, over either transport", async (t) => {
  for (const dnsTransport of ["udp", "tcp"] as const) {
    const dns = await server(t, () => "silence");
    const controller = new AbortController();
    const servers = createNameServers({ dnsResolver: dns.address, dnsTransport, timeoutMs: 60_000 });
    const asked = servers.ask("a.example", "A", controller.signal);
    setTimeout(() => controller.abort(new Error("gave up")), 30);
    await t.rejects(asked, { message: "gave up" }, dnsTransport);
  }
});

t.test("a lost datagram is made good for by a second one", async (t) => {
  let lost = 0;
  const dns = await server(t, () => {
    lost += 1;
    return lost === 1 ? "silence" : [{ type: "TXT", data: "here" }];
  });
  t.same(await createResolver({ dnsResolver: dns.address, timeoutMs: 800 }).txt("a.example", signal), ["here"]);
  t.equal(dns.questions.length, 2);
});

t.test("H-24 H-29 a crowd while the resolver is silent: nobody's name is to blame", async (t) => {
  const dnsResolver = `127.0.0.1:${await silentPort(t)}`;
  const outbound = testOutbound({ dnsResolver, timeoutMs: 1_500 });
  const lookups = Array.from({ length: 300 }, (_, index) => {
    const identifier = { type: "dns", value: `n${index}.example` } as const;
    return dns01({ ...plainly, identifier, token: "token", keyAuthorization: "token.key" }, outbound, signal);
  });
  const outcomes = await Promise.allSettled(lookups);
  const blamed = outcomes.filter((outcome) => outcome.status === "fulfilled");
  t.same(blamed, []);
  for (const outcome of outcomes.slice(0, 5))
    t.match(outcome, { reason: { name: "OutboundFailure", problem: "ours" } });
});
