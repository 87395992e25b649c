/** Every value by which a token says that it, its session or its login is gone: the sessions are opened again, and the signature is made. */
import { setTimeout as sleep } from "node:timers/promises";
import ck from "pkcs11js";
import t, { type Test } from "tap";
import { openPkcs11, type Pkcs11Options } from "../../src/keys/pkcs11.ts";
import type { Pkcs11Module } from "../../src/keys/pkcs11Module.ts";
import { signAndVerify } from "../../src/keys/selfTest.ts";
import { KeyUnavailable } from "../../src/keys/signer.ts";
import { softhsmToken, type SofthsmToken } from "../support/softhsm.ts";

t.setTimeout(120_000);

const message = Buffer.from("to be signed");

/** What PKCS#11 has for it, and what modules say that know no better. */
const values = [
  "CKR_SESSION_HANDLE_INVALID",
  "CKR_SESSION_CLOSED",
  "CKR_DEVICE_ERROR",
  "CKR_DEVICE_REMOVED",
  "CKR_TOKEN_NOT_PRESENT",
  "CKR_USER_NOT_LOGGED_IN",
  "CKR_CRYPTOKI_NOT_INITIALIZED",
  "CKR_KEY_HANDLE_INVALID",
  "CKR_GENERAL_ERROR",
  "CKR_FUNCTION_FAILED",
];

/** Returns `value` from the next `times` calls of such a function; counts openings and logins; holds up making keys. */
function faults(reopenPauseMs: number) {
  const plan = {
    calls: ["C_Sign"] as readonly string[],
    value: "",
    /** Of calls that return something else than the others. */
    values: {} as Readonly<Record<string, string>>,
    times: 0,
    generation: Promise.resolve(),
  };
  const seen = { sessions: 0, logins: 0, generations: 0 };
  const module = (real: Pkcs11Module): Pkcs11Module => ({
    ...real,
    cryptoki: new Proxy(real.cryptoki, {
      get(target, name: string) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...given: unknown[]): unknown => {
          if (name === "C_OpenSession") seen.sessions += 1;
          if (plan.calls.includes(name) && plan.times > 0) {
            plan.times -= 1;
            const error = new Error(plan.values[name] ?? plan.value);
            if (name.endsWith("Async")) return Promise.reject(error);
            throw error;
          }
          if (name !== "C_GenerateKeyPairAsync") return Reflect.apply(value, target, given);
          seen.generations += 1;
          return plan.generation.then(() => Reflect.apply(value, target, given) as unknown);
        };
      },
    }),
    logIn(session, pin) {
      seen.logins += 1;
      return real.logIn(session, pin);
    },
  });
  return { plan, seen, replacements: { module, reopenPauseMs } };
}

async function opened(t: Test, overrides: Partial<Pkcs11Options> = {}, reopenPauseMs = 0) {
  const token = softhsmToken(t);
  const { module, pinFile } = token;
  const injected = faults(reopenPauseMs);
  const options = {
    module,
    token: token.token,
    pinFile,
    sessions: 2,
    queueLimit: 100,
    timeoutMs: 30_000,
    ...overrides,
  };
  const keys = await openPkcs11(options, injected.replacements);
  t.teardown(() => keys.close());
  return { ...injected, keys, token, signer: await keys.generate("issuing", "ec-p256") };
}

for (const signing of ["inThread", "threads"] as const) {
  for (const call of ["C_SignInit", signing === "inThread" ? "C_Sign" : "C_SignAsync"] as const) {
    t.test(`${signing}: ${call} that returns one of these is made up for by reopening and logging in`, async (t) => {
      const { plan, seen, signer } = await opened(t, { signing });
      for (const value of values) {
        const before = { ...seen };
        Object.assign(plan, { calls: [call], value, times: 1 });
        await t.resolves(signAndVerify(signer), value);
        t.equal(seen.logins, before.logins + 1, `${value}: logged in again`);
        t.equal(seen.sessions, before.sessions + 2, `${value}: every session is a new one`);
      }
    });
  }
}

t.test("a value that says nothing of the kind is passed on, and nothing is reopened", async (t) => {
  const { plan, seen, signer } = await opened(t, { signing: "inThread" });
  const { sessions } = seen;
  Object.assign(plan, { calls: ["C_Sign"], value: "CKR_DATA_LEN_RANGE", times: 1 });
  await t.rejects(signer.sign(message), { name: "KeyUnavailable", message: /cannot sign now: CKR_DATA_LEN_RANGE/ });
  t.equal(seen.sessions, sessions);
  await t.resolves(signAndVerify(signer));
});

