// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as witness from "@peculiar/x509";
import t from "tap";
import { readCsr } from "../../src/x509/csr.ts";
import { tags } from "../../src/x509/der.ts";
import {
  booleanTrue,
  constructed,
  der,
  objectIdentifier,
  octetString,
  primitive,
  sequence,
  setOfOne,
  smallInteger,
  utf8String,
} from "../../src/x509/derWriter.ts";
import { oids } from "../../src/x509/oid.ts";
import type { PublicKey } from "../../src/x509/publicKey.ts";
import { attribute, craftCsr, craftedSpki, extension, requesting } from "./craftedCsr.ts";
import { openssl, withFiles } from "./openssl.ts";
import { opensslCsr } from "./vectors.ts";

witness.cryptoProvider.set(webcrypto);

const noNames = { dns: [], ip: [], uri: [], permanentIdentifiers: [], other: [] };
const dns = (name: string) => primitive(2, Buffer.from(name));
const san = (...names: Parameters<typeof sequence>) => extension(oids.subjectAltName, sequence(...names));
const challengePassword = "1.2.840.113549.1.9.7";
const cn = (value: string) => setOfOne(sequence(objectIdentifier(oids.commonName), utf8String(value)));

t.test("a request of openssl is read", (t) => {
  const { publicKey, names, commonName } = readCsr(opensslCsr);
  t.strictSame(names, {
    dns: ["a.example", "*.b.example"],
    ip: ["192.0.2.7", "2001:db8::1"],
    uri: ["spiffe://td.example/ns/prod/sa/web"],
    permanentIdentifiers: [],
    other: [],
  });
  t.equal(commonName, "a.example");
  t.equal(publicKey.kind, "ec-p256");
  t.end();
});

t.test("requests of openssl with every kind of key are read", (t) => {
  const kinds: readonly [string, string[], string[], PublicKey["kind"]][] = [
    ["P-256", ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], ["-sha256"], "ec-p256"],
    ["P-256, SHA-384", ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], ["-sha384"], "ec-p256"],
    ["P-384", ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"], ["-sha384"], "ec-p384"],
    ["P-384, SHA-256", ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"], ["-sha256"], "ec-p384"],
    ["RSA, SHA-256", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["-sha256"], "rsa"],
    ["RSA, SHA-384", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["-sha384"], "rsa"],
    ["RSA, SHA-512", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["-sha512"], "rsa"],
    [
      "RSASSA-PSS with 32 octets of salt",
      ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
      ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"],
      "rsa",
    ],
    ["Ed25519", ["ED25519"], [], "ed25519"],
  ];
  for (const [name, algorithm, hash, kind] of kinds) {
    const key = openssl(["genpkey", "-algorithm", ...algorithm]);
    const made = withFiles([key], (path = "") => ({
      csr: openssl([
        "req",
        "-new",
        "-key",
        path,
        "-subj",
        "/",
        "-addext",
        "subjectAltName=DNS:a.example",
        ...hash,
        "-outform",
        "der",
      ]),
      spki: openssl(["pkey", "-in", path, "-pubout", "-outform", "der"]),
    }));
    const { publicKey, names, commonName } = readCsr(made.csr);
    t.equal(publicKey.kind, kind, name);
    t.ok(publicKey.spki.equals(made.spki), "the same key");
    t.strictSame(names, { ...noNames, dns: ["a.example"] });
    t.equal(commonName, undefined);
  }
  t.end();
});

t.test("other signatures and keys of openssl are refused", (t) => {
  const refused: readonly [string, string[], string[], RegExp][] = [
    ["SHA-1", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["-sha1"], /algorithm of the request is not accepted/],
    [
      "RSASSA-PSS with the longest salt",
      ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
      ["-sigopt", "rsa_padding_mode:pss"],
      /algorithm of the request/,
    ],
    ["RSA of 1024 bits", ["RSA", "-pkeyopt", "rsa_keygen_bits:1024"], ["-sha256"], /2048 to 4096/],
    ["P-521", ["EC", "-pkeyopt", "ec_paramgen_curve:P-521"], ["-sha512"], /neither P-256 nor P-384/],
    ["Ed448", ["ED448"], [], /not of a kind/],
  ];
  for (const [name, algorithm, options, message] of refused) {
    const key = openssl(["genpkey", "-algorithm", ...algorithm]);
    const csr = withFiles([key], (path = "") =>
      openssl(["req", "-new", "-key", path, "-subj", "/", ...options, "-outform", "der"]),
    );
    t.throws(() => readCsr(csr), { name: "CsrError", message }, name);
  }
  t.end();
});

