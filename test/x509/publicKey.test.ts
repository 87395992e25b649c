import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import t from "tap";
import { tags } from "../../src/x509/der.ts";
import { bitString, der, type DerPart, encodeDer, objectIdentifier, sequence } from "../../src/x509/derWriter.ts";
import { oids } from "../../src/x509/oid.ts";
import { keyOf, type PublicKey, readPublicKey } from "../../src/x509/publicKey.ts";
import { openssl } from "./openssl.ts";

const spkiOf = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed25519 = generateKeyPairSync("ed25519");

const curve256 = objectIdentifier(oids.prime256v1);
const nullParameters = der(tags.null);
const point = spkiOf(ec.publicKey).subarray(-65);

const spki = (algorithm: string, parameters: readonly DerPart[], key: Uint8Array): Buffer =>
  encodeDer(sequence(sequence(objectIdentifier(algorithm), ...parameters), bitString(key)));
const rsaSpki = (
  modulus: Buffer,
  exponent: Buffer = Buffer.from([1, 0, 1]),
  parameters: readonly DerPart[] = [nullParameters],
) => spki(oids.rsaEncryption, parameters, encodeDer(sequence(der(tags.integer, modulus), der(tags.integer, exponent))));

t.test("every accepted kind is read, and node's key is the same", (t) => {
  const accepted: readonly [KeyObject, PublicKey["kind"], number][] = [
    [ec.publicKey, "ec-p256", 256],
    [p384.publicKey, "ec-p384", 384],
    [rsa.publicKey, "rsa", 2048],
    [generateKeyPairSync("rsa", { modulusLength: 2056 }).publicKey, "rsa", 2056],
    [ed25519.publicKey, "ed25519", 256],
  ];
  for (const [key, kind, bits] of accepted) {
    const read = readPublicKey(spkiOf(key));
    t.match(read, { kind, bits });
    t.ok(read.spki.equals(spkiOf(key)));
    t.ok(read.key.equals(key));
    t.ok(read.sha256.equals(openssl(["dgst", "-sha256", "-binary"], read.spki)), "SHA-256 as openssl makes it");
    t.ok(keyOf(key).spki.equals(read.spki));
  }
  t.ok(keyOf(ec.privateKey).spki.equals(spkiOf(ec.publicKey)), "the public half of a private key");
  t.throws(() => keyOf(createSecretKey(randomBytes(32))), { name: "KeyRefused" });
  t.end();
});

t.test("the result is a copy", (t) => {
  const input = spkiOf(ec.publicKey);
  const read = readPublicKey(input);
  input.fill(0);
  t.ok(read.spki.equals(spkiOf(ec.publicKey)));
  t.end();
});

t.test("H-16b elliptic-curve keys that are refused", (t) => {
  const offCurve = Buffer.from(point);
  offCurve[64] = (offCurve[64] ?? 0) ^ 1;
  const compressed = Buffer.concat([Buffer.from([2 + ((point[64] ?? 0) & 1)]), point.subarray(1, 33)]);
  const explicit = openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-param_enc", "explicit"]);
  const explicitSpki = openssl(["pkey", "-pubout", "-outform", "der"], explicit);
  const refused: readonly [string, Buffer, RegExp][] = [
    ["off the curve", spki(oids.ecPublicKey, [curve256], offCurve), /not on its curve/],
    [
      "coordinates of zero",
      spki(oids.ecPublicKey, [curve256], Buffer.concat([Buffer.from([4]), Buffer.alloc(64)])),
      /not on/,
    ],
    [
      "coordinates above p",
      spki(oids.ecPublicKey, [curve256], Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 255)])),
      /not on/,
    ],
    ["at infinity", spki(oids.ecPublicKey, [curve256], Buffer.from([0])), /uncompressed/],
    ["compressed", spki(oids.ecPublicKey, [curve256], compressed), /uncompressed/],
    [
      "hybrid",
      spki(oids.ecPublicKey, [curve256], Buffer.concat([Buffer.from([6]), point.subarray(1)])),
      /uncompressed/,
    ],
    ["one octet short", spki(oids.ecPublicKey, [curve256], point.subarray(0, 64)), /wrong length/],
    ["one octet long", spki(oids.ecPublicKey, [curve256], Buffer.concat([point, Buffer.alloc(1)])), /wrong length/],
    ["empty", spki(oids.ecPublicKey, [curve256], Buffer.alloc(0)), /uncompressed/],
    ["without a curve", spki(oids.ecPublicKey, [], point), /is missing/],
    ["with NULL for a curve", spki(oids.ecPublicKey, [nullParameters], point), /not an OBJECT IDENTIFIER/],
    ["P-256 point on P-384", spki(oids.ecPublicKey, [objectIdentifier(oids.secp384r1)], point), /wrong length/],
    ["explicit parameters", explicitSpki, /given by parameters/],
    ["P-521", spkiOf(generateKeyPairSync("ec", { namedCurve: "P-521" }).publicKey), /neither P-256 nor P-384/],
    ["secp256k1", spkiOf(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey), /neither P-256 nor P-384/],
  ];
  for (const [name, bytes, message] of refused) {
    t.throws(() => readPublicKey(bytes), { name: "KeyRefused", message }, name);
  }
  t.end();
});

