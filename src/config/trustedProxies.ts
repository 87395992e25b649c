/** Whether a text names an address or a network, as `http.trustedProxies` does. */
import { isIPv4, isIPv6 } from "node:net";

/** True for an IPv4 or IPv6 address, or one with a prefix length (CIDR notation). */
export function isNetwork(text: string): boolean {
  const [address = "", prefix, ...rest] = text.split("/");
  const bits = isIPv4(address) ? 32 : isIPv6(address) ? 128 : undefined;
  if (bits === undefined || rest.length > 0 || address.includes("%")) return false;
  return prefix === undefined || (/^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= bits);
}
