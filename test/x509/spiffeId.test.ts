import t from "tap";
import { isPathSegment, isTrustDomain, parseSpiffeId } from "../../src/x509/spiffeId.ts";

t.test("RURI-1 legal SPIFFE IDs are taken apart", (t) => {
  const domain = "d".repeat(255);
  const legal: readonly [string, string, string[]][] = [
    ["spiffe://example.org/ns/prod/sa/web", "example.org", ["ns", "prod", "sa", "web"]],
    ["spiffe://td/A-b_c.9", "td", ["A-b_c.9"]],
    ["spiffe://192.0.2.1/x", "192.0.2.1", ["x"]],
    ["spiffe://-_./x", "-_.", ["x"]],
    ["spiffe://td/...", "td", ["..."]],
    [`spiffe://${domain}/x`, domain, ["x"]],
    [`spiffe://td/${"p".repeat(2048 - 12)}`, "td", ["p".repeat(2048 - 12)]],
  ];
  for (const [value, trustDomain, segments] of legal) {
    t.strictSame(parseSpiffeId(value), { trustDomain, path: `/${segments.join("/")}`, segments }, value.slice(0, 60));
  }
  t.end();
});

t.test("H-18b illegal SPIFFE IDs are refused by the rule they break", (t) => {
  const illegal: readonly [string, RegExp][] = [
    ["", /begins with/],
    ["https://td/x", /begins with/],
    ["SPIFFE://td/x", /begins with/],
    ["Spiffe://td/x", /begins with/],
    ["spiffe:/td/x", /begins with/],
    [" spiffe://td/x", /begins with/],
    ["spiffe://", /has a trust domain/],
    ["spiffe:///x", /has a trust domain/],
    ["spiffe://TD/x", /trust domain has only/],
    ["spiffe://t%64/x", /percent/],
    ["spiffe://td:443/x", /port/],
    ["spiffe://td:/x", /port/],
    ["spiffe://[2001:db8::1]/x", /port/],
    ["spiffe://user@td/x", /user information/],
    ["spiffe://user:pass@td/x", /user information/],
    ["spiffe://@td/x", /user information/],
    ["spiffe://tü/x", /trust domain has only/],
    ["spiffe://t d/x", /trust domain has only/],
    [`spiffe://${"d".repeat(256)}/x`, /at most 255/],
    ["spiffe://td", /has a path/],
    ["spiffe://td/", /has a path/],
    ["spiffe://td/x/", /end in a slash/],
    ["spiffe://td//x", /empty segment/],
    ["spiffe://td/x//y", /empty segment/],
    ["spiffe://td/./x", /\. or \.\./],
    ["spiffe://td/x/..", /\. or \.\./],
    ["spiffe://td/x?", /query/],
    ["spiffe://td/x?y", /query/],
    ["spiffe://td?x", /query/],
    ["spiffe://td/x#", /fragment/],
    ["spiffe://td/%78", /percent/],
    ["spiffe://td/a:b", /path segment has only/],
    ["spiffe://td/a~b", /path segment has only/],
    ["spiffe://td/a@b", /path segment has only/],
    ["spiffe://td/a+b", /path segment has only/],
    ["spiffe://td/a b", /path segment has only/],
    ["spiffe://td/é", /path segment has only/],
    ["spiffe://td/a\u0000", /path segment has only/],
    ["spiffe://td/a\n", /path segment has only/],
    ["spiffe://td\n/a", /trust domain has only/],
    [`spiffe://td/${"p".repeat(2048 - 11)}`, /at most 2048/],
    [`spiffe://td/${"é".repeat(1020)}`, /at most 2048/],
  ];
  for (const [value, message] of illegal) {
    t.throws(() => parseSpiffeId(value), { name: "SpiffeIdError", message }, JSON.stringify(value.slice(0, 60)));
  }
  t.end();
});

t.test("parts by themselves", (t) => {
  t.ok(isTrustDomain("a.b-c_d.9"));
  for (const value of ["", "A", "a/b", "a:1", "a\n", "d".repeat(256)])
    t.notOk(isTrustDomain(value), JSON.stringify(value));
  t.ok(isPathSegment("a.B-c_9"));
  for (const value of ["", ".", "..", "a/b", "a%", "a\n"]) t.notOk(isPathSegment(value), JSON.stringify(value));
  t.end();
});
