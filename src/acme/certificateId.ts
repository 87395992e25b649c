/** What renewal information calls a certificate (RFC 9773 §4.1): its issuer's key identifier and its serial number, in base64url. */
import { decodeBase64url } from "../encoding/base64url.ts";
import { isSerialNumber } from "../x509/certificate.ts";

export interface CertificateId {
  /** The keyIdentifier of the certificate's AuthorityKeyIdentifier. */
  readonly keyIdentifier: Buffer;
  /** Content octets of the serial number's INTEGER, a leading zero octet included where DER has one. */
  readonly serialNumber: Buffer;
}

/** Octets of a key identifier; the usual ones have 20. */
const keyIdentifierMax = 64;

/** Reads the one form that an id has: two parts, no padding, the serial number as DER writes it. Undefined for anything else. */
export function readCertificateId(text: string): CertificateId | undefined {
  const parts = text.split(".");
  if (parts.length !== 2) return undefined;
  const [keyIdentifier, serialNumber] = parts.map(decodeBase64url);
  if (keyIdentifier === undefined || keyIdentifier.length === 0 || keyIdentifier.length > keyIdentifierMax)
    return undefined;
  if (serialNumber === undefined || !isSerialNumber(serialNumber)) return undefined;
  return { keyIdentifier, serialNumber };
}

/** The id of a certificate. */
export const writeCertificateId = ({ keyIdentifier, serialNumber }: CertificateId): string =>
  `${keyIdentifier.toString("base64url")}.${serialNumber.toString("base64url")}`;
