/** DER, certification requests, certificates, public keys and PEM. */
import { createPublicKey, generateKeyPairSync, sign, X509Certificate, type KeyObject } from "node:crypto";

// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import * as witness from "@peculiar/x509";
import { isSignatureAlgorithm, signWith } from "../../../src/keys/keyAlgorithms.ts";
import type { SignatureAlgorithm } from "../../../src/keys/signer.ts";
import { CertificateError, readCertificate } from "../../../src/x509/certificate.ts";
import { CsrError, readCsr } from "../../../src/x509/csr.ts";
import { encodeCsr } from "../../../src/x509/csrWriter.ts";
import { DerError, readDer, tags, type DerElement } from "../../../src/x509/der.ts";
import { bitString, der, encodeDer, sequence, time, type DerValue } from "../../../src/x509/derWriter.ts";
import { pemDecode, pemEncode, PemError } from "../../../src/x509/pem.ts";
import { KeyRefused, readPublicKey } from "../../../src/x509/publicKey.ts";
import { algorithmIdentifier, signatureAlgorithmOf } from "../../../src/x509/signatureAlgorithm.ts";
import { craftedInfo } from "../../x509/craftedCsr.ts";
import { opensslCertificate, opensslCsr } from "../../x509/vectors.ts";
import { bendBytes, bendText } from "../mutate.ts";
import { bendDer } from "../mutateDer.ts";
import type { Random } from "../random.ts";
import { holds, readOrRefuse, refusesTrailing, type Target } from "../target.ts";

const spki = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });
const pairs = {
  p256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  p384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
  p521: generateKeyPairSync("ec", { namedCurve: "P-521" }),
  ed25519: generateKeyPairSync("ed25519"),
  x25519: generateKeyPairSync("x25519"),
  rsa2048: generateKeyPairSync("rsa", { modulusLength: 2048 }),
};
const keys: readonly Buffer[] = Object.values(pairs).map(({ publicKey }) => spki(publicKey));

const rewritten = (element: DerElement): DerValue =>
  (element.tag & 0x20) === 0
    ? der(element.tag, element.source.subarray(element.contentStart, element.end))
    : der(element.tag, ...element.children.map(rewritten));

const derTarget: Target = {
  name: "der",
  about: "DER of any kind; the writer is the witness",
  cases: 12_000,
  slowMs: 200,
  make(random) {
    const original = random.pick([opensslCertificate, opensslCsr, ...keys]);
    return random.chance(0.2) ? bendBytes(random, original) : bendDer(random, original);
  },
  check(input) {
    const element = readOrRefuse(() => readDer(input), DerError);
    if (element === undefined) return "refused";
    holds(encodeDer(rewritten(element)).equals(input), "written again it is something else");
    refusesTrailing(readDer, input, DerError);
    return "accepted";
  },
};

const requests: readonly Buffer[] = [
  opensslCsr,
  encodeCsr({
    key: pairs.p256.privateKey,
    dns: ["a.example", "*.b.example"],
    ip: ["192.0.2.1", "2001:db8::1"],
    uri: [],
  }),
  encodeCsr({ key: pairs.p256.privateKey, dns: [], ip: [], uri: ["spiffe://example.org/ns/a"] }),
  encodeCsr({ key: pairs.p256.privateKey, dns: [], ip: [], uri: [] }),
];

/** Signed again after it was bent, so that what a stranger can sign is read to its end. */
function bentRequest(random: Random): Buffer {
  const original = random.pick(requests);
  if (random.chance(0.15)) return bendDer(random, original);
  const info = bendDer(
    random,
    craftedInfo(random.chance(0.5) ? original : random.pick(requests), spki(pairs.p256.publicKey)),
  );
  const signature = sign("sha256", info, pairs.p256.privateKey);
  return encodeDer(sequence(info, algorithmIdentifier("ecdsa-p256-sha256"), bitString(signature)));
}

