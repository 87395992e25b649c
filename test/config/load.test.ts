import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { stringify } from "yaml";
import { ConfigurationError, loadConfiguration, type Configuration } from "../../src/config/load.ts";
import { defaultProfiles } from "../../src/config/schema.ts";

/** Reads a file with this content, text or a tree. */
function load(t: Test, content: string | object, env: Readonly<Record<string, string>> = {}): Configuration {
  const file = join(t.testdir(), "mayfly.yaml");
  writeFileSync(file, typeof content === "string" ? content : stringify(content));
  return loadConfiguration(file, env);
}

/** The lines of the refusal, without the file's path. */
function refusal(t: Test, content: string | object, env: Readonly<Record<string, string>> = {}): string {
  try {
    load(t, content, env);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.message.replaceAll(t.testdirName, "…");
  }
  return "accepted";
}

const github = {
  ref: "github",
  format: "jwt",
  issuer: "https://token.actions.githubusercontent.com",
  jwksUrl: "https://token.actions.githubusercontent.com/.well-known/jwks",
};
const grant = {
  name: "deploy",
  spiffeId: "spiffe://mayfly.localhost/github/{repository_id}",
  source: "github",
  conditions: [{ claim: "repository_owner_id", equals: "1342004" }],
  minBinding: "nonce",
  profile: "workload",
};
const pkcs11 = { module: "/usr/lib/token.so", token: "mayfly", pinFile: "/etc/mayfly/pin" };

t.test("no file: everything is set up for trying Mayfly out", async (t) => {
  const configuration = loadConfiguration(undefined, {});
  t.match(configuration, {
    origin: "built-in development defaults",
    noConfigurationMode: true,
    externalUrl: "https://localhost:8443",
    audience: "https://localhost:8443/wa",
    databaseUrl: undefined,
    validation: { http01Port: 5002, tlsAlpn01Port: 5001, allowLocalhostNames: true, allowPrivate: false },
    attestation: { developmentSource: true },
  });
  t.strictSame(
    configuration.grants.map(({ name, source }) => `${name} ${source}`),
    ["development dev"],
  );
});

t.test("a file: nothing of the development mode, even when it is empty", async (t) => {
  for (const empty of ["", "# nothing\n", "---\n", "{}"]) {
    const configuration = load(t, empty);
    t.match(configuration, {
      noConfigurationMode: false,
      validation: { http01Port: 80, tlsAlpn01Port: 443, allowLocalhostNames: false },
    });
    t.strictSame(
      { grants: configuration.grants, development: configuration.attestation.developmentSource },
      { grants: [], development: false },
    );
  }
});

t.test("the development source can be asked for by name, and brings its grant", async (t) => {
  const { grants } = load(t, { trustDomain: "example.org", attestation: { developmentSource: true } });
  t.strictSame(
    grants.map(({ name, identity }) => `${name} ${identity.type === "uri" ? identity.template.trustDomain : ""}`),
    ["development example.org"],
  );
});

t.test("MAYFLY_CONFIG names the file; the command line comes first", async (t) => {
  const dir = t.testdir({ "a.yaml": "listen: a.example:1", "b.yaml": "listen: b.example:2" });
  const env = { MAYFLY_CONFIG: join(dir, "a.yaml") };
  t.equal(loadConfiguration(undefined, env).listen, "a.example:1");
  t.equal(loadConfiguration(join(dir, "b.yaml"), env).listen, "b.example:2");
  t.equal(loadConfiguration(undefined, { MAYFLY_CONFIG: "" }).noConfigurationMode, true, "empty counts as not set");
});

