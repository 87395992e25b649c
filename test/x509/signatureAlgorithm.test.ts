import { constants, generateKeyPairSync, sign } from "node:crypto";
import t from "tap";
import { algorithmOfKind, isPostQuantum, signWith } from "../../src/keys/keyAlgorithms.ts";
import {
  algorithmIdentifier,
  isRequestAlgorithm,
  signatureAlgorithmOf,
  verifyRequestSignature,
  verifySignature,
} from "../../src/x509/signatureAlgorithm.ts";

const message = Buffer.from("to be signed");
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const keys = {
  "ecdsa-p256-sha256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "ecdsa-p384-sha384": generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "rsa-pkcs1-sha256": rsa,
  "rsa-pss-sha256": rsa, // The same key in both, so that only the padding tells them apart.
  ed25519: generateKeyPairSync("ed25519"),
  "ml-dsa-44": generateKeyPairSync("ml-dsa-44"),
  "ml-dsa-65": generateKeyPairSync("ml-dsa-65"),
  "ml-dsa-87": generateKeyPairSync("ml-dsa-87"),
};
const algorithms = Object.values(algorithmOfKind).filter((each, index, all) => all.indexOf(each) === index);
/** Requests are for leaves, and no leaf has a key of ML-DSA. */
const requested = algorithms.filter((algorithm) => !isPostQuantum(algorithm));

const pssHex =
  "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120";

t.test("identifiers are those of the RFCs and name their algorithm", (t) => {
  t.equal(algorithmIdentifier("ecdsa-p256-sha256").toString("hex"), "300a06082a8648ce3d040302", "RFC 5758 §3.2");
  t.equal(algorithmIdentifier("ecdsa-p384-sha384").toString("hex"), "300a06082a8648ce3d040303");
  t.equal(algorithmIdentifier("rsa-pkcs1-sha256").toString("hex"), "300d06092a864886f70d01010b0500", "RFC 4055 §5");
  t.equal(algorithmIdentifier("ed25519").toString("hex"), "300506032b6570", "RFC 8410 §3");
  t.equal(
    algorithmIdentifier("rsa-pss-sha256").toString("hex"),
    pssHex,
    "RFC 4055 §3.1, as the Baseline Requirements write it out",
  );
  t.equal(algorithmIdentifier("ml-dsa-44").toString("hex"), "300b0609608648016503040311", "RFC 9881 §2");
  t.equal(algorithmIdentifier("ml-dsa-65").toString("hex"), "300b0609608648016503040312");
  t.equal(algorithmIdentifier("ml-dsa-87").toString("hex"), "300b0609608648016503040313");
  for (const algorithm of algorithms) {
    t.equal(signatureAlgorithmOf(algorithmIdentifier(algorithm)), algorithm);
    t.equal(isRequestAlgorithm(algorithmIdentifier(algorithm)), requested.includes(algorithm));
  }
  const sha1WithRsa = Buffer.from("300d06092a864886f70d0101050500", "hex");
  t.equal(signatureAlgorithmOf(sha1WithRsa), undefined);
  t.notOk(isRequestAlgorithm(sha1WithRsa));
  t.notOk(verifyRequestSignature(sha1WithRsa, keys["rsa-pkcs1-sha256"].publicKey, message, Buffer.alloc(256)));
  t.end();
});

