/** Strict base64url (RFC 8555 §6.1, RFC 7515 §2): no padding, no other alphabet, no white space, no stray trailing bits. */

const alphabet = /^[A-Za-z0-9_-]*$/;

/** Decodes, or returns undefined where the text is not the one canonical encoding of its octets. */
export function decodeBase64url(text: string): Buffer | undefined {
  if (!alphabet.test(text) || text.length % 4 === 1) return undefined;
  const octets = Buffer.from(text, "base64url");
  return octets.toString("base64url") === text ? octets : undefined;
}

/** The same for at most `bytesMax` octets: a longer text yields undefined, and is not looked at. */
export function decodeBase64urlUpTo(bytesMax: number, text: string): Buffer | undefined {
  return text.length > Math.ceil((bytesMax * 4) / 3) ? undefined : decodeBase64url(text);
}
