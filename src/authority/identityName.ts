/** How an identity is called: by its SPIFFE ID, or else the device, or else by the set of its names. Pure. */
import { createHash } from "node:crypto";

/** Longest name of an identity that is written out, in characters: the name is an index key, and Postgres limits those. */
const setNameMax = 1000;

/** The name of the identity that has these names, each of them canonical. */
export function identityNameOf(names: {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
  readonly permanentIdentifiers: readonly string[];
}): string {
  const [device] = names.permanentIdentifiers;
  if (names.uri[0] !== undefined) return names.uri[0];
  return device === undefined ? nameOfSet([...names.dns, ...names.ip]) : `${devicePrefix}${device}`;
}

/** What the name of a device's identity begins with: a device may be called as a host is. */
export const devicePrefix = "permanent-identifier ";

/** A set of names as one: sorted, joined; a long one is cut and ends with its SHA-256, so that it still is the set's own. */
function nameOfSet(names: readonly string[]): string {
  const joined = [...names].sort().join(",");
  if (joined.length <= setNameMax) return joined;
  return `${joined.slice(0, setNameMax - 80)}…,sha256:${createHash("sha256").update(joined).digest("hex")}`;
}
