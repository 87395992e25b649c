/**
 * What a signature costs, algorithm by algorithm, one after another: by SoftHSM2, where it has the mechanism, by key files, and its
 * verification, which every certificate of ours passes before it leaves. Fresh keys, a to-be-signed part as of a leaf.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openDevelopmentKeys } from "../src/keys/developmentKeys.ts";
import { isPostQuantum, keyKinds } from "../src/keys/keyAlgorithms.ts";
import { openPkcs11 } from "../src/keys/pkcs11.ts";
import type { KeyKind, KeyProvider, Signer } from "../src/keys/signer.ts";
import { verifySignature } from "../src/x509/signatureAlgorithm.ts";
import { softhsmToken } from "../test/support/softhsm.ts";

/** A leaf with one SPIFFE ID has about as many octets to be signed. */
const message = randomBytes(420);
const batches = 9;
const batchMs = 120;

/** Microseconds of CPU time for one, so that other work on the machine counts little; the median of several batches. */
async function microseconds(act: () => unknown): Promise<number> {
  const took: number[] = [];
  for (let batch = 0; batch <= batches; batch += 1) {
    const [start, before] = [performance.now(), process.cpuUsage()];
    let count = 0;
    for (; performance.now() - start < batchMs; count += 1) await act();
    const { user, system } = process.cpuUsage(before);
    if (batch > 0) took.push((user + system) / count); // The first one warms up.
  }
  return took.sort((a, b) => a - b)[Math.floor(took.length / 2)] ?? Number.NaN;
}

const shown = (value: number): string => (value < 100 ? value.toFixed(1) : value.toFixed(0)).padStart(9);

async function lineOf(kind: KeyKind, files: KeyProvider, token: KeyProvider): Promise<string> {
  const inFile = await files.generate(kind, kind);
  const inToken: Signer | undefined = isPostQuantum(kind) ? undefined : await token.generate(kind, kind);
  const signature = await inFile.sign(message);
  const { algorithm, publicKey } = inFile;
  if (!verifySignature(algorithm, publicKey, message, signature)) throw new Error(`${kind} does not verify`);
  const byToken = inToken === undefined ? "        –" : shown(await microseconds(() => inToken.sign(message)));
  const byFile = shown(await microseconds(() => inFile.sign(message)));
  const verification = shown(await microseconds(() => verifySignature(algorithm, publicKey, message, signature)));
  const sizes = [inFile.spki.length, signature.length].map((size) => String(size).padStart(9));
  return `${kind.padEnd(14)}${byToken}${byFile}${verification}${sizes.join("")}\n`;
}

/** The table; microseconds, and octets of public key and signature. */
export async function algorithmCosts(): Promise<string> {
  const teardowns: (() => void)[] = [];
  const root = mkdtempSync(join(tmpdir(), "mayfly-bench-keys-"));
  const { module, token, pinFile } = softhsmToken({ teardown: (action) => teardowns.push(action) });
  const files = await openDevelopmentKeys({ directory: join(root, "keys"), passphraseFile: join(root, "passphrase") });
  const hardware = await openPkcs11({ module, token, pinFile, queueLimit: 10, timeoutMs: 10_000 });
  try {
    let table = `${"".padEnd(14)}  SoftHSM     file   verify      key signature\n`;
    for (const kind of keyKinds) table += await lineOf(kind, files, hardware);
    return table;
  } finally {
    await hardware.close();
    for (const teardown of teardowns) teardown();
    rmSync(root, { recursive: true });
  }
}
