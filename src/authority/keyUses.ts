/** What the key of a certificate may be used for: the profile's wish, as far as the kind of key can have it. Pure. */
import type { KeyPurpose, KeyUsage } from "../x509/extensions.ts";
import type { PublicKey } from "../x509/publicKey.ts";

/** Uses that a profile may give a key; certificates and lists are for CAs to sign. */
export const leafKeyUsages = ["digitalSignature", "keyEncipherment", "keyAgreement"] as const satisfies KeyUsage[];
export type LeafKeyUsage = (typeof leafKeyUsages)[number];

/** Encipherment is RSA's (RFC 3279 §2.3.1), agreement that of elliptic curves (RFC 8813 §3), and Ed25519 has neither (RFC 9295 §3). */
const usesOf: Readonly<Record<PublicKey["kind"], readonly LeafKeyUsage[]>> = {
  "ec-p256": ["digitalSignature", "keyAgreement"],
  "ec-p384": ["digitalSignature", "keyAgreement"],
  rsa: ["digitalSignature", "keyEncipherment"],
  ed25519: ["digitalSignature"],
};

/** The uses of `wanted` that a key of this kind can have, in the order of their bits; none where it has none of them. */
export const keyUsesOf = (wanted: readonly LeafKeyUsage[], kind: PublicKey["kind"]): LeafKeyUsage[] =>
  usesOf[kind].filter((use) => wanted.includes(use));

/** The uses of a key of which a purpose needs at least one (RFC 5280 §4.2.1.12; RFC 4945 §5.1.3.2; EAP over LAN is TLS). */
export const usesOfPurpose: Readonly<Record<KeyPurpose, readonly LeafKeyUsage[]>> = {
  serverAuth: ["digitalSignature", "keyEncipherment", "keyAgreement"],
  clientAuth: ["digitalSignature", "keyAgreement"],
  codeSigning: ["digitalSignature"],
  ipsecIKE: ["digitalSignature"],
  eapOverLAN: ["digitalSignature", "keyEncipherment", "keyAgreement"],
};
