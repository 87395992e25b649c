/**
 * “Ensure that the key represents a valid point on the NIST P-256, NIST P-384 or NIST P-521 elliptic curve.” For P-521 we issue none.
 */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const ecCurve: CertificateLint = {
  name: "ecCurve",
  about: "certificate",
  source: "CA/B BR §6.1.5; RFC 5480 §2.1.1.1",
  holds: ({ key: { curve } }) => curve === undefined || curve === oids.prime256v1 || curve === oids.secp384r1,
};