t.test("a request of @peculiar/x509 is read, and it reads a crafted one", async (t) => {
  const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"]);
  const csr = await witness.Pkcs10CertificateRequestGenerator.create({
    name: "CN=a.example",
    keys,
    signingAlgorithm,
    extensions: [
      new witness.SubjectAlternativeNameExtension([
        { type: "dns", value: "a.example" },
        { type: "email", value: "a@example" },
        { type: "ip", value: "192.0.2.7" },
        { type: "url", value: "spiffe://td/x" },
      ]),
      new witness.BasicConstraintsExtension(true, 3, true),
    ],
    attributes: [new witness.ChallengePasswordAttribute("secret")],
  });
  const { names, commonName } = readCsr(new Uint8Array(csr.rawData));
  t.strictSame(names, {
    dns: ["a.example"],
    ip: ["192.0.2.7"],
    uri: ["spiffe://td/x"],
    permanentIdentifiers: [],
    other: ["rfc822Name"],
  });
  t.equal(commonName, "a.example");
  t.ok(await new witness.Pkcs10CertificateRequest(craftCsr({ attributes: requesting(san(dns("a"))) })).verify());
});

t.test("H-17a H-17b what else a request asks for is ignored", (t) => {
  const names = san(dns("a.example"));
  const caTrue = extension(oids.basicConstraints, sequence(booleanTrue));
  const poison = sequence(objectIdentifier("1.3.6.1.4.1.11129.2.4.3"), booleanTrue, octetString(der(tags.null)));
  const extensionRequest = attribute(oids.extensionRequest, sequence(caTrue, names, poison));
  const password = attribute(challengePassword, utf8String("secret"));
  const large = attribute("1.3.6.1.4.1.311.13.2.3", octetString(Buffer.alloc(40_000)));
  const request = readCsr(craftCsr({ attributes: constructed(0, password, large, extensionRequest) }));
  t.strictSame(Object.keys(request).sort(), ["names", "publicKey"]);
  t.strictSame(request.names, { ...noNames, dns: ["a.example"] });
  t.end();
});

t.test("names are as written", (t) => {
  const written = ["A.Example", "a.example.", "-_ x", "a.example"];
  t.strictSame(readCsr(craftCsr({ attributes: requesting(san(...written.map(dns))) })).names.dns, written);
  t.strictSame(readCsr(craftCsr()).names, noNames, "none at all");
  t.strictSame(
    readCsr(craftCsr({ attributes: requesting(extension(oids.keyUsage, Buffer.from("03020780", "hex"))) })).names,
    noNames,
  );
  t.equal(readCsr(craftCsr({ subject: sequence(cn("bücher")) })).commonName, "bücher");
  t.end();
});

