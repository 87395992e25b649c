/** One key in two tokens: one that is lost costs no signature, and is used again when it is back. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { copyFileSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { openPkcs11, type Pkcs11Replacements } from "../../src/keys/pkcs11.ts";
import type { Pkcs11Module } from "../../src/keys/pkcs11Module.ts";
import { openReplicatedKeys } from "../../src/keys/replicatedKeys.ts";
import type { Replica } from "../../src/keys/replicas.ts";
import { KeyUnavailable, type KeyProvider, type Signer, type TokenState } from "../../src/keys/signer.ts";
import { verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { memoryKeys } from "../support/issuers.ts";
import { addSofthsmToken, softhsmPin, softhsmToken, softhsmUtil, type SofthsmToken } from "../support/softhsm.ts";

t.setTimeout(120_000);

const message = Buffer.from("to be signed");
const retryMs = 100;

async function isGood(signer: Signer, signed: Uint8Array = message): Promise<boolean> {
  return verifySignature(signer.algorithm, signer.publicKey, signed, await signer.sign(signed));
}

/** Puts one key into several tokens; softhsm2-util makes it sensitive and not extractable there. */
function replicate(token: SofthsmToken, labels: readonly string[]): KeyObject {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const file = join(token.directory, "replicated.pem");
  writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  for (const label of labels) {
    softhsmUtil(token, ["--import", file, "--label", "issuing", "--id", "a1", "--token", label, "--pin", softhsmPin]);
  }
  return publicKey;
}

/** The module once more, with a state of its own, as that of another vendor would be: SoftHSM sees tokens only when it is initialized. */
function anotherModule(token: SofthsmToken): SofthsmToken {
  const module = join(token.directory, "another.so");
  copyFileSync(token.module, module);
  return { ...token, module };
}

function replica(token: SofthsmToken, label: string, replacements?: Pkcs11Replacements): Replica {
  const { module, pinFile } = token;
  const options = { module, token: label, pinFile, sessions: 2, queueLimit: 200, timeoutMs: 30_000 };
  return { name: label, open: () => openPkcs11(options, replacements) };
}

/** The token's own folder of SoftHSM, out of the way and back again. */
function drawer({ directory }: SofthsmToken, label: string) {
  const tokens = join(directory, "tokens");
  const folder = readdirSync(tokens).find((name) =>
    readFileSync(join(tokens, name, "token.object")).includes(Buffer.from(label.padEnd(32))),
  );
  if (folder === undefined) throw new Error(`no token ${label}`);
  const away = join(directory, "away");
  mkdirSync(away, { recursive: true });
  return {
    pull: () => renameSync(join(tokens, folder), join(away, folder)),
    putBack: () => renameSync(join(away, folder), join(tokens, folder)),
  };
}

/** A token whose calls fail as long as `fault` says how. */
function faulty() {
  const state: { fault: string | undefined; signed: number } = { fault: undefined, signed: 0 };
  const module = (real: Pkcs11Module): Pkcs11Module => ({
    ...real,
    cryptoki: new Proxy(real.cryptoki, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...given: unknown[]): unknown => {
          const call = name === "C_SignInit" || name === "C_OpenSession";
          if (call && state.fault !== undefined) throw new Error(state.fault);
          if (name === "C_SignInit") state.signed += 1;
          return Reflect.apply(value, target, given);
        };
      },
    }),
  });
  return { state, replacements: { module } };
}

async function opened(t: Test, replicas: readonly Replica[]) {
  const told: TokenState[] = [];
  const keys = await openReplicatedKeys(replicas, { retryMs, onChange: (state) => told.push(state) });
  t.teardown(() => keys.close());
  return { keys, told };
}

/** Looks again and again, for longer than a busy machine takes. */
async function until(done: () => boolean): Promise<void> {
  for (let looked = 0; looked < 1000; looked += 1) {
    if (done()) return;
    await sleep(20);
  }
  throw new Error("it does not come about");
}

function usable(keys: KeyProvider): boolean[] {
  return (keys.tokens?.() ?? []).map((state) => state.usable);
}

