/** One suite over three independent modules: what is promised of a token holds for each. */
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { inspect } from "node:util";
import ck from "pkcs11js";
import t, { type Test } from "tap";
import { algorithmOfKind } from "../../src/keys/keyAlgorithms.ts";
import { openPkcs11, type Pkcs11Options } from "../../src/keys/pkcs11.ts";
import { KeyKindUnsupported, type KeyKind, type Signer } from "../../src/keys/signer.ts";
import { verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { modules, type ModuleCase, type ModuleToken } from "../support/pkcs11Modules.ts";
import { softhsmPin } from "../support/softhsm.ts";

t.setTimeout(240_000);

const message = Buffer.from("to be signed");
const allKinds: KeyKind[] = ["ec-p256", "ec-p384", "rsa-3072", "rsa-4096", "rsa-3072-pss", "ed25519", "ml-dsa-65"];

function optionsFor(
  { sessions }: ModuleCase,
  { directory, ...token }: ModuleToken,
  overrides: Partial<Pkcs11Options> = {},
): Pkcs11Options {
  return { ...token, refusalsDirectory: directory, sessions, queueLimit: 100, timeoutMs: 20_000, ...overrides };
}

async function opened(t: Test, each: ModuleCase) {
  const token = await each.make(t);
  const keys = await openPkcs11(optionsFor(each, token), { reopenPauseMs: 0 });
  t.teardown(() => keys.close());
  return { token, keys };
}

async function signs(signer: Signer | undefined, signed = message): Promise<boolean> {
  if (!signer) return false;
  return verifySignature(signer.algorithm, signer.publicKey, signed, await signer.sign(signed));
}

/** Ends the sessions of this process on the token, as a device that was reset would. */
function endSessions({ module, token }: ModuleToken): void {
  const cryptoki = new ck.PKCS11(module);
  const slot = cryptoki.C_GetSlotList(true).find((one) => cryptoki.C_GetTokenInfo(one).label.trimEnd() === token);
  cryptoki.C_CloseAllSessions(slot ?? Buffer.alloc(0));
}

for (const each of modules) {
  t.test(each.name, async (t) => {
    for (const kind of each.kinds) {
      t.test(`${kind}: generated inside, found by public key and label, signs; again after a restart`, async (t) => {
        const { token, keys } = await opened(t, each);
        const made = await keys.generate("issuing 1", kind);
        t.equal(made.algorithm, algorithmOfKind[kind]);
        t.ok(await signs(made));
        // As a list of many revoked certificates is.
        t.ok(await signs(made, Buffer.alloc(600_000, 7)), "much to sign");
        t.match(made.custody, { alwaysSensitive: true, neverExtractable: true });
        await t.resolves(async () => made.selfTest?.());
        t.doesNotThrow(() => made.requireReady?.());
        await keys.close();

        const again = await openPkcs11(optionsFor(each, token));
        t.teardown(() => again.close());
        const { algorithm } = made;
        const byKey = await again.find({ spki: made.spki, algorithm });
        t.equal(byKey?.label, "issuing 1");
        t.ok(await signs(byKey));
        t.ok(await signs(await again.find({ label: "issuing 1", algorithm })));
        const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
        t.equal(await again.find({ spki: stranger.export({ type: "spki", format: "der" }) }), undefined);
      });
    }

    t.test("what the token lacks is said, and nothing is made", async (t) => {
      const { keys } = await opened(t, each);
      for (const kind of allKinds.filter((one) => !each.kinds.includes(one) && one !== "rsa-4096"))
        await t.rejects(keys.generate("wanted", kind), KeyKindUnsupported, kind);
      t.equal(await keys.find({ label: "wanted" }), undefined);
      t.match(keys.tokens?.(), [{ token: each.model.source.length > 0 ? /\(.*\)/ : "", usable: true }]);
      const [, model = ""] = /\((.*)\)$/.exec(keys.description) ?? [];
      t.match(model, each.model);
    });

    t.test("lost sessions and a lost login are made up for", async (t) => {
      const { token, keys } = await opened(t, each);
      const signer = await keys.generate("issuing", "ec-p256");
      endSessions(token);
      t.ok((await Promise.all(Array.from({ length: 8 }, () => signs(signer)))).every(Boolean));
      endSessions(token);
      t.same((await keys.find({ spki: signer.spki }))?.spki, signer.spki);
      new ck.PKCS11(token.module).C_Finalize();
      t.ok(await signs(signer), "also when the module was finalized by somebody else");
    });

    t.test("a wrong PIN is tried once, not shown, and not again by the next start", async (t) => {
      const token = await each.make(t);
      writeFileSync(token.pinFile, "wrong-pin-9999\n");
      const fails = async () =>
        openPkcs11(optionsFor(each, token)).then(
          () => "opened",
          (error: unknown) => inspect(error, { depth: 10, showHidden: true }),
        );
      const first = await fails();
      t.match(first, /refused the PIN in .* \(CKR_PIN_INCORRECT\); it is not tried again/);
      t.notMatch(first, /wrong-pin/);
      for (let start = 0; start < 5; start += 1) t.match(await fails(), /the file has not changed since/);

      writeFileSync(token.pinFile, `${softhsmPin}\n`);
      const keys = await openPkcs11(optionsFor(each, token));
      await keys.close();
      t.pass("and nothing is locked");
    });

    t.test("close gives the module back, after what runs", async (t) => {
      const { token, keys } = await opened(t, each);
      const signer = await keys.generate("issuing", "ec-p256");
      const cryptoki = new ck.PKCS11(token.module);
      const slots = cryptoki.C_GetSlotList(true);
      const slot = slots.find((one) => cryptoki.C_GetTokenInfo(one).label.trimEnd() === token.token);
      const running = signs(signer);
      await keys.close();
      t.ok(await running);
      await t.rejects(signer.sign(message), { name: "KeyUnavailable", message: /closed/ });
      t.throws(() => cryptoki.C_OpenSession(slot ?? Buffer.alloc(0), ck.CKF_SERIAL_SESSION), /CKR_/);
    });
  });
}
