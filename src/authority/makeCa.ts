/** What every making of a CA has in common: its key, and a certificate that a key of ours signs. */
import { randomBytes } from "node:crypto";

import { algorithmOfKind } from "../keys/keyAlgorithms.ts";
import type { KeyKind, KeyProvider, Signer } from "../keys/signer.ts";
import { caSerialRandomOctets, lintCaCertificate, prepareCaCertificate, type CaTemplate } from "./caCertificate.ts";
import { issuingKey } from "./issuingKey.ts";
import { signCertificate } from "./signCertificate.ts";

/**
 * The key with this label; made where there is none. Whoever was cut off after the key was made finds it again instead of filling the token.
 * @throws {KeyUnavailable} · {KeyKindUnsupported} · {Error} where the key with the label is of another kind
 */
export async function findOrGenerate(keys: KeyProvider, label: string, kind: KeyKind): Promise<Signer> {
  return (await keys.find({ label, algorithm: algorithmOfKind[kind] })) ?? (await keys.generate(label, kind));
}

/** Prepares, lints and signs. @throws {KeyUnavailable} · {LintFailed} · {BadSignature} */
export async function signCa(key: Signer, template: CaTemplate): Promise<Buffer> {
  const prepared = prepareCaCertificate(template, { random: randomBytes(caSerialRandomOctets) });
  return await signCertificate(lintCaCertificate(prepared), issuingKey(key));
}
