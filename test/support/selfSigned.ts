/** Roots with keys of any kind, signed by themselves with what the kind signs with. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { algorithmOfKind, signWith } from "../../src/keys/keyAlgorithms.ts";
import type { KeyKind } from "../../src/keys/signer.ts";
import { assembleCertificate, encodeTbsCertificate } from "../../src/x509/certificate.ts";
import * as x from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";

const makers = {
  "ec-p256": () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "ec-p384": () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "rsa-3072": () => generateKeyPairSync("rsa", { modulusLength: 3072 }),
  "rsa-4096": () => generateKeyPairSync("rsa", { modulusLength: 4096 }),
  "rsa-3072-pss": () => generateKeyPairSync("rsa", { modulusLength: 3072 }),
  "rsa-4096-pss": () => generateKeyPairSync("rsa", { modulusLength: 4096 }),
  ed25519: () => generateKeyPairSync("ed25519"),
  "ml-dsa-44": () => generateKeyPairSync("ml-dsa-44"),
  "ml-dsa-65": () => generateKeyPairSync("ml-dsa-65"),
  "ml-dsa-87": () => generateKeyPairSync("ml-dsa-87"),
} satisfies Record<KeyKind, () => { publicKey: KeyObject; privateKey: KeyObject }>;

/** A root of this kind, valid throughout 2026. */
export function selfSigned(kind: KeyKind): { readonly certificate: Buffer; readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = makers[kind]();
  const spki = publicKey.export({ type: "spki", format: "der" });
  const name = encodeName({ commonName: `Root of ${kind}` });
  const algorithm = algorithmOfKind[kind];
  const tbs = encodeTbsCertificate({
    serialNumber: Buffer.from([1]),
    signatureAlgorithm: algorithm,
    issuer: name,
    notBefore: new Date("2026-01-01T00:00:00Z"),
    notAfter: new Date("2026-12-31T23:59:59Z"),
    subject: name,
    spki,
    extensions: [
      x.authorityKeyIdentifier(x.keyIdentifier(spki)),
      x.subjectKeyIdentifier(spki),
      x.basicConstraints({ cA: true }),
      x.keyUsage(["keyCertSign", "cRLSign"]),
    ],
  });
  return { certificate: assembleCertificate(tbs, algorithm, signWith(algorithm, privateKey, tbs)), privateKey };
}
