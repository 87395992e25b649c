import { generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import t from "tap";
import {
  certificateBytesMax,
  fingerprintOf,
  readPemCertificates,
  type TrustedRoots,
  verifyChain,
  type ChainRules,
  type VerifiedSignatures,
} from "../../src/attestation/certificateChain.ts";
import { EvidenceRefused } from "../../src/attestation/evidence.ts";
import { createLru } from "../../src/cache/lru.ts";
import { decodeCbor, isCborMap } from "../../src/encoding/cbor.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { bitString, der, encodeDer, objectIdentifier, sequence } from "../../src/x509/derWriter.ts";
import { tags } from "../../src/x509/der.ts";
import { basicConstraints, keyUsage, subjectKeyIdentifier } from "../../src/x509/extensions.ts";
import { oids } from "../../src/x509/oid.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import {
  foreignCertificate,
  type ForeignAlgorithm,
  foreignNow,
  foreignRoot,
  keysFor,
  notAfter,
  notBefore,
  pssIdentifier,
  rawExtension,
  spkiOf,
} from "../support/foreignCa.ts";
import { evidenceFile, evidenceSamples, withEvidence } from "../support/sharedEvidence.ts";

const root = foreignRoot("Maker Root", "ecdsa-sha384");
const upper = root.authority("Maker Upper");
const lower = upper.authority("Maker Lower");
const leafKeys = keysFor("ecdsa-sha384");
const leaf = lower.certify({ subject: "Device", keys: leafKeys });
const path = [lower.certificate, upper.certificate];

const rootsOf = (...certificates: Buffer[]): TrustedRoots => ({
  certificates: certificates.map((certificate) => readCertificate(certificate, { lenient: true })),
  fingerprints: [],
});
const trusted = rootsOf(root.certificate);
const rules: ChainRules = { now: foreignNow };

/** "evidenceInvalid: The …", or "accepted". */
function verdict(
  of: Buffer,
  intermediates: readonly Buffer[],
  roots = trusted,
  changes: Partial<ChainRules> = {},
): string {
  try {
    verifyChain(of, intermediates, roots, { ...rules, ...changes });
    return "accepted";
  } catch (error) {
    if (error instanceof EvidenceRefused) return `${error.code}: ${error.message}`;
    throw error;
  }
}

t.test("a chain to a root of the source's, given or pinned by fingerprint", async (t) => {
  const chain = verifyChain(leaf, path, trusted, rules);
  t.same(
    chain.certificates.map((certificate) => certificate.der),
    [leaf, ...path, root.certificate],
  );
  t.ok(chain.leaf.der.equals(leaf) && chain.root.der.equals(root.certificate));
  t.equal(chain.rootSha256, fingerprintOf(root.certificate));
  t.ok(chain.publicKey.equals(leafKeys.publicKey));
  t.equal(verdict(leaf, [...path, root.certificate]), "accepted", "the root may come along");

  const pinned = { certificates: [], fingerprints: [fingerprintOf(root.certificate)] };
  t.equal(verdict(leaf, [...path, root.certificate], pinned), "accepted");
  t.match(verdict(leaf, path, pinned), /^evidenceInvalid: .*does not end in a root/, "the root is not at hand");
  t.equal(
    verdict(foreignCertificate(root, { subject: "Device", keys: leafKeys }), []),
    "accepted",
    "right below the root",
  );
});

t.test("an intermediate may be what is pinned", async (t) => {
  t.equal(verdict(leaf, path.slice(0, 1), rootsOf(upper.certificate)), "accepted");
  t.equal(verdict(leaf, path, { certificates: [], fingerprints: [fingerprintOf(upper.certificate)] }), "accepted");
});

