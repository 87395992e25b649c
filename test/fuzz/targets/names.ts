/** DNS names, addresses, SPIFFE IDs, contacts and times, as text. */
import { isIPv4, isIPv6 } from "node:net";
import { readContact } from "../../../src/acme/contact.ts";
import { Problem } from "../../../src/problem/problem.ts";
import { bytesToIp, canonicalDnsName, canonicalIp, ipToBytes, NameError } from "../../../src/x509/names.ts";
import { parseSpiffeId, SpiffeIdError } from "../../../src/x509/spiffeId.ts";
import { parseGeneralizedTime, parseRfc3339, parseUtcTime } from "../../../src/x509/time.ts";
import { bendJson, bendText, type Json } from "../mutate.ts";
import type { Random } from "../random.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const bentFrom = (random: Random, texts: readonly string[]): Buffer => {
  const text = random.pick(texts);
  return Buffer.from(random.chance(0.15) ? text : bendText(random, text));
};

const dnsNames = [
  "a.example",
  "*.a.example",
  "localhost",
  "xn--mnchen-3ya.example",
  "xn--nxasmq6b",
  "a-b.c--d.example",
  "1.2.3.4.example",
  "a".repeat(63) + ".example",
  `${"a.".repeat(125)}abc`,
  "xn--fiqs8s",
  "A.EXAMPLE",
  "127.1",
  "0x7f.1",
  "a._tcp.example",
];

const dnsName: Target = {
  name: "dns-name",
  about: "DNS names of orders and requests; the URL parser is the witness",
  cases: 10_000,
  slowMs: 200,
  make: (random) => bentFrom(random, dnsNames),
  check(input) {
    const text = input.toString("utf8");
    const name = readOrRefuse(() => canonicalDnsName(text, { wildcard: true }), NameError);
    if (name === undefined) return "refused";
    holds(canonicalDnsName(name, { wildcard: true }) === name, "the canonical name has another canonical name");
    holds(name === text.toLowerCase(), "it is another name");
    const host = name.replace(/^\*\./, "");
    holds(host.length <= 253 && !host.includes("*"), "too long, or a wildcard inside");
    holds(URL.parse(`http://${host}/`)?.hostname === host, "a URL with it has another host");
    holds(!isIPv4(host) && !isIPv6(host), "it is an address");
    if (name !== host)
      holds(readOrRefuse(() => canonicalDnsName(text, { wildcard: false }), NameError) === undefined, "a wildcard");
    return "accepted";
  },
};

const addresses = [
  "192.0.2.1",
  "0.0.0.0",
  "255.255.255.255",
  "2001:db8::1",
  "::",
  "::1",
  "2001:db8:0:1:1:1:1:1",
  "2001:0:0:1::1",
  "::ffff:192.0.2.1",
  "64:ff9b::c000:201",
  "fe80::1%eth0",
  "2001:db8:1::/48",
  "127.0.0.1:80",
  "010.0.0.1",
  "1:2:3:4:5:6:7:8",
  "1::8",
  "a:0:0:b:0:0:0:c",
];

const ipAddress: Target = {
  name: "ip-address",
  about: "IP addresses as text; net and the URL parser are the witnesses",
  cases: 10_000,
  slowMs: 200,
  make: (random) => bentFrom(random, addresses),
  check(input) {
    const text = input.toString("utf8");
    const address = readOrRefuse(() => canonicalIp(text), NameError);
    if (address === undefined) {
      const host = isIPv6(text)
        ? URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1)
        : URL.parse(`http://${text}/`)?.hostname;
      // RFC 5952 text that is refused must be one of those that are refused on purpose.
      const mapped = host?.startsWith("::ffff:") === true;
      holds(mapped || !(isIPv4(text) || isIPv6(text)) || host !== text, "it is canonical");
      return "refused";
    }
    holds(address === text && (isIPv4(text) || isIPv6(text)), "it is no address");
    holds(bytesToIp(ipToBytes(text)) === text, "its octets have another text");
    const url = URL.parse(isIPv6(text) ? `http://[${text}]/` : `http://${text}/`);
    holds(url?.hostname.replace(/^\[|\]$/g, "") === text, "a URL writes it in another way");
    return "accepted";
  },
};

/** SPIFFE-ID §2 in one expression, beside the reader that tells what is wrong. */
const spiffeForm = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/;