/** Ends the sessions of this process on the token, as a device that was reset would. */
function endSessions({ module }: SofthsmToken): void {
  const cryptoki = new ck.PKCS11(module);
  const [slot = Buffer.alloc(0)] = cryptoki.C_GetSlotList(true);
  cryptoki.C_CloseAllSessions(slot);
}

/** Looks again and again, for longer than a busy machine takes. */
async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  for (let looked = 0; looked < 1000; looked += 1) {
    if (await done()) return;
    await sleep(20);
  }
  throw new Error("it does not come about");
}

t.test("a device that stays in error is not asked by each operation", async (t) => {
  const { plan, seen, signer, keys, token } = await opened(t, { signing: "inThread" }, 600_000);
  Object.assign(plan, { calls: ["C_OpenSession"], value: "CKR_DEVICE_ERROR", times: 1000 });
  endSessions(token);
  await t.rejects(signer.sign(message), KeyUnavailable);
  const { sessions } = seen;
  t.throws(() => signer.requireReady?.(), KeyUnavailable);
  await t.rejects(signer.sign(message), KeyUnavailable);
  t.match(keys.tokens?.(), [{ usable: false, reason: /is away/ }]);
  t.equal(seen.sessions, sessions);
});

t.test("a device in error that is better signs by itself", async (t) => {
  const { plan, signer, keys, token } = await opened(t, { signing: "inThread" });
  Object.assign(plan, { calls: ["C_OpenSession"], value: "CKR_DEVICE_ERROR", times: 1000 });
  endSessions(token);
  await t.rejects(signer.sign(message), KeyUnavailable);
  t.match(keys.tokens?.(), [{ usable: false, reason: /is away/ }]);
  plan.times = 0;
  await until(() => keys.tokens?.()[0]?.usable === true);
  t.doesNotThrow(() => signer.requireReady?.());
  await t.resolves(signAndVerify(signer));
});

t.test("a search that finds the token gone says so, whatever ending the search returns then", async (t) => {
  const { plan, seen, keys, signer } = await opened(t);
  const before = { ...seen };
  const search = { C_FindObjects: "CKR_DEVICE_REMOVED", C_FindObjectsFinal: "CKR_OPERATION_NOT_INITIALIZED" };
  Object.assign(plan, { calls: Object.keys(search), values: search, times: 2 });
  t.same((await keys.find({ label: "issuing" }))?.spki, signer.spki);
  t.equal(seen.logins, before.logins + 1);
});

t.test("a token that goes away while it makes a key: the module is not ended under it", async (t) => {
  const { plan, seen, keys } = await opened(t);
  const held = Promise.withResolvers<void>();
  plan.generation = held.promise;
  const { generations } = seen;
  const making = keys.generate("made meanwhile", "ec-p256");
  await until(() => seen.generations > generations);
  // Whoever looks for a key finds the session lost, and no other can be had.
  Object.assign(plan, { calls: ["C_FindObjectsInit", "C_OpenSession"], value: "CKR_DEVICE_REMOVED", times: 1000 });
  await t.rejects(keys.find({ label: "issuing" }), KeyUnavailable);
  plan.times = 0;
  await until(() => keys.tokens?.()[0]?.usable === true);
  held.resolve();
  await t.resolves(making.then(signAndVerify));
});

t.test("a key that signs wrongly fails its self-test, and is not used until one succeeds", async (t) => {
  const token = softhsmToken(t);
  let wrong = false;
  const module = (real: Pkcs11Module): Pkcs11Module => ({
    ...real,
    cryptoki: new Proxy(real.cryptoki, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...given: unknown[]): unknown => {
          const returned: unknown = Reflect.apply(value, target, given);
          if (wrong && name === "C_Sign" && Buffer.isBuffer(returned)) returned[5] = (returned[5] ?? 0) ^ 1;
          return returned;
        };
      },
    }),
  });
  const { pinFile } = token;
  const common = { sessions: 2, queueLimit: 10, timeoutMs: 5000, signing: "inThread" } as const;
  const keys = await openPkcs11({ module: token.module, token: token.token, pinFile, ...common }, { module });
  t.teardown(() => keys.close());
  const signer = await keys.generate("issuing", "ec-p256");
  wrong = true;
  await t.rejects(async () => signer.selfTest?.(), { name: "SelfTestFailed" });
  t.throws(() => signer.requireReady?.(), { name: "KeyUnavailable", message: /signs wrongly/ });
  wrong = false;
  await t.resolves(async () => signer.selfTest?.());
  t.doesNotThrow(() => signer.requireReady?.());
  wrong = true;
  await t.rejects(keys.find({ label: "issuing" }), { name: "SelfTestFailed" }, "nor is it opened");
});
