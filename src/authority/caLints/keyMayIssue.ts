/**
 * BR §6.1.5 has sizes and curves for keys of RSA and ECDSA. Our own: what a key of ours can be is what a CA's may be, also of algorithms
 * that are not among those, and no CA's key is the one of the CA above it, whose certificate says something else.
 */
import { createPublicKey } from "node:crypto";
import { signatureAlgorithmOf } from "../../keys/keyAlgorithms.ts";
import type { CaLint } from "./caLint.ts";

export const keyMayIssue: CaLint = {
  name: "keyMayIssue",
  source: "BR §6.1.5; our own",
  holds: ({ spki, subject }, { issuer }) => {
    const key = createPublicKey({ key: spki, type: "spki", format: "der" });
    const shared = issuer !== undefined && issuer.spki.equals(spki) && !issuer.subject.equals(subject);
    return signatureAlgorithmOf(key) !== undefined && !shared;
  },
};
