import { generateKeyPairSync, sign } from "node:crypto";
import t from "tap";
import type { SignatureAlgorithm } from "../../src/keys/signer.ts";
import {
  algorithmIdentifier,
  isRequestAlgorithm,
  signatureAlgorithmOf,
  verifyRequestSignature,
  verifySignature,
} from "../../src/x509/signatureAlgorithm.ts";

const message = Buffer.from("to be signed");
const keys = {
  "ecdsa-p256-sha256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "ecdsa-p384-sha384": generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "rsa-pkcs1-sha256": generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ed25519: generateKeyPairSync("ed25519"),
};
const hashes = {
  "ecdsa-p256-sha256": "sha256",
  "ecdsa-p384-sha384": "sha384",
  "rsa-pkcs1-sha256": "sha256",
  ed25519: null,
};
const algorithms: readonly SignatureAlgorithm[] = [
  "ecdsa-p256-sha256",
  "ecdsa-p384-sha384",
  "rsa-pkcs1-sha256",
  "ed25519",
];

t.test("identifiers are those of the RFCs and name their algorithm", (t) => {
  t.equal(algorithmIdentifier("ecdsa-p256-sha256").toString("hex"), "300a06082a8648ce3d040302", "RFC 5758 §3.2");
  t.equal(algorithmIdentifier("ecdsa-p384-sha384").toString("hex"), "300a06082a8648ce3d040303");
  t.equal(algorithmIdentifier("rsa-pkcs1-sha256").toString("hex"), "300d06092a864886f70d01010b0500", "RFC 4055 §5");
  t.equal(algorithmIdentifier("ed25519").toString("hex"), "300506032b6570", "RFC 8410 §3");
  for (const algorithm of algorithms) {
    t.equal(signatureAlgorithmOf(algorithmIdentifier(algorithm)), algorithm);
    t.ok(isRequestAlgorithm(algorithmIdentifier(algorithm)));
  }
  const sha1WithRsa = Buffer.from("300d06092a864886f70d0101050500", "hex");
  t.equal(signatureAlgorithmOf(sha1WithRsa), undefined);
  t.notOk(isRequestAlgorithm(sha1WithRsa));
  t.notOk(verifyRequestSignature(sha1WithRsa, keys["rsa-pkcs1-sha256"].publicKey, message, Buffer.alloc(256)));
  t.end();
});

t.test("each algorithm verifies with its own key and no other", (t) => {
  for (const algorithm of algorithms) {
    const signature = sign(hashes[algorithm], message, keys[algorithm].privateKey);
    for (const other of algorithms) {
      t.equal(
        verifySignature(algorithm, keys[other].publicKey, message, signature),
        other === algorithm,
        `${algorithm}, key ${other}`,
      );
      t.equal(
        verifySignature(other, keys[algorithm].publicKey, message, signature),
        other === algorithm,
        `key ${algorithm}, read as ${other}`,
      );
    }
    t.notOk(verifySignature(algorithm, keys[algorithm].publicKey, Buffer.from("another"), signature));
    t.notOk(
      verifySignature(algorithm, keys[algorithm].publicKey, message, Buffer.concat([signature, Buffer.alloc(1)])),
      "longer",
    );
    t.notOk(verifySignature(algorithm, keys[algorithm].publicKey, message, Buffer.alloc(0)), "empty");
  }
  t.end();
});

t.test("a curve must be the algorithm's own, although the hash would do", (t) => {
  const signature = sign("sha256", message, keys["ecdsa-p384-sha384"].privateKey);
  t.notOk(verifySignature("ecdsa-p256-sha256", keys["ecdsa-p384-sha384"].publicKey, message, signature));
  const identifier = algorithmIdentifier("ecdsa-p256-sha256");
  t.ok(
    verifyRequestSignature(identifier, keys["ecdsa-p384-sha384"].publicKey, message, signature),
    "requests may mix them",
  );
  t.end();
});

t.test("ECDSA signatures are DER", (t) => {
  const { publicKey, privateKey } = keys["ecdsa-p256-sha256"];
  const plain = sign("sha256", message, { key: privateKey, dsaEncoding: "ieee-p1363" });
  t.notOk(verifySignature("ecdsa-p256-sha256", publicKey, message, plain));
  const der = sign("sha256", message, privateKey);
  const long = Buffer.concat([Buffer.from([0x30, 0x81]), der.subarray(1)]);
  t.notOk(verifySignature("ecdsa-p256-sha256", publicKey, message, long), "BER is refused");
  t.end();
});
