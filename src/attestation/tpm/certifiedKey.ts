/** The key that a TPM certified, as it must be to be certified by us: whichever format of evidence it came with. */
import type { KeyObject } from "node:crypto";
import { type Static, Type } from "typebox";
import { invalid } from "../evidence.ts";
import type { Certify } from "./attest.ts";
import { keyOfArea } from "./attestationKey.ts";
import { nameOf, type ObjectAttribute, type PublicArea } from "./publicArea.ts";

/** What a source may let pass. */
export const leniencyProperties = {
  allowDecrypt: Type.Optional(
    Type.Boolean({ description: "A certified key may be for decryption as well as signatures; false unless said." }),
  ),
  allowSha1: Type.Optional(
    Type.Boolean({ description: "Take SHA-1 in signatures and names of old TPMs; false unless said." }),
  ),
};
const schema = Type.Object(leniencyProperties);
export type Leniency = Readonly<Static<typeof schema>>;

/** A key that has always been in this TPM alone, and that signs what it is given. */
const required: readonly ObjectAttribute[] = ["fixedTPM", "fixedParent", "sensitiveDataOrigin", "sign"];

/**
 * The key of a public area that a statement certifies.
 * @throws {EvidenceRefused} evidenceInvalid where the statement is of another object, or the TPM would do something else with the key
 */
export function requireCertifiedKey(
  { attest, object }: { readonly attest: Certify; readonly object: PublicArea },
  { allowDecrypt = false }: Leniency,
): KeyObject {
  if (!nameOf(object).equals(attest.name)) {
    throw invalid("The object is not the one that was certified");
  }
  for (const attribute of required) {
    if (!object.attributes.has(attribute)) throw invalid(`The certified key is not ${attribute}`);
  }
  if (object.attributes.has("restricted")) {
    throw invalid("The certified key is restricted and cannot sign for a certificate");
  }
  if (!allowDecrypt && object.attributes.has("decrypt")) {
    throw invalid("The certified key is for decryption, too");
  }
  return keyOfArea(object);
}

/**
 * SHA-1 is good for neither a signature nor a name: both can be of two things.
 * @param hashes of all of them
 * @throws {EvidenceRefused} evidenceInvalid
 */
export function requireModernHashes(hashes: readonly (string | undefined)[], { allowSha1 = false }: Leniency): void {
  if (!allowSha1 && hashes.includes("sha1")) {
    throw invalid("The evidence relies on SHA-1, which the source does not take");
  }
}
