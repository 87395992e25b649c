import t from "tap";
import { offeredTypes, type ToProve } from "../../../src/acme/challenges/offered.ts";

const plain = { wildcard: false, subdomains: false, byToken: false };

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
  for (const [wanted, types] of rows) t.equal(offeredTypes(wanted).join(" "), types, JSON.stringify(wanted));
});
