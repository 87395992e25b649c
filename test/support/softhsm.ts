/**
 * A SoftHSM2 token of one's own, in a temporary directory.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where distributions put the module: Debian and Ubuntu, Fedora, Homebrew. */
const modules = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib64/softhsm/libsofthsm.so",
  "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/** User PIN of every token made here, so that tests can look for it where it must not be. */
export const softhsmPin = "pin-4711-secret";
const securityOfficerPin = "so-pin-0815-secret";

/** What a server needs to use the token. */
export interface SofthsmToken {
  /** Path of the PKCS#11 library. */
  readonly module: string;
  /** The token's label. */
  readonly token: string;
  /** File with the user PIN, mode 0600. */
  readonly pinFile: string;
  /** The variable by which SoftHSM finds this token; spread it over `process.env` for a child process. */
  readonly env: { readonly SOFTHSM2_CONF: string };
  /** The temporary directory that holds it all. */
  readonly directory: string;
}

/** What a token's life is tied to: a test, or anything else that has an end. */
interface Owner {
  teardown(clean: () => void): unknown;
}

/**
 * Makes a fresh token and points this process at it (SoftHSM reads SOFTHSM2_CONF at C_Initialize: whatever uses a former token must
 * be closed first). The owner's end removes it again.
 * @throws {Error} when SoftHSM2 is not installed
 */
export function softhsmToken(owner: Owner, { label = "mayfly" }: { label?: string } = {}): SofthsmToken {
  const module = modules.find((path) => existsSync(path));
  if (!module) throw new Error("these tests need SoftHSM2; install it: apt-get install softhsm2");

  const directory = mkdtempSync(join(tmpdir(), "mayfly-softhsm-"));
  const before = process.env["SOFTHSM2_CONF"];
  owner.teardown(() => {
    if (before === undefined) delete process.env["SOFTHSM2_CONF"];
    else process.env["SOFTHSM2_CONF"] = before;
    rmSync(directory, { recursive: true, force: true });
  });
  const configuration = join(directory, "softhsm2.conf");
  const tokens = join(directory, "tokens");
  const pinFile = join(directory, "pin");
  mkdirSync(tokens, { mode: 0o700 });
  writeFileSync(configuration, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  writeFileSync(pinFile, `${softhsmPin}\n`, { mode: 0o600 });
  process.env["SOFTHSM2_CONF"] = configuration;

  const made: SofthsmToken = { module, token: label, pinFile, env: { SOFTHSM2_CONF: configuration }, directory };
  addSofthsmToken(made, label);
  return made;
}

/** Makes one more token, with the same PIN, beside one that is there. */
export function addSofthsmToken(beside: Pick<SofthsmToken, "env">, label: string): void {
  softhsmUtil(beside, [
    "--init-token",
    "--free",
    "--label",
    label,
    "--so-pin",
    securityOfficerPin,
    "--pin",
    softhsmPin,
  ]);
}

/** Runs softhsm2-util. @throws {Error} when it is not installed, or fails (with what it wrote) */
export function softhsmUtil({ env }: Pick<SofthsmToken, "env">, command: string[]): void {
  try {
    execFileSync("softhsm2-util", command, { env: { ...process.env, ...env }, stdio: "pipe" });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new Error("these tests need softhsm2-util; install it: apt-get install softhsm2", { cause: error });
    }
    throw error;
  }
}
