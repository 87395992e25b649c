import t from "tap";
import { connectionOrder, forbiddenAddress } from "../../src/outbound/addresses.ts";

const strict = { allowPrivate: false, allowLoopback: false };
const withLoopback = { allowPrivate: false, allowLoopback: true };
const withPrivate = { allowPrivate: true, allowLoopback: false };

const table: [what: string | undefined, addresses: string][] = [
  [undefined, "1.1.1.1 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 192.167.255.255 100.63.0.1 100.128.0.1"],
  [undefined, "223.255.255.255 2606:4700::1111 2a00:1450::1 2001:200::1 2620:4f:8001::1"],
  ["loopback", "127.0.0.1 127.255.255.254 ::1"],
  ["private-use", "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.0.1 198.18.0.1 198.19.255.255"],
  ["private-use", "fc00::1 fd12:3456::1 fec0::1"],
  ["link-local", "169.254.0.1 169.254.169.253 fe80::1 febf::1"],
  [
    "a cloud metadata service",
    "169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 fd00:ec2::254 fd20:ce::254",
  ],
  ["multicast", "224.0.0.1 239.255.255.255 ff02::1"],
  ["unspecified", "0.0.0.0 0.1.2.3 ::"],
  ["broadcast or reserved", "255.255.255.255 240.0.0.1"],
  ["documentation", "192.0.2.1 198.51.100.7 203.0.113.9 2001:db8::1 3fff::1"],
  ["special-purpose", "192.0.0.192 192.88.99.1 2001::1 2001:2::1 2001:20::1 2001:1ff::1 2620:4f:8000::1"],
  [
    "IPv4 inside IPv6",
    "::ffff:1.1.1.1 ::ffff:127.0.0.1 ::ffff:a9fe:a9fe 64:ff9b::a9fe:a9fe 64:ff9b::1.1.1.1 2002:7f00:1::",
  ],
  ["not global unicast", "::7f00:1 ::127.0.0.1 64:ff9b:1::1 100::1 5f00::1 4000::1 8000::1"],
  ["not a plain IP address", "fe80::1%eth0 example.com 127.1"],
];

t.test("H-10a every special-purpose range is refused, and what may be allowed is allowed", (t) => {
  for (const [what, addresses] of table) {
    for (const address of addresses.split(" ")) {
      t.equal(forbiddenAddress(address, strict), what, address);
      const openedByLoopback = what === "loopback";
      t.equal(
        forbiddenAddress(address, withLoopback),
        openedByLoopback ? undefined : what,
        `${address}, loopback allowed`,
      );
      const openedByPrivate = openedByLoopback || what === "private-use" || what === "link-local";
      t.equal(
        forbiddenAddress(address, withPrivate),
        openedByPrivate ? undefined : what,
        `${address}, private allowed`,
      );
    }
  }
  t.equal(forbiddenAddress("", strict), "not a plain IP address");
  t.end();
});

t.test("IPv6 comes first, then the families take turns", (t) => {
  t.same(connectionOrder(["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"]), [
    "fd00::1",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
  ]);
  t.same(connectionOrder(["fd00::1", "fd00::2", "10.0.0.1"]), ["fd00::1", "10.0.0.1", "fd00::2"]);
  t.same(connectionOrder([]), []);
  t.end();
});
