import { lookup } from "node:dns/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { createHostsFile } from "../../src/outbound/hostsFile.ts";
import { createResolver } from "../../src/outbound/resolver.ts";
import { type DnsAnswer, startDnsServer } from "../support/dnsServer.ts";
import type { Teardown } from "../support/validationTargets.ts";

const signal = new AbortController().signal;

async function resolverWith(t: Teardown, answer: (name: string, type: string) => DnsAnswer, timeoutMs = 1000) {
  const server = await startDnsServer(answer);
  t.teardown(() => server.close());
  const resolver = createResolver({ dnsResolver: server.address, timeoutMs });
  return {
    addresses: (name: string) => resolver.addresses(name, signal),
    txt: (name: string, asking = signal) => resolver.txt(name, asking),
    questions: server.questions,
  };
}

t.test("addresses of both families, one question each", async (t) => {
  const { addresses, questions } = await resolverWith(t, (_, type) =>
    type === "A" ? [{ type: "A", data: "192.0.2.1" }] : [{ type: "AAAA", data: "2001:db8::1" }],
  );
  t.same((await addresses("a.example")).toSorted(), ["192.0.2.1", "2001:db8::1"]);
  t.same(questions.toSorted(), ["A a.example over udp", "AAAA a.example over udp"]);
});

t.test("one family is enough, even when the question for the other fails", async (t) => {
  const { addresses } = await resolverWith(t, (_, type) =>
    type === "A" ? "SERVFAIL" : [{ type: "AAAA", data: "2001:db8::1" }],
  );
  t.same(await addresses("six.example"), ["2001:db8::1"]);
});

function failure(message: string | RegExp) {
  return { name: "OutboundFailure", problem: "dns", retryable: true, message };
}

t.test("H-15a NXDOMAIN, SERVFAIL, no data, silence: dns, worth another try", async (t) => {
  const { addresses, txt } = await resolverWith(
    t,
    (name) => {
      if (name.startsWith("nx")) return "NXDOMAIN";
      if (name.startsWith("fail")) return "SERVFAIL";
      return name.startsWith("silent") ? "silence" : [];
    },
    400,
  );
  await t.rejects(addresses("nx.example"), failure("address lookup of nx.example failed: the name does not exist"));
  await t.rejects(
    addresses("fail.example"),
    failure("address lookup of fail.example failed: the resolver answered SERVFAIL"),
  );
  await t.rejects(
    addresses("none.example"),
    failure("address lookup of none.example failed: the name has no address records"),
  );
  await t.rejects(txt("nx.example"), failure("TXT lookup of nx.example failed: the name does not exist"));
  await t.rejects(txt("fail.example"), failure("TXT lookup of fail.example failed: the resolver answered SERVFAIL"));
  await t.rejects(
    txt("silent.example"),
    failure("TXT lookup of silent.example failed: the resolver did not answer in time"),
  );
  t.same(await txt("none.example"), [], "no TXT record is an answer");
});

t.test("H-15c TXT pieces are joined, CNAMEs in the answer followed", async (t) => {
  const { txt } = await resolverWith(t, (name) =>
    name === "alias.example"
      ? [
          { type: "CNAME", data: "target.example" },
          { type: "TXT", data: "behind a CNAME", name: "target.example" },
        ]
      : [
          { type: "TXT", data: ["in ", "three ", "pieces"] },
          { type: "TXT", data: "whole" },
        ],
  );
  t.same((await txt("pieces.example")).toSorted(), ["in three pieces", "whole"]);
  t.same(await txt("alias.example"), ["behind a CNAME"]);
});

t.test("R10.2-1 H-15b a truncated answer is asked for again over TCP; at most 100 answers are looked at", async (t) => {
  const many = Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  const { addresses, questions } = await resolverWith(t, (_, type) =>
    type === "A" ? many.map((data) => ({ type: "A", data })) : [],
  );
  t.equal((await addresses("many.example")).length, 100);
  t.ok(questions.includes("A many.example over tcp"));
});

t.test("H-15b an answer with a wrong id or from a wrong port is dropped", async (t) => {
  const { txt } = await resolverWith(t, () => ({
    forged: [{ type: "TXT", data: "forged" }],
    records: [{ type: "TXT", data: "true" }],
  }));
  t.same(await txt("spoofed.example"), ["true"]);
});