t.test("each algorithm verifies with its own key and no other", (t) => {
  for (const algorithm of algorithms) {
    const signature = signWith(algorithm, keys[algorithm].privateKey, message);
    for (const other of algorithms) {
      t.equal(
        verifySignature(algorithm, keys[other].publicKey, message, signature),
        keys[other] === keys[algorithm],
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
    t.notOk(verifySignature(algorithm, keys[algorithm].publicKey, message, signature.subarray(0, -1)), "truncated");
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

t.test("RSASSA-PSS: SHA-256, MGF1 with SHA-256 and 32 octets of salt, and nothing else", (t) => {
  const { publicKey, privateKey } = rsa;
  const pss = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING };
  const verifies = (signature: Buffer): boolean => verifySignature("rsa-pss-sha256", publicKey, message, signature);
  t.ok(verifies(sign("sha256", message, { ...pss, saltLength: 32 })));
  for (const saltLength of [0, 20, 31, 33, constants.RSA_PSS_SALTLEN_MAX_SIGN]) {
    t.notOk(verifies(sign("sha256", message, { ...pss, saltLength })), `a salt of ${saltLength}`);
  }
  t.notOk(verifies(sign("sha384", message, { ...pss, saltLength: 32 })), "SHA-384");
  t.notOk(verifies(sign("sha1", message, { ...pss, saltLength: 32 })), "SHA-1");
  t.notOk(verifies(sign("sha256", message, privateKey)), "PKCS #1 v1.5 under an issuer of PSS");
  const padded = sign("sha256", message, { ...pss, saltLength: 32 });
  t.notOk(verifySignature("rsa-pkcs1-sha256", publicKey, message, padded), "PSS under an issuer of PKCS #1 v1.5");
  const restricted = generateKeyPairSync("rsa-pss", { modulusLength: 2048 });
  t.notOk(
    verifySignature("rsa-pss-sha256", restricted.publicKey, message, sign("sha256", message, restricted.privateKey)),
    "a key that certificates name id-RSASSA-PSS is not one of ours",
  );
  t.end();
});

t.test(
  "the parameters of RSASSA-PSS: NULL or none for SHA-256 (RFC 4055 §2.1); every other difference is another algorithm",
  (t) => {
    const sha256 = "0609608648016503040201";
    const mgf1 = "06092a864886f70d010108";
    const oid = "06092a864886f70d01010a";
    const wrap = (tag: string, content: string): string =>
      tag + (content.length / 2).toString(16).padStart(2, "0") + content;
    const write = ({ hash = `${sha256}0500`, mask = `${sha256}0500`, rest = "a203020120" } = {}): Buffer =>
      Buffer.from(
        wrap(
          "30",
          oid + wrap("30", wrap("a0", wrap("30", hash)) + wrap("a1", wrap("30", mgf1 + wrap("30", mask))) + rest),
        ),
        "hex",
      );
    t.equal(write().toString("hex"), pssHex);
    for (const good of [write({ hash: sha256 }), write({ mask: sha256 }), write({ hash: sha256, mask: sha256 })]) {
      t.equal(signatureAlgorithmOf(good), "rsa-pss-sha256");
      t.ok(isRequestAlgorithm(good));
    }
    const sha384 = "0609608648016503040202";
    for (const [what, bad] of [
      ["salt 20, written", write({ rest: "a203020114" })],
      ["salt 20, by default", write({ rest: "" })],
      ["salt 64", write({ rest: "a203020140" })],
      ["the default trailer, written", write({ rest: "a203020120a303020101" })],
      ["another trailer", write({ rest: "a203020120a303020102" })],
      ["SHA-384", write({ hash: `${sha384}0500` })],
      ["MGF1 with SHA-384", write({ mask: `${sha384}0500` })],
      ["a salt of two octets", write({ rest: "a20402020020" })],
      ["no parameters: any hash, any salt", Buffer.from(wrap("30", oid), "hex")],
      ["NULL parameters", Buffer.from(wrap("30", `${oid}0500`), "hex")],
      ["empty parameters: SHA-1", Buffer.from(wrap("30", `${oid}3000`), "hex")],
      ["an octet behind", Buffer.concat([write(), Buffer.from([0])])],
      ["an octet short", write().subarray(0, -1)],
    ] as const) {
      t.equal(signatureAlgorithmOf(bad), undefined, what);
      t.notOk(isRequestAlgorithm(bad), what);
    }
    t.end();
  },
);

t.test("ML-DSA: no parameters (RFC 9881 §2), no context (§3), no other parameter set", (t) => {
  for (const algorithm of ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"] as const) {
    const { publicKey, privateKey } = keys[algorithm];
    const identifier = algorithmIdentifier(algorithm);
    const withNull = Buffer.concat([Buffer.from([0x30, 0x0d]), identifier.subarray(2), Buffer.from([5, 0])]);
    t.equal(signatureAlgorithmOf(withNull), undefined, "NULL parameters");
    const inContext = sign(null, message, { key: privateKey, context: Buffer.from("x") });
    t.notOk(verifySignature(algorithm, publicKey, message, inContext), "with a context");
    const another = generateKeyPairSync(algorithm).publicKey;
    t.notOk(verifySignature(algorithm, another, message, signWith(algorithm, privateKey, message)), "another key");
  }
  t.equal(
    signatureAlgorithmOf(Buffer.from("300b0609608648016503040320", "hex")),
    undefined,
    "HashML-DSA-44 with SHA-512 is another algorithm",
  );
  t.end();
});
