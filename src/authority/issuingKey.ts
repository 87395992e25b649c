/**
 * A CA's key as the authority may use it. Nothing outside of `keys/` but this file reaches a `Signer`, and what it signs was linted: each
 * kind of thing to be signed is a type that only the lint of its kind makes.
 */
import type { KeyObject } from "node:crypto";

import { signAndVerify } from "../keys/selfTest.ts";
import type { KeyCustody, SignatureAlgorithm, Signer } from "../keys/signer.ts";
import { verifySignature } from "../x509/signatureAlgorithm.ts";
import type { LintedCaCertificate } from "./caCertificate.ts";
import type { LintedCaRequest } from "./caRequest.ts";
import type { LintedCertificate } from "./lint.ts";
import type { IntendedCertificate } from "./lintIntent.ts";
import type { LintedCertificateList } from "./revocation/lintList.ts";
import type { LintedOcspResponse } from "./revocation/lintResponse.ts";

/** What a CA's key may sign. */
export type ToBeSigned =
  | LintedCertificate
  | IntendedCertificate
  | LintedCaCertificate
  | LintedCaRequest
  | LintedCertificateList
  | LintedOcspResponse;

/** A signature of our own that does not verify: never released. */
export class BadSignature extends Error {
  override readonly name = "BadSignature";
}

export interface IssuingKey {
  /** In the token. */
  readonly label: string;
  readonly algorithm: SignatureAlgorithm;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  readonly publicKey: KeyObject;
  /** What its token says of the private key's life, for people. */
  readonly custody: KeyCustody | undefined;
  /** Returns where a signature can be had now; asked before anything is written that only a signature completes. @throws {KeyUnavailable} */
  requireReady(): void;
  /**
   * The signature over `tbs` as X.509 carries it (see `Signer.sign`), verified with the key's own public key.
   * @throws {KeyUnavailable} · {BadSignature}
   */
  sign(toBeSigned: ToBeSigned): Promise<Buffer>;
  /**
   * Signs something random and verifies it: whether the key works. After one that failed `requireReady` refuses, until one succeeds.
   * @throws {KeyUnavailable} · {SelfTestFailed}
   */
  probe(): Promise<void>;
}

/** Takes a signer in; nobody gets it out. */
export function issuingKey(signer: Signer): IssuingKey {
  async function verified(message: Buffer): Promise<Buffer> {
    const signature = await signer.sign(message);
    if (verifySignature(signer.algorithm, signer.publicKey, message, signature)) return signature;
    throw new BadSignature("the token returned a signature that does not verify");
  }
  return {
    label: signer.label,
    algorithm: signer.algorithm,
    spki: signer.spki,
    publicKey: signer.publicKey,
    custody: signer.custody,
    requireReady: () => signer.requireReady?.(),
    sign: ({ tbs }) => verified(tbs),
    probe: () => (signer.selfTest ? signer.selfTest() : signAndVerify(signer)),
  };
}
