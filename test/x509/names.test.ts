import { domainToASCII } from "node:url";
import t from "tap";
import { bytesToIp, canonicalDnsName, canonicalIp, ipToBytes } from "../../src/x509/names.ts";

const label63 = "a".repeat(63);
const name253 = [label63, label63, label63, "a".repeat(61)].join(".");

t.test("legal DNS names come out in lower case", (t) => {
  for (const value of ["a", "localhost", "a.example", "A.Example", "a1.example", "3com.example"]) {
    t.equal(canonicalDnsName(value, { wildcard: false }), value.toLowerCase());
  }
  for (const value of [
    name253,
    "r3---a.example",
    "0xg",
    "a-b",
    "xn--bcher-kva.example",
    "XN--BCHER-KVA",
    "1.2.3.4.example",
  ]) {
    t.equal(canonicalDnsName(value, { wildcard: false }), value.toLowerCase());
  }
  t.equal(canonicalDnsName("*.Example", { wildcard: true }), "*.example");
  t.equal(canonicalDnsName("a.example", { wildcard: true }), "a.example");
  t.end();
});

t.test("R7.1.4-3, H-18a illegal DNS names are refused by the rule they break", (t) => {
  const illegal: readonly [string, RegExp][] = [
    ["", /empty/],
    [`a${name253}`, /253/],
    [`b.${label63}a`, /63/],
    ["a.example.", /ends in a dot/],
    [".", /ends in a dot/],
    ["a..b", /empty label/],
    [".a", /empty label/],
    ["a_b", /letter, digit or hyphen/],
    ["_acme-challenge.a", /letter, digit or hyphen/],
    ["-a", /hyphen/],
    ["a-.b", /hyphen/],
    ["a b", /visible ASCII/],
    ["a\u0000.b", /visible ASCII/],
    ["a\n", /visible ASCII/],
    ["bücher.example", /visible ASCII/],
    ["a.\u212a", /visible ASCII/],
    ["a/b", /letter, digit or hyphen/],
    ["a:443", /letter, digit or hyphen/],
    ["192.0.2.1", /IP address/],
    ["127.1", /IP address/],
    ["2130706433", /IP address/],
    ["a.0x7f", /IP address/],
    ["0x", /IP address/],
    ["a.1", /IP address/],
    ["2001:db8::1", /letter, digit or hyphen/],
    ["xn--", /hyphen/],
    ["xn--a", /A-label/],
    ["xn--abc.example", /A-label/],
    ["xn--a-0.example", /A-label/],
    ["a.xn--99zz99zz", /A-label/],
    ["*", /behind it|not allowed/],
    ["a.*.b", /whole first label/],
    ["a*.b", /whole first label/],
  ];
  for (const [value, message] of illegal) {
    for (const wildcard of [false, true]) {
      t.throws(() => canonicalDnsName(value, { wildcard }), { name: "NameError", message }, JSON.stringify(value));
    }
  }
  t.throws(() => canonicalDnsName("*.a", { wildcard: false }), { name: "NameError", message: /not allowed/ });
  for (const [value, message] of [
    ["*.", /ends in a dot/],
    ["*.*.a", /whole first label/],
    ["*.192.0.2.1", /IP address/],
    ["*..a", /empty label/],
    ["**.a", /whole first label/],
  ] as const) {
    t.throws(() => canonicalDnsName(value, { wildcard: true }), { name: "NameError", message }, value);
  }
  t.end();
});

t.test("A-labels of many scripts are valid as their own witness makes them", (t) => {
  for (const unicode of ["bücher", "mañana", "παράδειγμα", "пример", "例え", "उदाहरण", "مثال", "faß"]) {
    const label = domainToASCII(unicode);
    t.match(label, /^xn--/);
    t.equal(canonicalDnsName(label, { wildcard: false }), label);
  }
  t.end();
});

t.test("canonical addresses go to octets and back", (t) => {
  const addresses: readonly [string, string][] = [
    ["0.0.0.0", "00000000"],
    ["192.0.2.255", "c00002ff"],
    ["::", "0".repeat(32)],
    ["::1", `${"0".repeat(31)}1`],
    ["1::", `0001${"0".repeat(28)}`],
    ["2001:db8::1", `20010db8${"0".repeat(23)}1`],
    ["2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001"],
    ["2001:0:0:1::1", "20010000000000010000000000000001"],
    ["2001:db8::1:0:0:1", "20010db8000000000001000000000001"],
    ["0:0:0:1::", "00000000000000010000000000000000"],
    ["::102:304", "00000000000000000000000001020304"],
    ["fe80::abcd", "fe80000000000000000000000000abcd"],
  ];
  for (const [text, bytes] of addresses) {
    t.equal(canonicalIp(text), text);
    t.equal(ipToBytes(text).toString("hex"), bytes, text);
    t.equal(bytesToIp(Buffer.from(bytes, "hex")), text);
  }
  t.end();
});

t.test("other addresses are refused", (t) => {
  for (const text of [
    [
      "",
      "a",
      "1.2.3",
      "1.2.3.4.5",
      "01.2.3.4",
      "1.2.3.256",
      "1.2.3.4 ",
      " 1.2.3.4",
      "0x1.2.3.4",
      "1.2.3.4/32",
      "1.2.3.4\n",
    ],
    [
      "2001:DB8::1",
      "2001:0db8::1",
      "2001:db8:0:0:0:0:0:1",
      "2001:db8::0:1",
      "::2:3:4:5:6:7:8",
      "2001:db8:0:1::1:1:1:1",
    ],
    [
      "2001::1:0:0:0:1",
      "fe80::1%eth0",
      "fe80::1%1",
      "::ffff:1.2.3.4",
      "::ffff:102:304",
      "::1.2.3.4",
      "64:ff9b::1.2.3.4",
    ],
    ["[::1]", "::1\n", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::g"],
  ].flat()) {
    t.throws(() => ipToBytes(text), { name: "NameError" }, JSON.stringify(text));
    t.throws(() => canonicalIp(text), { name: "NameError" }, JSON.stringify(text));
  }
  for (const length of [0, 3, 5, 15, 17]) t.throws(() => bytesToIp(new Uint8Array(length)), { name: "NameError" });
  t.throws(() => bytesToIp(Buffer.from("00000000000000000000ffff01020304", "hex")), { message: /IPv4 address in 16/ });
  t.end();
});

t.test("octets and text are one to one over seeded addresses", (t) => {
  let state = 7;
  const octet = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  const wrong: string[] = [];
  for (let i = 0; i < 2000; i++) {
    // Mostly zeros, so that runs of every length and place occur.
    const bytes = Buffer.from(Array.from({ length: 16 }, () => (octet() < 150 ? 0 : octet())));
    const text = bytesToIp(bytes);
    // The URL parser is the witness: it writes IPv6 hosts after RFC 5952.
    if (!ipToBytes(text).equals(bytes) || new URL(`http://[${text}]/`).hostname !== `[${text}]`) wrong.push(text);
  }
  t.strictSame(wrong, []);
  t.end();
});
