import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as jose from "jose";
import t, { type Test } from "tap";
import { commands } from "../../src/cli/commands.ts";
import { type AcmeFake, startAcmeFake } from "../support/acmeFake.ts";
import { audience } from "../support/acmeFakeOrder.ts";
import { type CommandResult, runWords } from "../support/commandLine.ts";

const spiffeId = "spiffe://mayfly.test/agent/one";
const jwt = (ref: string) => ({ format: "jwt", ref, minBinding: "bearer" });
const bearer = { format: "k8s", ref: "prod", minBinding: "bearer" };

interface Ground {
  readonly fake: AcmeFake;
  readonly directory: string;
  readonly out: string;
  /** `mayfly request` with what every test needs, and `args`. */
  readonly request: (
    args: readonly string[],
    world?: { readonly env?: Readonly<Record<string, string>>; readonly stdin?: string },
  ) => Promise<CommandResult>;
}

async function ground(test: Test): Promise<Ground> {
  const fake = await startAcmeFake();
  test.teardown(() => fake.close());
  const directory = test.testdir();
  const out = join(directory, "out");
  await writeFile(join(directory, "root.pem"), fake.rootPem);
  const always = ["request", "--spiffe-id", spiffeId, "--out", out];
  const env = { MAYFLY_DIRECTORY: fake.directoryUrl, MAYFLY_DATA_DIR: directory };
  return {
    fake,
    directory,
    out,
    request: (args, world = {}) =>
      runWords(commands, [...always, ...args], { ...world, env: { ...env, ...world.env } }),
  };
}

/** A shell command that mints what the fake wants to see: an unsigned token with the bound audience. */
const mint =
  'exec:printf %s. "$(printf %s \'{"alg":"none"}\' | base64 -w0 | tr -d = | tr +/ -_).$(printf \'{"aud":"%s"}\' "$MAYFLY_AUDIENCE" | base64 -w0 | tr -d = | tr +/ -_)"';

t.test("exec: key, chain and bundle, and a summary for people", async (t) => {
  const { fake, out, request } = await ground(t);
  const { status, stdout, stderr } = await request(["--evidence", mint]);
  t.equal(stderr, "");
  t.equal(status, 0);
  const [key, cert, bundle] = await Promise.all(
    ["key.pem", "cert.pem", "bundle.pem"].map((name) => readFile(join(out, name), "utf8")),
  );
  const leaf = new X509Certificate(cert ?? "");
  t.ok(leaf.checkPrivateKey(createPrivateKey(key ?? "")));
  t.equal(leaf.subjectAltName, `URI:${spiffeId}`);
  t.equal(cert?.match(/BEGIN CERTIFICATE/g)?.length, 2);
  t.equal(new X509Certificate(bundle ?? "").fingerprint256, new X509Certificate(fake.rootPem).fingerprint256);
  t.equal((await stat(join(out, "key.pem"))).mode & 0o777, 0o600);
  t.equal((await stat(out)).mode & 0o777, 0o700);
  t.equal(
    stdout,
    [
      spiffeId,
      `  serial     ${leaf.serialNumber.toLowerCase()}`,
      `  not after  ${leaf.validToDate.toISOString()}`,
      `  key        ${join(out, "key.pem")}`,
      `  chain      ${join(out, "cert.pem")}`,
      `  bundle     ${join(out, "bundle.pem")}`,
      "",
    ].join("\n"),
  );
});

t.test("--json is one line for machines", async (t) => {
  const { fake, out, request } = await ground(t);
  fake.plan.accept = [bearer];
  const { stdout } = await request(["--evidence", "k8s:-", "--json"], { stdin: "a.b.c\n" });
  t.equal(stdout.indexOf("\n"), stdout.length - 1);
  t.match(JSON.parse(stdout), {
    spiffeId,
    serial: /^[0-9a-f]+$/,
    notAfter: /^\d{4}-.*Z$/,
    files: { key: join(out, "key.pem"), cert: join(out, "cert.pem"), bundle: join(out, "bundle.pem") },
  });
  t.match(fake.payloads["challenge"], [{ evidence: [{ format: "k8s", ref: "prod", value: "a.b.c" }] }]);
});

t.test("what exec: finds in its environment", async (t) => {
  const { fake, directory, request } = await ground(t);
  const file = join(directory, "environment");
  fake.plan.accept = [bearer];
  await request(["--evidence", `exec:env > '${file}'; echo token`], { env: { KEPT: "yes" } });
  const found = Object.fromEntries(
    (await readFile(file, "utf8")).split("\n").map((line): [string, string] => {
      const [name = "", ...value] = line.split("=");
      return [name, value.join("=")];
    }),
  );
  t.match(found, {
    KEPT: "yes",
    MAYFLY_AUDIENCE: `${audience}/${found["MAYFLY_BINDING"]}`,
    MAYFLY_FIXED_AUDIENCE: audience,
    MAYFLY_BINDING: /^[A-Za-z0-9_-]{43}$/,
    MAYFLY_TOKEN: /^[A-Za-z0-9_-]{22}$/,
    MAYFLY_SPIFFE_ID: spiffeId,
    MAYFLY_FINGERPRINT: /^SHA256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$/,
  });
});

