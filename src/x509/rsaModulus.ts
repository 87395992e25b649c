/**
 * Public signs of a badly made RSA modulus. Passing says only that it is none of these.
 */

/** Primes to 751, the bound of CA/Browser Forum Baseline Requirements §6.1.6 ("no factors smaller than 752"). */
const smallPrimes = Array.from({ length: 750 }, (_, i) => i + 2).filter((n) => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
});

/**
 * Primes whose residues betray keys of the faulty Infineon library (ROCA, CVE-2017-15361), with the residues that such keys can have:
 * powers of 65537. The primes divide the library's constant for keys of 512 bits and up.
 */
const rocaResidues = new Map(
  smallPrimes.filter((p) => p <= 167).map((p): [number, ReadonlySet<number>] => [p, powersOf(65537 % p, p)]),
);

function powersOf(base: number, modulus: number): Set<number> {
  const powers = new Set<number>();
  for (let power = 1 % modulus; !powers.has(power); power = (power * base) % modulus) powers.add(power);
  return powers;
}

/** Rounds of Fermat's factorisation; primes this close do not come from a sound generator (CVE-2022-26320). */
const fermatRounds = 100;

/** The weakness of a modulus, as a sentence, or undefined. Some 0.1 ms, whatever the modulus. */
export function modulusWeakness(n: bigint): string | undefined {
  if ((n & 1n) === 0n) return "The RSA modulus is even";
  const residues = smallPrimes.map((p): [number, number] => [p, Number(n % BigInt(p))]);
  if (residues.some(([, residue]) => residue === 0)) return "The RSA modulus has a small factor";
  if (residues.every(([p, residue]) => rocaResidues.get(p)?.has(residue) ?? true)) {
    return "The RSA modulus was made by a faulty library (ROCA)";
  }
  if (hasClosePrimes(n)) return "The primes of the RSA modulus are too close to each other";
  return undefined;
}

/** Fermat: n = a² − b² with a just above √n when its two primes are close. */
function hasClosePrimes(n: bigint): boolean {
  const root = squareRoot(n);
  if (root * root === n) return true;
  let a = root + 1n;
  let rest = a * a - n;
  for (let round = 0; round < fermatRounds; round++) {
    if (isSquare(rest)) return true;
    rest += 2n * a + 1n; // (a + 1)² − a²
    a += 1n;
  }
  return false;
}

/** Squares leave few residues; those of 2⁶ and of 3·5·7·11·13·17 turn all but one number in 150 away before the costly root. */
const filterModulus = 255255n;
const filterPrimes = [3, 5, 7, 11, 13, 17];
const squaresModulo = new Map(
  [...filterPrimes, 64].map((m) => [m, new Set(Array.from({ length: m }, (_, i) => (i * i) % m))]),
);

function isSquare(n: bigint): boolean {
  if (!squaresModulo.get(64)?.has(Number(n & 63n))) return false;
  const residue = Number(n % filterModulus);
  if (!filterPrimes.every((p) => squaresModulo.get(p)?.has(residue % p))) return false;
  const root = squareRoot(n);
  return root * root === n;
}

/** ⌊√n⌋ of a positive n by Newton's method, from a start above it that is at most twice as large. */
function squareRoot(n: bigint): bigint {
  let root = 1n << BigInt((n.toString(16).length * 4 + 1) >> 1);
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