t.test("RFC 6761 §6.3 names under localhost are loopback, and nobody is asked", async (t) => {
  const { addresses, txt, questions } = await resolverWith(t, () => "SERVFAIL");
  t.same(await addresses("localhost"), ["::1", "127.0.0.1"]);
  t.same(await addresses("a.b.localhost"), ["::1", "127.0.0.1"]);
  t.same(await txt("_acme-challenge.a.localhost"), []);
  t.same(questions, []);
  await t.rejects(addresses("notlocalhost"), { name: "OutboundFailure", problem: "dns" });
  t.not(questions.length, 0, "a name that only ends alike is asked for");
});

t.test("what is no DNS name is not asked for", async (t) => {
  const { addresses, txt, questions } = await resolverWith(t, () => "SERVFAIL");
  const label = "a".repeat(63);
  const names = [
    "",
    "a..example",
    `a${label}.example`,
    [label, label, label, label].join("."),
    "a b",
    "a\0.example",
    "ä.example",
  ];
  for (const name of names) {
    await t.rejects(addresses(name), { name: "OutboundFailure", problem: "dns", retryable: false });
    await t.rejects(txt(name), { name: "OutboundFailure", problem: "dns", retryable: false });
  }
  t.same(questions, []);
});

/** A resolver that takes this server for the system's, and this text for its hosts file. */
async function systemResolver(t: Test, answer: (name: string, type: string) => DnsAnswer, hosts = "") {
  const server = await startDnsServer(answer);
  t.teardown(() => server.close());
  const hostsFile = createHostsFile(join(t.testdir({ hosts }), "hosts"));
  const resolver = createResolver({ timeoutMs: 4_000, hostsFile, systemServers: () => [server.address] });
  return { resolver, questions: server.questions };
}

t.test("without a configured resolver the system's name servers are asked, and its hosts file first", async (t) => {
  const { resolver, questions } = await systemResolver(
    t,
    (_, type) => (type === "A" ? [{ type: "A", data: "192.0.2.1" }] : []),
    "192.0.2.7 here.example",
  );
  t.same(await resolver.addresses("here.example", signal), ["192.0.2.7"]);
  t.same(questions, []);
  t.same(await resolver.addresses("there.example", signal), ["192.0.2.1"]);
  t.same(questions.toSorted(), ["A there.example over udp", "AAAA there.example over udp"], "as it is, absolute");
  t.same(await resolver.txt("here.example", signal), [], "the file has addresses and nothing else");
});

t.test("a configured resolver is asked without a look into the hosts file", async (t) => {
  const server = await startDnsServer(() => "NXDOMAIN");
  t.teardown(() => server.close());
  const hostsFile = createHostsFile(join(t.testdir({ hosts: "192.0.2.7 here.example" }), "hosts"));
  const resolver = createResolver({ dnsResolver: server.address, timeoutMs: 1_000, hostsFile });
  await t.rejects(resolver.addresses("here.example", signal), failure(/does not exist/));
});

t.test(
  "H-24 names whose servers are silent do not hold up the addresses of others, by the system's servers",
  async (t) => {
    const { resolver } = await systemResolver(t, (name, type) => {
      if (name.endsWith("silent.example")) return "silence";
      return type === "A" ? [{ type: "A", data: "192.0.2.1" }] : [];
    });
    const silent = Array.from({ length: 40 }, (_, index) => resolver.addresses(`n${index}.silent.example`, signal));
    const ended = Promise.allSettled(silent);
    const begun = performance.now();
    for (const name of ["a.example", "b.example", "c.example"])
      t.same(await resolver.addresses(name, signal), ["192.0.2.1"]);
    t.ok(performance.now() - begun < 1_000, "in no time");
    for (const outcome of await ended) t.match(outcome, { status: "rejected", reason: { problem: "dns" } });
  },
);

t.test("the address of the resolver is host:port", async (t) => {
  for (const wrong of ["", "127.0.0.1", "::1:53", "127.0.0.1:0", "127.0.0.1:70000", "a b:x", "[::1]"]) {
    t.throws(() => createResolver({ dnsResolver: wrong, timeoutMs: 100 }), TypeError, wrong);
  }
  const { address } = await lookup("localhost");
  const server = await startDnsServer(() => [{ type: "TXT", data: "here" }], address);
  t.teardown(() => server.close());
  for (const host of ["localhost", address.includes(":") ? `[${address}]` : address]) {
    const resolver = createResolver({ dnsResolver: `${host}:${server.port}`, timeoutMs: 1000 });
    t.same(await resolver.txt("a.example", signal), ["here"], host);
  }
});

t.test("a lookup ends when its signal aborts", async (t) => {
  const { txt } = await resolverWith(t, () => "silence", 5000);
  const controller = new AbortController();
  const asked = txt("silent.example", controller.signal);
  setTimeout(() => controller.abort(new Error("gave up")), 50);
  await t.rejects(asked, { message: "gave up" });
});