const csr: Target = {
  name: "csr",
  about: "certification requests, signed after they were bent; @peculiar/x509 is the witness",
  cases: 3_000,
  slowMs: 300,
  make: bentRequest,
  async check(input) {
    const request = readOrRefuse(() => readCsr(input), CsrError);
    if (request === undefined) return "refused";
    refusesTrailing(readCsr, input, CsrError);
    const other = requestOf(input);
    if (other === undefined) return "accepted"; // The witness reads every extension that it knows; here only the names count.
    holds(Buffer.from(other.publicKey.rawData).equals(request.publicKey.spki), "the witness reads another key");
    const extension = other.getExtension("2.5.29.17");
    const san = extension === null ? [] : new witness.SubjectAlternativeNameExtension(extension.rawData).names.items;
    const of = (type: string): string[] => san.filter((name) => name.type === type).map(({ value }) => value);
    holds(
      JSON.stringify(of("dns")) === JSON.stringify(request.names.dns),
      `dns: ${of("dns").join()} and ${request.names.dns.join()}`,
    );
    holds(
      JSON.stringify(of("url")) === JSON.stringify(request.names.uri),
      `uri: ${of("url").join()} and ${request.names.uri.join()}`,
    );
    holds(of("ip").length === request.names.ip.length, `ip: ${of("ip").join()} and ${request.names.ip.join()}`);
    const [commonName] = other.subjectName.getField("CN");
    holds(
      request.commonName === undefined || commonName === request.commonName,
      `cn: ${commonName} and ${request.commonName}`,
    );
    holds(await other.verify(), "the witness does not accept its signature");
    return "accepted";
  },
};

function requestOf(input: Buffer): witness.Pkcs10CertificateRequest | undefined {
  try {
    const request = new witness.Pkcs10CertificateRequest(input);
    request.getExtension("2.5.29.17"); // It reads the extensions only when asked.
    return request;
  } catch {
    return undefined;
  }
}

const certificate: Target = {
  name: "certificate",
  about: "certificates, as revokeCert and tls-alpn-01 read them; OpenSSL is the witness",
  cases: 8_000,
  slowMs: 200,
  make: (random) => (random.chance(0.15) ? bendBytes(random, opensslCertificate) : bendDer(random, opensslCertificate)),
  check(input) {
    const read = readOrRefuse(() => readCertificate(input), CertificateError);
    if (read === undefined) return "refused";
    holds(read.der.equals(input), "its octets are others");
    refusesTrailing(readCertificate, input, CertificateError);
    const other = openssl(input);
    if (other === undefined) return "accepted"; // OpenSSL looks into names and algorithms that nobody reads here.
    holds(
      other.serialNumber.toLowerCase().replace(/^0+(?=..)/, "") === read.serial.replace(/^0+(?=..)/, ""),
      "another serial number",
    );
    holds(Date.parse(other.validTo) === read.notAfter.getTime(), `another notAfter: ${other.validTo}`);
    holds(Date.parse(other.validFrom) === read.notBefore.getTime(), `another notBefore: ${other.validFrom}`);
    if (read.names.other.length > 0) return "accepted"; // OpenSSL gives no names at all where it cannot read one of these.
    const names = (other.subjectAltName ?? "").match(/DNS:/g)?.length ?? 0;
    holds(
      names === read.names.dns.length || /["\\]/.test(other.subjectAltName ?? ""),
      `other names: ${other.subjectAltName}`,
    );
    return "accepted";
  },
};

function openssl(input: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(input);
  } catch {
    return undefined;
  }
}

