/**
 * Signing and verifying something that nobody chose: whether a private key works, and belongs to its public key.
 */
import { randomBytes } from "node:crypto";
import type { Signer } from "./signer.ts";
import { verifySignature } from "../x509/signatureAlgorithm.ts";

/** Random octets after it: nobody can have had the token sign them, and no DER begins so. */
const prefix = Buffer.from("Mayfly tests its key: ");
const challengeBytes = 32;

/** The signature did not verify: the key, or the token, is not what it seems. */
export class SelfTestFailed extends Error {
  override readonly name = "SelfTestFailed";
}

/** One signature, verified. @throws {KeyUnavailable} · {SelfTestFailed} */
export async function signAndVerify(signer: Signer): Promise<void> {
  const challenge = Buffer.concat([prefix, randomBytes(challengeBytes)]);
  const signature = await signer.sign(challenge);
  if (verifySignature(signer.algorithm, signer.publicKey, challenge, signature)) return;
  throw new SelfTestFailed(
    `the private key "${signer.label}" does not belong to its public key, or its token signs wrongly`,
  );
}
