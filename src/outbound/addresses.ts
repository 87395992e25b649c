/**
 * Which addresses a validation may connect to (RFC 8555 §10.4: a validator must not become a tool against the network it stands
 * in). The ranges are those of the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), multicast, and the metadata
 * services of the clouds. Pure.
 */
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

/** What the operator permits beyond globally reachable unicast addresses. */
export interface AddressPolicy {
  /** Addresses of private networks, this machine included: for a CA inside such a network. Never metadata services or multicast. */
  readonly allowPrivate: boolean;
  /** Loopback alone. */
  readonly allowLoopback: boolean;
}

type Treatment = "never" | "private" | "loopback";

/** First match decides; so the single addresses stand before the ranges that contain them. */
const rules: readonly { what: string; treatment: Treatment; ranges: string }[] = [
  {
    what: "a cloud metadata service",
    treatment: "never",
    // Most clouds; credentials of ECS and EKS; Tencent; Alibaba; Azure's wire server. Then AWS, EKS and Google over IPv6.
    ranges: `169.254.169.254 169.254.170.2 169.254.170.23 169.254.0.23 100.100.100.200 168.63.129.16
      fd00:ec2::254 fd00:ec2::23 fd20:ce::254`,
  },
  { what: "loopback", treatment: "loopback", ranges: "127.0.0.0/8 ::1" },
  {
    what: "private-use",
    treatment: "private",
    // RFC 1918, shared address space (RFC 6598), benchmarking (RFC 2544); unique local (RFC 4193), site-local (RFC 3879).
    ranges: "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15 fc00::/7 fec0::/10",
  },
  { what: "link-local", treatment: "private", ranges: "169.254.0.0/16 fe80::/10" },
  { what: "multicast", treatment: "never", ranges: "224.0.0.0/4 ff00::/8" },
  { what: "unspecified", treatment: "never", ranges: "0.0.0.0/8 ::" },
  { what: "broadcast or reserved", treatment: "never", ranges: "240.0.0.0/4" },
  {
    what: "documentation",
    treatment: "never",
    ranges: "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
  },
  {
    what: "special-purpose",
    treatment: "never",
    // IETF protocol assignments (Teredo, ORCHID, DRIP … inside), AS112, AMT, the 6to4 relay.
    ranges: "192.0.0.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.175.48.0/24 2001::/23 2620:4f:8000::/48",
  },
  // Mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056): ways around the rules for IPv4.
  { what: "IPv4 inside IPv6", treatment: "never", ranges: "::ffff:0:0/96 64:ff9b::/96 2002::/16" },
  // Outside of 2000::/3 nothing else is global unicast: discard-only, local NAT64 prefixes, SRv6 SIDs, unallocated.
  { what: "not global unicast", treatment: "never", ranges: "::/3 4000::/2 8000::/1" },
];

const compiled = rules.map(({ what, treatment, ranges }) => {
  const list = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const range of ranges.split(/\s+/)) {
    const family = range.includes(":") ? "ipv6" : "ipv4";
    const [network = "", bits = family === "ipv6" ? "128" : "32"] = range.split("/");
    list[family].addSubnet(network, Number(bits), family);
  }
  return { what, treatment, list };
});

/** Says what kind of special-purpose address this is when `policy` forbids it; undefined when it may be connected to. */
export function forbiddenAddress(address: string, { allowPrivate, allowLoopback }: AddressPolicy): string | undefined {
  if (isIP(address) === 0 || address.includes("%")) return "not a plain IP address";
  const family = isIPv4(address) ? "ipv4" : "ipv6";
  const rule = compiled.find(({ list }) => list[family].check(address, family));
  if (rule === undefined) return undefined;
  const allowed = { never: false, private: allowPrivate, loopback: allowPrivate || allowLoopback }[rule.treatment];
  return allowed ? undefined : rule.what;
}

/** The order in which to try addresses: IPv6 first (RFC 8555 §8.3 leaves it open), then the families in turn (RFC 8305 §4). */
export function connectionOrder(addresses: readonly string[]): string[] {
  const six = addresses.filter((address) => isIPv6(address));
  const four = addresses.filter((address) => isIPv4(address));
  const turns = Array.from({ length: Math.max(six.length, four.length) }, (_, turn) => [six[turn], four[turn]]);
  return turns.flat().filter((address) => address !== undefined);
}