t.test("what follows from other keys", async (t) => {
  const urlFor = (listen: string) => load(t, { listen }).externalUrl;
  t.equal(urlFor("ca.example:443"), "https://ca.example");
  t.equal(urlFor("0.0.0.0:8443"), "https://localhost:8443");
  t.equal(urlFor("[::]:8443"), "https://localhost:8443");
  t.equal(urlFor("[::1]:8443"), "https://[::1]:8443");
  t.match(load(t, { listen: "[::1]:8443" }), { listenHost: "::1", listenPort: 8443 });
  t.match(load(t, { externalUrl: "https://ca.example/" }), {
    externalUrl: "https://ca.example",
    audience: "https://ca.example/wa",
  });
  t.equal(load(t, { attestation: { audience: "urn:ours" } }).audience, "urn:ours");
  t.ok(load(t, { dataDir: "state" }).dataDir.endsWith("/state"), "absolute");
  const urlFile = join(t.testdir({ url: "postgresql://u:p@db/mayfly\n" }), "url");
  t.equal(
    loadConfiguration(undefined, { MAYFLY_DATABASE_URL_FILE: urlFile }).databaseUrl,
    "postgresql://u:p@db/mayfly",
  );
});

t.test("a key with nothing behind it means its default, at every depth", async (t) => {
  const { validation, profiles } = load(
    t,
    "listen:\nprofiles:\nvalidation:\n  http01Port:\n  timeoutMs: 200\ngrants:\n",
  );
  t.match(validation, { http01Port: 80, timeoutMs: 200 });
  t.strictSame([...profiles.keys()], Object.keys(defaultProfiles));
});

t.test("profiles, sources and grants of a file", async (t) => {
  const configuration = load(t, {
    attestation: { sources: [github] },
    grants: [grant],
    profiles: { workload: defaultProfiles["workload"] },
  });
  t.strictSame([...configuration.profiles.keys()], ["workload"]);
  t.match(configuration.grants, [{ name: "deploy", source: "github", profile: "workload" }]);
});

t.test("a file that is none", async (t) => {
  const absent = t.testdir();
  t.throws(() => loadConfiguration(join(absent, "absent.yaml"), {}), {
    name: "ConfigurationError",
    message: /absent\.yaml cannot be read: ENOENT/,
  });
  t.match(refusal(t, "listen: a:1\nlisten: b:2\n"), /mayfly\.yaml: Map keys must be unique at line 2/);
  t.match(refusal(t, "listen: [a"), /mayfly\.yaml: /);
  t.match(refusal(t, "- listen: a:1\n"), /expected keys and values at the top/);
  t.match(refusal(t, "just words"), /expected keys and values at the top/);
  t.match(refusal(t, `# ${"x".repeat(1_048_576)}\n`), /larger than 1048576 characters/);
});

t.test("unknown keys, by their path", async (t) => {
  t.equal(refusal(t, { lisen: "a:1" }), "lisen: unknown key; config/default.yaml names every key");
  t.match(refusal(t, { tls: { mod: "auto" } }), /^tls\.mod: unknown key/);
  t.match(
    refusal(t, { keys: { pkcs11: { pin: "1234" } } }),
    /^keys\.pkcs11\.pin: unknown key/,
    "and the value is not shown",
  );
  t.match(
    refusal(t, { profiles: { p: { ...defaultProfiles["server"], colour: "red" } } }),
    /^profiles\.p\.colour: unknown key/,
  );
  t.match(
    refusal(t, { attestation: { sources: [{ ...github, jwks: "x" }] } }),
    /^attestation\.sources\.0\.jwks: unknown key/,
  );
  t.match(
    refusal(t, { grants: [{ ...grant, conditions: [{ claim: "a", equals: 1, matches: ".*" }] }] }),
    /^grants\.0\.conditions\.0\.matches: unknown key/,
  );
});

