/** Reads the configuration: file, environment, defaults; refuses what it does not understand before anything is started. */
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import path from "node:path";
import { Value } from "typebox/value";

import { formatNamed, sourceSchemaOf } from "../attestation/registry.ts";
import type { Grant } from "../authority/grants.ts";
import { readProfile, type Profile } from "../authority/profile.ts";
import type { IssuerLines } from "../authority/issuerLine.ts";
import { isTrustDomain } from "../x509/spiffeId.ts";
import { checkSubdomainChallenges, readIssuerDomainNames } from "./challenges.ts";
import { readDirectories, type Directory } from "./directories.ts";
import { readGrants } from "./grants.ts";
import { environmentOverrides, environmentVariables, type Environment } from "./environment.ts";
import { readIssuerLines } from "./issuers.ts";
import { readRevocation, type Revocation } from "./revocation.ts";
import { isNetwork } from "./trustedProxies.ts";
import { readYaml } from "./yaml.ts";
import { configurationSchema, defaultProfiles, type RawConfiguration } from "./schema.ts";

/** A configuration that stops the start. `message` names key, value and what was expected. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
}

export interface Configuration extends Omit<RawConfiguration, "profiles" | "grants" | "externalUrl" | "revocation"> {
  /** Where it came from: a file, or the built-in development defaults. */
  readonly origin: string;
  /** True without a configuration file: everything is set up for trying Mayfly out on one machine. */
  readonly noConfigurationMode: boolean;
  readonly listenHost: string;
  readonly listenPort: number;
  readonly externalUrl: string;
  readonly audience: string;
  readonly databaseUrl: string | undefined;
  readonly profiles: ReadonlyMap<string, Profile>;
  /** Names of this CA, for dns-persist-01. */
  readonly issuerDomainNames: readonly string[];
  /** The default one first. */
  readonly directories: readonly Directory[];
  readonly grants: readonly Grant[];
  readonly revocation: Revocation;
  readonly issuerLines: IssuerLines;
}

/** What the no-configuration mode adds to the defaults. */
const developmentDefaults = {
  validation: { http01Port: 5002, tlsAlpn01Port: 5001, allowLocalhostNames: true },
  attestation: { developmentSource: true },
};

const fileLimit = 1_048_576;

/**
 * Loads `file`, or the file that MAYFLY_CONFIG names, or no file at all.
 * @throws {ConfigurationError}
 */
export function loadConfiguration(file: string | undefined, env: Environment = process.env): Configuration {
  const name = file ?? (env["MAYFLY_CONFIG"] || undefined);
  const written = name === undefined ? structuredClone(developmentDefaults) : readWritten(name);
  const tree = environmentOverrides(written as Record<string, unknown>, env);
  if (tree["profiles"] === undefined || tree["profiles"] === null) tree["profiles"] = structuredClone(defaultProfiles);
  const complete = Value.Default(configurationSchema, tree);
  const errors: SchemaError[] = [...Value.Errors(configurationSchema, complete)];
  if (errors.length === 0) errors.push(...sourceErrors(complete as RawConfiguration));
  if (errors.length > 0) throw new ConfigurationError(describe(errors, complete, env));
  const raw = complete as RawConfiguration;
  return finish(raw, name);
}

/** What a source may hold depends on its format. */
function sourceErrors({ attestation: { sources } }: RawConfiguration): SchemaError[] {
  return sources.flatMap((source, index) => {
    const errors: SchemaError[] = [...Value.Errors(sourceSchemaOf(formatNamed(source.format)), source)];
    return errors.map((error) => ({ ...error, instancePath: `/attestation/sources/${index}${error.instancePath}` }));
  });
}

function readWritten(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigurationError(`the configuration file ${file} cannot be read: ${(error as Error).message}`);
  }
  if (text.length > fileLimit)
    throw new ConfigurationError(`the configuration file ${file} is larger than ${fileLimit} characters`);
  const value = wrapped(() => readYaml(text, file));
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value))
    throw new ConfigurationError(`${file}: expected keys and values at the top`);
  return withoutNulls(value);
}

/** `key:` with nothing behind it means the default, as in `config/default.yaml`. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([key, inner]) => [key, withoutNulls(inner)]),
  );
}

interface SchemaError {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

/** What a pattern means, for people. */
const shapes: Readonly<Record<string, string>> = {
  listen: "host:port",
  externalUrl: "https://host or https://host:port, without a path",
  "validation.dnsResolver": "host:port",
  "database.url": "postgresql://…",
  "acme.termsOfService": "an http or https URL",
  "acme.website": "an http or https URL",
  "acme.rateLimits.helpUrl": "an http or https URL",
  "revocation.publicUrl": "http://host or https://host, with a port or without, and no path",
  "revocation.listen": "host:port",
};

