/** Pebble's command line and environment. Flags are Go's: `-name value`, `-name=value`, with one dash or two. */

export interface CommandLine {
  readonly configFile: string;
  /** host:port; the system's resolver when absent. */
  readonly dnsServer: string | undefined;
  readonly strict: boolean;
}

/** What a command line can be besides a request to serve. */
export type Read = { readonly serve: CommandLine } | { readonly print: string; readonly status: number };

/** Callers switch tests on by this number. */
export const version = "2.10.0";

const usage = `Usage of pebble:
  -config string
    \tFile path to the Pebble configuration file (default "test/config/pebble-config.json")
  -dnsserver string
    \tDefine a custom DNS server address (ex: 192.168.0.56:5053 or 8.8.8.8:53).
  -strict
    \tAccepted; the server is as strict as it always is
  -version
    \tPrint the version and exit
`;

export function readCommandLine(parameters: readonly string[]): Read {
  const rest = [...parameters];
  const found = { config: "test/config/pebble-config.json", dnsserver: "", strict: false };
  for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
    const [, name = "", value] = /^--?([a-z]+)(?:=(.*))?$/.exec(next) ?? [];
    if (name === "version") return { print: `Pebble version: ${version}\n`, status: 0 };
    if (name === "h" || name === "help") return { print: usage, status: 0 };
    if (name === "strict") found.strict = value !== "false";
    else if (name === "config" || name === "dnsserver") found[name] = value ?? rest.shift() ?? "";
    else return { print: `not understood: ${next}\n${usage}`, status: 1 };
  }
  return { serve: { configFile: found.config, dnsServer: found.dnsserver || undefined, strict: found.strict } };
}

/** What Pebble's environment variables ask for. */
export interface Knobs {
  /** Percent of good nonces that are refused. */
  readonly nonceRejectPercent: number;
  /** Percent of orders that take up valid authorizations. */
  readonly authorizationReusePercent: number;
  /** A random pause up to this many seconds before each validation. */
  readonly validationSleepSeconds: number;
  /** Validation succeeds without a look. */
  readonly alwaysValid: boolean;
  readonly ordersPerPage: number;
  /** How many chains there are besides the default one. */
  readonly alternateRoots: number;
  /** Intermediates; this server has one. */
  readonly chainLength: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function readKnobs(env: Environment): Knobs {
  const number = (name: string, normal: number, most: number): number => {
    const value = env[name];
    const read = value === undefined || value === "" ? normal : Number(value);
    return Number.isInteger(read) && read >= 0 ? Math.min(read, most) : normal;
  };
  const on = (name: string): boolean => /^(1|t|true)$/i.test(env[name] ?? "");
  return {
    nonceRejectPercent: number("PEBBLE_WFE_NONCEREJECT", 5, 100),
    authorizationReusePercent: number("PEBBLE_AUTHZREUSE", 50, 100),
    validationSleepSeconds: on("PEBBLE_VA_NOSLEEP") ? 0 : number("PEBBLE_VA_SLEEPTIME", 5, 60),
    alwaysValid: on("PEBBLE_VA_ALWAYS_VALID"),
    ordersPerPage: Math.max(1, number("PEBBLE_WFE_ORDERS_PER_PAGE", 3, 1000)),
    alternateRoots: number("PEBBLE_ALTERNATE_ROOTS", 0, 10),
    chainLength: number("PEBBLE_CHAIN_LENGTH", 1, 10),
  };
}