const orders: readonly (readonly [string, Buffer[]])[] = [
  ["swapped", [upper.certificate, lower.certificate]],
  ["one missing", [upper.certificate]],
  ["none", []],
  ["one twice", [lower.certificate, lower.certificate, upper.certificate]],
  ["the leaf again", [leaf, lower.certificate, upper.certificate]],
  ["an extra one in between", [lower.certificate, foreignRoot("Other", "ecdsa-sha384").certificate, upper.certificate]],
  ["an extra one at the end", [lower.certificate, upper.certificate, foreignRoot("Other", "ecdsa-sha384").certificate]],
  ["the root first", [root.certificate, upper.certificate, lower.certificate]],
  ["the root twice", [lower.certificate, upper.certificate, root.certificate, root.certificate]],
];
for (const [name, intermediates] of orders) {
  t.test(`chain with ${name} is refused`, async (t) => {
    t.match(verdict(leaf, intermediates), /^evidenceInvalid: /);
    const both = { ...trusted, fingerprints: [fingerprintOf(root.certificate)] };
    t.match(verdict(leaf, intermediates, both), /^evidenceInvalid: /);
  });
}

t.test("another root, of the same name too, trusts nothing of this one's", async (t) => {
  t.match(verdict(leaf, path, rootsOf(foreignRoot("Somebody", "ecdsa-sha384").certificate)), /does not end in a root/);
  const impostor = foreignRoot("Maker Root", "ecdsa-sha384");
  t.match(verdict(leaf, path, rootsOf(impostor.certificate)), /names another key of its issuer/);
  const bare = foreignRoot("Maker Root", "ecdsa-sha384", { extensions: [basicConstraints({ cA: true })] });
  t.match(verdict(leaf, path, rootsOf(bare.certificate)), /A signature of the certificate chain does not verify/);
  t.match(verdict(leaf, [...path, impostor.certificate]), /names another key/, "nor does one that comes along");
  t.match(verdict(leaf, path, { certificates: [], fingerprints: [] }), /does not end in a root/, "no roots, no trust");
  t.equal(
    verdict(leaf, path, rootsOf(impostor.certificate, root.certificate)),
    "accepted",
    "it is found among namesakes",
  );
});

t.test("same name, another key: an intermediate that the root never certified", async (t) => {
  const impostor = foreignRoot("Maker Other", "ecdsa-sha384").authority("Maker Lower");
  const forged = impostor.certify({ subject: "Device", keys: leafKeys });
  t.match(verdict(forged, path), /names another key of its issuer/);
  const noIdentifiers = { extensions: [basicConstraints({ cA: false })] };
  t.match(verdict(impostor.certify({ subject: "Device", keys: leafKeys, ...noIdentifiers }), path), /does not verify/);
  const selfMade = foreignRoot("Maker Upper", "ecdsa-sha384", { extensions: [basicConstraints({ cA: true })] });
  const below = selfMade.authority("Maker Lower");
  const leafBelow = below.certify({ subject: "Device", keys: leafKeys });
  t.match(verdict(leafBelow, [below.certificate, selfMade.certificate]), /does not end in a root/);
});

t.test("the names link byte for byte", async (t) => {
  const spaced = foreignCertificate({ ...lower, subject: "Maker  Lower" }, { subject: "Device", keys: leafKeys });
  const cased = foreignCertificate({ ...lower, subject: "maker lower" }, { subject: "Device", keys: leafKeys });
  for (const certificate of [spaced, cased]) t.match(verdict(certificate, path), /issued by another name/);
});