/** One line for each fault: key, value, expectation. */
function describe(errors: readonly SchemaError[], tree: unknown, env: Environment): string {
  const lines = new Set<string>();
  for (const { keyword, schemaPath, instancePath, params, message } of errors) {
    const key = instancePath.slice(1).replaceAll("/", ".").replaceAll("~1", "/");
    const facts = params as {
      additionalProperties?: string[];
      requiredProperties?: string[];
      allowedValues?: unknown[];
      pattern?: string;
    };
    if (keyword === "boolean" || keyword === "propertyNames") continue; // Another error names the same key.
    if (schemaPath.endsWith("/propertyNames")) {
      lines.add(`${key}: expected a name of lower-case letters, digits and dashes`);
      continue;
    }
    if (keyword === "additionalProperties") {
      for (const unknown of facts.additionalProperties ?? []) {
        lines.add(`${key === "" ? "" : `${key}.`}${unknown}: unknown key; config/default.yaml names every key`);
      }
      continue;
    }
    if (keyword === "required") {
      for (const missing of facts.requiredProperties ?? [])
        lines.add(`${key === "" ? "" : `${key}.`}${missing}: is missing`);
      continue;
    }
    const expected =
      keyword === "enum"
        ? `one of ${(facts.allowedValues ?? []).join(", ")}`
        : ((keyword === "pattern" ? shapes[key] : undefined) ?? message.replace(/^must (be |have |match )?/, ""));
    const variable = environmentVariables.find((row) => row.key === key && env[row.variable])?.variable;
    lines.add(
      `${key}: ${shown(valueAt(tree, instancePath))}: expected ${expected}${variable ? ` (from ${variable})` : ""}`,
    );
  }
  return [...lines].slice(0, 20).join("\n");
}

function valueAt(tree: unknown, pointer: string): unknown {
  let value = tree;
  for (const step of pointer.split("/").slice(1))
    value = (value as Record<string, unknown> | undefined)?.[step.replaceAll("~1", "/")];
  return value;
}

