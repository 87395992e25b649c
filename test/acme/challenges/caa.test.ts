import t from "tap";
import { createCaaCheck, objectionOf } from "../../../src/acme/challenges/caa.ts";
import type { CaaRecord } from "../../../src/outbound/dnsMessage.ts";
import { OutboundFailure } from "../../../src/outbound/failure.ts";

const accountUrl = "https://ca.example/acme/account/1";
const asked = { wildcard: false, accountUrl, method: "http-01" } as const;
const wild = { ...asked, wildcard: true, method: "dns-01" } as const;
const identities = ["ca.example", "ca.test"];
const { signal } = new AbortController();

/** "issue ca.example", with ! in front for the critical flag. */
const record = (text: string): CaaRecord => {
  const [, flag, tag = "", value = ""] = /^(!?)(\S+) ?(.*)$/.exec(text) ?? [];
  return { critical: flag === "!", tag, value };
};
const objection = (question: Parameters<typeof objectionOf>[1], ...texts: string[]) =>
  objectionOf(texts.map(record), question, identities);

t.test("R8659-2 issue for names, issuewild first for wildcards, an empty issuer forbids", (t) => {
  t.equal(objection(asked), undefined, "no records");
  t.equal(objection(asked, "issue ca.example"), undefined);
  t.equal(objection(asked, "issue CA.test"), undefined, "another identity, in any case");
  t.match(objection(asked, "issue other.example"), /^issue: no property names this CA/);
  t.equal(objection(asked, "issue other.example", "issue ca.example"), undefined, "one is enough");
  t.match(objection(asked, "issue ;"), /no property/);
  t.match(objection(asked, "issue"), /no property/);
  t.equal(objection(asked, "issue ;", "issue ca.example"), undefined, "an empty one takes nothing away");
  t.match(objection(asked, "issue ca.example."), /no property/, "what is malformed names nobody");
  t.equal(objection(asked, "iodef mailto:a@b.example"), undefined, "no property that restricts");
  t.equal(objection(asked, "issuewild other.example"), undefined, "wildcards' is not for others");

  t.equal(objection(wild, "issue ca.example"), undefined);
  t.match(objection(wild, "issue other.example"), /^issue: no property/);
  t.equal(objection(wild, "issue other.example", "issuewild ca.example"), undefined, "issuewild takes precedence");
  t.match(objection(wild, "issue ca.example", "issuewild ;"), /^issuewild: no property/);
  t.match(objection(wild, "issue ca.example", "issuewild other.example"), /^issuewild: no property/);
  t.end();
});

t.test("R8659-3 an unknown critical property forbids, an unknown one without the flag does not", (t) => {
  t.match(objection(asked, "!future x", "issue ca.example"), /"future" is critical and unknown/);
  t.equal(objection(asked, "future x", "issue ca.example"), undefined);
  t.equal(objection(asked, "!issue ca.example", "!iodef x", "!issuemail ;"), undefined, "known ones may be critical");
  t.match(objection(asked, "!__proto__ x"), /"__proto__" is critical/);
  t.end();
});