t.test("evidence that is not there", async (t) => {
  const { fake, directory, request } = await ground(t);
  fake.plan.accept = [{ format: "jwt", ref: "github", minBinding: "nonce" }];
  const empty = join(directory, "empty");
  await writeFile(empty, " \n");
  const large = join(directory, "large");
  await writeFile(large, "x".repeat(65_537));
  for (const [evidence, sentence] of [
    ["jwt:/nowhere/token", "the evidence file /nowhere/token cannot be read (ENOENT)"],
    [`jwt:${empty}`, `the evidence file ${empty} yields nothing`],
    [`jwt:${large}`, `the evidence file ${large} has more than 65536 bytes`],
    ["jwt:-", "the standard input yields nothing"],
    ["exec:true", "the evidence command yields nothing"],
    ["exec:echo secret-token; exit 3", "the evidence command ended with status 3"],
    ["exec:kill -9 $$", "the evidence command was ended by SIGKILL"],
    ["exec:head -c 70000 /dev/zero", "the output of the evidence command has more than 65536 bytes"],
  ] as const) {
    t.strictSame(await request(["--evidence", evidence]), { status: 1, stdout: "", stderr: `mayfly: ${sentence}\n` });
  }
  t.notOk(fake.payloads["challenge"], "nothing was sent");
});

t.test("a command that takes too long is ended, with all that it started", async (t) => {
  const { directory, request } = await ground(t);
  const file = join(directory, "pids");
  const line = `exec:sleep 60 & echo $! $$ > '${file}'; wait`;
  const { status, stderr } = await request(["--evidence", line, "--timeout", "1"]);
  t.equal(status, 1);
  t.equal(stderr, "mayfly: no certificate within 1 s: the evidence is not there yet\n");
  for (const pid of (await readFile(file, "utf8")).trim().split(" ")) await gone(t, Number(pid));
});

/** The kernel may take a moment, and whoever inherits an orphan must still wait for it. */
async function gone(test: Test, pid: number): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const state = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    if (state === "" || / [ZX] /.test(state)) return;
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
  test.fail(`process ${pid} still runs`);
}

t.test("the source is chosen from what the challenge accepts", async (t) => {
  const { fake, request } = await ground(t);
  fake.plan.accept = [jwt("github"), jwt("buildkite"), bearer];
  const several = await request(["--evidence", "jwt:-"], { stdin: "x" });
  t.equal(several.stderr, "mayfly: several sources accept jwt: jwt:github, jwt:buildkite; say which one is meant\n");
  t.equal((await request(["--evidence", "jwt:-", "--ref", "github"], { stdin: "x" })).status, 0);
  t.equal((await request(["--evidence", "exec:echo x", "--format", "k8s"])).status, 0);
  t.match(await request(["--evidence", "exec:echo x", "--ref", "gitlab"]), {
    status: 1,
    stderr:
      "mayfly: the server does not accept evidence of source gitlab for this identity; it accepts jwt:github, jwt:buildkite, k8s:prod\n",
  });
  t.strictSame(
    (fake.payloads["challenge"] ?? []).map(({ evidence }) => evidence),
    [[{ format: "jwt", ref: "github", value: "x" }], [{ format: "k8s", ref: "prod", value: "x" }]],
  );
});

t.test("options reach the order", async (t) => {
  const { fake, request } = await ground(t);
  fake.plan.accept = [bearer];
  const before = Date.now();
  await request(["--evidence", "k8s:-", "--profile", "workload", "--lifetime", "600"], { stdin: "x" });
  const [order = {}] = fake.payloads["newOrder"] ?? [];
  t.match(order, {
    profile: "workload",
    identifiers: [{ type: "uri", value: spiffeId }],
  });
  const lifetimeMs = Date.parse(String(order["notAfter"])) - before;
  t.ok(lifetimeMs > 599_000 && lifetimeMs < 610_000);
});