const positive = (bytes: Buffer): Buffer => Buffer.concat([Buffer.alloc(1), bytes]);

const e = (...octets: number[]): Buffer => Buffer.from(octets);

t.test("H-16b RSA keys that are refused", (t) => {
  const modulus = Buffer.from(String(rsa.publicKey.export({ format: "jwk" }).n), "base64url");
  const even = Buffer.from(modulus);
  even[255] = (even[255] ?? 0) & 0xfe;
  const generated = (modulusLength: number, publicExponent = 65537): Buffer =>
    spkiOf(generateKeyPairSync("rsa", { modulusLength, publicExponent }).publicKey);
  const refused: readonly [string, Buffer, RegExp][] = [
    ["1024 bits", generated(1024), /2048 to 4096/],
    ["2047 bits", rsaSpki(Buffer.concat([e(0x7f), modulus.subarray(1)])), /2048 to 4096/],
    ["4104 bits", rsaSpki(positive(Buffer.alloc(513, 0xff))), /2048 to 4096/],
    ["8192 bits", rsaSpki(positive(Buffer.alloc(1024, 0xff))), /2048 to 4096/],
    ["2049 bits", rsaSpki(Buffer.concat([e(1), modulus])), /multiple of 8/],
    ["modulus 0", rsaSpki(e(0)), /2048 to 4096/],
    ["a negative modulus", rsaSpki(Buffer.concat([e(0x80), modulus.subarray(1)])), /negative/],
    ["exponent 3", generated(2048, 3), /65537/],
    ["exponent 1", rsaSpki(positive(modulus), e(1)), /65537/],
    ["an even exponent", rsaSpki(positive(modulus), e(1, 0, 0)), /65537/],
    ["exponent 0", rsaSpki(positive(modulus), e(0)), /65537/],
    ["exponent 65539", rsaSpki(positive(modulus), e(1, 0, 3)), /65537/],
    ["a negative exponent", rsaSpki(positive(modulus), e(0xff)), /65537/],
    ["an even modulus", rsaSpki(positive(even)), /even/],
    ["no parameters", rsaSpki(positive(modulus), e(1, 0, 1), []), /NULL parameters/],
    ["a padded modulus", rsaSpki(Buffer.concat([Buffer.alloc(1), positive(modulus)])), /not in DER form/],
    [
      "bytes behind the key",
      spki(oids.rsaEncryption, [nullParameters], Buffer.from("30000000", "hex")),
      /follow the end/,
    ],
    ["one member", spki(oids.rsaEncryption, [nullParameters], Buffer.from("3003020105", "hex")), /two members/],
    ["RSASSA-PSS", spkiOf(generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey), /not of a kind/],
  ];
  for (const [name, bytes, message] of refused) {
    t.throws(() => readPublicKey(bytes), { name: "KeyRefused", message }, name);
  }
  t.ok(readPublicKey(rsaSpki(positive(modulus))), "the same parts, unharmed, are accepted");
  t.end();
});

t.test("other keys, and other bytes, are refused", (t) => {
  const good = spkiOf(ec.publicKey);
  const ed = spkiOf(ed25519.publicKey).subarray(-32);
  const ed25519Algorithm = sequence(objectIdentifier(oids.ed25519));
  const refused: readonly [string, Buffer, RegExp][] = [
    ["nothing", Buffer.alloc(0), /cut short/],
    ["trailing bytes", Buffer.concat([good, Buffer.alloc(2)]), /follow the end/],
    ["a long length", Buffer.concat([Buffer.from([0x30, 0x81]), good.subarray(1)]), /shortest/],
    ["a private key", ec.privateKey.export({ type: "pkcs8", format: "der" }), /two members/],
    ["one member", encodeDer(sequence(ed25519Algorithm)), /two members/],
    ["three members", encodeDer(sequence(ed25519Algorithm, bitString(ed), nullParameters)), /two members/],
    ["an empty algorithm", encodeDer(sequence(sequence(), bitString(ed))), /algorithm is malformed/],
    [
      "an algorithm with three members",
      spki(oids.ecPublicKey, [curve256, nullParameters], point),
      /algorithm is malformed/,
    ],
    ["Ed25519 with parameters", spki(oids.ed25519, [nullParameters], ed), /no parameters/],
    ["Ed25519 with 31 octets", spki(oids.ed25519, [], ed.subarray(1)), /32 octets/],
    [
      "Ed25519 off the curve",
      spki(oids.ed25519, [], Buffer.concat([Buffer.of(2), Buffer.alloc(31)])),
      /not on its curve/,
    ],
    ["Ed25519 of small order", spki(oids.ed25519, [], Buffer.alloc(32)), /small order/],
    ["X25519", spkiOf(generateKeyPairSync("x25519").publicKey), /not of a kind/],
    ["Ed448", spkiOf(generateKeyPairSync("ed448").publicKey), /not of a kind/],
    ["DSA", spkiOf(generateKeyPairSync("dsa", { modulusLength: 1024, divisorLength: 160 }).publicKey), /not of a kind/],
  ];
  for (const [name, bytes, message] of refused) {
    t.throws(() => readPublicKey(bytes), { name: "KeyRefused", message }, name);
  }
  t.end();
});