t.test("R7.4-7, H-17b, H-18a requests that are refused", (t) => {
  const request = attribute(oids.extensionRequest, sequence(san(dns("a"))));
  const refused: readonly [string, Buffer, RegExp][] = [
    ["version 1", craftCsr({ version: smallInteger(1) }), /version of the request is not 0/],
    ["no attributes", craftCsr({ attributes: Buffer.alloc(0) }), /four members/],
    ["members behind the attributes", craftCsr({ behindAttributes: [der(tags.null)] }), /four members/],
    ["attributes as a SET", craftCsr({ attributes: der(tags.set) }), /list of attributes/],
    ["members behind the signature", craftCsr({ behindSignature: [der(tags.null)] }), /three members/],
    [
      "two extensionRequests",
      craftCsr({ attributes: constructed(0, request, request) }),
      /more than one extensionRequest/,
    ],
    [
      "an extensionRequest without a value",
      craftCsr({ attributes: constructed(0, attribute(oids.extensionRequest)) }),
      /one value/,
    ],
    [
      "an extensionRequest with two values",
      craftCsr({
        attributes: constructed(0, attribute(oids.extensionRequest, sequence(san(dns("a"))), sequence(san(dns("b"))))),
      }),
      /one value/,
    ],
    ["an empty extensionRequest", craftCsr({ attributes: requesting() }), /list of extensions is empty/],
    ["two SANs", craftCsr({ attributes: requesting(san(dns("a")), san(dns("b"))) }), /twice/],
    ["an empty SAN", craftCsr({ attributes: requesting(san()) }), /SubjectAltName is empty/],
    ["NUL in a dNSName", craftCsr({ attributes: requesting(san(dns("a\u0000b"))) }), /printable ASCII/],
    ["UTF-8 in a dNSName", craftCsr({ attributes: requesting(san(dns("é"))) }), /printable ASCII/],
    ["IPv4 in 16 octets", craftCsr({ attributes: requesting(san(primitive(7, mappedAddress))) }), /IPv4 address in 16/],
    [
      "bytes behind the SAN",
      craftCsr({ attributes: requesting(extension(oids.subjectAltName, Buffer.from("300382016100", "hex"))) }),
      /follow/,
    ],
    ["two CNs", craftCsr({ subject: sequence(cn("a"), cn("b")) }), /more than one commonName/],
    ["NUL in the CN", craftCsr({ subject: sequence(cn("a\u0000")) }), /control character/],
    [
      "a bad key",
      craftCsr({ spki: sequence(sequence(objectIdentifier("1.3.101.113")), der(tags.bitString, Buffer.alloc(58))) }),
      /kind/,
    ],
    ["an attribute that is no SEQUENCE", craftCsr({ attributes: constructed(0, der(tags.null)) }), /attribute is not/],
    [
      "an attribute with three members",
      craftCsr({
        attributes: constructed(0, sequence(objectIdentifier(challengePassword), der(tags.set), der(tags.set))),
      }),
      /two members/,
    ],
    ["a signature by SHA-1", craftCsr({ algorithm: sequence(objectIdentifier("1.2.840.10045.4.1")) }), /not accepted/],
    [
      "an algorithm with parameters",
      craftCsr({ algorithm: sequence(objectIdentifier(oids.ecdsaWithSHA256), der(tags.null)) }),
      /not accepted/,
    ],
    [
      "another hash than signed",
      craftCsr({ algorithm: sequence(objectIdentifier(oids.ecdsaWithSHA384)) }),
      /does not verify/,
    ],
    [
      "another algorithm than the key's",
      craftCsr({ algorithm: sequence(objectIdentifier(oids.ed25519)) }),
      /does not verify/,
    ],
    ["PEM", Buffer.from("-----BEGIN CERTIFICATE REQUEST-----\n"), /./],
    ["nothing", Buffer.alloc(0), /cut short/],
    ["two requests", Buffer.concat([opensslCsr, opensslCsr]), /follow the end/],
    ["trailing bytes", Buffer.concat([opensslCsr, Buffer.alloc(2)]), /follow the end/],
    ["one byte less", opensslCsr.subarray(0, -1), /longer than/],
  ];
  for (const [name, bytes, message] of refused) t.throws(() => readCsr(bytes), { name: "CsrError", message }, name);
  t.end();
});

const mappedAddress = Buffer.from("00000000000000000000ffff01020304", "hex");

t.test("a key that somebody else holds is not proven", (t) => {
  const foreign = readCsr(opensslCsr).publicKey.spki;
  t.throws(() => readCsr(craftCsr({ spki: foreign })), { name: "CsrError", message: /does not verify/ });
  t.ok(readCsr(craftCsr({ spki: craftedSpki })).publicKey.spki.equals(craftedSpki));
  t.end();
});

t.test("BER lengths are refused at every level", (t) => {
  const length = opensslCsr.readUInt16BE(2);
  const outer = Buffer.concat([Buffer.from([0x30, 0x83, 0]), opensslCsr.subarray(2)]);
  t.equal(length + 4, opensslCsr.length, "the vector has a length of two octets");
  t.throws(() => readCsr(outer), { name: "CsrError", message: /shortest/ });
  const indefinite = Buffer.concat([Buffer.from([0x30, 0x80]), opensslCsr.subarray(4), Buffer.alloc(2)]);
  t.throws(() => readCsr(indefinite), { name: "CsrError", message: /indefinite/ });
  // One level down, within an attribute that is ignored: the request must be DER throughout.
  const ber = Buffer.from("30810500000000", "hex");
  t.throws(() => readCsr(craftCsr({ attributes: constructed(0, attribute(challengePassword, ber)) })), {
    message: /shortest/,
  });
  t.end();
});
