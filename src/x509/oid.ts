/**
 * Object identifiers: the ones in use, by the names their RFCs give them, and the DER content octets of any (X.690 §8.19).
 */

/** The OIDs in use, in dotted form. */
export const oids = {
  // Attribute types of names (RFC 5280 appendix A.1)
  commonName: "2.5.4.3",
  organizationName: "2.5.4.10",
  // Certificate extensions (RFC 5280 §4.2, RFC 8737 §3, RFC 9608 §2)
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  cRLDistributionPoints: "2.5.29.31",
  certificatePolicies: "2.5.29.32",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  freshestCRL: "2.5.29.46",
  noRevAvail: "2.5.29.56",
  authorityInfoAccess: "1.3.6.1.5.5.7.1.1",
  acmeIdentifier: "1.3.6.1.5.5.7.1.31",
  // Access methods of AuthorityInfoAccess (RFC 5280 §4.2.2.1)
  ocsp: "1.3.6.1.5.5.7.48.1",
  caIssuers: "1.3.6.1.5.5.7.48.2",
  // Extensions of revocation lists and of their entries (RFC 5280 §5.2.3, §5.2.5, §5.3.1)
  cRLNumber: "2.5.29.20",
  reasonCode: "2.5.29.21",
  issuingDistributionPoint: "2.5.29.28",
  // Kinds of otherName (RFC 4043 §2)
  permanentIdentifier: "1.3.6.1.5.5.7.8.3",
  // Key purposes (RFC 5280 §4.2.1.12, RFC 4334 §2, RFC 4945 §5.1.3.12)
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  codeSigning: "1.3.6.1.5.5.7.3.3",
  eapOverLAN: "1.3.6.1.5.5.7.3.14",
  ipsecIKE: "1.3.6.1.5.5.7.3.17",
  anyExtendedKeyUsage: "2.5.29.37.0",
  // Content of CMS (RFC 5652 §4, §5.1)
  pkcs7Data: "1.2.840.113549.1.7.1",
  pkcs7SignedData: "1.2.840.113549.1.7.2",
  // Attributes of a SignerInfo (RFC 5652 §11.1 and §11.2)
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  // Attributes of certification requests (RFC 2985 §5.4.2)
  extensionRequest: "1.2.840.113549.1.9.14",
  // Public keys and curves (RFC 3279 §2.3.1, RFC 5480 §2.1.1, RFC 8410 §3)
  rsaEncryption: "1.2.840.113549.1.1.1",
  ecPublicKey: "1.2.840.10045.2.1",
  prime256v1: "1.2.840.10045.3.1.7",
  secp384r1: "1.3.132.0.34",
  secp521r1: "1.3.132.0.35",
  ed25519: "1.3.101.112",
  // OCSP (RFC 6960 §4.2.1, RFC 9654 §2.1)
  ocspBasic: "1.3.6.1.5.5.7.48.1.1",
  ocspNonce: "1.3.6.1.5.5.7.48.1.2",
  // Signature algorithms (RFC 4055 §5, RFC 5758 §3.2)
  sha256WithRSAEncryption: "1.2.840.113549.1.1.11",
  sha384WithRSAEncryption: "1.2.840.113549.1.1.12",
  sha512WithRSAEncryption: "1.2.840.113549.1.1.13",
  ecdsaWithSHA256: "1.2.840.10045.4.3.2",
  ecdsaWithSHA384: "1.2.840.10045.4.3.3",
  ecdsaWithSHA512: "1.2.840.10045.4.3.4",
  rsassaPss: "1.2.840.113549.1.1.10",
  // Of public keys and signatures alike (RFC 9881 §2)
  mlDsa44: "2.16.840.1.101.3.4.3.17",
  mlDsa65: "2.16.840.1.101.3.4.3.18",
  mlDsa87: "2.16.840.1.101.3.4.3.19",
  // Their parameters (RFC 4055 §2.1, §2.2), and digests of CMS (RFC 5754 §2)
  mgf1: "1.2.840.113549.1.1.8",
  sha1: "1.3.14.3.2.26",
  sha256: "2.16.840.1.101.3.4.2.1",
  sha384: "2.16.840.1.101.3.4.2.2",
  sha512: "2.16.840.1.101.3.4.2.3",
} as const;

/** Longest content octets that are read; the longest in practice (UUID arcs under 2.25) have 20. */
const contentLimit = 64;

/** True when `content` is a canonical OID of at most 64 octets: whole arcs, none padded with a leading 0x80. */
export function isOidContent(content: Uint8Array): boolean {
  if (content.length === 0 || content.length > contentLimit) return false;
  let atArcStart = true;
  for (const octet of content) {
    if (atArcStart && octet === 0x80) return false;
    atArcStart = octet < 0x80;
  }
  return atArcStart;
}

/** The OIDs in use by their content octets, as text of one character to the octet. */
const dottedByContent = new Map<string, string>();

/** The dotted form of content octets that `isOidContent` accepts. */
export function decodeOid(content: Buffer): string {
  return dottedByContent.get(content.toString("latin1")) ?? decodeAnyOid(content);
}

/** Arcs have no upper bound, hence bigint. */
function decodeAnyOid(content: Buffer): string {
  const arcs: string[] = [];
  let arc = 0n;
  for (const octet of content) {
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    if (octet >= 0x80) continue;
    // X.690 §8.19.4: the first subidentifier carries the first two arcs.
    if (arcs.length > 0) arcs.push(String(arc));
    else arcs.push(...firstTwoArcs(arc));
    arc = 0n;
  }
  return arcs.join(".");
}

function firstTwoArcs(subidentifier: bigint): [string, string] {
  const first = subidentifier < 40n ? 0n : subidentifier < 80n ? 1n : 2n;
  return [String(first), String(subidentifier - first * 40n)];
}

/**
 * Content octets of a dotted OID.
 * @throws {RangeError} when `dotted` is not an OID
 */
export function encodeOid(dotted: string): Buffer {
  if (!/^(?:[01]\.(?:[0-9]|[1-3][0-9])|2\.(?:0|[1-9][0-9]{0,38}))(?:\.(?:0|[1-9][0-9]{0,38}))*$/.test(dotted)) {
    throw new RangeError("Not an object identifier in dotted form");
  }
  const [first = 0n, second = 0n, ...rest] = dotted.split(".").map(BigInt);
  const content = Buffer.from([first * 40n + second, ...rest].flatMap(base128));
  if (content.length > contentLimit) throw new RangeError("The object identifier is longer than 64 octets");
  return content;
}

function base128(arc: bigint): number[] {
  const octets = [Number(arc & 0x7fn)];
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) octets.unshift(Number(rest & 0x7fn) | 0x80);
  return octets;
}

for (const dotted of Object.values(oids)) dottedByContent.set(encodeOid(dotted).toString("latin1"), dotted);
