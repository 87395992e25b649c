/** Pebble's configuration: one JSON object `pebble`, its keys in any case. */
import { readFileSync } from "node:fs";

export interface PebbleConfiguration {
  /** host:port, the host possibly empty. */
  readonly listenAddress: string;
  /** Empty: there is no management interface. */
  readonly managementListenAddress: string;
  /** Files, relative to the working directory. */
  readonly certificate: string;
  readonly privateKey: string;
  readonly httpPort: number;
  readonly tlsPort: number;
  readonly externalAccountBindingRequired: boolean;
  /** Key id → MAC key, base64url. */
  readonly externalAccountMacKeys: Readonly<Record<string, string>>;
  readonly domainBlocklist: readonly string[];
  /** Seconds, in replies with objects that are not done; nothing for 0. */
  readonly retryAfter: { readonly authz: number; readonly order: number };
  /** Seconds, by name. */
  readonly profiles: Readonly<Record<string, { readonly description: string; readonly validityPeriod: number }>>;
  readonly caaIdentities: readonly string[];
}

/** @throws {Error} for a file that cannot be read or a value of the wrong type */
export function readPebbleConfiguration(file: string): PebbleConfiguration {
  const whole = lowerKeys(JSON.parse(readFileSync(file, "utf8")));
  const at = (name: string): unknown => tree(whole["pebble"])[name.toLowerCase()];
  const text = (name: string, normal: string): string => of("string", at(name), normal, name);
  const number = (name: string, normal: number): number => of("number", at(name), normal, name);
  const retry = tree(lowerKeys(at("retryAfter")));
  return {
    listenAddress: text("listenAddress", "0.0.0.0:14000"),
    managementListenAddress: text("managementListenAddress", ""),
    certificate: text("certificate", ""),
    privateKey: text("privateKey", ""),
    httpPort: number("httpPort", 5002),
    tlsPort: number("tlsPort", 5001),
    externalAccountBindingRequired: of(
      "boolean",
      at("externalAccountBindingRequired"),
      false,
      "externalAccountBindingRequired",
    ),
    externalAccountMacKeys: tree(at("externalAccountMACKeys")) as Record<string, string>,
    domainBlocklist: list(at("domainBlocklist")),
    retryAfter: {
      authz: of("number", retry["authz"], 0, "retryAfter"),
      order: of("number", retry["order"], 0, "retryAfter"),
    },
    profiles: profilesIn(tree(at("profiles")), number("certificateValidityPeriod", 7_776_000)),
    caaIdentities: at("caaIdentities") === undefined ? ["pebble.letsencrypt.org"] : list(at("caaIdentities")),
  };
}

function profilesIn(written: Tree, validityPeriod: number): PebbleConfiguration["profiles"] {
  const read = Object.entries(written).map(([name, value]) => {
    const { description, validityperiod } = lowerKeys(value);
    const seconds = of("number", validityperiod, 0, "validityPeriod");
    return [
      name,
      { description: of("string", description, "", "description"), validityPeriod: seconds || validityPeriod },
    ];
  });
  if (read.length > 0) return Object.fromEntries(read) as PebbleConfiguration["profiles"];
  return { default: { description: "The default profile", validityPeriod } };
}

type Tree = Readonly<Record<string, unknown>>;
const tree = (value: unknown): Tree => (typeof value === "object" && value !== null ? (value as Tree) : {});
const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
/** Its own members; what lies below them is somebody's data, such as the names of profiles and keys. */
const lowerKeys = (value: unknown): Tree =>
  Object.fromEntries(
    Object.entries(tree(value)).map(([key, member]) => [
      key.toLowerCase(),
      key.toLowerCase() === "pebble" ? lowerKeys(member) : member,
    ]),
  );

interface Types {
  readonly string: string;
  readonly number: number;
  readonly boolean: boolean;
}

function of<K extends keyof Types>(type: K, value: unknown, normal: Types[K], name: string): Types[K] {
  if (value === undefined || value === null) return normal;
  if (typeof value !== type) throw new Error(`${name}: expected a ${type}`);
  return value as Types[K];
}
