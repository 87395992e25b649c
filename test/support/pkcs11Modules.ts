/** Three independent PKCS#11 modules, each with a fresh token, so that nothing leans on one vendor's habits. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import ck from "pkcs11js";

import type { KeyKind } from "../../src/keys/signer.ts";
import { run, succeed } from "./program.ts";
import { softhsmPin, softhsmToken } from "./softhsm.ts";

/** What a token's life is tied to. */
interface Owner {
  teardown(clean: () => unknown): unknown;
}

/** A token as configuration names it. */
export interface ModuleToken {
  readonly module: string;
  readonly token: string;
  readonly pinFile: string;
  readonly libraryParameters?: string;
  /** A temporary directory that holds it all. */
  readonly directory: string;
}

export interface ModuleCase {
  readonly name: string;
  /** How the token says what it is. */
  readonly model: RegExp;
  readonly kinds: readonly KeyKind[];
  /** Sessions that tests ask for: the software TPM does one thing at a time. */
  readonly sessions: number;
  /** Makes a token, for this process; the module must not be in use. */
  readonly make: (owner: Owner) => Promise<ModuleToken>;
}

const nssModules = ["x86_64", "aarch64"].flatMap((machine) =>
  ["libsoftokn3.so", "nss/libsoftokn3.so"].map((name) => `/usr/lib/${machine}-linux-gnu/${name}`),
);
const tpmModules = ["/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1", "/usr/lib/aarch64-linux-gnu/libtpm2_pkcs11.so.1"];
const tpmSecurityOfficerPin = "so-pin-0815-secret";

function existing(paths: readonly string[], package_: string): string {
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`these tests need ${package_}; install it: apt-get install ${package_}`);
  return found;
}

/** With a PIN file that holds `softhsmPin`. Paths of sockets are short, and so is this. */
function temporaryFolder(owner: Owner): string {
  const directory = mkdtempSync(join(tmpdir(), "token-"));
  owner.teardown(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, "pin"), `${softhsmPin}\n`, { mode: 0o600 });
  return directory;
}

/** A database of NSS, whose PIN is its password. */
async function nssToken(owner: Owner): Promise<ModuleToken> {
  const module = existing(nssModules, "libnss3");
  const directory = temporaryFolder(owner);
  const pinFile = join(directory, "pin");
  await succeed("certutil", ["-N", "-d", `sql:${directory}`, "-f", pinFile]);
  return {
    module,
    token: "NSS Certificate DB",
    pinFile,
    libraryParameters: `configdir='sql:${directory}' certPrefix='' keyPrefix='' secmod='secmod.db'`,
    directory,
  };
}

/** Puts variables into this process until the owner's end: modules read them where they are initialized. */
function setEnvironment(owner: Owner, variables: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name];
    process.env[name] = value;
    owner.teardown(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}

/** A token that tpm2-pkcs11 keeps by a software TPM (swtpm) behind a resource manager, as the kernel's /dev/tpmrm0 is one. */
async function tpmToken(owner: Owner): Promise<ModuleToken> {
  const module = existing(tpmModules, "libtpm2-pkcs11-1");
  const directory = temporaryFolder(owner);
  const store = join(directory, "store");
  mkdirSync(store);
  await startTpm(owner, directory);
  const tcti = await manageTpm(owner, directory);
  setEnvironment(owner, { TPM2_PKCS11_STORE: store, TPM2_PKCS11_TCTI: tcti, TSS2_LOG: "all+none" });
  initializeToken(module);
  return { module, token: "mayfly", pinFile: join(directory, "pin"), directory };
}

async function until(done: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !done(); waited += 1) {
    if (waited === 200) throw new Error(`${what} does not start`);
    await sleep(50);
  }
}

/** Starts a program that ends with the owner. */
function served(owner: Owner, program: string, parameters: readonly string[], env = process.env): ChildProcess {
  const child = spawn(program, parameters, { env, stdio: ["ignore", "pipe", "ignore"] });
  owner.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    await once(child, "exit");
  });
  return child;
}

async function startTpm(owner: Owner, directory: string): Promise<void> {
  const [state, socket] = [join(directory, "state"), join(directory, "socket")];
  mkdirSync(state);
  const options = ["socket", "--tpm2", "--tpmstate", `dir=${state}`, "--flags", "not-need-init,startup-clear"];
  const sockets = ["--server", `type=unixio,path=${socket}`, "--ctrl", `type=unixio,path=${socket}.ctrl`];
  served(owner, "swtpm", [...options, ...sockets]);
  await until(() => existsSync(socket), "the software TPM");
}

let bus: Promise<string> | undefined;
let managers = 0;

/** The way to the resource manager that this process and its children find each other by: it lives as long as the process, whose module would end with it. */
async function startBus(): Promise<string> {
  const daemon = spawn("dbus-daemon", ["--session", "--nofork", "--print-address=1"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  process.once("exit", () => daemon.kill());
  daemon.unref();
  const [address] = (await once(daemon.stdout, "data")) as [Buffer];
  daemon.stdout.destroy();
  return address.toString().trim();
}

/** @returns how modules find the TPM (TCTI) */
async function manageTpm(owner: Owner, directory: string): Promise<string> {
  bus ??= startBus();
  process.env["DBUS_SESSION_BUS_ADDRESS"] = await bus;
  managers += 1;
  const name = `com.intel.tss2.Tabrmd${managers}`;
  const to = `--tcti=swtpm:path=${join(directory, "socket")}`;
  served(owner, "tpm2-abrmd", ["--session", "--allow-root", `--dbus-name=${name}`, to]);
  const tcti = `tabrmd:bus_name=${name},bus_type=session`;
  const env = { TPM2TOOLS_TCTI: tcti, TSS2_LOG: "all+none", DBUS_SESSION_BUS_ADDRESS: await bus };
  for (let tried = 0; (await run("tpm2_getcap", ["algorithms"], { env })).status !== 0; tried += 1) {
    if (tried === 100) throw new Error("the TPM's resource manager does not answer");
    await sleep(100);
  }
  return tcti;
}

/** As the token's own tool would. */
function initializeToken(module: string): void {
  const cryptoki = new ck.PKCS11(module);
  cryptoki.C_Initialize({ flags: ck.CKF_OS_LOCKING_OK });
  try {
    const [slot = Buffer.alloc(0)] = cryptoki.C_GetSlotList(true);
    cryptoki.C_InitToken(slot, tpmSecurityOfficerPin, "mayfly".padEnd(32));
    const session = cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION);
    cryptoki.C_Login(session, ck.CKU_SO, tpmSecurityOfficerPin);
    cryptoki.C_InitPIN(session, softhsmPin);
    cryptoki.C_Logout(session);
    cryptoki.C_CloseSession(session);
  } finally {
    cryptoki.C_Finalize();
  }
}

export const modules: readonly ModuleCase[] = [
  {
    name: "SoftHSM2",
    model: /^SoftHSM v2$/,
    kinds: ["ec-p256", "ec-p384", "rsa-3072", "rsa-4096", "rsa-3072-pss", "rsa-4096-pss", "ed25519"],
    sessions: 4,
    make: async (owner) => softhsmToken(owner),
  },
  {
    name: "NSS softoken",
    model: /^NSS 3$/,
    kinds: ["ec-p256", "ec-p384", "rsa-3072", "rsa-4096", "rsa-3072-pss", "rsa-4096-pss"],
    sessions: 4,
    make: nssToken,
  },
  {
    name: "tpm2-pkcs11 on swtpm",
    model: /TPM/,
    kinds: ["ec-p256", "ec-p384", "rsa-3072"],
    sessions: 2,
    make: tpmToken,
  },
];
