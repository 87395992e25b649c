/** The source address that limits count by: an IPv4 address, or the /64 of an IPv6 address, of which a host has as many as it likes. */
import { isIPv4, isIPv6 } from "node:net";

/** @returns undefined for what is no address */
export function sourceAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const [address = ""] = text.split("%", 1); // A zone says which interface of ours it came in by, not who it is.
  if (!isIPv6(address)) return undefined;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  return `${groups(address).slice(0, 4).join(":")}::/64`;
}

/** The eight groups, without leading zeros. */
function groups(address: string): string[] {
  const [head = "", tail] = address.split("::");
  const left = expand(head);
  const right = tail === undefined ? [] : expand(tail);
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => "0"), ...right];
}

const expand = (part: string): string[] =>
  part === "" ? [] : part.split(":").flatMap((group) => (group.includes(".") ? ["0", "0"] : [hex(group)]));

const hex = (group: string): string => Number.parseInt(group, 16).toString(16);
