import { lookup } from "node:dns/promises";
import { createServer, Socket } from "node:net";
import { hostname } from "node:os";
import t from "tap";
import { firstConnected } from "../../src/outbound/outbound.ts";
import { startDnsServer } from "../support/dnsServer.ts";
import { addressesAre, listen, tcpTarget, testOutbound } from "../support/validationTargets.ts";

const signal = new AbortController().signal;
const refused = { name: "OutboundFailure", problem: "forbidden", retryable: false };

t.test("R10.4-1 H-10a names with forbidden addresses are refused before anything is connected to", async (t) => {
  let connections = 0;
  const port = await tcpTarget(t, () => (connections += 1));
  for (const address of [
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "169.254.169.254",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "0.0.0.0",
    "::",
  ]) {
    const dns = await addressesAre(t, address);
    const outbound = testOutbound({ dnsResolver: dns.address, allowPrivate: false, allowLocalhostNames: true });
    await t.rejects(outbound.connect("victim.example", port, signal), refused, address);
    await t.rejects(outbound.connect(address, port, signal), refused, `${address} itself`);
  }
  const open = testOutbound({
    dnsResolver: (await addressesAre(t, "::ffff:7f00:1", "0.0.0.0")).address,
    allowPrivate: true,
  });
  await t.rejects(open.connect("victim.example", port, signal), refused, "not even when private addresses are allowed");
  t.equal(connections, 0);
});

t.test("a forbidden address beside a permitted one is left out", async (t) => {
  const port = await tcpTarget(t, () => {});
  const dns = await addressesAre(t, "0.0.0.0", "169.254.169.254", "127.0.0.1");
  const socket = await testOutbound({ dnsResolver: dns.address }).connect("mixed.example", port, signal);
  t.equal(socket.remoteAddress, "127.0.0.1");
  socket.destroy();
});

t.test("names under localhost reach loopback when that is allowed, other names do not", async (t) => {
  const port = await tcpTarget(t, () => {});
  const dns = await addressesAre(t, "127.0.0.1");
  const development = testOutbound({ dnsResolver: dns.address, allowPrivate: false, allowLocalhostNames: true });
  const socket = await development.connect("x.localhost", port, signal);
  t.match(socket.remoteAddress, /^(127\.0\.0\.1|::1)$/);
  socket.destroy();
  await t.rejects(development.connect("x.example", port, signal), refused);
  await t.rejects(development.connect("notlocalhost", port, signal), refused);
  await t.rejects(development.connect("127.0.0.1", port, signal), refused);

  const production = testOutbound({ allowPrivate: false, allowLocalhostNames: false });
  await t.rejects(production.connect("x.localhost", port, signal), refused);
});

t.test("H-10b the name is looked up once, so an answer that changes does not matter", async (t) => {
  const port = await tcpTarget(t, () => {});
  let asked = 0;
  const dns = await startDnsServer((_, type) => {
    if (type !== "A") return [];
    asked += 1;
    return [{ type: "A", data: asked === 1 ? "127.0.0.1" : "169.254.169.254" }];
  });
  t.teardown(() => dns.close());
  const socket = await testOutbound({ dnsResolver: dns.address }).connect("rebinding.example", port, signal);
  t.equal(socket.remoteAddress, "127.0.0.1");
  t.equal(asked, 1);
  socket.destroy();
});

t.test("H-10b a thousand addresses: four are tried", async (t) => {
  const dns = await startDnsServer((_, type) =>
    type === "A"
      ? Array.from({ length: 1000 }, (_address, i) => ({ type: "A", data: `127.1.${i >> 8}.${i & 255}` }))
      : [],
  );
  t.teardown(() => dns.close());
  const outbound = testOutbound({ dnsResolver: dns.address });
  const fourth = await listen(t, createServer(), "127.1.0.3");
  const socket = await outbound.connect("many.example", fourth, signal);
  t.equal(socket.remoteAddress, "127.1.0.3");
  socket.destroy();
  const fifth = await listen(t, createServer(), "127.1.0.4");
  await t.rejects(outbound.connect("many.example", fifth, signal), {
    name: "OutboundFailure",
    problem: "connection",
    retryable: true,
    message: `connecting to many.example port ${fifth} failed: connection refused`,
  });
});

t.test("R8.3-4 a dead AAAA falls back to a live A; AAAA alone works", async (t) => {
  const port = await tcpTarget(t, () => {});
  const both = await addressesAre(t, "127.0.0.1", "::1");
  const socket = await testOutbound({ dnsResolver: both.address }).connect("both.example", port, signal);
  t.equal(socket.remoteAddress, "127.0.0.1");
  socket.destroy();

  const six = await listen(t, createServer(), "::1");
  const only = await addressesAre(t, "::1");
  const socketSix = await testOutbound({ dnsResolver: only.address }).connect("six.example", six, signal);
  t.equal(socketSix.remoteAddress, "::1");
  socketSix.destroy();
});

