/**
 * Self-signed certificates for the tests of tls-alpn-01 (RFC 8737 §3), and ways to get them wrong.
 */
import { generateKeyPairSync, hash, type KeyObject, sign } from "node:crypto";
import { assembleCertificate, encodeTbsCertificate } from "../../src/x509/certificate.ts";
import { der, encodeDer, octetString, sequence } from "../../src/x509/derWriter.ts";
import { type Extension, subjectAltName } from "../../src/x509/extensions.ts";
import { tags } from "../../src/x509/der.ts";
import { encodeName } from "../../src/x509/name.ts";
import { encodeOid, oids } from "../../src/x509/oid.ts";
import { pemEncode } from "../../src/x509/pem.ts";

export interface CertificateWishes {
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly uri?: readonly string[];
  /** Besides the subjectAltName made of the names above, or instead of it where one is among them. */
  readonly extensions?: readonly Extension[];
  readonly issuer?: string;
  /** Signs with a key that is not the certificate's. */
  readonly foreignSignature?: boolean;
  /** Content of an INTEGER that our own encoder refuses to write. */
  readonly serialNumber?: Buffer;
  /** Has the last extension a second time, which our own encoder refuses to write. */
  readonly twice?: boolean;
}

/** Key and certificate in PEM, as `node:tls` takes them. */
export function selfSigned(wishes: CertificateWishes): { key: string; cert: string } {
  const { publicKey, privateKey } = keys;
  const { dns = [], ip = [], uri = [] } = wishes;
  const named = dns.length + ip.length + uri.length > 0 ? [subjectAltName({ dns, ip, uri }, false)] : [];
  const extensions = [...named, ...(wishes.extensions ?? [])];
  const last = extensions.at(-1);
  // A placeholder of the same length is written, and then made the same.
  const placeholder = last && { ...last, oid: last.oid.replace(/\d+$/, "99") };
  const written = encodeTbsCertificate({
    serialNumber: usualSerial,
    signatureAlgorithm: "ecdsa-p256-sha256",
    issuer: encodeName({ commonName: wishes.issuer ?? "challenge" }),
    notBefore: new Date("2020-01-01T00:00:00Z"),
    notAfter: new Date("2040-01-01T00:00:00Z"),
    subject: encodeName({ commonName: "challenge" }),
    spki: publicKey.export({ type: "spki", format: "der" }),
    extensions: wishes.twice === true && placeholder ? [...extensions, placeholder] : extensions,
  });
  const tbs = wishes.serialNumber === undefined ? written : withSerialNumber(written, wishes.serialNumber);
  if (wishes.twice === true && last && placeholder) {
    tbs.set(encodeOid(last.oid), tbs.indexOf(encodeOid(placeholder.oid)));
  }
  const signer: KeyObject = wishes.foreignSignature === true ? otherKeys.privateKey : privateKey;
  const signed = assembleCertificate(tbs, "ecdsa-p256-sha256", sign("sha256", tbs, signer));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: pemEncode("CERTIFICATE", signed),
  };
}

const usualSerial = Buffer.from([0x01, 0x23]);

function withSerialNumber(tbs: Buffer, serialNumber: Buffer): Buffer {
  const usual = encodeDer(der(tags.integer, usualSerial));
  const at = tbs.indexOf(usual);
  const headerLength = 2 + ((tbs[1] ?? 0) & 0x7f); // Longer than 127 octets, so that the length has octets of its own.
  return encodeDer(
    sequence(tbs.subarray(headerLength, at), der(tags.integer, serialNumber), tbs.subarray(at + usual.length)),
  );
}

const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const otherKeys = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** id-pe-acmeIdentifier for a key authorization. */
export function acmeIdentifier(keyAuthorization: string): Extension {
  const digest = hash("sha256", keyAuthorization, "buffer");
  return { oid: oids.acmeIdentifier, critical: true, value: encodeDer(octetString(digest)) };
}
