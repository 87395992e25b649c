import t from "tap";
import { isNetwork } from "../../src/config/trustedProxies.ts";

t.test("addresses and networks, and nothing else", async (t) => {
  for (const text of ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "fd00::1", "fd00::/8", "::/0", "2001:db8::/128"])
    t.ok(isNetwork(text), text);
  for (const text of [
    "",
    "10.0.0.0/33",
    "fd00::/129",
    "10.0.0/8",
    "proxy.example",
    "10.0.0.0/8/8",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "fe80::1%eth0",
    "loopback",
  ])
    t.notOk(isNetwork(text), text);
});