t.test("every certificate must be valid at the instant", async (t) => {
  const at = (now: Date, clockSkewSeconds = 0): string => verdict(leaf, path, trusted, { now, clockSkewSeconds });
  const second = 1000;
  t.equal(at(notBefore), "accepted");
  t.equal(at(notAfter), "accepted");
  t.equal(at(new Date(notBefore.getTime() - second)), "evidenceExpired: A certificate of the chain is not valid yet");
  t.equal(at(new Date(notAfter.getTime() + second)), "evidenceExpired: A certificate of the chain has expired");
  t.equal(at(new Date(notBefore.getTime() - 30 * second), 30), "accepted", "clocks differ");
  t.match(at(new Date(notBefore.getTime() - 31 * second), 30), /not valid yet/);
  t.match(at(new Date(notAfter.getTime() + second), 30), /has expired/, "and an end is an end");

  const old = { notBefore, notAfter: new Date(foreignNow.getTime() - second) };
  const expired = upper.authority("Maker Lower", { keys: lower.keys, ...old });
  t.match(verdict(leaf, [expired.certificate, upper.certificate]), /has expired/, "an intermediate");
  const late = { notBefore: new Date(foreignNow.getTime() + second), notAfter };
  const future = root.authority("Maker Upper", { keys: upper.keys, ...late });
  t.match(verdict(leaf, [lower.certificate, future.certificate]), /not valid yet/, "another one");
  const gone = foreignRoot("Maker Root", "ecdsa-sha384", { keys: root.keys, ...old });
  t.match(verdict(leaf, path, rootsOf(gone.certificate)), /has expired/, "the root");
});

