/** Keys of an issuer with members that make their import fail: no fault of ours (a 500), and no reason to refuse what the key signed. */
import t from "tap";
import { EvidenceRefused } from "../../src/attestation/evidence.ts";
import { verifyJwt } from "../../src/attestation/formats/jwt.ts";
import { staticKeys } from "../../src/attestation/jwks.ts";
import { boundAudience, compact, context, nowSeconds, testKey, testSource } from "../attestation/testIssuer.ts";

for (const alg of ["ES256", "RS256", "EdDSA"] as const) {
  const key = testKey("key-1", alg);
  const source = testSource([key]);
  const claims = { iss: source.issuer, aud: boundAudience, iat: nowSeconds, exp: nowSeconds + 60, sub: "x", jti: "1" };
  const value = compact(key, claims);
  const outcome = async (members: object): Promise<string> => {
    const keys = staticKeys({ keys: [{ ...key.jwk, ...members }] });
    try {
      return (await verifyJwt({ format: "jwt", ref: "r", value }, { ...source, keys }, context)).bindingLevel;
    } catch (error) {
      if (error instanceof EvidenceRefused) return error.code;
      throw error;
    }
  };

  t.test(`${alg}: members that say nothing of the key itself`, async (t) => {
    for (const members of [
      { key_ops: ["verify", "encrypt"] },
      { key_ops: ["verify", "fly"] },
      { key_ops: ["verify", "verify"] },
      { ext: false },
      { ext: "yes" },
      { priv: "x" },
      { oth: [] },
      { x5c: "x" },
    ])
      t.equal(await outcome(members), "nonce", JSON.stringify(members));
  });

  t.test(`${alg}: members that make it no key for this token`, async (t) => {
    for (const members of [{ key_ops: ["sign"] }, { key_ops: [] }, { key_ops: 1 }, { alg: 5 }, { alg: "RSA-OAEP" }])
      t.equal(await outcome(members), "evidenceInvalid", JSON.stringify(members));
  });
}