/** A value for a message; what may be a password in a URL is left out. */
const shown = (value: unknown): string =>
  (JSON.stringify(value) ?? "nothing").replace(/\/\/[^/?#]*@/, "//…@").slice(0, 100);

/** What no schema says: values that belong together, and the values derived from others. */
function finish(raw: RawConfiguration, file: string | undefined): Configuration {
  const colon = raw.listen.lastIndexOf(":");
  const listenHost = raw.listen.slice(0, colon).replace(/^\[|\]$/g, "");
  const listenPort = Number(raw.listen.slice(colon + 1));
  if (listenPort > 65_535) throw new ConfigurationError(`listen: ${shown(raw.listen)}: expected a port up to 65535`);
  if (!isTrustDomain(raw.trustDomain)) {
    throw new ConfigurationError(
      `trustDomain: ${shown(raw.trustDomain)}: expected lower-case letters, digits, dots, dashes and underscores`,
    );
  }
  checkTls(raw);
  checkKeys(raw);
  const externalUrl = raw.externalUrl?.replace(/\/$/, "") ?? derivedUrl(raw, listenHost, listenPort);
  if (!URL.canParse(externalUrl))
    throw new ConfigurationError(`externalUrl: ${shown(externalUrl)}: expected an https URL of host and port`);
  checkResolver(raw);
  checkProxies(raw);
  wrapped(() => checkSubdomainChallenges(raw.acme));
  const profiles = new Map(
    Object.entries(raw.profiles).map(([name, profile]) => [name, wrapped(() => readProfile(name, profile))]),
  );
  return {
    ...raw,
    origin: file ?? "built-in development defaults",
    noConfigurationMode: file === undefined,
    dataDir: path.resolve(raw.dataDir),
    listenHost,
    listenPort,
    externalUrl,
    audience: raw.attestation.audience ?? `${externalUrl}/wa`,
    databaseUrl: databaseUrl(raw),
    profiles,
    issuerLines: wrapped(() => readIssuerLines(raw, profiles)),
    issuerDomainNames: wrapped(() => readIssuerDomainNames(raw.acme, externalUrl)),
    directories: wrapped(() => readDirectories(raw.acme.directories, profiles, raw.acme.externalAccountRequired)),
    grants: wrapped(() => readGrants(raw, profiles)),
    revocation: wrapped(() => readRevocation(raw.revocation, externalUrl, raw.listen)),
  };
}

function derivedUrl(raw: RawConfiguration, host: string, port: number): string {
  if (raw.tls.mode === "off")
    throw new ConfigurationError("externalUrl: is missing: expected the proxy's https URL when tls.mode is off");
  const name = host === "0.0.0.0" || host === "::" ? "localhost" : host.includes(":") ? `[${host}]` : host;
  return `https://${name}${port === 443 ? "" : `:${port}`}`;
}

function checkResolver({ validation: { dnsResolver } }: RawConfiguration): void {
  if (dnsResolver === undefined) return;
  const colon = dnsResolver.lastIndexOf(":");
  const [host, port] = [dnsResolver.slice(0, colon), Number(dnsResolver.slice(colon + 1))];
  if ((host.startsWith("[") && !isIPv6(host.slice(1, -1))) || port < 1 || port > 65_535) {
    throw new ConfigurationError(
      `validation.dnsResolver: ${shown(dnsResolver)}: expected host:port, [IPv6]:port, port 1 to 65535`,
    );
  }
}

function checkProxies({ http: { trustedProxies } }: RawConfiguration): void {
  const wrong = trustedProxies.find((text) => !isNetwork(text));
  if (wrong !== undefined)
    throw new ConfigurationError(
      `http.trustedProxies: ${shown(wrong)}: expected an address, or a network such as 10.0.0.0/8`,
    );
}

function checkTls({ tls }: RawConfiguration): void {
  if (tls.mode === "files" && (tls.certificateFile === undefined || tls.keyFile === undefined)) {
    throw new ConfigurationError('tls.mode: "files": expected tls.certificateFile and tls.keyFile as well');
  }
  if (tls.mode !== "files" && (tls.certificateFile ?? tls.keyFile) !== undefined) {
    throw new ConfigurationError(
      `tls.mode: "${tls.mode}": expected "files" where tls.certificateFile or tls.keyFile is set`,
    );
  }
}

function checkKeys({ keys: { provider, pkcs11, postQuantum } }: RawConfiguration): void {
  if (postQuantum.passphraseFile !== undefined && postQuantum.directory === undefined)
    throw new ConfigurationError("keys.postQuantum.directory: is missing: expected a folder beside the passphraseFile");
  if (provider !== "pkcs11") {
    if (postQuantum.directory !== undefined)
      throw new ConfigurationError(
        `keys.provider: "${provider}": expected "pkcs11" where keys.postQuantum.directory is set; development keys have ML-DSA anyway`,
      );
    const set = (["module", "token", "slot", "pinFile", "libraryParameters"] as const).find(
      (key) => pkcs11[key] !== undefined,
    );
    if (set !== undefined)
      throw new ConfigurationError(`keys.provider: "${provider}": expected "pkcs11" where keys.pkcs11.${set} is set`);
    return;
  }
  if (pkcs11.module === undefined)
    throw new ConfigurationError(
      "keys.pkcs11.module: is missing: expected the path of a PKCS#11 module (MAYFLY_PKCS11_MODULE)",
    );
  if (pkcs11.pinFile === undefined)
    throw new ConfigurationError(
      "keys.pkcs11.pinFile: is missing: expected a file with the user PIN (MAYFLY_PKCS11_PIN_FILE)",
    );
  if ((pkcs11.token === undefined) === (pkcs11.slot === undefined)) {
    throw new ConfigurationError("keys.pkcs11: expected exactly one of token (MAYFLY_PKCS11_TOKEN) and slot");
  }
  pkcs11.replicas.forEach(({ module, token, slot, pinFile }, index) => {
    const key = `keys.pkcs11.replicas[${index}]`;
    if ((token === undefined) === (slot === undefined))
      throw new ConfigurationError(`${key}: expected exactly one of token and slot`);
    // One PIN for two vendors' tokens is a wrong one for either, and wrong ones lock.
    if (module !== undefined && pinFile === undefined)
      throw new ConfigurationError(`${key}.pinFile: is missing: expected the PIN of the token in ${shown(module)}`);
  });
}

function databaseUrl({ database: { url, urlFile } }: RawConfiguration): string | undefined {
  if (url !== undefined && urlFile !== undefined)
    throw new ConfigurationError("database: expected one of url and urlFile");
  if (urlFile === undefined) return url;
  let read: string;
  try {
    read = readFileSync(urlFile, "utf8").trim();
  } catch (error) {
    throw new ConfigurationError(
      `database.urlFile: ${shown(urlFile)}: expected a file that can be read (${(error as NodeJS.ErrnoException).code})`,
    );
  }
  if (!/^postgres(ql)?:\/\//.test(read))
    throw new ConfigurationError(`database.urlFile: ${shown(urlFile)}: expected a file with a postgresql:// URL`);
  return read;
}

/** Faults found by the rooms that own a part of the configuration, as the one error a start knows. */
function wrapped<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ConfigurationError((error as Error).message, { cause: error });
  }
}