t.test("R8657-1 accounturi must be the account's URL", (t) => {
  t.equal(objection(asked, `issue ca.example; accounturi=${accountUrl}`), undefined);
  for (const other of [
    `${accountUrl}0`,
    `${accountUrl}/`,
    accountUrl.toUpperCase(),
    "https://ca.example/acme/account/2",
    "x",
    "",
  ])
    t.match(objection(asked, `issue ca.example; accounturi=${other}`), /accounturi is not this account's/, other);
  t.match(
    objection(asked, `issue ca.example; accounturi=${accountUrl}; accounturi=${accountUrl}`),
    /accounturi/,
    "two",
  );
  t.match(objection(asked, `issue ca.example; AccountURI=x`), /accounturi/, "in any case");
  t.equal(
    objection(asked, `issue ca.example; accounturi=x`, "issue ca.example"),
    undefined,
    "another property permits",
  );
  t.equal(objection(asked, `issue ca.example; unknown=1`), undefined, "an unknown parameter");
  t.match(objection(asked, `issue other.example; accounturi=${accountUrl}`), /no property names this CA/);
  t.end();
});

t.test("R8657-2 validationmethods must have the method that was used", (t) => {
  t.equal(objection(asked, "issue ca.example; validationmethods=http-01"), undefined);
  t.equal(objection(asked, "issue ca.example; validationmethods=dns-01,http-01"), undefined);
  for (const methods of [
    "dns-01",
    "",
    "http-01x",
    "HTTP-01",
    ",http-01",
    "http-01,",
    "http-01,,dns-01",
    "http_01,http-01",
  ])
    t.match(objection(asked, `issue ca.example; validationmethods=${methods}`), /does not have http-01/, methods);
  const twice = "validationmethods=http-01; validationmethods=http-01";
  t.match(objection(asked, `issue ca.example; ${twice}`), /does not have http-01/, "two");
  const both = `accounturi=${accountUrl}; validationmethods=dns-01`;
  t.match(objection(asked, `issue ca.example; ${both}`), /validationmethods/);
  t.equal(objection(wild, `issue ca.example; ${both}`), undefined);
  t.end();
});

/** A check in a world of these records, and what was asked for. */
function world(zone: Record<string, string[] | Error>) {
  const lookups: string[] = [];
  const caa = createCaaCheck(
    {
      async caa(name) {
        lookups.push(name);
        const found = zone[name] ?? [];
        if (found instanceof Error) throw found;
        return found.map(record);
      },
    },
    identities,
  );
  const check = (...names: string[]) => {
    const ask = caa.asker(signal);
    return Promise.all(names.map((name) => ask({ ...asked, name })));
  };
  return { lookups, check };
}

t.test("R8659-1 the first set from the name towards the root decides", async (t) => {
  const zone = {
    "a.b.example": ["issue ca.example"],
    "b.example": ["issue other.example"],
    example: ["issue ;"],
    test: ["iodef mailto:x"],
  };
  const { lookups, check } = world(zone);
  t.same(await check("a.b.example"), [undefined]);
  t.same(lookups, ["a.b.example"], "nothing above it is asked for");
  t.match(await check("c.b.example"), [
    { problem: "caa", message: /CAA records of b\.example do not permit c\.b\.example/ },
  ]);
  t.match(await check("d.example"), [{ problem: "caa", message: /of example do not permit/ }]);
  lookups.length = 0;
  t.same(await check("x.y.z.invalid"), [undefined], "none at all");
  t.same(lookups, ["x.y.z.invalid", "y.z.invalid", "z.invalid", "invalid"], "the root is not asked");
});

t.test("R8659-2 every name is looked at, ancestors in common once", async (t) => {
  const names = Array.from({ length: 20 }, (_, index) => `n${index}.b.example`);
  const { lookups, check } = world({ "n7.b.example": ["issue other.example"], "n13.b.example": ["issue ;"] });
  const answers = await check(...names);
  t.same(
    answers.flatMap((answer, index) => (answer === undefined ? [] : [index])),
    [7, 13],
  );
  t.same(
    lookups.filter((name) => name.startsWith("n")).toSorted(),
    names.toSorted(),
    "each name once, not one name twenty times",
  );
  t.same(lookups.filter((name) => !name.startsWith("n")).toSorted(), ["b.example", "example"]);
});

t.test("R8659-4 a failed lookup is no permission, at the name or above it", async (t) => {
  const failed = new OutboundFailure("dns", "CAA lookup of b.example failed: SERVFAIL", { retryable: true });
  const { check } = world({ "b.example": failed, "d.example": ["issue ca.example"], "e.d.example": failed });
  t.match(await check("b.example"), [{ name: "ValidationFailure", problem: "dns", retryable: true }]);
  t.match(await check("a.b.example"), [{ problem: "dns" }]);
  t.match(await check("e.d.example"), [{ problem: "dns" }], "a permission above it does not help");
  const ours = new OutboundFailure("ours", "the resolver cannot be used");
  await t.rejects(
    world({ "b.example": ours }).check("b.example"),
    { name: "OutboundFailure", problem: "ours" },
    "and our own trouble is no answer",
  );
});
