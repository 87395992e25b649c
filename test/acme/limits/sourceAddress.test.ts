import t from "tap";
import { sourceAddress } from "../../../src/acme/limits/sourceAddress.ts";

t.test("IPv4 counts by address, IPv6 by /64, the mapped form as IPv4", async (t) => {
  const cases: readonly [string, string | undefined][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:0001:0002::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["1:2:3::192.0.2.1", "1:2:3:0::/64"],
    ["192.0.2.1:443", undefined],
    ["unknown", undefined],
    ["", undefined],
    ["2001:db8::1, 192.0.2.1", undefined],
  ];
  for (const [text, expected] of cases) t.equal(sourceAddress(text), expected, text);
});

t.test("addresses of one /64 are one source, those of two are two", async (t) => {
  const hosts = Array.from({ length: 200 }, (_, i) => sourceAddress(`2001:db8:7:9:${i.toString(16)}::${i + 1}`));
  t.equal(new Set(hosts).size, 1);
  t.not(sourceAddress("2001:db8:7:9::1"), sourceAddress("2001:db8:7:a::1"));
});
