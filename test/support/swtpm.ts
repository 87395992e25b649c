/** Machines with a software TPM (swtpm), made and certified by a maker of the tests' own (swtpm_localca). */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import type { TestOwner } from "./certificateAuthority.ts";
import { run, succeed, type Ended } from "./program.ts";

/** Who makes TPMs, and certifies their endorsement keys. */
export interface TpmMaker {
  readonly setupConfiguration: string;
  /** PEM of the root, once a TPM is made. */
  readonly rootFile: string;
  /** PEM of the CA below it. */
  readonly issuerFile: string;
}

export interface TpmMachine {
  /** Where its commands run and leave their files. */
  readonly folder: string;
  /** Runs lines in a shell as a person on the machine would; rejects unless they end with 0. @returns standard output */
  readonly shell: (lines: string, env?: Readonly<Record<string, string>>) => Promise<string>;
  /** The same, resolving however they end. */
  readonly attempt: (lines: string) => Promise<Ended>;
}

/** A folder that goes with the test. Paths of sockets are short, and so is this. */
async function temporaryFolder(owner: TestOwner): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tpm-"));
  owner.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function tpmMaker(owner: TestOwner): Promise<TpmMaker> {
  const folder = await temporaryFolder(owner);
  const file = (name: string): string => join(folder, name);
  const ca = {
    statedir: folder,
    signingkey: file("signkey.pem"),
    issuercert: file("issuercert.pem"),
    certserial: file("certserial"),
  };
  await writeFile(file("localca.conf"), settings(ca));
  await writeFile(
    file("localca.options"),
    "--platform-manufacturer Example\n--platform-version 1\n--platform-model Machine\n",
  );
  const setup = {
    create_certs_tool: (await succeed("sh", ["-c", "command -v swtpm_localca"])).trim(),
    create_certs_tool_config: file("localca.conf"),
    create_certs_tool_options: file("localca.options"),
    active_pcr_banks: "sha256",
  };
  await writeFile(file("setup.conf"), settings(setup));
  return {
    setupConfiguration: file("setup.conf"),
    rootFile: file("swtpm-localca-rootca-cert.pem"),
    issuerFile: file("issuercert.pem"),
  };
}

const settings = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join("");

/** A machine that was just started, with a TPM that was just made. */
export async function tpmMachine(owner: TestOwner, { setupConfiguration, issuerFile }: TpmMaker): Promise<TpmMachine> {
  const folder = await temporaryFolder(owner);
  const [state, socket] = [join(folder, "state"), join(folder, "socket")];
  await mkdir(state);
  // It would become another user where it is started by root, who could not read our folders.
  const user = (await succeed("id", ["-un"])).trim();
  const made = ["--tpm2", "--tpm-state", state, "--create-ek-cert", "--config", setupConfiguration, "--runas", user];
  await succeed("swtpm_setup", made);
  const served = ["socket", "--tpm2", "--tpmstate", `dir=${state}`, "--flags", "not-need-init,startup-clear"];
  const sockets = ["--server", `type=unixio,path=${socket}`, "--ctrl", `type=unixio,path=${socket}.ctrl`];
  const tpm = spawn("swtpm", [...served, ...sockets], { stdio: "ignore" });
  owner.teardown(async () => {
    if (tpm.exitCode !== null || tpm.signalCode !== null) return;
    tpm.kill();
    await once(tpm, "exit");
  });
  const env = { TPM2TOOLS_TCTI: `swtpm:path=${socket}`, TSS2_LOG: "all+none" };
  await answering(env);
  await writeFile(join(folder, "ek-issuer.pem"), await readFile(issuerFile));
  return {
    folder,
    shell: (lines, more = {}) => succeed("/bin/sh", ["-ec", lines], { cwd: folder, env: { ...env, ...more } }),
    attempt: (lines) => run("/bin/sh", ["-ec", lines], { cwd: folder, env }),
  };
}

async function answering(env: Readonly<Record<string, string>>): Promise<void> {
  for (let attempt = 0; (await run("tpm2_getcap", ["algorithms"], { env })).status !== 0; attempt += 1) {
    if (attempt === 100) throw new Error("the software TPM does not answer");
    await sleep(100);
  }
}