t.test("wrong types and values: key, value, what was expected", async (t) => {
  const cases: [object, string][] = [
    [{ listen: 8443 }, "listen: 8443: expected string"],
    [{ log: { level: "loud" } }, 'log.level: "loud": expected one of fatal, error, warn, info, debug, silent'],
    [{ validation: { http01Port: 0 } }, "validation.http01Port: 0: expected >= 1"],
    [{ validation: { http01Port: 65536 } }, "validation.http01Port: 65536: expected <= 65535"],
    [{ validation: { http01Port: "80" } }, 'validation.http01Port: "80": expected integer'],
    [{ validation: { allowPrivate: "yes" } }, 'validation.allowPrivate: "yes": expected boolean'],
    [{ acme: { identifiersPerOrder: 1.5 } }, "acme.identifiersPerOrder: 1.5: expected integer"],
    [{ tls: "auto" }, 'tls: "auto": expected object'],
    [{ grants: {} }, "grants: {}: expected array"],
  ];
  for (const [content, message] of cases) t.equal(refusal(t, content), message);
  t.match(refusal(t, { listen: "8443" }), /^listen: "8443": expected host:port$/);
  t.match(
    refusal(t, { externalUrl: "http://ca.example" }),
    /^externalUrl: "http:\/\/ca\.example": expected https:\/\/host/,
  );
  t.match(refusal(t, { externalUrl: "https://ca.example/path" }), /^externalUrl: /);
  t.match(refusal(t, { grants: [{ name: "x" }] }), /^grants\.0\.source: is missing$/m);
  t.match(refusal(t, { profiles: {} }), /^profiles: \{\}: expected /);
  t.equal(
    refusal(t, { profiles: { Upper: defaultProfiles["server"] } }),
    "profiles.Upper: expected a name of lower-case letters, digits and dashes",
  );
  t.equal(refusal(t, { listen: 1, tls: { mode: 2 }, log: 3 }).split("\n").length, 3, "all of them at once");
});

t.test("values that no pattern catches", async (t) => {
  t.equal(refusal(t, { listen: "localhost:65536" }), 'listen: "localhost:65536": expected a port up to 65535');
  t.match(refusal(t, { trustDomain: "Example.org" }), /^trustDomain: "Example\.org": expected lower-case letters/);
  t.match(refusal(t, { externalUrl: "https://a:b:c" }), /^externalUrl: "https:…?\/\/a:b:c": expected an https URL/);
  for (const dnsResolver of ["dns.example:0", "127.0.0.1:65536", "[1:2]:53"]) {
    t.equal(
      refusal(t, { validation: { dnsResolver } }),
      `validation.dnsResolver: "${dnsResolver}": expected host:port, [IPv6]:port, port 1 to 65535`,
    );
  }
  for (const dnsResolver of ["10.0.0.2:53", "[fd00::2]:53", "dns.example:53"])
    t.equal(refusal(t, { validation: { dnsResolver } }), "accepted");
});

t.test("impossible combinations", async (t) => {
  t.equal(
    refusal(t, { tls: { mode: "off" } }),
    "externalUrl: is missing: expected the proxy's https URL when tls.mode is off",
  );
  t.equal(refusal(t, { tls: { mode: "off" }, externalUrl: "https://ca.example" }), "accepted");
  t.match(
    refusal(t, { tls: { mode: "files", keyFile: "k" } }),
    /^tls\.mode: "files": expected tls\.certificateFile and tls\.keyFile/,
  );
  t.match(refusal(t, { tls: { keyFile: "k" } }), /^tls\.mode: "auto": expected "files"/);
  t.equal(
    refusal(t, { database: { url: "postgresql://db/m", urlFile: "f" } }),
    "database: expected one of url and urlFile",
  );
  for (const [key, value] of Object.entries({ ...pkcs11, slot: 0 })) {
    t.equal(
      refusal(t, { keys: { pkcs11: { [key]: value } } }),
      `keys.provider: "development": expected "pkcs11" where keys.pkcs11.${key} is set`,
    );
  }
  const token = (change: object) => refusal(t, { keys: { provider: "pkcs11", pkcs11: { ...pkcs11, ...change } } });
  t.equal(token({}), "accepted");
  t.match(token({ module: null }), /^keys\.pkcs11\.module: is missing/);
  t.match(token({ pinFile: null }), /^keys\.pkcs11\.pinFile: is missing/);
  t.match(token({ token: null }), /^keys\.pkcs11: expected exactly one of token .* and slot/);
  t.match(token({ slot: 0 }), /^keys\.pkcs11: expected exactly one of token .* and slot/);
  t.equal(token({ token: null, slot: 0 }), "accepted");
  const files = { directory: "pq" };
  t.match(
    refusal(t, { keys: { postQuantum: files } }),
    /^keys\.provider: "development": expected "pkcs11" where keys\.postQuantum\.directory is set/,
  );
  const postQuantum = (keys: object) => refusal(t, { keys: { provider: "pkcs11", pkcs11, postQuantum: keys } });
  t.equal(postQuantum(files), "accepted");
  t.match(postQuantum({ passphraseFile: "p" }), /^keys\.postQuantum\.directory: is missing/);
});

