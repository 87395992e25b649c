/** `--signing`: what a signature costs by way of our `Signer`, beside the bare module's calls, in turn in one run. */
import { createHash, randomBytes } from "node:crypto";
import pkcs11 from "pkcs11js";

import { openPkcs11 } from "../src/keys/pkcs11.ts";
import type { SigningPlace } from "../src/keys/pkcs11Signer.ts";
import type { KeyKind, Signer } from "../src/keys/signer.ts";
import { softhsmToken } from "../test/support/softhsm.ts";

const kinds: readonly KeyKind[] = ["ec-p256", "ec-p384", "rsa-3072", "ed25519"];
/** Many short ones, so that what else the machine does falls on both sides of each pair. */
const rounds = 60;
const roundMs = 50;
/** Signatures asked for at once, as requests that come together do. */
const atOnce = 16;
/** About as long as the to-be-signed part of a leaf. */
const messageBytes = 500;

/** PKCS#11 mechanisms, and whether the module is given the digest. */
const raw: Partial<Record<KeyKind, { mechanism: number; digest?: string }>> = {
  "ec-p256": { mechanism: 0x1041, digest: "sha256" },
  "ec-p384": { mechanism: 0x1041, digest: "sha384" },
  "rsa-3072": { mechanism: 0x40 },
  ed25519: { mechanism: 0x1057 },
};

interface SigningCost {
  readonly kind: KeyKind;
  /** Signatures per second: medians of the rounds. */
  readonly bare: number;
  readonly ours: number;
  /** Median of ours by bare, round by round. */
  readonly share: number;
}

/** @returns signatures per second */
async function rate(sign: () => Promise<number> | number): Promise<number> {
  const start = performance.now();
  let signed = 0;
  while (performance.now() - start < roundMs) signed += await sign();
  return signed / ((performance.now() - start) / 1000);
}

/** C_SignInit and C_Sign in a loop, nothing else: what the module itself can do from JavaScript, in one thread. */
function bareCalls(module: string, signer: Signer, kind: KeyKind, message: Buffer): () => number {
  const cryptoki = new pkcs11.PKCS11(module); // Initialized and logged in already: both are states of the process.
  const [slot = Buffer.alloc(0)] = cryptoki.C_GetSlotList(true);
  const session = cryptoki.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION);
  cryptoki.C_FindObjectsInit(session, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
    { type: pkcs11.CKA_LABEL, value: signer.label },
  ]);
  const key = cryptoki.C_FindObjects(session);
  cryptoki.C_FindObjectsFinal(session);
  const how = raw[kind];
  if (!key || !how) throw new Error(`no key of kind ${kind}`);
  const input = how.digest === undefined ? message : createHash(how.digest).update(message).digest();
  const output = Buffer.alloc(1024);
  return () => {
    for (let count = 0; count < atOnce; count += 1) {
      cryptoki.C_SignInit(session, { mechanism: how.mechanism }, key);
      cryptoki.C_Sign(session, input, output);
    }
    return atOnce;
  };
}

async function throughSigner(signer: Signer, message: Buffer): Promise<number> {
  await Promise.all(Array.from({ length: atOnce }, () => signer.sign(message)));
  return atOnce;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Measures every kind of key, our way and the bare one in turn. */
export async function signingCosts(signing: SigningPlace): Promise<SigningCost[]> {
  const ends: (() => void)[] = [];
  const { module, token, pinFile } = softhsmToken({ teardown: (clean) => ends.push(clean) });
  const keys = await openPkcs11({ module, token, pinFile, signing, sessions: 8, queueLimit: 512, timeoutMs: 5000 });
  const costs: SigningCost[] = [];
  try {
    for (const kind of kinds) {
      const signer = await keys.generate(kind, kind);
      const message = randomBytes(messageBytes);
      const bareCall = bareCalls(module, signer, kind, message);
      const [bare, ours]: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round += 1) {
        bare.push(await rate(bareCall));
        ours.push(await rate(() => throughSigner(signer, message)));
      }
      costs.push({
        kind,
        bare: median(bare),
        ours: median(ours),
        share: median(ours.map((each, round) => each / (bare[round] ?? 1))),
      });
    }
  } finally {
    await keys.close();
    for (const end of ends) end();
  }
  return costs;
}

/** The table that people read. */
export async function signingTable(signing: SigningPlace = "auto"): Promise<string> {
  const rows = (await signingCosts(signing)).map(
    ({ kind, bare, ours, share }) =>
      `${kind.padEnd(10)} ${bare.toFixed(0).padStart(10)} ${ours.toFixed(0).padStart(10)} ${(share * 100).toFixed(0).padStart(7)} %`,
  );
  return [
    `${"key".padEnd(10)} ${"bare/s".padStart(10)} ${"ours/s".padStart(10)} ${"share".padStart(9)}`,
    ...rows,
    "",
  ].join("\n");
}
