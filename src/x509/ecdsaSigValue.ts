/** ECDSA signatures from r‖s, as JWS (RFC 7518 §3.4) and PKCS#11 write them, to DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3). Pure. */

/** @param raw r and s side by side, each as long as the curve's order; an even number of octets, at most 132 (P-521) */
export function ecdsaSigValue(raw: Uint8Array): Buffer {
  const half = raw.length / 2;
  if (!Number.isInteger(half) || half === 0 || half > 66)
    throw new RangeError("r and s must be equally long, 66 octets at most");
  const [r, s] = [integerStart(raw, 0, half), integerStart(raw, half, raw.length)];
  const length = 2 + r.length + (2 + s.length);
  const header = length < 128 ? 2 : 3; // Only P-521 needs the long form.
  const der = Buffer.allocUnsafe(header + length);
  der[0] = 0x30;
  if (header === 3) der[1] = 0x81;
  der[header - 1] = length;
  writeInteger(der, header, raw, r, half);
  writeInteger(der, header + 2 + r.length, raw, s, raw.length);
  return der;
}

/** Where an unsigned integer's first octet that counts is, and its length as a DER INTEGER (a zero in front keeps it positive). */
function integerStart(raw: Uint8Array, from: number, end: number): { start: number; length: number } {
  let start = from;
  while (start < end - 1 && raw[start] === 0) start++;
  return { start, length: end - start + ((raw[start] ?? 0) >= 0x80 ? 1 : 0) };
}

function writeInteger(
  der: Buffer,
  at: number,
  raw: Uint8Array,
  { start, length }: { start: number; length: number },
  end: number,
): void {
  der[at] = 0x02;
  der[at + 1] = length;
  const content = at + 2;
  const padding = length - (end - start);
  if (padding === 1) der[content] = 0;
  der.set(raw.subarray(start, end), content + padding);
}