t.test("only a CA issues, within its path length and for that usage", async (t) => {
  const none = root.authority("Maker Upper", { keys: upper.keys, cA: false });
  t.match(verdict(leaf, [lower.certificate, none.certificate]), /is not a CA's/);
  const silent = root.authority("Maker Upper", {
    keys: upper.keys,
    extensions: [subjectKeyIdentifier(spkiOf(upper.keys.publicKey))],
  });
  t.match(verdict(leaf, [lower.certificate, silent.certificate]), /is not a CA's/, "no basicConstraints");
  const usageLess = root.authority("Maker Upper", {
    keys: upper.keys,
    extensions: [basicConstraints({ cA: true }), keyUsage(["digitalSignature", "cRLSign"])],
  });
  t.match(verdict(leaf, [lower.certificate, usageLess.certificate]), /is not for that/);
  const noUsage = root.authority("Maker Upper", { keys: upper.keys, extensions: [basicConstraints({ cA: true })] });
  t.equal(verdict(leaf, [lower.certificate, noUsage.certificate]), "accepted", "keyUsage is optional");
  // The lower-most may not issue for others: a device's certificate turned into a CA's.
  const device = lower.certify({ subject: "Device", keys: leafKeys });
  const under = foreignCertificate(
    { subject: "Device", keys: leafKeys, algorithm: "ecdsa-sha384" },
    { subject: "Below", keys: leafKeys },
  );
  t.match(verdict(under, [device, ...path]), /is not a CA's/);
});

t.test("pathLenConstraint counts the CAs below, on the root too", async (t) => {
  for (const [length, expected] of [
    [2, "accepted"],
    [1, "accepted"],
    [0, "evidenceInvalid: A CA of the chain may not have so many CAs below it"],
  ] as const) {
    const limited = root.authority("Maker Upper", { keys: upper.keys, pathLenConstraint: length });
    t.equal(verdict(leaf, [lower.certificate, limited.certificate]), expected, `${length} on the upper`);
  }
  const none = upper.authority("Maker Lower", { keys: lower.keys, pathLenConstraint: 0 });
  t.equal(verdict(leaf, [none.certificate, upper.certificate]), "accepted", "0 on the last");
  const rootOfOne = foreignRoot("Maker Root", "ecdsa-sha384", { keys: root.keys, pathLenConstraint: 1 });
  t.match(verdict(leaf, path, rootsOf(rootOfOne.certificate)), /so many CAs below/);
});

t.test("what signs evidence is no CA, and no root", async (t) => {
  t.match(verdict(lower.certificate, [upper.certificate]), /is a CA's/);
  t.match(verdict(root.certificate, []), /is a root itself/);
  t.match(
    verdict(root.certificate, [], { certificates: [], fingerprints: [fingerprintOf(root.certificate)] }),
    /is a root itself/,
  );
  const explicit = rawExtension(oids.basicConstraints, true, Buffer.from("3003010100", "hex"));
  t.equal(
    verdict(lower.certify({ subject: "Device", keys: leafKeys, extensions: [explicit] }), path),
    "accepted",
    "cA FALSE, written out",
  );
  const odd = rawExtension(oids.basicConstraints, true, Buffer.from("3006010100020100", "hex"));
  t.match(
    verdict(lower.certify({ subject: "Device", keys: leafKeys, extensions: [odd] }), path),
    /^evidenceMalformed: /,
  );
});

t.test("usage and purpose of the leaf, where the caller asks", async (t) => {
  const purposes = (...list: string[]) =>
    rawExtension(oids.extendedKeyUsage, false, encodeDer(sequence(...list.map((oid) => objectIdentifier(oid)))));
  const attestation = "2.23.133.8.3";
  const wanted = { leafPurpose: attestation, leafKeyUsage: "digitalSignature" } as const;
  const certified = (...more: ReturnType<typeof purposes>[]) =>
    lower.certify({ subject: "Device", keys: leafKeys, more });
  t.equal(verdict(certified(purposes("1.2.3", attestation)), path, trusted, wanted), "accepted");
  t.match(verdict(certified(purposes("1.2.3")), path, trusted, wanted), /not for this purpose/);
  t.match(
    verdict(certified(purposes("2.5.29.37.0")), path, trusted, wanted),
    /not for this purpose/,
    "any purpose is not this one",
  );
  t.match(verdict(leaf, path, trusted, wanted), /not for this purpose/, "no purposes at all");
  const sealing = [keyUsage(["keyEncipherment"]), purposes(attestation)];
  t.match(
    verdict(lower.certify({ subject: "Device", keys: leafKeys, extensions: sealing }), path, trusted, wanted),
    /not for digitalSignature/,
  );
  const silent = lower.certify({ subject: "Device", keys: leafKeys, extensions: [purposes(attestation)] });
  t.match(verdict(silent, path, trusted, wanted), /not for digitalSignature/, "it must be stated");
  t.equal(verdict(silent, path, trusted, { leafPurpose: attestation }), "accepted");
  const empty = rawExtension(oids.extendedKeyUsage, false, Buffer.from("3000", "hex"));
  t.match(verdict(certified(empty), path), /^evidenceMalformed: .*extension/, "step-ca CVE-2026-40097: an empty EKU");
});

t.test("a critical extension that nobody deals with is refused, wherever it is", async (t) => {
  const nameConstraints = rawExtension("2.5.29.30", true, Buffer.from("3000", "hex"));
  const onLeaf = lower.certify({ subject: "Device", keys: leafKeys, more: [nameConstraints] });
  const onUpper = root.authority("Maker Upper", { keys: upper.keys, more: [nameConstraints] });
  t.match(verdict(onLeaf, path), /critical extension/);
  t.match(verdict(leaf, [lower.certificate, onUpper.certificate]), /critical extension/);
  t.equal(
    verdict(onLeaf, path, trusted, { criticalExtensions: ["2.5.29.30"] }),
    "accepted",
    "the caller deals with it",
  );
  const optional = lower.certify({
    subject: "Device",
    keys: leafKeys,
    more: [{ ...nameConstraints, critical: false }],
  });
  t.equal(verdict(optional, path), "accepted");
  const twice = [basicConstraints({ cA: false }), basicConstraints({ cA: false })];
  t.match(verdict(lower.certify({ subject: "Device", keys: leafKeys, extensions: twice }), path), /^evidenceMalformed/);
});

t.test(
  "algorithms: SHA-256 and better with ECDSA, RSA PKCS #1, RSA-PSS and Ed25519; SHA-1 and mixtures never",
  async (t) => {
    const good: readonly ForeignAlgorithm[] = [
      "ecdsa-sha256",
      "ecdsa-sha512",
      "rsa-sha256",
      "rsa-sha384",
      "rsa-sha512",
      "pss-sha256",
      "pss-sha384",
      "ed25519",
    ];
    for (const algorithm of good) {
      const maker = foreignRoot("Maker", algorithm);
      const certificate = maker.certify({ subject: "Device", keys: leafKeys });
      t.equal(verdict(certificate, [], rootsOf(maker.certificate)), "accepted", algorithm);
      t.ok(new X509Certificate(certificate).verify(maker.keys.publicKey), "OpenSSL agrees");
    }
    for (const algorithm of ["ecdsa-sha1", "rsa-sha1", "pss-sha1"] as const) {
      const maker = foreignRoot("Maker", algorithm);
      const certificate = maker.certify({ subject: "Device", keys: leafKeys });
      t.match(
        verdict(certificate, [], rootsOf(maker.certificate)),
        /^evidenceInvalid: .*algorithm that is not taken/,
        algorithm,
      );
    }
    // A SHA-256 certificate on top of a SHA-1 one is only as good as the latter; a root's own signature counts for nothing.
    const maker = foreignRoot("Maker", "rsa-sha1", { algorithm: "rsa-sha1" });
    const modern = maker.certify({ subject: "Device", keys: leafKeys, algorithm: "rsa-sha256" });
    t.equal(verdict(modern, [], rootsOf(maker.certificate)), "accepted");

    const rsa = keysFor("rsa-sha256");
    const issuer = { subject: "Maker Root", keys: rsa, algorithm: "rsa-sha256" } as const;
    const bare = [basicConstraints({ cA: false })];
    const crossed = foreignCertificate(issuer, { subject: "Device", keys: leafKeys, extensions: bare });
    t.match(verdict(crossed, []), /does not verify/, "an RSA signature under an ECDSA key");
  },
);

t.test(
  "the algorithm is the one that is named: parameters of RSA-PSS agree, and a key of another type verifies nothing",
  async (t) => {
    const maker = foreignRoot("Maker", "pss-sha384");
    const named = (identifier: Buffer, algorithm: ForeignAlgorithm = "pss-sha384"): string =>
      verdict(
        maker.certify({ subject: "Device", keys: leafKeys, identifier, algorithm }),
        [],
        rootsOf(maker.certificate),
      );
    const good = { hash: "sha384", maskHash: "sha384" };
    t.equal(named(pssIdentifier(good)), "accepted");
    t.equal(
      named(pssIdentifier({ ...good, trailer: 1 })),
      "accepted",
      "a default that is written out, as AMD's certificates have it",
    );
    const refused = /^evidenceInvalid: .*algorithm that is not taken/;
    t.match(named(pssIdentifier({ ...good, trailer: 2 })), refused);
    t.match(named(pssIdentifier({ ...good, maskHash: "sha256" })), refused, "another hash in the mask");
    t.match(named(pssIdentifier({ ...good, maskHash: "sha1" })), refused);
    t.match(named(pssIdentifier({ ...good, mask: oids.sha384 })), refused, "another mask");
    t.match(named(pssIdentifier({ ...good, hash: "sha256" })), refused, "another hash");
    t.match(named(encodeDer(sequence(objectIdentifier(oids.rsassaPss)))), refused, "no parameters: SHA-1");
    t.match(named(encodeDer(sequence(objectIdentifier(oids.rsassaPss), sequence()))), refused, "none said: SHA-1");
    t.match(
      named(encodeDer(sequence(objectIdentifier(oids.ecdsaWithSHA384))), "rsa-sha384"),
      refused,
      "ECDSA, of an RSA key",
    );
    t.match(named(pssIdentifier(good), "rsa-sha384"), refused, "PKCS #1 in place of PSS");
  },
);

t.test("keys that are too small are refused, and too large ones before any signature is tried", async (t) => {
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 });
  t.match(
    verdict(lower.certify({ subject: "Device", keys: small }), path),
    /^evidenceInvalid: .*RSA of fewer than 2048/,
  );
  const weak = root.authority("Maker Upper", { keys: small, signs: "rsa-sha256" });
  const underWeak = weak.certify({ subject: "Device", keys: leafKeys });
  t.match(verdict(underWeak, [weak.certificate]), /RSA of fewer than 2048/, "an intermediate");

  const huge = rsaSpki(randomOdd(16_384 / 8), Buffer.from([1, 0, 1]));
  const long = rsaSpki(randomOdd(256), randomOdd(256));
  for (const [spki, message] of [
    [huge, /RSA of fewer than 2048 or more than 8192 bits/],
    [rsaSpki(randomOdd(8200 / 8), Buffer.from([1, 0, 1])), /RSA of fewer than 2048 or more than 8192 bits/],
    [long, /exponent/],
    [rsaSpki(randomOdd(256), Buffer.from([1])), /exponent/],
    [rsaSpki(randomOdd(256), Buffer.from([2])), /exponent/],
    [rsaSpki(randomOdd(256).subarray(1), Buffer.from([3])), /RSA of fewer/], // A negative modulus.
  ] as const) {
    const start = performance.now();
    for (let i = 0; i < 20; i++)
      t.match(verdict(lower.certify({ subject: "Device", keys: leafKeys, spki }), path), message);
    t.ok(performance.now() - start < 2000, "and fast");
  }
  const others = [
    generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
    generateKeyPairSync("ed448"),
    generateKeyPairSync("x25519"),
    generateKeyPairSync("rsa-pss", { modulusLength: 2048 }),
  ];
  for (const keys of others) {
    t.match(
      verdict(lower.certify({ subject: "Device", keys: leafKeys, spki: spkiOf(keys.publicKey) }), path),
      /^evidenceInvalid: .*(neither|curve)/,
    );
  }
});

t.test("CVE-2020-0601 CVE-2022-0778 a curve that is given by its parameters is refused unread", async (t) => {
  const parameters = sequence(der(tags.integer, Buffer.from([1])), sequence());
  const algorithm = sequence(objectIdentifier(oids.ecPublicKey), parameters);
  const spki = encodeDer(sequence(algorithm, bitString(Buffer.alloc(97, 4))));
  t.match(verdict(lower.certify({ subject: "Device", keys: leafKeys, spki }), path), /^evidenceMalformed: A key in/);
  const offCurve = Buffer.from(spkiOf(leafKeys.publicKey));
  offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;
  t.match(
    verdict(lower.certify({ subject: "Device", keys: leafKeys, spki: offCurve }), path),
    /^evidenceMalformed: A key in/,
  );
});

/** Content of an INTEGER: an odd number with its highest bit set. */
const randomOdd = (bytes: number): Buffer => {
  const number = randomBytes(bytes);
  number[0] = (number[0] ?? 0) | 0x80;
  number[bytes - 1] = (number[bytes - 1] ?? 0) | 1;
  return Buffer.concat([Buffer.alloc(1), number]);
};
function rsaSpki(modulus: Buffer, exponent: Buffer): Buffer {
  const key = encodeDer(sequence(der(tags.integer, modulus), der(tags.integer, exponent)));
  return encodeDer(sequence(sequence(objectIdentifier(oids.rsaEncryption), der(tags.null)), bitString(key)));
}

t.test("number and size are limited before anything is read", async (t) => {
  const at = (depth: number): [Buffer, Buffer[]] => {
    let authority = root;
    const above: Buffer[] = [];
    for (let i = 0; i < depth; i++) {
      authority = authority.authority(`Maker ${i}`);
      above.unshift(authority.certificate);
    }
    return [authority.certify({ subject: "Device", keys: leafKeys }), above];
  };
  t.equal(verdict(...at(4)), "accepted");
  const [deep, above] = at(4);
  t.equal(verdict(deep, [...above, root.certificate]), "accepted", "the root is no intermediate");
  t.match(verdict(...at(5)), /^evidenceMalformed: .*more than 4 intermediates/);
  t.match(
    verdict(
      leaf,
      Array.from({ length: 1000 }, () => Buffer.alloc(0)),
    ),
    /more than 4 intermediates/,
  );
  t.match(verdict(Buffer.alloc(certificateBytesMax + 1), path), /has more than 16384 bytes/);
  t.match(verdict(leaf, [Buffer.alloc(certificateBytesMax + 1)]), /has more than 16384 bytes/);
});

t.test("what is no certificate is malformed", async (t) => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from("3000", "hex"),
    leaf.subarray(0, -1),
    Buffer.concat([leaf, Buffer.alloc(1)]),
    Buffer.from(pemEncode("CERTIFICATE", leaf)),
  ]) {
    t.match(verdict(bytes, path), /^evidenceMalformed: A certificate of the chain is not a DER certificate/);
    t.match(verdict(leaf, [bytes, upper.certificate]), /^evidenceMalformed: /);
  }
});

