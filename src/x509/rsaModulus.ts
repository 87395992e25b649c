/**
 * Public signs of a badly made RSA modulus. Passing says only that it is none of these.
 */

/** Primes to 751, the bound of CA/Browser Forum Baseline Requirements §6.1.6 ("no factors smaller than 752"). */
const smallPrimes = Array.from({ length: 750 }, (_, i) => i + 2).filter((n) => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
});

/** Some of the primes, and their product: a modulus is divided by that once, and only the small rest by each of them. */
interface PrimeGroup<Member> {
  readonly product: bigint;
  readonly members: readonly Member[];
}

/** Groups whose products are below a bound. */
function grouped<Member>(
  members: readonly Member[],
  productOf: (member: Member) => bigint,
  bound: bigint,
): PrimeGroup<Member>[] {
  const groups: { product: bigint; members: Member[] }[] = [];
  for (const member of members) {
    const last = groups.at(-1);
    const product = productOf(member);
    if (last !== undefined && last.product * product < bound) {
      last.product *= product;
      last.members.push(member);
    } else groups.push({ product, members: [member] });
  }
  return groups;
}

/** Products of 30 bits are the engine's own integers; those of 200 bits are what many such are cheaply taken from. */
const primeGroups = grouped(grouped(smallPrimes, BigInt, 1n << 30n), ({ product }) => product, 1n << 200n);
const allPrimes = primeGroups.reduce((product, group) => product * group.product, 1n);

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

/** The weakness of a modulus, as a sentence, or undefined. Some 10 µs for 2048 bits. */
export function modulusWeakness(n: bigint): string | undefined {
  if ((n & 1n) === 0n) return "The RSA modulus is even";
  const rest = n % allPrimes;
  let isRoca = true;
  for (const { product: large, members } of primeGroups) {
    const part = rest % large;
    for (const { product, members: primes } of members) {
      const residue = Number(part % product);
      for (const p of primes) {
        if (residue % p === 0) return "The RSA modulus has a small factor";
        if (isRoca && p <= 167) isRoca = rocaResidues.get(p)?.has(residue % p) === true;
      }
    }
  }
  if (isRoca) return "The RSA modulus was made by a faulty library (ROCA)";
  if (hasClosePrimes(n)) return "The primes of the RSA modulus are too close to each other";
  return undefined;
}

/** Fermat: n = a² − b² with a just above √n when its two primes are close. */
function hasClosePrimes(n: bigint): boolean {
  const root = squareRoot(n);
  if (root * root === n) return true;
  for (const round of roundsOfSquares(root + 1n, n)) {
    const a = root + 1n + BigInt(round);
    const square = a * a - n;
    const b = squareRoot(square);
    if (b * b === square) return true;
  }
  return false;
}

/** Squares leave few residues by these: one number in ten thousand is taken for one that is none, and the costly root drawn in vain. */
const filters = [64, 63, 65, 11, 17, 19, 23, 29, 31, 37, 41].map((modulus) => ({
  modulus,
  squares: squaresModulo(modulus),
}));

function squaresModulo(modulus: number): Uint8Array {
  const squares = new Uint8Array(modulus);
  for (let i = 0; i < modulus; i++) squares[(i * i) % modulus] = 1;
  return squares;
}

/** Products of the filters' moduli, in the engine's integers: the first six, and the others. */
const filterProducts = [64 * 63 * 65 * 11 * 17 * 19, 23 * 29 * 31 * 37 * 41] as const;

/** The rounds in which (first + round)² − n may be a square, in small numbers. */
function roundsOfSquares(first: bigint, n: bigint): number[] {
  const residues = (number: bigint): number[] => {
    const [low, high] = filterProducts.map((product) => Number(number % BigInt(product)));
    return filters.map(({ modulus }, at) => ((at < 6 ? low : high) ?? 0) % modulus);
  };
  const [base, less] = [residues(first), residues(n)];
  const isPossible = (round: number): boolean => {
    for (let at = 0; at < filters.length; at++) {
      const { modulus, squares } = filters[at] as (typeof filters)[number];
      const sum = ((base[at] as number) + round) % modulus;
      if (squares[(sum * sum + modulus - (less[at] as number)) % modulus] !== 1) return false;
    }
    return true;
  };
  const rounds: number[] = [];
  for (let round = 0; round < fermatRounds; round++) if (isPossible(round)) rounds.push(round);
  return rounds;
}

/** ⌊√n⌋ of a number that is not negative: the root of its upper half, then one step of Newton's with all digits. */
function squareRoot(n: bigint, hexDigits = n.toString(16).length): bigint {
  if (hexDigits <= 12) return BigInt(Math.floor(Math.sqrt(Number(n)))); // Exact below 2⁵².
  const quarter = BigInt(hexDigits); // Of the bits.
  let root = squareRoot(n >> (2n * quarter), (hexDigits + 1) >> 1) << quarter;
  root = (root + n / root) >> 1n; // Never too small, by the inequality of the means.
  while (root * root > n) root -= 1n;
  return root;
}
