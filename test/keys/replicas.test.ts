/** Tokens that are set aside and come back, without tokens: what no module here can be brought to at the right moment. */
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import type { Replica } from "../../src/keys/replicas.ts";
import { openReplicatedKeys } from "../../src/keys/replicatedKeys.ts";
import { SelfTestFailed } from "../../src/keys/selfTest.ts";
import { KeyUnavailable, type KeyProvider, type Signer, type TokenState } from "../../src/keys/signer.ts";
import { memoryKeys } from "../support/issuers.ts";

const message = Buffer.from("to be signed");

/** A token with that key; what it does is changed while it is used. */
function tokenWith(signer: Signer, name: string) {
  const state = {
    away: false,
    opened: 0,
    signed: 0,
    /** What it says instead of finding the key. */
    refusal: undefined as Error | undefined,
    /** Labels it knows the key by. */
    labels: [signer.label],
    finding: Promise.resolve(),
  };
  async function sign(given: Uint8Array): Promise<Buffer> {
    if (state.away) throw new KeyUnavailable(`${name} is away`);
    state.signed += 1;
    return signer.sign(given);
  }
  const provider: KeyProvider = {
    description: name,
    development: false,
    generate: async () => signer,
    async find({ label, spki }) {
      await state.finding;
      if (state.refusal) throw state.refusal;
      return spki || state.labels.includes(label ?? "") ? { ...signer, sign } : undefined;
    },
    close: async () => undefined,
  };
  const replica: Replica = {
    name,
    async open() {
      if (state.away) throw new KeyUnavailable(`${name} is away`);
      state.opened += 1;
      return provider;
    },
  };
  return { state, replica };
}

async function twoTokens() {
  const signer = await memoryKeys().generate("issuing", "ec-p256");
  return { spki: signer.spki, first: tokenWith(signer, "first"), second: tokenWith(signer, "second") };
}

async function opened(t: Test, replicas: readonly Replica[], retryMs = 20) {
  const told: TokenState[] = [];
  const keys = await openReplicatedKeys(replicas, { retryMs, onChange: (state) => told.push(state) });
  t.teardown(() => keys.close());
  return { keys, told };
}

/** Looks again and again, for longer than a busy machine takes. */
async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  for (let looked = 0; looked < 1000; looked += 1) {
    if (await done()) return;
    await sleep(10);
  }
  throw new Error("it does not come about");
}

function usable(keys: KeyProvider): boolean[] {
  return (keys.tokens?.() ?? []).map((state) => state.usable);
}

t.test("a token that comes back while a key is being found in the others signs with it, too", async (t) => {
  const { spki, first, second } = await twoTokens();
  const held = Promise.withResolvers<void>();
  first.state.away = true;
  second.state.finding = held.promise;
  const { keys } = await opened(t, [first.replica, second.replica]);
  const finding = keys.find({ spki }); // The first is not open, so only the second is asked.
  first.state.away = false;
  await until(() => usable(keys).every(Boolean));
  held.resolve();
  const signer = await finding;
  await until(async () => {
    await signer?.sign(message);
    return first.state.signed > 0;
  });
  second.state.away = true;
  await t.resolves(async () => signer?.sign(message));
});

t.test("a key that was found by label is found under another label in the next token", async (t) => {
  const { first, second } = await twoTokens();
  second.state.labels = ["issuing, the copy"];
  const { keys } = await opened(t, [first.replica, second.replica]);
  const signer = await keys.find({ label: "issuing" });
  first.state.away = true;
  await until(async () => {
    await signer?.sign(message).catch(() => undefined);
    return second.state.signed > 0;
  });
  await t.resolves(async () => signer?.sign(message));
});

t.test("a token that signs wrongly is set aside by whoever finds the key, and the next one signs", async (t) => {
  const { spki, first, second } = await twoTokens();
  first.state.refusal = new SelfTestFailed("its token signs wrongly");
  const { keys, told } = await opened(t, [first.replica, second.replica]);
  const signer = await keys.find({ spki });
  await t.resolves(async () => signer?.sign(message));
  t.match(told, [{ token: "first", usable: false, reason: /signs wrongly/ }]);
  t.equal(first.state.signed, 0);
  first.state.refusal = undefined;
  await until(() => usable(keys).every(Boolean));
  await t.resolves(async () => signer?.sign(message));
  t.equal(first.state.signed, 1);
});

t.test("what people must mend in a token refuses the key", async (t) => {
  const { spki, first, second } = await twoTokens();
  second.state.refusal = new Error("the private key can be taken out of its token");
  const { keys, told } = await opened(t, [first.replica, second.replica]);
  await t.rejects(keys.find({ spki }), /can be taken out/);
  t.same(told, []);
});

t.test("after close nothing is opened, signed or told any more", async (t) => {
  const { spki, first, second } = await twoTokens();
  first.state.away = true;
  const { keys, told } = await opened(t, [first.replica, second.replica], 600_000);
  const signer = await keys.find({ spki });
  await keys.close();
  first.state.away = false;
  const before = told.length;
  const closed = { name: "KeyUnavailable", message: /closed/ };
  await t.rejects(async () => signer?.selfTest?.(), closed);
  await t.rejects(async () => signer?.sign(message), closed);
  await t.rejects(keys.find({ spki }), closed);
  t.throws(() => signer?.requireReady?.(), closed);
  t.equal(first.state.opened, 0);
  t.equal(told.length, before);
});
