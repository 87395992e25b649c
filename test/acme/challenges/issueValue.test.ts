import t from "tap";
import { parameterValues, readIssueValue } from "../../../src/acme/challenges/issueValue.ts";

t.test("R8659-2 issue-value: what the grammar of RFC 8659 §4.2 has", (t) => {
  const good: [text: string, issuer: string, parameters: string][] = [
    ["ca.example", "ca.example", ""],
    ["  CA.Example\t", "ca.example", ""],
    ["", "", ""],
    [";", "", ""],
    [" ; ", "", ""],
    ["%%%%%".replaceAll("%", ""), "", ""],
    ["ca.example;", "ca.example", ""],
    ["ca.example; accounturi=https://ca.example/1", "ca.example", "accounturi=https://ca.example/1"],
    ["ca.example;a=1 ; b = 2", "ca.example", "a=1 b=2"],
    ["; a=", "", "a="],
    ["ca-1.x--y.example; a-b=c=d", "ca-1.x--y.example", "a-b=c=d"],
    ["ca.example; AccountURI=X", "ca.example", "accounturi=X"],
    ["ca.example; a=1; a=2", "ca.example", "a=1 a=2"],
  ];
  for (const [text, issuer, parameters] of good) {
    const read = readIssueValue(text);
    t.equal(read?.issuer, issuer, JSON.stringify(text));
    t.equal(read?.parameters.map(({ tag, value }) => `${tag}=${value}`).join(" "), parameters, JSON.stringify(text));
  }
  const wrong = [
    "ca.example.",
    ".ca.example",
    "ca..example",
    "-ca.example",
    "ca-.example",
    "ca_1.example",
    "*.example",
    "ca.example other.example",
    "ca.example a=1",
    "ca.example; a",
    "ca.example; a=1;",
    "ca.example;; a=1",
    "ca.example; =1",
    "ca.example; a=1 2",
    "ca.example; a=\u00e9",
    "ca.example; a=1\n",
    "ca.example\0",
    "%%%%%",
    `ca.example; a=${"x".repeat(5000)}`,
  ];
  for (const text of wrong) t.equal(readIssueValue(text), undefined, JSON.stringify(text.slice(0, 40)));
  t.end();
});

t.test("all values of a parameter, whatever the case of its tag", (t) => {
  const read = readIssueValue("ca.example; a=1; B=2; A=3");
  t.same(read && parameterValues(read, "a"), ["1", "3"]);
  t.same(read && parameterValues(read, "c"), []);
  t.end();
});

t.test("hostile values end quickly", (t) => {
  const begun = performance.now();
  for (const text of [
    "a-".repeat(2000),
    `${"a.".repeat(2000)}!`,
    `ca;${" ".repeat(4000)}x`,
    ";".repeat(4000),
    `x; ${"-a".repeat(2000)}=`,
  ])
    readIssueValue(text);
  t.ok(performance.now() - begun < 500);
  t.end();
});
