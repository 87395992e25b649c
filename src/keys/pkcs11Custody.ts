/**
 * What a private key's attributes must say before it is used (PKCS#11 v2.40 §4.9): that it stays in its token, may sign, and needs no
 * person for each signature.
 */
import type { Handle } from "pkcs11js";
import { returnValueOf, type Pkcs11Module } from "./pkcs11Module.ts";
import { findPrivateKey, readAttributes, type TokenKey } from "./pkcs11Objects.ts";
import type { TokenSession } from "./pkcs11Token.ts";
import type { KeyCustody } from "./signer.ts";

/**
 * Looks at the attributes of a key that was found.
 * @returns what the token says of the key's past; a key that was brought in, or could be read once, is not refused for it: only people know
 * whether that was the plan
 * @throws {Error} when the key can be taken out, may not sign, or wants its PIN for each signature
 */
export function requireCustody(module: Pkcs11Module, session: TokenSession, key: TokenKey): KeyCustody {
  const { ck } = module;
  const privateKey = findPrivateKey(module, session, key);
  const flag = (type: number) => (privateKey ? readFlag(module, session, privateKey, type) : undefined);
  // An attribute that cannot be read protects nothing.
  if (flag(ck.CKA_SENSITIVE) !== true || flag(ck.CKA_EXTRACTABLE) !== false) {
    throw new Error(
      `the private key "${key.label}" can be taken out of its token (CKA_EXTRACTABLE, or not CKA_SENSITIVE); make the key inside the token instead`,
    );
  }
  if (flag(ck.CKA_SIGN) === false) throw new Error(`the private key "${key.label}" may not sign (CKA_SIGN is false)`);
  if (flag(ck.CKA_ALWAYS_AUTHENTICATE) === true) {
    throw new Error(
      `the private key "${key.label}" wants its PIN for each signature (CKA_ALWAYS_AUTHENTICATE); make one that does not`,
    );
  }
  return {
    madeInside: flag(ck.CKA_LOCAL),
    alwaysSensitive: flag(ck.CKA_ALWAYS_SENSITIVE),
    neverExtractable: flag(ck.CKA_NEVER_EXTRACTABLE),
    modifiable: flag(ck.CKA_MODIFIABLE),
  };
}

/** A CK_BBOOL; undefined where the token does not have the attribute or does not tell. One at a time: some modules fail a whole list for one. */
function readFlag(module: Pkcs11Module, session: TokenSession, object: Handle, type: number): boolean | undefined {
  try {
    const [value] = readAttributes(module, session, object, [type]);
    return value?.length === 1 ? value[0] !== 0 : undefined;
  } catch (error) {
    const returned = returnValueOf(error);
    if (returned === "CKR_ATTRIBUTE_TYPE_INVALID" || returned === "CKR_ATTRIBUTE_SENSITIVE") return undefined;
    throw error;
  }
}
