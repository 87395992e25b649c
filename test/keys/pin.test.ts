/** The PIN: where it may come from, that it is in no memory, log or error, and that it is never tried into a lock-out. */
import { spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import ck from "pkcs11js";
import t, { type Test } from "tap";
import { openPkcs11, type Pkcs11Options } from "../../src/keys/pkcs11.ts";
import type { Pkcs11Module } from "../../src/keys/pkcs11Module.ts";
import { softhsmPin, softhsmToken, type SofthsmToken } from "../support/softhsm.ts";

t.setTimeout(120_000);

function optionsFor(token: SofthsmToken, overrides: Partial<Pkcs11Options> = {}): Pkcs11Options {
  const { module, pinFile, directory: refusalsDirectory } = token;
  const common = { module, token: token.token, pinFile, refusalsDirectory };
  return { ...common, sessions: 2, queueLimit: 10, timeoutMs: 10_000, ...overrides };
}

async function opens(options: Pkcs11Options): Promise<void> {
  await (await openPkcs11(options)).close();
}

/** As another program would, that has the module for itself. */
function logInByHand({ module }: SofthsmToken, pin: string): void {
  const cryptoki = new ck.PKCS11(module);
  cryptoki.C_Initialize({ flags: ck.CKF_OS_LOCKING_OK });
  try {
    const [slot = Buffer.alloc(0)] = cryptoki.C_GetSlotList(true);
    cryptoki.C_Login(cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION), ck.CKU_USER, pin);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("CKR_PIN")) throw error;
  } finally {
    cryptoki.C_Finalize();
  }
}

/** Counts logins, and says of the token what SoftHSM never says. */
function watched(flags = 0) {
  const seen = { logins: 0 };
  const wrap = (real: Pkcs11Module): Pkcs11Module => ({
    ...real,
    cryptoki: new Proxy(real.cryptoki, {
      get(target, name) {
        if (name === "C_GetTokenInfo") {
          return (slot: Buffer) => {
            const info = target.C_GetTokenInfo(slot);
            return { ...info, flags: info.flags | flags };
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    }),
    logIn(session, pin) {
      seen.logins += 1;
      return real.logIn(session, pin);
    },
  });
  return { seen, replacements: { module: wrap } };
}

t.test("a PIN that was refused is not tried by the next start, until its file is written again", async (t) => {
  const token = softhsmToken(t);
  writeFileSync(token.pinFile, "wrong-pin-9999\n");
  const first = watched();
  await t.rejects(openPkcs11(optionsFor(token), first.replacements), /refused the PIN in .* \(CKR_PIN_INCORRECT\)/);
  t.equal(first.seen.logins, 1);

  const again = watched();
  for (let start = 0; start < 5; start += 1) {
    await t.rejects(
      openPkcs11(optionsFor(token), again.replacements),
      /refused the PIN in .* on \d{4}-.*the file has not changed since: correct it, then start again/,
    );
  }
  t.equal(again.seen.logins, 0, "however often a supervisor starts us");
  const [note = ""] = readdirSync(token.directory).filter((name) => name.startsWith("pin-refused-"));
  t.notMatch(readFileSync(join(token.directory, note), "utf8"), /wrong-pin/);

  writeFileSync(token.pinFile, `${softhsmPin}\n`);
  await opens(optionsFor(token));
  t.notOk(
    readdirSync(token.directory).some((name) => name.startsWith("pin-refused-")),
    "the note goes with the login that succeeds",
  );
  await opens(optionsFor(token));
});

t.test("a token whose flags warn of a lock-out is not logged in to, with what to do", async (t) => {
  const token = softhsmToken(t);
  for (const [flag, sentence] of [
    ["CKF_USER_PIN_LOCKED", /is locked; unlock it as its security officer/],
    ["CKF_USER_PIN_FINAL_TRY", /has one try of its PIN left; log in once by hand .*pkcs11-tool --module .* --login/],
    ["CKF_USER_PIN_COUNT_LOW", /gave the token "mayfly" a wrong PIN .*; log in once by hand/],
  ] as const) {
    const { seen, replacements } = watched(ck[flag]);
    await t.rejects(openPkcs11(optionsFor(token), replacements), { name: "PinRefused", message: sentence });
    t.equal(seen.logins, 0, flag);
  }
});

t.test("a wrong PIN that another program tried: SoftHSM's own flag, and a login by hand clears it", async (t) => {
  const token = softhsmToken(t);
  logInByHand(token, "wrong-pin-9999");
  const { seen, replacements } = watched();
  await t.rejects(openPkcs11(optionsFor(token), replacements), { name: "PinRefused", message: /log in once by hand/ });
  t.equal(seen.logins, 0);
  logInByHand(token, softhsmPin);
  await opens(optionsFor(token));
});

t.test("a running server logs in again although another program tried a wrong PIN meanwhile", async (t) => {
  const token = softhsmToken(t);
  const keys = await openPkcs11(optionsFor(token));
  t.teardown(() => keys.close());
  const signer = await keys.generate("issuing", "ec-p256");
  const cryptoki = new ck.PKCS11(token.module);
  const [slot = Buffer.alloc(0)] = cryptoki.C_GetSlotList(true);
  cryptoki.C_CloseAllSessions(slot);
  t.throws(() => cryptoki.C_Login(cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION), ck.CKU_USER, "wrong-pin-9999"));
  await t.resolves(signer.sign(Buffer.from("message")), "its own PIN is known to be right");
});

/** Opens the token, signs, says so, and waits for its end. */
const holder = (options: Pkcs11Options): string => `
  const { openPkcs11 } = await import(${JSON.stringify(new URL("../../src/keys/pkcs11.ts", import.meta.url).href)});
  const keys = await openPkcs11(${JSON.stringify(options)}).catch((error) => {
    console.log(error.message);
    process.exit(1);
  });
  const signer = await keys.generate("issuing", "ec-p256");
  await signer.sign(Buffer.from("message"));
  globalThis.marker = Buffer.from("marker-" + process.argv[1]);
  console.log("signed");
  setInterval(() => globalThis.marker, 1000);`;

/** A process of that program. @returns its output, once it wrote a line */
async function held(
  t: Test,
  options: Pkcs11Options,
  extra: { readonly marker?: string; readonly input?: string } = {},
) {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", holder(options), extra.marker ?? "none"], {
    stdio: ["ignore", "pipe", "pipe", extra.input === undefined ? "ignore" : "pipe"],
  });
  t.teardown(() => void child.kill("SIGKILL"));
  const written: Buffer[] = [];
  child.stderr?.on("data", (chunk: Buffer) => written.push(chunk));
  const pipe = child.stdio[3];
  if (extra.input !== undefined && pipe && "write" in pipe) {
    pipe.on("error", () => undefined); // Whoever has read enough does not wait for the rest.
    pipe.end(extra.input);
  }
  await new Promise<void>((resolve) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      written.push(chunk);
      resolve();
    });
    child.on("exit", () => resolve());
  });
  return { pid: child.pid ?? 0, output: () => Buffer.concat(written).toString() };
}