t.test("one bit flipped anywhere, in any certificate, and there is no chain", async (t) => {
  const parts = [leaf, ...path];
  for (const [which, part] of parts.entries()) {
    for (let at = 0; at < part.length; at++) {
      const flipped = Buffer.from(part);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      const [first = leaf, ...rest] = parts.with(which, flipped);
      if (verdict(first, rest) === "accepted") t.fail(`certificate ${which}, byte ${at}`);
    }
  }
  t.pass("all of them");
});

t.test("verified signatures are remembered for these bytes alone, and time is asked anew", async (t) => {
  const verified: VerifiedSignatures = createLru(16);
  t.equal(verdict(leaf, path, trusted, { verified }), "accepted");
  t.equal(verified.size, 3);
  t.equal(verdict(leaf, path, trusted, { verified }), "accepted");
  t.equal(verified.size, 3);
  t.match(verdict(leaf, path, trusted, { verified, now: new Date(notAfter.getTime() + 1000) }), /has expired/);
  t.match(
    verdict(leaf, path, rootsOf(foreignRoot("Maker Root", "ecdsa-sha384").certificate), { verified }),
    /another key/,
  );
  // The signature of one issuer counts for no other of the same name, also where nothing tells their keys apart.
  const silent = { extensions: [basicConstraints({ cA: false })] };
  const below = foreignCertificate(root, { subject: "Device", keys: leafKeys, ...silent });
  const twin = foreignRoot("Maker Root", "ecdsa-sha384", { extensions: [basicConstraints({ cA: true })] });
  t.equal(verdict(below, [], trusted, { verified }), "accepted");
  t.match(verdict(below, [], rootsOf(twin.certificate), { verified }), /does not verify/);
  const flipped = Buffer.from(leaf);
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
  t.match(verdict(flipped, path, trusted, { verified }), /does not verify|DER/);

  // Nothing that a stranger signed is remembered: what lies below a signature that fails is not looked at.
  const before = verified.size;
  const stranger = foreignRoot("Maker Root", "ecdsa-sha384", { keys: keysFor("ecdsa-sha384") });
  const fake = stranger.authority("Maker Upper", { extensions: [basicConstraints({ cA: true })] });
  t.match(
    verdict(fake.certify({ subject: "Device", keys: leafKeys }), [fake.certificate], trusted, { verified }),
    /does not verify/,
  );
  t.equal(verified.size, before);
  for (let i = 0; i < 40; i++)
    verdict(lower.certify({ subject: `Device ${i}`, keys: leafKeys }), path, trusted, { verified });
  t.ok(verified.size <= 16, "bounded");
});