/** Opens after some milliseconds, or fails with a negative number of them. */
function opener(times: Record<string, number>) {
  const opened: string[] = [];
  const sockets = new Map<string, Socket>();
  const open = async (address: string, attempt: AbortSignal) => {
    attempt.throwIfAborted();
    opened.push(address);
    const socket = new Socket();
    sockets.set(address, socket);
    attempt.addEventListener("abort", () => socket.destroy());
    await new Promise((resolve) => setTimeout(resolve, Math.abs(times[address] ?? 0)));
    attempt.throwIfAborted();
    if ((times[address] ?? 0) < 0) throw new Error(`${address} is dead`);
    return socket;
  };
  return { opened, sockets, open };
}

t.test("the race for a connection", async (t) => {
  await t.test("a quick first address is the only one tried", async (t) => {
    const { opened, sockets, open } = opener({ a: 10, b: 0 });
    t.equal(await firstConnected(["a", "b"], signal, open), sockets.get("a"));
    await new Promise((resolve) => setTimeout(resolve, 300));
    t.same(opened, ["a"]);
  });

  await t.test("a silent first address does not hold up the second, and is dropped", async (t) => {
    const { sockets, open } = opener({ a: 2000, b: 10 });
    const started = performance.now();
    t.equal(await firstConnected(["a", "b"], signal, open), sockets.get("b"));
    t.ok(performance.now() - started < 1000);
    t.ok(sockets.get("a")?.destroyed);
    t.notOk(sockets.get("b")?.destroyed);
  });

  await t.test("a slow first address can still win", async (t) => {
    const { sockets, open } = opener({ a: 350, b: 300 });
    t.equal(await firstConnected(["a", "b"], signal, open), sockets.get("a"));
    await new Promise((resolve) => setTimeout(resolve, 300));
    t.notOk(sockets.get("a")?.destroyed);
    t.ok(sockets.get("b")?.destroyed);
  });

  await t.test("when all fail, the last failure is told", async (t) => {
    const { opened, open } = opener({ a: -1, b: -1, c: -1 });
    await t.rejects(firstConnected(["a", "b", "c"], signal, open), { message: "c is dead" });
    t.same(opened, ["a", "b", "c"]);
  });

  await t.test("the winner, too, ends with the signal", async (t) => {
    const controller = new AbortController();
    const { open } = opener({ a: 1 });
    const socket = await firstConnected(["a"], controller.signal, open);
    t.notOk(socket.destroyed);
    controller.abort();
    t.ok(socket.destroyed);
    await t.rejects(firstConnected(["a"], controller.signal, open), { name: "AbortError" });
  });
});

t.test("R10.4-1 H-12 of one target, eight connections at a time; the ninth waits for its turn", async (t) => {
  let now = 0;
  let most = 0;
  const port = await tcpTarget(t, (socket) => {
    most = Math.max(most, (now += 1));
    socket.once("close", () => (now -= 1));
    socket.resume();
  });
  const outbound = testOutbound({ timeoutMs: 8_000 }); // Nobody's patience ends here, on a busy machine either.
  const lifetimes = Array.from({ length: 20 }, () => new AbortController());
  const ended = lifetimes.map(async (lifetime) => {
    const socket = await outbound.connect("127.0.0.1", port, lifetime.signal);
    setTimeout(() => lifetime.abort(), 20);
    await new Promise((resolve) => socket.once("close", resolve));
  });
  await Promise.all(ended);
  t.equal(most, 8);
});

t.test("a connection attempt ends with its signal", async (t) => {
  const controller = new AbortController();
  controller.abort(new Error("gave up"));
  const port = await tcpTarget(t, () => {});
  await t.rejects(testOutbound({}).connect("127.0.0.1", port, controller.signal), { message: "gave up" });
});

t.test("by the system where the operator named the host: the resolver for validations is not asked", async (t) => {
  const own = hostname().toLowerCase();
  const known = await lookup(own).catch(() => undefined);
  if (known === undefined) return void t.pass("this machine does not know its own name");
  const port = await listen(t, createServer(), known.address);
  const dns = await startDnsServer(() => "NXDOMAIN");
  t.teardown(() => dns.close());
  const asked = { dnsResolver: dns.address, allowPrivate: true, allowLocalhostNames: true, timeoutMs: 2_000 };
  (await testOutbound({ ...asked, bySystem: true }).connect(own, port, signal)).destroy();
  t.same(dns.questions, []);
  await t.rejects(testOutbound(asked).connect(own, port, signal), { name: "OutboundFailure", problem: "dns" });
});