/** Whether these octets are anywhere in what a core dump of the process would hold. */
function inMemory(pid: number, wanted: string): boolean {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    const maps = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n");
    const readable = maps.map((line) => /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+\s*(\S*)/.exec(line));
    return readable.some((found) => {
      const [, from = "", to = "", name = ""] = found ?? [];
      if (!found || name.startsWith("[v")) return false;
      const start = Number.parseInt(from, 16);
      return regionHolds(memory, start, Number.parseInt(to, 16) - start, Buffer.from(wanted));
    });
  } finally {
    closeSync(memory);
  }
}

/** What an ended thread has not written over is given back to the system some seconds later; what is still there after so long stays. */
const givenBackMs = 20_000;

/** Whether these octets stay in the memory of the process. */
async function staysInMemory(pid: number, wanted: string): Promise<boolean> {
  const begun = performance.now();
  while (inMemory(pid, wanted)) {
    if (performance.now() - begun > givenBackMs) return true;
    await pause(100);
  }
  return false;
}

const stepBytes = 16_777_216;

function regionHolds(memory: number, start: number, length: number, wanted: Buffer): boolean {
  const window = Buffer.allocUnsafeSlow(stepBytes + wanted.length);
  for (let offset = 0; offset < length; offset += stepBytes) {
    try {
      const read = readSync(memory, window, 0, Math.min(window.length, length - offset), start + offset);
      if (window.subarray(0, read).includes(wanted)) return true;
    } catch {
      return false; // A region that is only reserved: no dump has it either.
    }
  }
  return false;
}

t.test(
  "the PIN is in no memory of a process that logged in with it, so in no core dump, and in no output",
  async (t) => {
    const token = softhsmToken(t);
    const marker = `${process.pid}-${Date.now()}`;
    const { pid, output } = await held(t, optionsFor(token), { marker });
    t.equal(output(), "signed\n");
    t.ok(inMemory(pid, `marker-${marker}`), "the search finds what is there");
    t.notOk(await staysInMemory(pid, softhsmPin));
    t.notOk(await staysInMemory(pid, softhsmPin.slice(-10)), "nor its end");
  },
);

t.test("a PIN that comes over a descriptor is read once, and used for every login", async (t) => {
  const token = softhsmToken(t);
  rmSync(token.pinFile);
  const { pid, output } = await held(t, optionsFor(token, { pinFile: "/dev/fd/3" }), { input: `${softhsmPin}\n` });
  t.equal(output(), "signed\n");
  t.notOk(await staysInMemory(pid, softhsmPin));
});

t.test("a wrong PIN over a descriptor is told, never shown, and not tried by the next start", async (t) => {
  const token = softhsmToken(t);
  const options = optionsFor(token, { pinFile: "/dev/fd/3" });
  const first = await held(t, options, { input: "wrong-pin-9999" });
  t.match(first.output(), /refused the PIN in \/dev\/fd\/3 \(CKR_PIN_INCORRECT\)/);
  t.notMatch(first.output(), /wrong-pin/);
  const second = await held(t, options, { input: softhsmPin });
  t.match(second.output(), /if what is given there now is another one, remove .*pin-refused-/);
  const nothing = await held(t, optionsFor(token, { pinFile: "/dev/fd/400" }));
  t.match(nothing.output(), /there is no PIN in \/dev\/fd\/400: nothing was handed over there/);
  const large = await held(t, options, { input: "x".repeat(2000) });
  t.match(large.output(), /the PIN in \/dev\/fd\/3 is larger than 1024 bytes/);
});