t.test("--delegation: the token in the file goes with the order", async (t) => {
  const { fake, directory, request } = await ground(t);
  fake.plan.accept = [bearer];
  const file = join(directory, "delegation");
  await writeFile(file, "a.b.c\n");
  t.equal((await request(["--evidence", "k8s:-", "--delegation", file], { stdin: "x" })).status, 0);
  t.equal(fake.payloads["newOrder"]?.[0]?.["delegation"], "a.b.c");
  await writeFile(file, "\n");
  t.match(await request(["--evidence", "k8s:-", "--delegation", file], { stdin: "x" }), {
    status: 1,
    stderr: `mayfly: the delegation file ${file} is empty\n`,
  });
  const absent = join(directory, "absent");
  t.match(await request(["--evidence", "k8s:-", "--delegation", absent], { stdin: "x" }), {
    status: 1,
    stderr: `mayfly: the delegation file ${absent} cannot be read (ENOENT)\n`,
  });
});

t.test("--account-key: made once, kept, and the account with it", async (t) => {
  const { fake, directory, request } = await ground(t);
  fake.plan.accept = [bearer];
  const file = join(directory, "account.pem");
  const args = ["--evidence", "k8s:-", "--account-key", file];
  t.equal((await request(args, { stdin: "x" })).status, 0);
  const pem = await readFile(file, "utf8");
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.equal((await request(args, { stdin: "y" })).status, 0);
  t.equal(await readFile(file, "utf8"), pem);
  t.strictSame((await readdir(directory)).sort(), ["account.pem", "out", "root.pem"], "nothing is left beside the key");

  await writeFile(file, "not a key, but perhaps a secret");
  t.match(await request(args), {
    status: 1,
    stderr: `mayfly: the account key ${file} is not an unencrypted private key in PEM\n`,
  });
  await chmod(file, 0o644);
  t.match(await request(args), { status: 1, stderr: /is open to others/ });
  t.match(await request(["--evidence", "k8s:-", "--account-key", "/nowhere/key"]), {
    status: 1,
    stderr: "mayfly: the account key /nowhere/key cannot be written (ENOENT)\n",
  });
});

t.test("a refusal is one line, and the former files stay", async (t) => {
  const { fake, out, request } = await ground(t);
  fake.plan.accept = [bearer];
  await request(["--evidence", "k8s:-"], { stdin: "x" });
  const before = await readFile(join(out, "key.pem"), "utf8");
  const wrong = new jose.UnsecuredJWT({}).setAudience(audience).encode();
  fake.plan.accept = [{ format: "jwt", ref: "dev", minBinding: "nonce" }];
  const { status, stderr } = await request(["--evidence", "jwt:-"], { stdin: wrong });
  t.equal(status, 1);
  t.equal(
    stderr,
    "mayfly: the server refused the evidence: The evidence was refused (badAttestationStatement); bindingMismatch: B is not in it\n",
  );
  t.notMatch(stderr, wrong);
  t.equal(await readFile(join(out, "key.pem"), "utf8"), before);
});

t.test("a wrong chain is not written", async (t) => {
  const { fake, out, request } = await ground(t);
  fake.plan.accept = [bearer];
  fake.plan.chain = async () => fake.rootPem;
  t.match(await request(["--evidence", "k8s:-"], { stdin: "x" }), { status: 1, stderr: /is for another key/ });
  t.strictSame(await readdir(out), []);
});

t.test("mistakes are found before anything is sent", async (t) => {
  const { fake, directory, request } = await ground(t);
  await writeFile(join(directory, "file"), "");
  for (const [args, status, sentence] of [
    [[], 2, /request needs --evidence SOURCE/],
    [["--evidence", "GCP:x"], 2, /--evidence is FORMAT:FILE, FORMAT@REF:FILE, exec:COMMAND or exec@REF:COMMAND/],
    [["--evidence", "jwt:"], 2, /--evidence is FORMAT:FILE/],
    [["--evidence", "jwt@:x"], 2, /--evidence is FORMAT:FILE/],
    [["--evidence", "token"], 2, /--evidence is FORMAT:FILE/],
    [["--evidence", "jwt@one:x", "--ref", "two"], 2, /--ref is two, but the evidence is of one/],
    [["--evidence", "jwt:x", "--evidence", "k8s:y", "--ref", "two"], 2, /--ref and --format go with one --evidence/],
    [["--evidence", "jwt:-", "--evidence", "k8s:-"], 2, /the standard input is one piece of evidence only/],
    [Array.from({ length: 5 }, () => "--evidence=jwt:x"), 2, /--evidence is there more than 4 times/],
    [["--evidence", "x509-pop:cert.pem"], 2, /--evidence x509-pop:CERT,KEY needs two files/],
    [["--evidence", "jwt:-", "--format", "k8s"], 2, /--format is k8s, but the evidence is jwt/],
    [["--evidence", "exec:true", "--format", "T P M"], 2, /--format is "T P M", expected the name of a format/],
    [["--evidence", "jwt:-", "--lifetime", "0"], 2, /--lifetime is "0", expected a whole number/],
    [
      ["--evidence", "jwt:-", "--root", "/nowhere/root.pem"],
      1,
      /the root certificate \/nowhere\/root\.pem cannot be read \(ENOENT\)/,
    ],
    [["--evidence", "jwt:-", "--directory", "http://localhost/d"], 1, /only https URLs are used/],
  ] as const) {
    t.match(await request(args), { status, stdout: "", stderr: sentence });
  }
  const elsewhere = ["request", "--evidence", "jwt:-", "--root", join(directory, "root.pem")];
  t.match(await runWords(commands, [...elsewhere, "--spiffe-id", "spiffe://x", "--out", directory]), {
    status: 2,
    stderr: /--spiffe-id is "spiffe:\/\/x": The SPIFFE ID of a workload has a path/,
  });
  t.match(await runWords(commands, [...elsewhere, "--spiffe-id", spiffeId, "--out", join(directory, "file")]), {
    status: 1,
    stderr: /the directory .* cannot be written to \(EEXIST\)/,
  });
  t.strictSame(fake.requests, []);
});

