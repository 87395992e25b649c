import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { environmentVariables } from "../../src/config/environment.ts";
import { ConfigurationError, loadConfiguration } from "../../src/config/load.ts";

/** A file in which every key that a variable sets has another value already. */
const file = `
listen: file.example:1
externalUrl: https://file.example
dataDir: file
trustDomain: file.example
log: {level: fatal}
database: {url: postgresql://file/file}
keys: {provider: pkcs11, label: file, pkcs11: {module: /file.so, token: file, pinFile: /file}}
validation: {http01Port: 1, tlsAlpn01Port: 1, dnsResolver: 127.0.0.1:1, allowPrivate: false}
`;

/** For each variable a value and what it becomes. */
const samples: Readonly<Record<string, readonly [text: string, value: unknown]>> = {
  MAYFLY_DATA_DIR: ["/srv/mayfly", "/srv/mayfly"],
  MAYFLY_LISTEN: ["0.0.0.0:443", "0.0.0.0:443"],
  MAYFLY_EXTERNAL_URL: ["https://ca.example", "https://ca.example"],
  MAYFLY_TRUST_DOMAIN: ["prod.example", "prod.example"],
  MAYFLY_LOG_LEVEL: ["debug", "debug"],
  MAYFLY_DATABASE_URL: ["postgresql://db/mayfly", "postgresql://db/mayfly"],
  MAYFLY_DATABASE_URL_FILE: ["<file>", "<file>"],
  MAYFLY_HTTP01_PORT: ["8080", 8080],
  MAYFLY_TLSALPN01_PORT: ["8444", 8444],
  MAYFLY_DNS_RESOLVER: ["10.0.0.2:53", "10.0.0.2:53"],
  MAYFLY_VALIDATION_ALLOW_PRIVATE: ["true", true],
  MAYFLY_PKCS11_MODULE: ["/usr/lib/token.so", "/usr/lib/token.so"],
  MAYFLY_PKCS11_TOKEN: ["prod", "prod"],
  MAYFLY_PKCS11_PIN_FILE: ["/run/pin", "/run/pin"],
  MAYFLY_PKCS11_KEY: ["issuing-2", "issuing-2"],
};

const at = (tree: unknown, key: string): unknown =>
  key.split(".").reduce<unknown>((value, step) => (value as Record<string, unknown>)[step], tree);

t.test("there is a sample for every variable", async (t) => {
  t.strictSame(Object.keys(samples).sort(), environmentVariables.map(({ variable }) => variable).sort());
});

t.test("each variable overrides the file", async (t) => {
  const folder = t.testdir({
    "mayfly.yaml": file,
    "no-url.yaml": file.replace(/^database.*$/m, ""),
    url: "postgresql://from-file/mayfly",
  });
  for (const { variable, key } of environmentVariables) {
    const place = (text: unknown): unknown => (text === "<file>" ? join(folder, "url") : text);
    const [text, value] = samples[variable] ?? ["", undefined];
    // A URL in the file and one by file exclude each other.
    const name = variable === "MAYFLY_DATABASE_URL_FILE" ? "no-url.yaml" : "mayfly.yaml";
    const before = loadConfiguration(join(folder, name), {});
    const configuration = loadConfiguration(join(folder, name), { [variable]: String(place(text)) });
    t.not(at(before, key), place(value), `${variable}: the file says otherwise`);
    t.equal(at(configuration, key), place(value), `${variable} → ${key}`);
  }
});

t.test("each variable works without a file", async (t) => {
  const url = join(t.testdir({ url: "postgresql://from-file/mayfly" }), "url");
  const token = { MAYFLY_PKCS11_MODULE: "/m.so", MAYFLY_PKCS11_TOKEN: "t", MAYFLY_PKCS11_PIN_FILE: "/p" };
  for (const { variable, key } of environmentVariables) {
    const [text = "", value] = samples[variable] ?? [];
    const own = { [variable]: text === "<file>" ? url : text };
    const env = variable.startsWith("MAYFLY_PKCS11_") && variable !== "MAYFLY_PKCS11_KEY" ? { ...token, ...own } : own;
    t.equal(at(loadConfiguration(undefined, env), key), value === "<file>" ? url : value, variable);
  }
});

t.test("an empty variable is not set", async (t) => {
  const empty = Object.fromEntries(environmentVariables.map(({ variable }) => [variable, ""]));
  t.strictSame(loadConfiguration(undefined, empty), loadConfiguration(undefined, {}));
});

t.test("naming a module chooses the token", async (t) => {
  const token = { MAYFLY_PKCS11_MODULE: "/m.so", MAYFLY_PKCS11_TOKEN: "t", MAYFLY_PKCS11_PIN_FILE: "/p" };
  t.match(loadConfiguration(undefined, token).keys, { provider: "pkcs11", label: "mayfly-issuing" });
  const { MAYFLY_PKCS11_MODULE: _, ...withoutModule } = token;
  t.throws(() => loadConfiguration(undefined, withoutModule), {
    message: /keys\.provider: "development": expected "pkcs11"/,
  });
});

t.test("a value that cannot be read is refused with the variable's name", async (t) => {
  const wrong: [string, string, RegExp][] = [
    [
      "MAYFLY_HTTP01_PORT",
      "eighty",
      /^validation\.http01Port: "eighty": expected integer \(from MAYFLY_HTTP01_PORT\)$/,
    ],
    ["MAYFLY_HTTP01_PORT", "0x50", /expected integer \(from/],
    [
      "MAYFLY_TLSALPN01_PORT",
      "70000",
      /^validation\.tlsAlpn01Port: 70000: expected <= 65535 \(from MAYFLY_TLSALPN01_PORT\)$/,
    ],
    [
      "MAYFLY_VALIDATION_ALLOW_PRIVATE",
      "1",
      /^validation\.allowPrivate: "1": expected boolean \(from MAYFLY_VALIDATION_ALLOW_PRIVATE\)$/,
    ],
    ["MAYFLY_LISTEN", "8443", /\(from MAYFLY_LISTEN\)$/],
    ["MAYFLY_LOG_LEVEL", "loud", /expected one of fatal, .* \(from MAYFLY_LOG_LEVEL\)$/],
  ];
  for (const [variable, text, message] of wrong) {
    t.throws(() => loadConfiguration(undefined, { [variable]: text }), { message }, variable);
    t.throws(() => loadConfiguration(undefined, { [variable]: text }), ConfigurationError);
  }
});

t.test("docs/operations.md has exactly these variables, with their keys", async (t) => {
  const operations = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const rows = [...operations.matchAll(/^\| `(MAYFLY_\w+)` \| `([\w.]+)` \|/gm)].map(
    ([, variable, key]) => `${variable} ${key}`,
  );
  t.strictSame(rows.sort(), environmentVariables.map(({ variable, key }) => `${variable} ${key}`).sort());
  t.match(operations, /^\| `MAYFLY_CONFIG` \|/m);
});
