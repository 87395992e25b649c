/** The challenge tls-alpn-01 (RFC 8737; for IP addresses RFC 8738 §6). */
import { hash, type X509Certificate } from "node:crypto";
import { type Certificate, CertificateError, readCertificate } from "../../x509/certificate.ts";
import { contentOf, DerError, readDer, tags } from "../../x509/der.ts";
import { ipToBytes } from "../../x509/names.ts";
import { oids } from "../../x509/oid.ts";
import { handshake } from "../../outbound/handshake.ts";
import { attempt, sameBytes, type Validation, ValidationFailure, type Validator } from "./validation.ts";

const protocol = "acme-tls/1";

/** The target must complete a handshake for `acme-tls/1` with the certificate that RFC 8737 §3 describes. */
export const tlsAlpn01: Validator = (validation, outbound, signal) =>
  attempt(outbound.timeoutMs, signal, async (lifetime) => {
    const { type, value } = validation.identifier;
    const socket = await outbound.connect(value, outbound.tlsAlpn01Port, lifetime);
    // RFC 8738 §6: an IP address cannot be a server name (RFC 6066 §3), its reverse-mapping name can.
    const servername = type === "ip" ? reverseName(value) : value;
    const secured = await handshake(socket, { servername, protocol });
    if (secured.alpnProtocol !== protocol) throw new ValidationFailure("tls", `the target did not select ${protocol}`);
    const shown = secured.getPeerX509Certificate();
    // RFC 8737 §3: the connection is only for its handshake; what the target sends after it is never read. Our last flight of the
    // handshake goes out with the closing, so that the target sees a handshake that was completed.
    await new Promise<void>((resolve) => secured.end(resolve));

    if (shown === undefined) throw new ValidationFailure("tls", "the target showed no certificate");
    requireChallengeCertificate(shown, validation);
  });

/** RFC 8737 §3, "The client prepares" and "the server verifies", in that order. */
function requireChallengeCertificate(shown: X509Certificate, { identifier, keyAuthorization }: Validation): void {
  const certificate = readStrictly(shown);
  if (!isSelfSigned(shown, certificate)) throw incorrect("is not self-signed");

  const { dns, ip, uri, other } = certificate.names;
  const [name] = identifier.type === "dns" ? dns : ip;
  const count = dns.length + ip.length + uri.length + other.length;
  if (count !== 1 || name?.toLowerCase() !== identifier.value) {
    throw incorrect(`does not have ${identifier.value} as its one subjectAltName`);
  }

  // That no extension is there twice was a condition of reading it.
  const extension = certificate.extensions.find(({ oid }) => oid === oids.acmeIdentifier);
  if (extension === undefined) throw incorrect("has no acmeIdentifier extension");
  if (!extension.critical) throw incorrect("has an acmeIdentifier extension that is not critical");
  if (!sameBytes(authorizationIn(extension.value), hash("sha256", keyAuthorization, "buffer"))) {
    throw new ValidationFailure("unauthorized", "the certificate's acmeIdentifier is not of this key authorization");
  }
}

function readStrictly(shown: X509Certificate): Certificate {
  try {
    // mod_md draws 20 octets for the serial number, of which every other set makes one of 21; Go programs leave the dates at year 1.
    return readCertificate(shown.raw, { lenient: true });
  } catch (error) {
    if (error instanceof CertificateError) throw incorrect(`cannot be read: ${error.message}`);
    throw error;
  }
}

function isSelfSigned(shown: X509Certificate, { issuer, subject }: Certificate): boolean {
  if (!issuer.equals(subject)) return false;
  try {
    return shown.verify(shown.publicKey);
  } catch {
    return false; // a key that OpenSSL cannot use
  }
}

/** The content of the extension's Authorization ::= OCTET STRING (SIZE (32)). */
function authorizationIn(value: Buffer): Buffer {
  try {
    const digest = contentOf(readDer(value), tags.octetString, "The acmeIdentifier");
    if (digest.length === 32) return digest;
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
  }
  throw incorrect("has an acmeIdentifier that is not an OCTET STRING of 32 bytes");
}

function incorrect(what: string): ValidationFailure {
  return new ValidationFailure("incorrectResponse", `the target's certificate ${what}`);
}

/** The address' name in the reverse tree: `in-addr.arpa` (RFC 1035 §3.5) or `ip6.arpa` (RFC 3596 §2.5). */
export function reverseName(address: string): string {
  const octets = ipToBytes(address);
  if (octets.length === 4) return `${[...octets].toReversed().join(".")}.in-addr.arpa`;
  return `${octets.toString("hex").split("").toReversed().join(".")}.ip6.arpa`;
}
