/** Small grammars inside of larger things: CAA values and records of dns-persist-01, Accept headers, addresses of clients. */
import { BlockList, isIPv4, isIPv6 } from "node:net";
import { objectionOf } from "../../../src/acme/challenges/caa.ts";
import { readIssueValue } from "../../../src/acme/challenges/issueValue.ts";
import { sourceAddress } from "../../../src/acme/limits/sourceAddress.ts";
import { preferredType } from "../../../src/encoding/accept.ts";
import { bendText } from "../mutate.ts";
import { holds, type Target } from "../target.ts";

const values = [
  "ca.example; accounturi=https://ca.example/acme/account/1; validationmethods=dns-01,http-01",
  "ca.example",
  ";",
  " CA.Example ;policy=wildcard; persistUntil=1800000000",
  `${"a".repeat(63)}.example; ${"x".repeat(200)}=${"y".repeat(500)}`,
  `${"a-".repeat(400)}a`,
];
const accountUrl = "https://ca.example/acme/account/1";

const issueValue: Target = {
  name: "issue-value-objection",
  about: "values of CAA records, and records of dns-persist-01",
  cases: 10_000,
  slowMs: 200,
  make: (random) => Buffer.from(bendText(random, random.pick(values), random.below(3))),
  check(input) {
    const text = input.toString("utf8");
    const read = readIssueValue(text);
    const records = [{ critical: false, tag: "issue", value: text }];
    const objection = objectionOf(records, { wildcard: false, accountUrl, method: "dns-01" }, ["ca.example"]);
    if (read === undefined) {
      holds(objection !== undefined, "what cannot be read allows");
      return "refused";
    }
    holds(read.issuer === "" || /^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(read.issuer), "the issuer is no name");
    holds(text.toLowerCase().includes(read.issuer), "the issuer is not in the text");
    for (const { tag, value } of read.parameters) {
      holds(
        /^[a-z0-9-]+$/.test(tag) && /^[\x21-\x7e]*$/.test(value) && !value.includes(";"),
        "a parameter runs into the next",
      );
      holds(text.includes(value), "a value is not in the text");
    }
    const again = readIssueValue(
      [read.issuer, ...read.parameters.map(({ tag, value }) => `${tag}=${value}`)].join("; "),
    );
    holds(JSON.stringify(again) === JSON.stringify(read), "it does not survive the way back");
    holds(objection !== undefined || read.issuer === "ca.example", "another issuer's record allows");
    const account = read.parameters.filter(({ tag }) => tag === "accounturi");
    holds(
      objection !== undefined || account.every(({ value }) => value === accountUrl),
      "another account's record allows",
    );
    return "accepted";
  },
};

const types = [
  "application/pem-certificate-chain",
  "application/pkix-cert",
  "application/pkcs7-mime;smime-type=certs-only",
] as const;
const accepts = [
  "*/*",
  "application/pkix-cert;q=0.5, application/pem-certificate-chain",
  'application/pkcs7-mime; smime-type="certs-only"; q=1.0, */*;q=0.1',
  "text/html,application/xhtml+xml,*/*;q=0.8",
  "application/*;q=0",
  `${"a/b;q=0.1, ".repeat(80)}application/pkix-cert`,
];

const accept: Target = {
  name: "accept",
  about: "Accept headers",
  cases: 10_000,
  slowMs: 200,
  make: (random) => Buffer.from(bendText(random, random.pick(accepts), random.below(4))),
  check(input) {
    const text = input.toString("utf8");
    const chosen = preferredType(text, types);
    holds(chosen === undefined || types.includes(chosen), "a type that there is not");
    if (!text.includes("*") && text.trim() !== "" && chosen !== undefined)
      holds(text.toLowerCase().includes(chosen.split(";")[0] ?? ""), "a type that nobody named");
    return chosen === undefined ? "refused" : "accepted";
  },
};

const clients = [
  "192.0.2.1",
  "::1",
  "2001:db8:1:2:3:4:5:6",
  "::ffff:192.0.2.7",
  "fe80::1%eth0",
  "64:ff9b::192.0.2.33",
  "2001:DB8::",
  "1::",
];

const clientAddress: Target = {
  name: "client-address",
  about: "addresses that limits count by; a block list of node:net is the witness",
  cases: 10_000,
  slowMs: 200,
  make: (random) => Buffer.from(random.chance(0.3) ? random.pick(clients) : bendText(random, random.pick(clients))),
  check(input) {
    const text = input.toString("utf8");
    const counted = sourceAddress(text);
    if (counted === undefined) {
      holds(!isIPv4(text) && !isIPv6(text), "it is an address");
      return "refused";
    }
    if (isIPv4(counted)) {
      holds(
        text === counted ||
          text.toLowerCase() === `::ffff:${counted}`.toLowerCase() ||
          text.toLowerCase().startsWith(`::ffff:${counted}%`),
        "another address",
      );
      return "accepted";
    }
    const [network = "", bits] = counted.split("/");
    holds(bits === "64" && isIPv6(network), `${counted} is no network`);
    const list = new BlockList();
    list.addSubnet(network, 64, "ipv6");
    holds(list.check(text.split("%", 1)[0] ?? "", "ipv6"), `${counted} does not hold it`);
    return "accepted";
  },
};

export const fieldTargets: readonly Target[] = [issueValue, accept, clientAddress];
