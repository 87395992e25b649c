/**
 * The one door to `pkcs11js`: loads it, loads a vendor's module with it, and shares the initialized module between everyone in the
 * process who uses it, since C_Initialize and C_Finalize concern the whole process (PKCS#11 v2.40 §5.4).
 */
import { access, realpath } from "node:fs/promises";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Handle, PKCS11 } from "pkcs11js";
import type { PinLogin } from "./pinLogin.ts";

type Binding = typeof import("pkcs11js");

/** A loaded and initialized PKCS#11 module. */
export interface Pkcs11Module {
  readonly cryptoki: PKCS11;
  /** The names and numbers of PKCS#11 (`CKA_…`, `CKM_…`), as pkcs11js carries them. */
  readonly ck: Binding;
  /** Where the library is. */
  readonly path: string;
  /**
   * C_Login as CKU_USER with what descriptor `pin` holds, in a thread of its own whose memory is written over afterwards: the PIN is
   * never in this one's. See pinLogin.ts.
   * @returns what the module returned, "CKR_OK" among others, or "empty" where there is no PIN in the file
   */
  logIn(session: Handle, pin: number): Promise<string>;
  /** C_Initialize; harmless where the module is initialized already. */
  initialize(): void;
  /** Does work in sessions that no pool knows of: until it settles, the module is not finalized. */
  inside<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Says that this user has no session of a pool and no call on one. Once every user in this process has said so, C_Finalize, so that the
   * next `initialize` starts afresh; nothing happens while this user has work `inside`.
   */
  finalize(): void;
  /**
   * Ends this user's share. The last one finalizes the module, unless a call still runs inside it (`quiet` is false, or there is work
   * `inside`) or the module was initialized by somebody else.
   */
  release(quiet: boolean): void;
}

interface LoadedModule {
  readonly ck: Binding;
  readonly path: string;
  readonly cryptoki: PKCS11;
  /** Those of its users; they cannot change while it has any. */
  libraryParameters: string | undefined;
  readonly users: Set<ModuleUser>;
  /** True when our C_Initialize was the one that counted, so that C_Finalize is ours too. */
  initialized: boolean;
}

interface ModuleUser {
  /** Has given its sessions up, and waits for the token to come back. */
  waits: boolean;
  /** How much work it has in sessions that no pool knows of. */
  inside: number;
}

/** Kept for the life of the process: unloading a vendor's library is asking for trouble, and a module opened again is the same one. */
const loadedModules = new Map<string, LoadedModule>();

/** The value that a PKCS#11 function returned, for example "CKR_DEVICE_REMOVED", or undefined when `error` is not such a return. */
export function returnValueOf(error: unknown): string | undefined {
  // pkcs11js puts the name alone, or the name and its number, into the message. Sentences of ours that quote a name do not match.
  return error instanceof Error ? /^(CKR_\w+)(?::\d+)?$/.exec(error.message)?.[1] : undefined;
}

/**
 * Loads and initializes the PKCS#11 module at `path`.
 * @throws {Error} with one sentence for people: pkcs11js not built, no such file, not a PKCS#11 module, C_Initialize refused
 */
export async function openPkcs11Module(path: string, libraryParameters?: string): Promise<Pkcs11Module> {
  const ck = await loadBinding();
  await access(path).catch(() => {
    throw new Error(`there is no PKCS#11 module at ${path}; install the token's library or correct the path`);
  });
  const loaded = loadedFrom(ck, await realpath(path));
  takeParameters(loaded, libraryParameters);
  initialize(loaded);
  const user: ModuleUser = { waits: false, inside: 0 };
  loaded.users.add(user);
  return {
    ck,
    cryptoki: loaded.cryptoki,
    path: loaded.path,
    logIn: (session, pin) => logInApart({ module: loaded.path, session, pin }),
    initialize() {
      user.waits = false;
      initialize(loaded);
    },
    async inside(work) {
      user.inside += 1;
      try {
        return await work();
      } finally {
        user.inside -= 1;
      }
    },
    finalize() {
      if (user.inside > 0) return;
      user.waits = true;
      if ([...loaded.users].every(({ waits }) => waits)) finalize(loaded);
    },
    release(quiet) {
      loaded.users.delete(user);
      if (quiet && user.inside === 0 && loaded.users.size === 0) finalize(loaded);
    },
  };
}

function loadedFrom(ck: Binding, path: string): LoadedModule {
  const loaded = loadedModules.get(path) ?? load(ck, path);
  loadedModules.set(path, loaded);
  return loaded;
}

/** @throws {Error} when the module is in use with others */
function takeParameters(loaded: LoadedModule, libraryParameters: string | undefined): void {
  if (loaded.users.size === 0 && !loaded.initialized) loaded.libraryParameters = libraryParameters;
  else if (loaded.libraryParameters !== libraryParameters)
    throw new Error(`the PKCS#11 module ${loaded.path} is in use with other library parameters`);
}

function initialize(loaded: LoadedModule): void {
  const { ck, cryptoki, libraryParameters, path } = loaded;
  try {
    cryptoki.C_Initialize({
      // Signatures run on the thread pool, so the module must lock.
      flags: ck.CKF_OS_LOCKING_OK,
      // pkcs11js gives the last octet up for the zero that ends a string in C.
      ...(libraryParameters !== undefined && { libraryParameters: `${libraryParameters} ` }),
    });
    loaded.initialized = true;
  } catch (error) {
    if (returnValueOf(error) === "CKR_CRYPTOKI_ALREADY_INITIALIZED") return;
    const reason = returnValueOf(error) ?? "unknown error";
    throw new Error(`the PKCS#11 module ${path} cannot be initialized: ${reason}`, { cause: error });
  }
}

function finalize(loaded: LoadedModule): void {
  if (!loaded.initialized) return;
  loaded.initialized = false;
  try {
    loaded.cryptoki.C_Finalize();
  } catch {
    // Somebody else finalized it, or the token is gone; either way nothing is left to give back.
  }
}

/** Megabytes of the thread's young objects: few, so that it writes over them soon. */
const youngMegabytes = 2;

async function logInApart(login: PinLogin): Promise<string> {
  // A build has compiled JavaScript beside this file, a checkout its TypeScript.
  const program = new URL(`./pinLogin${extname(import.meta.filename)}`, import.meta.url);
  const thread = new Worker(program, {
    workerData: login,
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: youngMegabytes },
  });
  return new Promise((resolve, reject) => {
    let answer: string | undefined;
    thread.on("message", (returned: string) => (answer = returned));
    thread.on("error", () => reject(new Error("the thread that logs in to the token failed")));
    // Only now is its memory given back.
    thread.on("exit", () => {
      if (answer === undefined) reject(new Error("the thread that logs in to the token ended without an answer"));
      else resolve(answer);
    });
  });
}

function load(ck: Binding, path: string): LoadedModule {
  try {
    const cryptoki = new ck.PKCS11(path);
    return { ck, path, cryptoki, libraryParameters: undefined, users: new Set(), initialized: false };
  } catch {
    throw new Error(`${path} is not a PKCS#11 module that can be loaded here`);
  }
}

async function loadBinding(): Promise<Binding> {
  try {
    // CommonJS: only the default export carries all of its names.
    return (await import("pkcs11js")).default;
  } catch {
    throw new Error(
      "PKCS#11 tokens need the package pkcs11js, which is not built here; install python3, make and g++ and run `npm run pkcs11`",
    );
  }
}
