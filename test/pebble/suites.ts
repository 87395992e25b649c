/**
 * `npm run clients:optional [name …]`: tests and examples of client libraries, as their authors publish them, against the launcher. Each
 * is fetched by its own tool (cargo, go) into a temporary folder or that tool's cache; what has no tool here is passed over, and said.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { selfSigned } from "../support/challengeCertificate.ts";
import { repository } from "../support/program.ts";

interface Suite {
  readonly name: string;
  /** The program that it needs. */
  readonly tool: string;
  /** Resolves to whether it passed. */
  readonly run: (folder: string) => Promise<boolean>;
}

const launchers = join(repository, "test/pebble");
const environment = { ...process.env, PEBBLE_VA_NOSLEEP: "1" };

/** Runs a program with its output on the terminal. */
function passes(cwd: string, env: NodeJS.ProcessEnv, program: string, ...parameters: string[]): boolean {
  return spawnSync(program, parameters, { cwd, env: { ...environment, ...env }, stdio: "inherit" }).status === 0;
}

const output = (cwd: string, program: string, ...parameters: string[]): string =>
  execFileSync(program, parameters, { cwd, encoding: "utf8" });

/** Where Go keeps the sources of a module. */
function goModule(folder: string, module: string): string {
  writeFileSync(join(folder, "go.mod"), "module fetching\n");
  return (JSON.parse(output(folder, "go", "mod", "download", "-json", module)) as { Dir: string }).Dir;
}

const instantAcme: Suite = {
  name: "instant-acme 0.8.5",
  tool: "cargo",
  async run(folder) {
    output(folder, "cargo", "init", "--quiet", "--name", "fetching", ".");
    output(folder, "cargo", "add", "--quiet", "instant-acme@=0.8.5");
    const metadata = JSON.parse(output(folder, "cargo", "metadata", "--format-version", "1")) as {
      packages: { name: string; manifest_path: string }[];
    };
    const found = metadata.packages.find(({ name }) => name === "instant-acme");
    if (found === undefined) throw new Error("cargo did not fetch instant-acme");
    const copy = join(folder, "instant-acme");
    cpSync(dirname(found.manifest_path), copy, { recursive: true });
    const started = { PEBBLE: join(launchers, "pebble"), CHALLTESTSRV: join(launchers, "pebble-challtestsrv") };
    const features = ["--no-default-features", "--features", "ring,hyper-rustls,rcgen,time,x509-parser"];
    const tests = ["test", "--manifest-path", join(copy, "Cargo.toml"), "--test", "pebble", ...features];
    return passes(copy, started, "cargo", ...tests, "--", "--ignored", "--test-threads=2");
  },
};

/** Its tests build Pebble from a folder of sources; these are sources that hand over to the launcher. */
const standIn = (name: string): string => `package main

import (
\t"os"
\t"syscall"
)

func main() {
\tpanic(syscall.Exec(os.Getenv("STAND_IN_FOLDER")+"/${name}", os.Args, os.Environ()))
}
`;

const xCrypto: Suite = {
  name: "golang.org/x/crypto/acme 0.59.0",
  tool: "go",
  async run(folder) {
    const sources = goModule(folder, "golang.org/x/crypto@v0.59.0");
    const pebble = join(folder, "pebble");
    for (const name of ["pebble", "pebble-challtestsrv"]) {
      mkdirSync(join(pebble, "cmd", name), { recursive: true });
      writeFileSync(join(pebble, "cmd", name, "main.go"), standIn(name));
    }
    writeFileSync(join(pebble, "go.mod"), "module pebble\n");
    const { key, cert } = selfSigned({ dns: ["localhost"], ip: ["127.0.0.1"], issuer: "challenge" });
    mkdirSync(join(pebble, "test/certs/localhost"), { recursive: true });
    for (const [name, text] of Object.entries({
      "localhost/key.pem": key,
      "localhost/cert.pem": cert,
      "pebble.minica.pem": cert,
    }))
      writeFileSync(join(pebble, "test/certs", name), text);
    const tests = ["test", "./acme", "-run", "WithPebble", "-count=1", "-v", "-args", `-pebble-local-dir=${pebble}`];
    return passes(sources, { STAND_IN_FOLDER: launchers }, "go", ...tests);
  },
};

const acmez: Suite = {
  name: "acmez 3.1.7, its examples",
  tool: "go",
  async run(folder) {
    const sources = goModule(folder, "github.com/mholt/acmez/v3@v3.1.7");
    const { key, cert } = selfSigned({ dns: ["localhost"], ip: ["127.0.0.1"] });
    const [certificate, privateKey] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    writeFileSync(certificate, cert);
    writeFileSync(privateKey, key);
    const file = join(folder, "pebble.json");
    const addresses = { listenAddress: "127.0.0.1:14000", managementListenAddress: "" }; // The examples name this one.
    writeFileSync(file, JSON.stringify({ pebble: { ...addresses, certificate, privateKey } }));
    // They have no target that could be validated.
    const env = { ...environment, PEBBLE_VA_ALWAYS_VALID: "1" };
    const child = spawn(join(launchers, "pebble"), ["-config", file], { env, stdio: ["ignore", "pipe", "inherit"] });
    const { promise: up, resolve } = Promise.withResolvers<void>();
    child.stdout.on("data", () => resolve());
    child.once("close", () => resolve());
    await up;
    const results = ["porcelain", "plumbing"].map((name) => passes(sources, {}, "go", "run", `./examples/${name}`));
    child.kill("SIGTERM");
    return results.every(Boolean);
  },
};

const wanted = process.argv.slice(2);
const suites = [instantAcme, xCrypto, acmez].filter(
  ({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)),
);
const results: string[] = [];
for (const { name, tool, run } of suites) {
  if (spawnSync(tool, ["version"], { stdio: "ignore" }).error !== undefined) {
    results.push(`${name}: passed over, there is no ${tool}`);
    continue;
  }
  const folder = mkdtempSync(join(tmpdir(), "mayfly-suites-"));
  try {
    const passed = await run(folder);
    if (!passed) process.exitCode = 1;
    results.push(`${name}: ${passed ? "passed" : "failed"}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
console.log(results.join("\n"));
