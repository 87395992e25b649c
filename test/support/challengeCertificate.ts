/**
 * Self-signed certificates for the tests of tls-alpn-01 (RFC 8737 §3), and ways to get them wrong.
 */
import { generateKeyPairSync, hash, type KeyObject, sign } from "node:crypto";
import { assembleCertificate, encodeTbsCertificate } from "../../src/x509/certificate.ts";
import { der, encodeDer, octetString, sequence, time } from "../../src/x509/derWriter.ts";
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
  /** DER of a serial number that our own encoder refuses to write. */
  readonly serialNumber?: Buffer;
  /** DER of a Validity that it refuses. */
  readonly validity?: Buffer;
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
    ...usual,
    subject: encodeName({ commonName: "challenge" }),
    spki: publicKey.export({ type: "spki", format: "der" }),
    extensions: wishes.twice === true && placeholder ? [...extensions, placeholder] : extensions,
  });
  const tbs = withElements(written, wishes);
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
const usual = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2040-01-01T00:00:00Z") };

/** The to-be-signed part with these elements in place of the usual ones. */
function withElements(tbs: Buffer, { serialNumber, validity }: CertificateWishes): Buffer {
  const replaced = [
    { usually: encodeDer(der(tags.integer, usualSerial)), now: serialNumber },
    { usually: encodeDer(sequence(time(usual.notBefore), time(usual.notAfter))), now: validity },
  ];
  const headerLength = 2 + ((tbs[1] ?? 0) & 0x7f); // Longer than 127 octets, so that the length has octets of its own.
  let content = tbs.subarray(headerLength);
  for (const { usually, now = usually } of replaced) {
    const at = content.indexOf(usually);
    content = Buffer.concat([content.subarray(0, at), now, content.subarray(at + usually.length)]);
  }
  return encodeDer(sequence(content));
}

const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const otherKeys = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** id-pe-acmeIdentifier for a key authorization. */
export function acmeIdentifier(keyAuthorization: string): Extension {
  const digest = hash("sha256", keyAuthorization, "buffer");
  return { oid: oids.acmeIdentifier, critical: true, value: encodeDer(octetString(digest)) };
}
