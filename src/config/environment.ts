/** Environment variables that override the file, as one table: variable, key, how it is read. */

export type Environment = Readonly<Record<string, string | undefined>>;

type Kind = "text" | "integer" | "boolean";

/** MAYFLY_CONFIG names the file itself and is read by `loadConfiguration`. */
export const environmentVariables: readonly { variable: string; key: string; kind: Kind; rival?: string }[] = [
  { variable: "MAYFLY_DATA_DIR", key: "dataDir", kind: "text" },
  { variable: "MAYFLY_LISTEN", key: "listen", kind: "text" },
  { variable: "MAYFLY_EXTERNAL_URL", key: "externalUrl", kind: "text" },
  { variable: "MAYFLY_TRUST_DOMAIN", key: "trustDomain", kind: "text" },
  { variable: "MAYFLY_LOG_LEVEL", key: "log.level", kind: "text" },
  { variable: "MAYFLY_DATABASE_URL", key: "database.url", kind: "text", rival: "database.urlFile" },
  { variable: "MAYFLY_DATABASE_URL_FILE", key: "database.urlFile", kind: "text", rival: "database.url" },
  { variable: "MAYFLY_HTTP01_PORT", key: "validation.http01Port", kind: "integer" },
  { variable: "MAYFLY_TLSALPN01_PORT", key: "validation.tlsAlpn01Port", kind: "integer" },
  { variable: "MAYFLY_DNS_RESOLVER", key: "validation.dnsResolver", kind: "text" },
  { variable: "MAYFLY_VALIDATION_ALLOW_PRIVATE", key: "validation.allowPrivate", kind: "boolean" },
  { variable: "MAYFLY_PKCS11_MODULE", key: "keys.pkcs11.module", kind: "text" },
  { variable: "MAYFLY_PKCS11_TOKEN", key: "keys.pkcs11.token", kind: "text", rival: "keys.pkcs11.slot" },
  { variable: "MAYFLY_PKCS11_PIN_FILE", key: "keys.pkcs11.pinFile", kind: "text" },
  { variable: "MAYFLY_PKCS11_KEY", key: "keys.label", kind: "text" },
];

/** @returns a copy of `tree` with the variables that are set; an empty variable counts as not set */
export function environmentOverrides(
  tree: Readonly<Record<string, unknown>>,
  env: Environment,
): Record<string, unknown> {
  const merged = structuredClone(tree) as Record<string, unknown>;
  const set = environmentVariables.filter(({ variable }) => (env[variable] ?? "") !== "");
  for (const { rival } of set) if (rival !== undefined) put(merged, rival.split("."), undefined); // What the file chose instead.
  for (const { variable, key, kind } of set) put(merged, key.split("."), valueOf(env[variable] ?? "", kind));
  if (env["MAYFLY_PKCS11_MODULE"]) put(merged, ["keys", "provider"], "pkcs11"); // Naming a module is choosing the token.
  return merged;
}

/** What cannot be read stays text, and the schema says what it expected instead. */
function valueOf(text: string, kind: Kind): unknown {
  if (kind === "integer" && /^\d{1,9}$/.test(text)) return Number(text);
  if (kind === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}

function put(tree: Record<string, unknown>, [step, ...rest]: string[], value: unknown): void {
  if (step === undefined) return;
  if (rest.length === 0) {
    tree[step] = value;
    return;
  }
  const below = tree[step];
  const inner =
    typeof below === "object" && below !== null && !Array.isArray(below) ? (below as Record<string, unknown>) : {};
  tree[step] = inner;
  put(inner, rest, value);
}
