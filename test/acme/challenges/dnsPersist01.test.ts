import t from "tap";
import { dnsPersist01, hashedUri } from "../../../src/acme/challenges/dnsPersist01.ts";
import { startDnsServer } from "../../support/dnsServer.ts";
import { plainly, testOutbound } from "../../support/validationTargets.ts";

const { signal } = new AbortController();
const account = {
  url: "https://ca.example/acct/123",
  hashPrefix: "https://ca.example/account-hash/",
  // The key of RFC 7638 §3.1, and one from before.
  thumbprints: () =>
    Promise.resolve([Buffer.from("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "base64url"), Buffer.alloc(32, 7)]),
};
const issuerDomainNames = ["authority.example", "ca.example.net"];
const now = new Date("2026-11-26T12:00:00Z");
const seconds = now.getTime() / 1000;

const uri = "https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw";
const anyDomain = "https://ca.example/account-hash/sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug";
const base = `authority.example; accounturi=${uri}`;

async function validate(records: readonly string[], wants: { wildcard?: boolean; subdomains?: boolean } = {}) {
  // A string of a TXT record has at most 255 octets.
  const pieces = (text: string) => [text.slice(0, 200), text.slice(200)];
  const server = await startDnsServer((_, type) =>
    type === "TXT" ? records.map((text) => ({ type: "TXT", data: pieces(text) }) as const) : "NXDOMAIN",
  );
  const ground = testOutbound({ dnsResolver: server.address, now: () => now });
  const identifier = { type: "dns", value: "example.com" } as const;
  const validation = { ...plainly, identifier, token: "", keyAuthorization: "", account, issuerDomainNames, ...wants };
  const outcome = await dnsPersist01(validation, ground, signal);
  server.close();
  return { outcome, questions: server.questions };
}

t.test("the draft's test vectors (§10.2)", async (t) => {
  const [thumbprint = Buffer.alloc(0)] = await account.thumbprints();
  t.equal(hashedUri(account.hashPrefix, "example.com", thumbprint, account.url), uri);
  t.equal(hashedUri(account.hashPrefix, "*", thumbprint, account.url), anyDomain);
});

t.test("RDP-2 a record that names an issuer of the challenge and the account", async (t) => {
  const { outcome, questions } = await validate([base]);
  t.same(outcome, { ok: true });
  t.same(new Set(questions.map((question) => question.split(" ")[1])), new Set(["_validation-persist.example.com"]));
  const former = hashedUri(account.hashPrefix, "example.com", Buffer.alloc(32, 7), account.url);
  for (const record of [
    `authority.example; accounturi=${anyDomain}`,
    `CA.example.net;accounturi=${uri}`,
    `authority.example; accounturi=${former}`,
    `authority.example; accounturi=${account.url}`,
  ])
    t.same((await validate([record])).outcome, { ok: true }, record);
  t.same((await validate(["other.example; accounturi=x", "v=spf1 -all", base])).outcome, { ok: true }, "among others");
});

t.test("RDP-3 without accounturi, or with another account's", async (t) => {
  const refused = async (record: string, problem: string, detail: RegExp) =>
    t.match((await validate([record])).outcome, { ok: false, problem, detail, retryable: false }, record);
  await refused("authority.example", "malformed", /no accounturi/);
  await refused("authority.example; accounturi=", "unauthorized", /not this account's/);
  await refused(`authority.example; accounturi=${account.url}4`, "unauthorized", /not this account's/);
  await refused(`authority.example; accounturi=${uri.toUpperCase()}`, "unauthorized", /not this account's/);
  await refused(
    `authority.example; accounturi=${account.hashPrefix}sha-256/${"A".repeat(43)}`,
    "unauthorized",
    /not this/,
  );
  await refused(`authority.example; accounturi=${account.hashPrefix}sha-256/short`, "malformed", /not this account's/);
  await refused(`authority.example; accounturi=${account.hashPrefix}md5/${"A".repeat(43)}`, "malformed", /not this/);
  const elsewhere = hashedUri(account.hashPrefix, "example.org", Buffer.alloc(32, 7), account.url);
  await refused(`authority.example; accounturi=${elsewhere}`, "unauthorized", /not this account's/);
  await refused(`other.example; accounturi=${uri}`, "unauthorized", /does not name this CA/);
  t.match((await validate([])).outcome, { ok: false, problem: "unauthorized", detail: /there is none/ });
});

t.test("RDP-4 a wildcard, or all names below, need policy=wildcard", async (t) => {
  for (const wants of [{ wildcard: true }, { subdomains: true }]) {
    t.match((await validate([base], wants)).outcome, { ok: false, problem: "unauthorized", detail: /policy=wildcard/ });
    t.match((await validate([`${base}; policy=wild`], wants)).outcome, { ok: false, detail: /policy=wildcard/ });
    t.same((await validate([`${base}; policy=WildCard`], wants)).outcome, { ok: true });
  }
  t.same((await validate([`${base}; policy=wildcard`])).outcome, { ok: true }, "which covers the name itself");
  t.same((await validate([`${base}; policy=other`])).outcome, { ok: true }, "an unknown policy is as none");
});

t.test("RDP-5 persistUntil: past, no time, and as the end of what was found", async (t) => {
  t.match((await validate([`${base}; persistUntil=${seconds}`])).outcome, {
    ok: false,
    problem: "unauthorized",
    detail: /passed/,
  });
  t.match((await validate([`${base}; persistUntil=1`])).outcome, { ok: false, problem: "unauthorized" });
  for (const wrong of ["", "soon", "-1", "1.5", "0x7fffffff", "2026-12-01T00:00:00Z"])
    t.match((await validate([`${base}; persistUntil=${wrong}`])).outcome, { ok: false, problem: "malformed" }, wrong);
  const until = (await validate([`${base}; persistUntil=${seconds + 60}`])).outcome;
  t.same(until, { ok: true, validUntil: new Date((seconds + 60) * 1000) });
  const two = [`${base}; persistUntil=${seconds + 60}`, `${base}; persistUntil=${seconds + 90}`];
  t.same((await validate(two)).outcome, { ok: true, validUntil: new Date((seconds + 90) * 1000) }, "the longer one");
  t.same((await validate([...two, base])).outcome, { ok: true }, "and one without an end");
  t.same((await validate([`${base}; persistUntil=999999999999999`])).outcome, { ok: true }, "beyond all dates");
});

t.test("RDP-6 unknown parameters are ignored; what is malformed does not count, and others may", async (t) => {
  t.same((await validate([`${base}; future=1; another=x`])).outcome, { ok: true });
  const malformed = [
    `${base};; policy=wildcard`,
    `${base}; policy`,
    `${base}; accounturi=${uri}`,
    `${base}; policy=a; POLICY=b`,
    `${base}; persistUntil=1; persistUntil=2`,
    "authority.example accounturi=x",
  ];
  for (const record of malformed) {
    t.match((await validate([record])).outcome, { ok: false, problem: "malformed" }, record);
    t.same((await validate([record, base])).outcome, { ok: true }, `beside a good one: ${record}`);
  }
});

t.test("not for addresses", async (t) => {
  const validation = {
    ...plainly,
    identifier: { type: "ip", value: "192.0.2.1" },
    token: "",
    keyAuthorization: "",
  } as const;
  t.match(await dnsPersist01(validation, testOutbound({}), signal), { ok: false, problem: "rejectedIdentifier" });
});