t.test(
  "the first token signs; pulled out in the middle of load, no signature is lost; back again, it signs",
  async (t) => {
    const token = softhsmToken(t, { label: "first" });
    addSofthsmToken(token, "second");
    const publicKey = replicate(token, ["first", "second"]);
    const [first, second] = [faulty(), faulty()];
    const { keys, told } = await opened(t, [
      replica(anotherModule(token), "first", first.replacements),
      replica(token, "second", second.replacements),
    ]);
    const signer = await keys.find({ spki: publicKey.export({ type: "spki", format: "der" }) });
    if (!signer) throw new Error("the key is not found");
    t.match(signer.custody, { alwaysSensitive: false, neverExtractable: false }, "it was brought in, and that is told");

    const before = second.state.signed;
    t.ok(await isGood(signer));
    t.equal(second.state.signed, before, "the second is not asked while the first can");

    let good = 0;
    const end = new AbortController();
    const load = Array.from({ length: 8 }, async () => {
      while (!end.signal.aborted) {
        if (await isGood(signer)) good += 1;
        await sleep(1);
      }
    });
    await until(() => good > 20);
    const plug = drawer(token, "first");
    plug.pull();
    first.state.fault = "CKR_DEVICE_REMOVED"; // SoftHSM goes on with what it has read: a device would not.
    await until(() => usable(keys)[0] === false);
    t.same(usable(keys), [false, true]);
    t.doesNotThrow(() => signer.requireReady?.());
    await t.resolves(async () => signer.selfTest?.(), "one of them works");
    const meanwhile = good;
    await until(() => good > meanwhile + 20);
    end.abort();
    await Promise.all(load); // None of them was refused.
    t.match(told, [{ token: "first", usable: false, reason: /no PKCS#11 token labelled "first"/ }]);

    plug.putBack();
    delete first.state.fault;
    await until(() => usable(keys).every(Boolean));
    t.same(usable(keys), [true, true]);
    t.match(told.at(-1), { token: "first", usable: true });
    const since = first.state.signed;
    t.ok(await isGood(signer));
    t.ok(first.state.signed > since, "it signs again");
  },
);

t.test("a token that is away at the start is used once it is there", async (t) => {
  const token = softhsmToken(t, { label: "first" });
  addSofthsmToken(token, "second");
  const publicKey = replicate(token, ["first", "second"]);
  const away = faulty();
  away.state.fault = "CKR_TOKEN_NOT_PRESENT";
  const { keys } = await opened(t, [replica(token, "first", away.replacements), replica(token, "second")]);
  t.same(usable(keys), [false, true]);
  const spki = publicKey.export({ type: "spki", format: "der" });
  const signer = await keys.find({ spki });
  t.ok(signer && (await isGood(signer)));
  await t.rejects(keys.find({ label: "nobody" }), KeyUnavailable, "what was not looked for everywhere is not missing");
  await t.rejects(keys.generate("new", "ec-p256"), /keys are made in the first token, which is away/);
  delete away.state.fault;
  await until(() => usable(keys).every(Boolean));
  const since = away.state.signed;
  t.ok(signer && (await isGood(signer)));
  t.ok(away.state.signed > since);
  t.equal(await keys.find({ label: "nobody" }), undefined);

  away.state.fault = "CKR_DEVICE_ERROR";
  t.ok(signer && (await isGood(signer)));
});

t.test("all tokens away: requireReady refuses, and the first that is back signs", async (t) => {
  const token = softhsmToken(t, { label: "first" });
  addSofthsmToken(token, "second");
  const publicKey = replicate(token, ["first", "second"]);
  const both = [faulty(), faulty()];
  const labels = ["first", "second"];
  const { keys } = await opened(
    t,
    both.map(({ replacements }, index) => replica(token, labels[index] ?? "", replacements)),
  );
  const signer = await keys.find({ spki: publicKey.export({ type: "spki", format: "der" }) });
  if (!signer) throw new Error("the key is not found");
  for (const { state } of both) state.fault = "CKR_DEVICE_ERROR";
  await t.rejects(signer.sign(message), KeyUnavailable);
  t.throws(() => signer.requireReady?.(), KeyUnavailable);
  await t.rejects(async () => signer.selfTest?.(), KeyUnavailable);
  const last = both[1];
  if (last) delete last.state.fault;
  await until(() => usable(keys)[1] === true);
  t.doesNotThrow(() => signer.requireReady?.());
  t.ok(await isGood(signer));
});

t.test("a PIN from a descriptor is there for each token, and again for one that could not be opened", async (t) => {
  const token = softhsmToken(t, { label: "first" });
  addSofthsmToken(token, "second");
  const publicKey = replicate(token, ["first", "second"]);
  const handedOver = { ...token, pinFile: `/dev/fd/${openSync(token.pinFile, "r")}` };
  const away = faulty();
  away.state.fault = "CKR_DEVICE_REMOVED"; // Its PIN has been read by then.
  const { keys } = await opened(t, [
    replica(anotherModule(handedOver), "first", away.replacements),
    replica(handedOver, "second"),
  ]);
  t.same(usable(keys), [false, true]);
  const signer = await keys.find({ spki: publicKey.export({ type: "spki", format: "der" }) });
  t.ok(signer && (await isGood(signer)));
  delete away.state.fault;
  await until(() => usable(keys).every(Boolean));
  const since = away.state.signed;
  t.ok(signer && (await isGood(signer)));
  t.ok(away.state.signed > since);
});

t.test("no token opens: the start fails with what the first says", async (t) => {
  const token = softhsmToken(t, { label: "first" });
  const open = openReplicatedKeys([replica(token, "third"), replica(token, "fourth")], {
    retryMs,
    onChange: () => undefined,
  });
  await t.rejects(open, /no PKCS#11 token labelled "third"/);
});

t.test("one label for different keys is refused; a token with too much to do hands over to the next", async (t) => {
  const [one, other] = [memoryKeys(), memoryKeys()];
  const signer = await one.generate("issuing", "ec-p256");
  await other.generate("issuing", "ec-p256");
  const { keys } = await opened(t, [
    { name: "one", open: async () => one },
    { name: "other", open: async () => other },
  ]);
  await t.rejects(keys.find({ label: "issuing" }), /"issuing" names different keys in the tokens/);

  let busy = true;
  const full: Signer = {
    ...signer,
    requireReady: () => {
      if (busy) throw new KeyUnavailable("too many operations are waiting for the token");
    },
    sign: async () => {
      throw new Error("not asked while it is full");
    },
  };
  const replicas = [full, signer].map((each, index) => ({
    name: `${index}`,
    open: async (): Promise<KeyProvider> => ({ ...one, find: async () => each }),
  }));
  const { keys: crowded, told } = await opened(t, replicas);
  const found = await crowded.find({ spki: signer.spki });
  t.ok(found && (await isGood(found)));
  t.same(told, [], "which is no reason to set it aside");
  busy = false;
});
