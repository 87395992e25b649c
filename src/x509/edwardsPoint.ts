/** What is wrong with the 32 octets of an Ed25519 public key (RFC 8032 §5.1.3). Pure; some 0.1 ms. */

/** The field's prime, 2²⁵⁵ − 19. */
const p = (1n << 255n) - 19n;

/** The curve's constant, −121665/121666. */
const d = modulo(-121665n * power(121666n, p - 2n));

function modulo(value: bigint): bigint {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let bits = exponent; bits > 0n; bits >>= 1n) {
    if (bits & 1n) result = (result * square) % p;
    square = (square * square) % p;
  }
  return result;
}

/**
 * The fault of an encoded point as a sentence, or undefined. A point of small order is one too: with such a "key" signatures can be
 * made by anybody.
 */
export function edwardsPointWeakness(octets: Buffer): string | undefined {
  const encoded = BigInt(`0x${Buffer.from(octets.toReversed()).toString("hex")}`);
  const y = encoded & ((1n << 255n) - 1n);
  if (y >= p) return "The Ed25519 point is not in canonical form";
  const square = modulo(y * y);
  const numerator = modulo(square - 1n);
  const denominator = modulo(d * square + 1n);
  // x² = numerator / denominator, which is a square where the product is one (Euler's criterion).
  if (numerator !== 0n && power(modulo(numerator * denominator), (p - 1n) / 2n) !== 1n) {
    return "The Ed25519 point is not on its curve";
  }
  // The eight points of the torsion subgroup: y is 1 (order 1), −1 (2), 0 (4), or doubles to y = 0 (8), that is x² = −y².
  const ofOrder8 = modulo(d * square * square + 2n * square - 1n) === 0n;
  if (numerator === 0n || y === 0n || ofOrder8) return "The Ed25519 point is of small order";
  return undefined;
}
