/** What is wrong with the 32 octets of an Ed25519 public key (RFC 8032 §5.1.3). Pure; some 15 µs. */

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

/** Whether a number from 1 to p − 1 is a square modulo p: its Jacobi symbol, by reciprocity, a tenth of what Euler's criterion costs. */
function isSquare(number: bigint): boolean {
  let [a, n] = [number, p];
  let symbol = 1;
  while (a !== 0n) {
    let twos = 0;
    for (; (a & 0xffffn) === 0n; a >>= 16n) twos += 16;
    const low = Number(a & 0xffffn);
    const zeros = 31 - Math.clz32(low & -low);
    a >>= BigInt(zeros);
    const residue = Number(n & 7n);
    if ((twos + zeros) % 2 === 1 && (residue === 3 || residue === 5)) symbol = -symbol;
    if (residue % 4 === 3 && Number(a & 3n) === 3) symbol = -symbol;
    [a, n] = [n % a, a];
  }
  return symbol === 1;
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
  // x² = numerator / denominator, which is a square where the product is one. The denominator is never 0: −1/d is no square.
  if (numerator !== 0n && !isSquare(modulo(numerator * denominator))) {
    return "The Ed25519 point is not on its curve";
  }
  // The eight points of the torsion subgroup: y is 1 (order 1), −1 (2), 0 (4), or doubles to y = 0 (8), that is x² = −y².
  const ofOrder8 = modulo(d * square * square + 2n * square - 1n) === 0n;
  if (numerator === 0n || y === 0n || ofOrder8) return "The Ed25519 point is of small order";
  return undefined;
}
