import { createPublicKey, X509Certificate, type JsonWebKey } from "node:crypto";
import t from "tap";
import { postQuantumBundle, spiffeBundle } from "../../src/http/bundle.ts";
import { memoryHierarchy } from "../support/issuers.ts";
import { selfSigned } from "../support/selfSigned.ts";

interface Bundle {
  keys: (JsonWebKey & { x5c: string[]; use: string })[];
  spiffe_sequence: number;
  spiffe_refresh_hint: number;
}

const roots = await Promise.all([1, 2].map(async (n) => (await memoryHierarchy(new Date(2026, 0, n))).rootCertificate));
const bundle = JSON.parse(JSON.stringify(spiffeBundle(roots, 1_767_225_600))) as Bundle;

t.test("a JWK Set; empty when every root is revoked (Trust Domain and Bundle §4.1.3)", async (t) => {
  t.equal(bundle.keys.length, 2);
  t.same(JSON.parse(JSON.stringify(spiffeBundle([], 1))), { keys: [], spiffe_sequence: 1, spiffe_refresh_hint: 300 });
});

t.test("sequence and refresh hint are whole numbers (§4.1.1, §4.1.2)", async (t) => {
  t.equal(bundle.spiffe_sequence, 1_767_225_600);
  t.ok(Number.isSafeInteger(bundle.spiffe_refresh_hint) && bundle.spiffe_refresh_hint > 0);
});

t.test("each JWK has kty, use and its key's members, and no others; no kid (§4.2, X509-SVID §6.1)", async (t) => {
  for (const key of bundle.keys) {
    t.same(Object.keys(key).sort(), ["crv", "kty", "use", "x", "x5c", "y"]);
    t.equal(key.use, "x509-svid");
    t.match(key, { kty: "EC", crv: "P-256" });
  }
});

t.test(
  "x5c is exactly one self-signed certificate in standard base64, of the JWK's key (X509-SVID §6.1)",
  async (t) => {
    for (const [index, key] of bundle.keys.entries()) {
      t.equal(key.x5c.length, 1);
      t.equal(Buffer.from(key.x5c[0] ?? "", "base64").toString("base64"), key.x5c[0]);
      const certificate = new X509Certificate(Buffer.from(key.x5c[0] ?? "", "base64"));
      t.ok(certificate.raw.equals(roots[index] ?? Buffer.alloc(0)));
      t.ok(certificate.verify(certificate.publicKey));
      t.ok(createPublicKey({ key, format: "jwk" }).equals(certificate.publicKey));
    }
  },
);

t.test(
  "a root with a key of ML-DSA is in the other document alone, since go-spiffe refuses a bundle for it",
  async (t) => {
    const [first = Buffer.alloc(0)] = roots;
    const { certificate: postQuantum } = selfSigned("ml-dsa-65");
    const mixed = [first, postQuantum];
    t.same(spiffeBundle(mixed, 7), spiffeBundle([first], 7));
    const all = JSON.parse(JSON.stringify(postQuantumBundle(mixed, 7))) as Bundle;
    t.same(
      all.keys.map(({ kty }) => kty),
      ["EC", "AKP"],
    );
    t.match(all, { spiffe_sequence: 7, spiffe_refresh_hint: 300 });
    const [, key] = all.keys;
    t.same(Object.keys(key ?? {}).sort(), ["alg", "kty", "pub", "use", "x5c"], "RFC 9964 §3");
    t.ok(createPublicKey({ key: key ?? {}, format: "jwk" }).equals(new X509Certificate(postQuantum).publicKey));
    for (const kind of ["ec-p384", "rsa-3072-pss", "ed25519"] as const) {
      t.equal((spiffeBundle([selfSigned(kind).certificate], 7) as Bundle).keys.length, 1, kind);
    }
  },
);
