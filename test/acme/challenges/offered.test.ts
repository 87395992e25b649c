import t from "tap";
import { offeredTypes, type NameChallenge, type ToProve } from "../../../src/acme/challenges/offered.ts";

const plain = { wildcard: false, subdomains: false, byToken: false };
const usual: readonly NameChallenge[] = ["http-01", "dns-01", "tls-alpn-01"];
const all: readonly NameChallenge[] = [...usual, "dns-account-01", "dns-persist-01"];

t.test("H-26 what is offered is a function of what is to be proved", async (t) => {
  const rows: readonly (readonly [ToProve, string])[] = [
    [{ ...plain, type: "uri" }, "workload-attest-01"],
    [{ ...plain, type: "uri", byToken: true }, "workload-attest-01 tkauth-01"],
    [{ ...plain, type: "ip" }, "http-01 tls-alpn-01"],
    [{ ...plain, type: "ip", byToken: true }, "http-01 tls-alpn-01"],
    [{ ...plain, type: "dns" }, "http-01 dns-01 tls-alpn-01"],
    [{ ...plain, type: "dns", byToken: true }, "http-01 dns-01 tls-alpn-01"],
    [{ ...plain, type: "dns", wildcard: true }, "dns-01"],
    [{ ...plain, type: "dns", subdomains: true }, "dns-01"],
  ];
  for (const [wanted, types] of rows) t.equal(offeredTypes(wanted, usual).join(" "), types, JSON.stringify(wanted));
});

t.test("RDP-1 RDAL-1 and of what the operator permits", async (t) => {
  const rows: readonly (readonly [ToProve, readonly NameChallenge[], string])[] = [
    [{ ...plain, type: "dns" }, all, all.join(" ")],
    [{ ...plain, type: "dns", wildcard: true }, all, "dns-01 dns-account-01 dns-persist-01"],
    [{ ...plain, type: "dns", subdomains: true }, ["http-01", "dns-persist-01"], "dns-persist-01"],
    [{ ...plain, type: "dns", wildcard: true }, ["http-01"], ""],
    [{ ...plain, type: "ip" }, all, "http-01 tls-alpn-01"],
    [{ ...plain, type: "ip" }, ["dns-01"], ""],
    [{ ...plain, type: "uri" }, ["http-01"], "workload-attest-01"],
  ];
  for (const [wanted, permitted, types] of rows)
    t.equal(offeredTypes(wanted, permitted).join(" "), types, JSON.stringify([wanted, permitted]));
});