t.test("one request where server, format and source are known; the long way with --no-inline", async (t) => {
  const { fake, directory, request } = await ground(t);
  fake.plan.inline = { does: true, says: true };
  const file = join(directory, "nonces");
  const noting = mint.replace("exec:", `exec:echo "$MAYFLY_TOKEN" >> '${file}'; `);
  const args = ["--evidence", noting, "--ref", "dev", "--format", "jwt"];
  fake.plan.badNonces = 1;
  t.match(await request(args), { status: 0, stderr: "" });
  t.strictSame(fake.requests, ["directory", "newNonce", "newAccount", "newAccount", "newOrder"]);
  t.match(await request(["--evidence", mint.replace("exec:", "exec@dev:"), "--format", "jwt"]), { status: 0 });
  t.equal(fake.requests.at(-1), "newOrder", "the source in the option's own value");
  t.match(await request([...args, "--no-inline"]), { status: 0, stderr: "" });
  t.strictSame(fake.requests.slice(-5), ["newOrder", "authz", "challenge", "finalize", "certificate"]);
  t.match(await request(["--evidence", mint]), { status: 0, stderr: "" });
  t.strictSame(fake.requests.slice(-5), ["newOrder", "authz", "challenge", "finalize", "certificate"], "not known");
});

t.test("several pieces, one with endorsements: a JSON object, from a command and from a file", async (t) => {
  const { fake, directory, request } = await ground(t);
  const tpm = { format: "tpm", ref: "machines", minBinding: "nonce" };
  fake.plan.accept = [{ ...bearer, with: [tpm] }];
  const file = join(directory, "quote");
  const quote = { value: "AAAA", endorsements: { ek: "BBBB", ekChain: ["CCCC", "DDDD"] } };
  await writeFile(file, JSON.stringify(quote));
  const args = ["--evidence", `tpm:${file}`, "--evidence", `exec:echo '{"value":"a.b.c"}'`];
  t.match(await request(args), { status: 0, stderr: "" });
  t.match(fake.payloads["challenge"], [
    {
      evidence: [
        { format: "tpm", ref: "machines", ...quote },
        { format: "k8s", ref: "prod", value: "a.b.c" },
      ],
    },
  ]);
  t.notMatch(JSON.stringify(fake.payloads["challenge"]).split("k8s")[1], "endorsements", "only where there are some");
  t.match(await request(["--evidence", `tpm:${file}`]), {
    status: 1,
    stderr: /it accepts k8s:prod together with tpm:machines/,
  });
});

t.test("objects that hold no evidence are refused, and quoted nowhere", async (t) => {
  const { fake, request } = await ground(t);
  fake.plan.accept = [bearer];
  for (const [input, sentence] of [
    ["{", "the standard input yields an object without a value"],
    ['{"secret":"x"}', "the standard input yields an object without a value"],
    ['{"value":7}', "the standard input yields an object without a value"],
    ['{"value":""}', "the standard input yields an object without a value"],
    [
      '{"value":"secret","endorsements":[]}',
      "the standard input yields endorsements that are not texts, or lists of texts, by name",
    ],
    [
      '{"value":"secret","endorsements":{"a":{}}}',
      "the standard input yields endorsements that are not texts, or lists of texts, by name",
    ],
    [`{"value":"${"x".repeat(65_537)}"}`, "the evidence for k8s:prod is larger than 65536 bytes"],
    [`{"value":"x","endorsements":{"a":"${"x".repeat(262_145)}"}}`, "the endorsements are larger than 262144 bytes"],
    ["x".repeat(400_000), "the standard input has more than 344064 bytes"],
  ] as const)
    t.strictSame(await request(["--evidence", "k8s:-"], { stdin: input }), {
      status: 1,
      stdout: "",
      stderr: `mayfly: ${sentence}\n`,
    });
  t.notOk(fake.payloads["challenge"], "nothing was sent");
});
