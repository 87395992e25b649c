import { createHash } from "node:crypto";
import t from "tap";
import { accountLabel, dns01, dnsAccount01 } from "../../../src/acme/challenges/dns01.ts";
import type { ValidationOutcome } from "../../../src/acme/challenges/validation.ts";
import { type DnsAnswer, startDnsServer } from "../../support/dnsServer.ts";
import { type Teardown, testOutbound, plainly } from "../../support/validationTargets.ts";

const signal = new AbortController().signal;
const token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const keyAuthorization = `${token}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI`;
const expected = createHash("sha256").update(keyAuthorization).digest("base64url");
const txt = (...data: string[]) => ({ type: "TXT", data }) as const;

async function validate(
  t: Teardown,
  answer: DnsAnswer,
  value = "a.example",
): Promise<ValidationOutcome & { questions: string[] }> {
  const server = await startDnsServer(() => answer);
  t.teardown(() => server.close());
  const validation = { identifier: { type: "dns", value }, token, keyAuthorization, ...plainly } as const;
  // Addresses play no part: what is asked is the resolver that the operator configured.
  const outbound = testOutbound({ dnsResolver: server.address, allowPrivate: false });
  return { ...(await dns01(validation, outbound, signal)), questions: server.questions };
}

t.test("R8.4-1 the digest in a TXT record: alone, among others, in pieces, behind a CNAME, over TCP", async (t) => {
  const alone = await validate(t, [txt(expected)]);
  t.same(alone, { ok: true, questions: ["TXT _acme-challenge.a.example over udp"] });
  const good: DnsAnswer[] = [
    [txt("v=spf1 -all"), txt(expected), txt("")],
    [txt(expected.slice(0, 10), expected.slice(10, 11), "", expected.slice(11))],
    [
      { type: "CNAME", data: "a.validation.example" },
      { ...txt(expected), name: "a.validation.example" },
    ],
    [...Array.from({ length: 20 }, (_, i) => txt(String(i).repeat(60))), txt(expected)],
  ];
  for (const answer of good) t.match(await validate(t, answer), { ok: true });
});

t.test("anything else is unauthorized and quoted safely", async (t) => {
  const name = '"_acme-challenge.a.example"';
  const bad: [answer: DnsAnswer, detail: string][] = [
    [[], "there is no TXT record at _acme-challenge.a.example"],
    [
      [txt(keyAuthorization)],
      `the TXT record at ${name} is "${keyAuthorization.slice(0, 80)}...", not the expected one`,
    ],
    [[txt(expected.toLowerCase())], `the TXT record at ${name} is "${expected.toLowerCase()}", not the expected one`],
    [[txt(`${expected}=`)], `the TXT record at ${name} is "${expected}=", not the expected one`],
    [[txt(` ${expected}`)], `the TXT record at ${name} is " ${expected}", not the expected one`],
    [[txt("\x1b[2J<script>")], `the TXT record at ${name} is "?[2J?script?", not the expected one`],
  ];
  for (const [answer, detail] of bad) {
    t.match(await validate(t, answer), { ok: false, problem: "unauthorized", detail, retryable: false });
  }
  const huge = await validate(
    t,
    Array.from({ length: 50 }, () => txt("x".repeat(255), "y".repeat(255))),
  );
  t.match(huge, { ok: false, problem: "unauthorized", detail: /^.{100,300}$/ });
  t.match(huge, { detail: /\(and 49 more\)/ });
});

t.test("H-15a NXDOMAIN, SERVFAIL and silence are dns, worth another try", async (t) => {
  for (const answer of ["NXDOMAIN", "SERVFAIL", "silence"] as const) {
    t.match(await validate(t, answer), { ok: false, problem: "dns", retryable: true }, answer);
  }
});

t.test("H-15c a name too long for its prefix is refused without a question", async (t) => {
  const value = [...Array<string>(7).fill("a".repeat(31)), "b".repeat(20)].join(".");
  t.equal(value.length, 244);
  t.match(await validate(t, [txt(expected)], value), { ok: false, problem: "dns", retryable: false, questions: [] });
});

t.test("names under localhost have no TXT records, and nobody is asked", async (t) => {
  t.match(await validate(t, [txt(expected)], "a.localhost"), { ok: false, problem: "unauthorized", questions: [] });
});

t.test("R8738-4 not for IP identifiers", async (t) => {
  const validation = { identifier: { type: "ip", value: "192.0.2.1" }, token, keyAuthorization, ...plainly } as const;
  t.match(await dns01(validation, testOutbound({}), signal), {
    ok: false,
    problem: "rejectedIdentifier",
    retryable: false,
  });
});

t.test("RDAL-2 the label: the draft's example", async (t) => {
  t.equal(accountLabel("https://example.com/acme/acct/ExampleAccount"), "_ujmmovf2vn55tgye");
});

t.test("RDAL-3 dns-account-01: the digest of dns-01, at a name of the account's own", async (t) => {
  const label = accountLabel(plainly.account.url);
  const server = await startDnsServer((name) => (name.startsWith(label) ? [txt(expected)] : [txt("other")]));
  t.teardown(() => server.close());
  const outbound = testOutbound({ dnsResolver: server.address });
  const validation = { ...plainly, identifier: { type: "dns", value: "a.example" }, token, keyAuthorization } as const;
  t.same(await dnsAccount01(validation, outbound, signal), { ok: true });
  t.same(server.questions, [`TXT ${label}._acme-challenge.a.example over udp`]);
  const other = { ...validation, account: { ...plainly.account, url: "https://ca.example/acme/account/2" } };
  t.match(await dnsAccount01(other, outbound, signal), { ok: false, problem: "unauthorized" });
  const address = { ...validation, identifier: { type: "ip", value: "192.0.2.1" } } as const;
  t.match(await dnsAccount01(address, outbound, signal), { ok: false, problem: "rejectedIdentifier" });
});