const publicKey: Target = {
  name: "public-key",
  about: "SubjectPublicKeyInfo; OpenSSL is the witness",
  cases: 3_000,
  slowMs: 500,
  make(random) {
    const original = random.pick(keys);
    return random.chance(0.1)
      ? original
      : random.chance(0.5)
        ? bendDer(random, original, 1)
        : bendBytes(random, original, 1);
  },
  check(input) {
    const read = readOrRefuse(() => readPublicKey(input), KeyRefused);
    if (read === undefined) return "refused";
    refusesTrailing(readPublicKey, input, KeyRefused);
    const other = createPublicKey({ key: input, type: "spki", format: "der" });
    holds(spki(other).equals(input), "OpenSSL writes it in another way: it has two encodings");
    holds(read.spki.equals(input), "its octets are others");
    return "accepted";
  },
};

const signers: Readonly<Record<SignatureAlgorithm, { publicKey: KeyObject; privateKey: KeyObject }>> = {
  "ecdsa-p256-sha256": pairs.p256,
  "ecdsa-p384-sha384": pairs.p384,
  "rsa-pkcs1-sha256": pairs.rsa2048,
  "rsa-pss-sha256": pairs.rsa2048,
  ed25519: pairs.ed25519,
  "ml-dsa-44": generateKeyPairSync("ml-dsa-44"),
  "ml-dsa-65": generateKeyPairSync("ml-dsa-65"),
  "ml-dsa-87": generateKeyPairSync("ml-dsa-87"),
};
const algorithms = Object.keys(signers).filter((name) => isSignatureAlgorithm(name));

/** What is read as an algorithm of ours is what OpenSSL verifies our own signature by, and has no other parameters than ours. */
const signatureAlgorithm: Target = {
  name: "signature-algorithm",
  about: "AlgorithmIdentifier of signatures; OpenSSL verifies a certificate with what is accepted",
  cases: 8_000,
  slowMs: 300,
  make(random) {
    // Half of them of the one that has parameters worth bending.
    const original = algorithmIdentifier(random.chance(0.5) ? "rsa-pss-sha256" : random.pick(algorithms));
    if (random.chance(0.02)) return original;
    return random.chance(0.5) ? bendDer(random, original, 1) : bendBytes(random, original, 1);
  },
  check(input) {
    const algorithm = signatureAlgorithmOf(input);
    if (algorithm === undefined) return "refused";
    holds(signatureAlgorithmOf(Buffer.concat([input, Buffer.alloc(1)])) === undefined, "it ends later");
    const signer = signers[algorithm];
    const subject = spki(signer.publicKey);
    const [serial, name] = [der(tags.integer, Buffer.from([1])), sequence()];
    const validity = sequence(time(new Date("2026-01-01T00:00:00Z")), time(new Date("2027-01-01T00:00:00Z")));
    const tbs = encodeDer(sequence(serial, input, name, validity, name, subject));
    const signed = encodeDer(sequence(tbs, input, bitString(signWith(algorithm, signer.privateKey, tbs))));
    holds(new X509Certificate(signed).verify(signer.publicKey), `OpenSSL does not verify it as ${algorithm}`);
    return "accepted";
  },
};

const pem: Target = {
  name: "pem",
  about: "PEM chains",
  cases: 10_000,
  slowMs: 200,
  make(random) {
    const blocks = Array.from({ length: 1 + random.below(3) }, () =>
      pemEncode("CERTIFICATE", random.bytes(random.below(120))),
    );
    return Buffer.from(random.chance(0.3) ? blocks.join("") : bendText(random, blocks.join("")));
  },
  check(input) {
    const text = input.toString("utf8");
    const blocks = readOrRefuse(() => pemDecode(text, "CERTIFICATE"), PemError);
    if (blocks === undefined) return "refused";
    const again = pemDecode(blocks.map((block) => pemEncode("CERTIFICATE", block)).join(""), "CERTIFICATE");
    holds(
      again.length === blocks.length && again.every((block, index) => block.equals(blocks[index] ?? Buffer.of())),
      "the way back differs",
    );
    return "accepted";
  },
};

export const x509Targets: readonly Target[] = [derTarget, csr, certificate, publicKey, signatureAlgorithm, pem];
