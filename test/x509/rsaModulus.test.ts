import { checkPrimeSync, generateKeyPairSync, generatePrimeSync } from "node:crypto";
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
