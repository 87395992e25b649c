import { checkPrimeSync, generateKeyPairSync, generatePrimeSync, randomBytes } from "node:crypto";
import t from "tap";
import { modulusWeakness } from "../../src/x509/rsaModulus.ts";

const sound = (bits: number): bigint => {
  const { n } = generateKeyPairSync("rsa", { modulusLength: bits }).publicKey.export({ format: "jwk" });
  return BigInt(`0x${Buffer.from(String(n), "base64url").toString("hex")}`);
};
const nextPrime = (from: bigint): bigint => {
  let candidate = from + 2n;
  while (!checkPrimeSync(candidate)) candidate += 2n;
  return candidate;
};

t.test("sound moduli pass", (t) => {
  for (const bits of [2048, 2048, 3072]) t.equal(modulusWeakness(sound(bits)), undefined, String(bits));
  t.end();
});

t.test("small factors up to 751 are found", (t) => {
  const large = sound(2048);
  t.match(modulusWeakness(large * 2n), /even/);
  for (const p of [3n, 5n, 167n, 743n, 751n]) t.match(modulusWeakness(large * p), /small factor/, String(p));
  t.equal(modulusWeakness(large * 757n), undefined, "757 is beyond the bound");
  t.end();
});

t.test("close primes are found, distant ones are not", (t) => {
  const p = generatePrimeSync(1024, { bigint: true });
  const neighbour = nextPrime(p);
  t.match(modulusWeakness(p * p), /too close/, "one prime twice");
  t.match(modulusWeakness(p * neighbour), /too close/, "the next prime");
  // Fermat's round k reaches primes whose distance d has d² / 8√n ≈ k, here the 50th round and far beyond the 100th.
  const reachedIn = (round: bigint): bigint => 1n << BigInt((round * 8n * p).toString(2).length >> 1);
  t.match(modulusWeakness(p * nextPrime(p + reachedIn(25n))), /too close/, "tens of rounds away");
  t.equal(modulusWeakness(p * nextPrime(p + reachedIn(4000n))), undefined, "thousands of rounds away");
  t.end();
});

t.test("the shape of ROCA moduli is found", (t) => {
  const primes = Array.from({ length: 166 }, (_, i) => BigInt(i + 2)).filter((n) => checkPrimeSync(n));
  const m = primes.reduce((product, p) => product * p, 1n);
  let power = 1n;
  for (let i = 0; i < 12345; i++) power = (power * 65537n) % m;
  let modulus = (1n << 2047n) - ((1n << 2047n) % m) + m + power;
  while (/small factor/.test(modulusWeakness(modulus) ?? "")) modulus += m;
  t.match(modulusWeakness(modulus), /ROCA/);
  let other = modulus + 2n;
  while (/small factor/.test(modulusWeakness(other) ?? "")) other += 2n;
  t.equal(modulusWeakness(other), undefined, "a neighbour without the shape passes");
  t.end();
});

/** A prime as the faulty library made them: k·M + (65537ᵃ mod M), with M the product of the first 126 primes for keys of 2048 bits. */
function rocaPrime(m: bigint, bits: bigint): bigint {
  const random = (below: bigint): bigint => BigInt(`0x${randomBytes(130).toString("hex")}`) % below;
  for (;;) {
    let power = 1n;
    for (let exponent = random(1n << 62n), base = 65537n; exponent > 0n; exponent >>= 1n, base = (base * base) % m) {
      if (exponent & 1n) power = (power * base) % m;
    }
    const least = (1n << (bits - 1n)) + (1n << (bits - 2n));
    const prime = least - (least % m) + m + random(1n << 40n) * m + power;
    if (checkPrimeSync(prime)) return prime;
  }
}

t.test("H-16b a whole ROCA key, made as the faulty library made them (CVE-2017-15361), is found", (t) => {
  const primes = Array.from({ length: 701 }, (_, i) => BigInt(i + 1)).filter((n) => n > 1n && checkPrimeSync(n));
  t.equal(primes.length, 126, "the 126th prime is 701");
  const m = primes.reduce((product, q) => product * q, 1n);
  for (let round = 0; round < 3; round++) {
    const modulus = rocaPrime(m, 1024n) * rocaPrime(m, 1024n);
    t.equal(modulus.toString(2).length, 2048);
    t.match(modulusWeakness(modulus), /ROCA/);
  }
  t.end();
});

t.test("sound keys are not taken for ROCA: the residues of a random modulus fit once in 10⁸", (t) => {
  let taken = 0;
  for (let round = 0; round < 2_000; round++) {
    const odd = BigInt(`0x${randomBytes(256).toString("hex")}`) | 1n | (1n << 2047n);
    if (/ROCA/.test(modulusWeakness(odd) ?? "")) taken += 1;
  }
  t.equal(taken, 0);
  t.end();
});