t.test("roots of the configuration are PEM", async (t) => {
  const [first, second] = readPemCertificates(
    pemEncode("CERTIFICATE", root.certificate) + pemEncode("CERTIFICATE", leaf),
  );
  t.ok(first?.der.equals(root.certificate) && second?.der.equals(leaf));
  t.throws(() => readPemCertificates("nothing"), { name: "PemError" });
  t.throws(() => readPemCertificates(pemEncode("CERTIFICATE", Buffer.from("3000", "hex"))), {
    name: "CertificateError",
  });
});

interface RealChain {
  readonly id: string;
  readonly at: Date;
  readonly until: Date | undefined;
  readonly result: string;
  readonly leaf: Buffer;
  readonly above: readonly Buffer[];
  readonly root: Buffer;
}

/** The chains of all samples that have one as such. */
function realChains(): RealChain[] {
  const pem = (file: string): Buffer[] =>
    readPemCertificates(evidenceFile(file).toString("latin1")).map((certificate) => certificate.der);
  return evidenceSamples().flatMap((sample): RealChain[] => {
    const files = sample.files as unknown as Record<string, string>;
    const { id, result } = sample;
    const common = {
      id,
      result: sample.reason === "chain" ? "reject" : result === "reject" ? "accept" : result,
      at: new Date(sample.verifyAt ?? 0),
      until: sample.validUntil === undefined ? undefined : new Date(sample.validUntil),
    };
    if (sample.format.startsWith("sev-snp")) {
      const [ask = Buffer.of(), ark = Buffer.of()] = pem(files["ca"] ?? "");
      return [{ ...common, leaf: evidenceFile(files["leaf"] ?? ""), above: [ask], root: ark }];
    }
    if (sample.format === "nitro") {
      const [, , payload] = decodeCbor(evidenceFile(files["document"] ?? "")) as Buffer[];
      const document = decodeCbor(payload ?? Buffer.of());
      if (!isCborMap(document)) throw new Error(id);
      const above = [...(document.get("cabundle") as Buffer[])].toReversed().slice(0, -1);
      return [
        {
          ...common,
          leaf: document.get("certificate") as Buffer,
          above,
          root: pem(files["root"] ?? "")[0] ?? Buffer.of(),
        },
      ];
    }
    const statement =
      files["statement"] === undefined
        ? {}
        : (JSON.parse(evidenceFile(files["statement"]).toString("utf8")) as { x5c?: string[] });
    const [first, ...above] = (statement.x5c ?? []).map((text) => Buffer.from(text, "base64url"));
    if (first === undefined) return [];
    const anchor = files["root"] === undefined ? above.pop() : pem(files["root"])[0];
    return [{ ...common, leaf: first, above, root: anchor ?? Buffer.of() }];
  });
}

t.test("real chains of AMD, AWS, TPM makers, Android and Apple hold at their instant", withEvidence, async (t) => {
  const chains = realChains();
  t.ok(chains.length > 20, `${chains.length} chains`);
  for (const { id, at, until, result, leaf: first, above, root: anchor } of chains) {
    const now = (date: Date): Partial<ChainRules> => ({ now: date });
    const verdictAt = (date: Date): string => verdict(first, above, rootsOf(anchor), now(date));
    if (result === "reject") {
      t.match(verdictAt(at), /^evidence(Invalid|Malformed)/, id);
      continue;
    }
    t.equal(verdictAt(at), "accepted", id);
    if (until !== undefined)
      t.match(verdictAt(new Date(until.getTime() + 31_536_000_000 * 60)), /expired/, `${id}, much later`);
    t.match(
      verdict(first, above, rootsOf(root.certificate), now(at)),
      /does not end in a root/,
      `${id} under another root`,
    );
    const pinned = { certificates: [], fingerprints: [fingerprintOf(anchor)] };
    t.equal(
      verdict(first, [...above.filter((other) => !other.equals(anchor)), anchor], pinned, now(at)),
      "accepted",
      `${id} by fingerprint`,
    );
  }
});