const spiffeId: Target = {
  name: "spiffe-id",
  about: "SPIFFE IDs; one expression is the witness",
  cases: 15_000,
  slowMs: 200,
  make: (random) =>
    bentFrom(random, [
      "spiffe://example.org/ns/prod/sa/web",
      "spiffe://td.example/a",
      "spiffe://1.2.3.4/x/y.z/_-_",
      `spiffe://${"t".repeat(255)}/x`,
      `spiffe://td/${"p".repeat(2037)}`,
      "spiffe://td/.../a",
    ]),
  check(input) {
    const text = input.toString("utf8");
    const id = readOrRefuse(() => parseSpiffeId(text), SpiffeIdError);
    const legal = input.length <= 2048 && spiffeForm.test(text);
    holds((id !== undefined) === legal, legal ? "it is a SPIFFE ID" : "it is no SPIFFE ID");
    if (id === undefined) return "refused";
    holds(
      `spiffe://${id.trustDomain}${id.path}` === text && `/${id.segments.join("/")}` === id.path,
      "its parts make another",
    );
    return "accepted";
  },
};

const contact: Target = {
  name: "contact",
  about: "contacts of accounts",
  cases: 10_000,
  slowMs: 200,
  make(random) {
    const good: Json = ["mailto:a@example.com", "mailto:first.last+tag@sub.example.org"];
    return Buffer.from(JSON.stringify(random.chance(0.1) ? good : bendJson(random, good)));
  },
  check(input) {
    const read = readOrRefuse(() => readContact(JSON.parse(input.toString("utf8")) as Json, 3), Problem);
    if (read === undefined) return "refused";
    holds(read.length <= 3, "too many");
    for (const one of read) {
      holds(/^mailto:[\x21-\x7e]+$/i.test(one), "it has white space, controls or other letters");
      holds((one.match(/@/g) ?? []).length === 1 && !/[?,<>"\\]/.test(one), "it is more than one plain address");
    }
    return "accepted";
  },
};

/** Days of a month, without help from Date. */
const daysIn = (year: number, month: number): number =>
  month === 2
    ? year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
      ? 29
      : 28
    : [4, 6, 9, 11].includes(month)
      ? 30
      : 31;

const rfc3339Form = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Milliseconds since 1970 by arithmetic of its own; undefined where the text is no time of RFC 3339 (a leap second is none here). */
function rfc3339Ms(text: string): number | undefined {
  const found = rfc3339Form.exec(text);
  if (found === null) return undefined;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [offsetHour, offsetMinute] = [Number(found[9] ?? 0), Number(found[10] ?? 0)];
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59)
    return undefined;
  if (offsetHour > 23 || offsetMinute > 59) return undefined;
  const [y, m] = month <= 2 ? [year - 1, month + 9] : [year, month - 3];
  const days =
    365 * y +
    Math.floor(y / 4) -
    Math.floor(y / 100) +
    Math.floor(y / 400) +
    Math.floor((153 * m + 2) / 5) +
    day -
    719_469;
  const offset = (offsetHour * 60 + offsetMinute) * (found[8] === "-" ? -1 : 1);
  const fraction = Math.floor(Number(`0.${found[7] ?? "0"}`) * 1000);
  return ((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1000 + fraction;
}

const time: Target = {
  name: "time",
  about: "RFC 3339 times of orders and the times of certificates; arithmetic is the witness",
  cases: 20_000,
  slowMs: 200,
  make(random) {
    const two = (bound: number): string =>
      random.pick([
        "00",
        "24",
        "23",
        "59",
        "60",
        ...Array.from({ length: 5 }, () => String(random.below(bound)).padStart(2, "0")),
      ]);
    const date = `${random.pick(["2026", "2024", "1900", "2000", "0000", "9999", "1969"])}-${two(14)}-${two(33)}`;
    const zone = random.pick(["Z", "z", "+00:00", `+${two(26)}:${two(62)}`, `-${two(26)}:${two(62)}`, "", "+0000"]);
    const text = `${date}${random.pick(["T", "t", " "])}${two(26)}:${two(62)}:${two(62)}${random.pick(["", ".5", ".999999999", "."])}${zone}`;
    if (random.chance(0.2)) return Buffer.from(text.replaceAll(/[-:T]/g, "").slice(random.pick([0, 2])));
    return Buffer.from(random.chance(0.3) ? bendText(random, text) : text);
  },
  check(input) {
    const text = input.toString("utf8");
    for (const read of [parseUtcTime, parseGeneralizedTime]) {
      const found = read(text);
      if (found === undefined) continue;
      holds(
        found.toISOString().replaceAll(/[-:T]/g, "").slice(0, 14).endsWith(text.slice(0, -1)),
        "it is another time",
      );
      return "accepted";
    }
    const found = parseRfc3339(text);
    const wanted = /\.\d{10,}/.test(text) ? undefined : rfc3339Ms(text);
    holds(
      (found === undefined) === (wanted === undefined),
      found === undefined ? "it is a time" : `no time, read as ${found.toISOString()}`,
    );
    if (found === undefined) return "refused";
    holds(found.getTime() === wanted, `it is another time: ${found.toISOString()}`);
    return "accepted";
  },
};

export const nameTargets: readonly Target[] = [dnsName, ipAddress, spiffeId, contact, time];