t.test("profiles, sources and grants that do not go together", async (t) => {
  const server = defaultProfiles["server"];
  t.match(
    refusal(t, { profiles: { p: { ...server, lifetimeMinSeconds: 90_000 } } }),
    /^profiles\.p\.lifetimeMinSeconds: 90000 is more than/,
  );
  t.match(
    refusal(t, { profiles: { p: { ...server, identifiers: ["uri"] } } }),
    /^profiles\.p\.extendedKeyUsage: \[serverAuth\]: /,
  );

  const sources = (...list: object[]) => refusal(t, { attestation: { sources: list } });
  t.match(sources(github, github), /^attestation\.sources: ref "github": expected a ref that no other source has/);
  t.match(sources({ ...github, ref: "dev" }), /ref "dev": expected a ref/);
  t.match(
    sources({ ...github, format: "atc" }, { ...github, ref: "second", format: "atc" }),
    /^attestation\.sources\.github\.issuer: .*expected one that no other source of format atc has/,
  );
  t.match(sources({ ...github, jwksFile: "f" }), /^attestation\.sources\.github\.jwksUrl: /);
  t.match(sources({ ...github, jwksUrl: "http://far.example/jwks" }), /^attestation\.sources\.github\.jwksUrl: /);

  const grants = (...list: object[]) => refusal(t, { attestation: { sources: [github] }, grants: list });
  t.equal(grants(grant), "accepted");
  t.match(grants(grant, grant), /^grants\.deploy\.name: "deploy": expected a name that no other grant has/);
  t.match(
    grants({ ...grant, source: "gitlab" }),
    /^grants\.deploy\.source: "gitlab": expected the ref of a configured source/,
  );
  t.match(grants({ ...grant, profile: "server" }), /^grants\.deploy\.profile: "server": expected a profile with uri/);
  t.match(
    grants({ ...grant, spiffeId: "spiffe://other/x" }),
    /^grants\.deploy\.spiffeId: .*: expected the trust domain mayfly\.localhost/,
  );
  t.match(grants({ ...grant, conditions: [] }), /^grants\.deploy\.conditions: \[\]: expected .* tenant/);
});

t.test("no message shows a password", async (t) => {
  const wrong = "mysql://mayfly:hunter2@db.example/mayfly";
  t.match(
    refusal(t, { database: { url: wrong } }),
    /^database\.url: "mysql:\/\/…@db\.example\/mayfly": expected postgresql:/,
  );
  t.match(
    refusal(t, {}, { MAYFLY_DATABASE_URL: wrong }),
    /^database\.url: "mysql:\/\/…@db\.example\/mayfly": expected .* \(from MAYFLY_DATABASE_URL\)$/,
  );
  const urlFile = join(t.testdir({ url: `${wrong}\n` }), "url");
  t.throws(() => loadConfiguration(undefined, { MAYFLY_DATABASE_URL_FILE: urlFile }), {
    message: `database.urlFile: "${urlFile}": expected a file with a postgresql:// URL`,
  });
  t.throws(() => loadConfiguration(undefined, { MAYFLY_DATABASE_URL_FILE: "/absent" }), {
    message: 'database.urlFile: "/absent": expected a file that can be read (ENOENT)',
  });
});
