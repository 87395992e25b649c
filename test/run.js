/**
 * `npm test`: brings what the tests need, checks the sources, runs the tests. Arguments are files or patterns of tests
 * to run instead of all. A run of all is compared with docs/acme-conformance.md as well. Node's own totals are the last
 * thing printed, unless that page is found wrong.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the tests call, with Debian's package for it. */
const needs = [
  { package: "softhsm2", there: () => hasCommand("softhsm2-util") && softhsmModules.some((file) => existsSync(file)) },
  { package: "libnss3", there: () => nssModules.some((file) => existsSync(file)) },
  { package: "libnss3-tools", there: () => hasCommand("certutil") },
  { package: "libtpm2-pkcs11-1", there: () => tpmModules.some((file) => existsSync(file)) },
  { package: "tpm2-abrmd", there: () => existsSync("/usr/sbin/tpm2-abrmd") || hasCommand("tpm2-abrmd") },
  { package: "libtss2-tcti-tabrmd0", there: () => tabrmdModules.some((file) => existsSync(file)) },
  { package: "dbus-daemon", there: () => hasCommand("dbus-daemon") },
  { package: "certbot", there: () => hasCommand("certbot") },
  { package: "lego", there: () => hasCommand("lego") },
  { package: "uacme", there: () => hasCommand("uacme") && hasCommand("ualpn") },
  { package: "dehydrated", there: () => hasCommand("dehydrated") },
  { package: "acme-tiny", there: () => hasCommand("acme-tiny") },
  { package: "caddy", there: () => hasCommand("caddy") },
  // The program without the package that would start it as a service; mod_md is in it.
  { package: "apache2-bin", there: () => existsSync("/usr/sbin/apache2") },
  { package: "pebble", there: () => hasCommand("pebble") && hasCommand("pebble-challtestsrv") },
  { package: "swtpm", there: () => hasCommand("swtpm") },
  { package: "swtpm-tools", there: () => hasCommand("swtpm_setup") && hasCommand("swtpm_localca") },
  { package: "tpm2-tools", there: () => hasCommand("tpm2_activatecredential") },
  { package: "jq", there: () => hasCommand("jq") },
  { package: "util-linux", there: () => hasCommand("unshare") && hasCommand("setpriv") },
  { package: "curl", there: () => hasCommand("curl") },
  { package: "openssl", there: () => hasCommand("openssl") },
  { package: "make", there: () => hasCommand("make") },
  { package: "g++", there: () => hasCommand("g++") },
  { package: "python3", there: () => hasCommand("python3") },
];

/** Where Debian, Ubuntu, Fedora, Arch and Homebrew put it. */
const softhsmModules = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib64/pkcs11/libsofthsm2.so",
  "/usr/lib/libsofthsm2.so",
  "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/** Where Debian puts NSS softoken, tpm2-pkcs11, and what leads it to the TPM's resource manager. */
const debianLibraries = (name) => ["x86_64", "aarch64"].map((machine) => `/usr/lib/${machine}-linux-gnu/${name}`);
// Earlier releases have softoken in a folder of its own.
const nssModules = ["libsoftokn3.so", "nss/libsoftokn3.so"].flatMap(debianLibraries);
const tpmModules = debianLibraries("libtpm2_pkcs11.so.1");
const tabrmdModules = debianLibraries("libtss2-tcti-tabrmd.so.0");

const testMsMax = 300_000;

if (Number(process.versions.node.split(".")[0]) < 24)
  fail("the tests need Node 24; npm brings it along: npm ci && npm test");
installMissing();
run("node", ["bin/build-pkcs11.js"]);
run("npm", ["run", "--silent", "check"]);
const patterns = process.argv.slice(2);
process.exitCode = patterns.length > 0 ? runTests(patterns) : runAll();

/** Every test, and then the table of requirements against what they yielded. */
function runAll() {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-tests-"));
  try {
    const recorded = join(folder, "tests.jsonl");
    const status = runTests(["test/**/*.test.ts"], [["./test/conformance/recorder.ts", recorded]]);
    const table = step("node", ["test/conformance/command.ts", "check", recorded]);
    return status === 0 ? (table.status ?? 1) : status;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param moreReporters pairs of reporter and destination, besides the one that people read */
function runTests(files, moreReporters = []) {
  const reporters = [["spec", "stdout"], ...moreReporters].flatMap(([name, destination]) => [
    `--test-reporter=${name}`,
    `--test-reporter-destination=${destination}`,
  ]);
  const options = ["--test", "--test-concurrency=2", `--test-timeout=${testMsMax}`, ...reporters];
  return step("node", [...options, ...files]).status ?? 1;
}

function installMissing() {
  const missing = missingPackages();
  if (missing.length === 0) return;
  const install = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (process.getuid?.() !== 0 || !hasCommand("apt-get"))
    fail(
      `the tests need programs that are not installed: ${missing.join(", ")}\nOn Debian or Ubuntu, as root:\n\n  ${install}\n`,
    );
  console.log(`Installing what the tests need: ${missing.join(", ")}`);
  run("sh", ["-c", install], { DEBIAN_FRONTEND: "noninteractive" });
  const still = missingPackages();
  if (still.length > 0) fail(`these are installed, and yet not found: ${still.join(", ")}`);
}

function missingPackages() {
  return needs.filter(({ there }) => !there()).map((need) => need.package);
}

function hasCommand(name) {
  return (process.env.PATH ?? "").split(":").some((folder) => folder !== "" && existsSync(join(folder, name)));
}

/** Runs a step; when it fails, that is the end. */
function run(command, parameters, environment) {
  const { status, error } = step(command, parameters, environment);
  if (status !== 0) fail(error?.message ?? `failed: ${[command, ...parameters].join(" ")}`);
}

function step(command, parameters, environment = {}) {
  return spawnSync(command === "node" ? process.execPath : command, parameters, {
    cwd: join(import.meta.dirname, ".."),
    // tap would give up on a file after 30 s, which a busy machine can take; the limit is that of the runner.
    env: { TAP_TIMEOUT: String(testMsMax / 1000), ...process.env, ...environment },
    stdio: "inherit",
  });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
