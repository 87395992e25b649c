import * as fc from "fast-check";
import t from "tap";
import {
  readProfile,
  validityOf,
  ValidityRefused,
  type Profile,
  type RequestedValidity,
  type WrittenProfile,
} from "../../src/authority/profile.ts";
import { workloadProfile } from "../support/issuers.ts";

const now = new Date("2026-01-01T00:00:00.900Z");
const start = Date.parse("2026-01-01T00:00:00Z") / 1000;
const at = (seconds: number): Date => new Date((start + seconds) * 1000);
const profile = workloadProfile(); // 900 s, 60 s to 86 400 s, 60 s back

/** The validity as seconds from `now`, cut to whole seconds. */
function validity(wish: RequestedValidity, under: Profile = profile): [number, number] {
  const { notBefore, notAfter } = validityOf(under, now, wish);
  return [notBefore.getTime() / 1000 - start, notAfter.getTime() / 1000 - start];
}

t.test("validityOf: both ends belong to the validity (RFC 5280 §4.1.2.5), whole seconds", async (t) => {
  const table: [string, RequestedValidity, [number, number]][] = [
    ["nothing asked: the default lifetime, of which the allowance for slow clocks is a part", {}, [-60, 839]],
    ["notAfter", { notAfter: at(299) }, [-60, 299]],
    ["notAfter between two seconds", { notAfter: new Date(at(299).getTime() + 999) }, [-60, 299]],
    ["the longest", { notAfter: at(86_399) }, [0, 86_399]],
    ["nearly the longest: the allowance gives way", { notAfter: at(86_369) }, [-30, 86_369]],
    ["the next second, with the allowance", { notAfter: at(1) }, [-60, 1]],
    ["notBefore as early as may be", { notBefore: at(-60) }, [-60, 839]],
    ["notBefore an hour ahead", { notBefore: at(3600) }, [3600, 4499]],
    ["both, the shortest", { notBefore: at(0), notAfter: at(59) }, [0, 59]],
    ["both, the longest", { notBefore: at(10), notAfter: at(86_409) }, [10, 86_409]],
    ["evidence that ends earlier than the default shortens", { notAfterCap: at(500) }, [-60, 500]],
    ["evidence that ends between two seconds", { notAfterCap: new Date(at(500).getTime() + 999) }, [-60, 500]],
    ["evidence that ends later changes nothing", { notAfterCap: at(10_000) }, [-60, 839]],
    ["notAfter at the end of the evidence", { notAfter: at(500), notAfterCap: at(500) }, [-60, 500]],
    ["a grant's longest lifetime shortens the default", { lifetimeMaxSeconds: 300 }, [-30, 269]],
    ["a grant's longest lifetime beyond the default", { lifetimeMaxSeconds: 1000 }, [-60, 839]],
    ["notAfter as far as the grant lets", { notAfter: at(299), lifetimeMaxSeconds: 300 }, [0, 299]],
    ["a grant of the least lifetime", { lifetimeMaxSeconds: 60 }, [-6, 53]],
  ];
  for (const [name, wish, expected] of table) t.same(validity(wish), expected, name);
  t.same(validity({}, workloadProfile({ lifetimeDefaultSeconds: 100 })), [-10, 89], "a tenth of a short lifetime");
  t.same(validity({}, workloadProfile({ backdateSeconds: 0 })), [0, 899], "no allowance");
});

t.test("H-27 validityOf refuses, and never clamps, what the client named", async (t) => {
  const table: [string, RequestedValidity, RegExp][] = [
    ["longer than the profile", { notAfter: at(86_400) }, /86401 s is more than profile workload allows \(86400 s\)/],
    ["longer with notBefore", { notBefore: at(-60), notAfter: at(86_340) }, /86401 s is more/],
    ["shorter than the profile", { notBefore: at(0), notAfter: at(58) }, /less than profile workload allows \(60 s\)/],
    ["ended", { notAfter: at(-1) }, /less than/],
    ["ending now", { notAfter: at(0) }, /less than/],
    ["upside down", { notBefore: at(100), notAfter: at(50) }, /less than/],
    ["notBefore too early", { notBefore: at(-61) }, /between 60 seconds ago and an hour from now/],
    ["notBefore too late", { notBefore: at(3601) }, /between 60 seconds ago and an hour from now/],
    [
      "beyond the evidence",
      { notAfter: at(501), notAfterCap: at(500) },
      /beyond what the evidence and the issuer allow/,
    ],
    [
      "beyond the grant",
      { notAfter: at(300), lifetimeMaxSeconds: 300 },
      /301 s is more than the grant allows \(300 s\)/,
    ],
    ["evidence that has ended", { notAfterCap: at(0) }, /^the evidence or the issuer ends too soon/],
    [
      "evidence that ends before notBefore",
      { notBefore: at(100), notAfterCap: at(110) },
      /^the evidence or the issuer ends too soon/,
    ],
  ];
  for (const [name, wish, message] of table) t.throws(() => validity(wish), { name: "ValidityRefused", message }, name);
});

t.test("H-27 whatever is asked, what comes out is within profile, grant and evidence", async (t) => {
  const seconds = fc.option(fc.integer({ min: -4000, max: 90_000 }).map(at), { nil: undefined });
  const wishes = fc.record({
    notBefore: seconds,
    notAfter: seconds,
    notAfterCap: seconds,
    lifetimeMaxSeconds: fc.option(fc.integer({ min: 60, max: 86_400 }), { nil: undefined }),
  });
  let given = 0;
  fc.assert(
    fc.property(wishes, (wish) => {
      let from: number, to: number;
      try {
        [from, to] = validity(wish);
      } catch (error) {
        return error instanceof ValidityRefused;
      }
      given++;
      const lifetime = to - from + 1;
      return (
        lifetime >= 60 &&
        lifetime <= (wish.lifetimeMaxSeconds ?? 86_400) &&
        to > 0 &&
        (wish.notBefore === undefined || at(from).getTime() === wish.notBefore.getTime()) &&
        (wish.notAfter === undefined || at(to).getTime() === wish.notAfter.getTime()) &&
        (wish.notAfterCap === undefined || at(to) <= wish.notAfterCap)
      );
    }),
    { numRuns: 2000 },
  );
  t.ok(given > 100, `${given} were not refused`);
});

t.test("a profile's lifetimes are in order, and a SPIFFE profile has both purposes or none", async (t) => {
  const configured = workloadProfile();
  const { name: _name, hash: _hash, ...configuration } = configured;
  const refused = (changes: object, message: RegExp) =>
    t.throws(() => readProfile("p", { ...configuration, ...changes }), { message });
  refused(
    { lifetimeMinSeconds: 901 },
    /^profiles\.p\.lifetimeMinSeconds: 901 is more than lifetimeDefaultSeconds \(900\)$/,
  );
  refused(
    { lifetimeMaxSeconds: 899 },
    /^profiles\.p\.lifetimeDefaultSeconds: 900 is more than lifetimeMaxSeconds \(899\)$/,
  );
  refused({ extendedKeyUsage: ["serverAuth"] }, /^profiles\.p\.extendedKeyUsage: .*X\.509-SVID §4\.4/);
  refused({ extendedKeyUsage: ["serverAuth", "codeSigning"] }, /both serverAuth and clientAuth, or none/);
  refused({ keyUsage: ["keyAgreement"], extendedKeyUsage: [], keyKinds: ["ec-p256"] }, /needs digitalSignature \(X/);
  const ofNames = { identifiers: ["dns"], extendedKeyUsage: ["serverAuth"] };
  refused(
    { ...ofNames, keyUsage: ["keyEncipherment"], keyKinds: ["rsa", "ec-p256"] },
    /^profiles\.p\.keyUsage: \[keyEncipherment\]: a key of kind ec-p256 can have none of these uses$/,
  );
  refused(
    { identifiers: ["dns"], extendedKeyUsage: ["codeSigning"], keyUsage: ["keyEncipherment"], keyKinds: ["rsa"] },
    /^profiles\.p\.extendedKeyUsage: codeSigning: a key of kind rsa has no use for it/,
  );
  refused({ certificatePolicies: ["1.40.1"] }, /^profiles\.p\.certificatePolicies: 1\.40\.1: expected an object id/);
  refused({ subject: "commonName" }, /^profiles\.p\.subject: commonName: .* needs dns identifiers$/);
  t.ok(readProfile("p", { ...configuration, extendedKeyUsage: [] }));
});

t.test("a profile's hash tells its name and content, not the order of its keys", async (t) => {
  const { name: _name, hash, ...configuration } = workloadProfile();
  const turned = Object.fromEntries(Object.entries(configuration).toReversed()) as typeof configuration;
  t.ok(readProfile("workload", turned).hash.equals(hash));
  t.notOk(readProfile("other", configuration).hash.equals(hash));
  t.notOk(workloadProfile({ lifetimeMaxSeconds: 86_399 }).hash.equals(hash));
  t.ok(Object.isFrozen(workloadProfile()));
  const changes = [
    { issuer: "west" },
    { subject: "commonName", identifiers: ["uri", "dns"] },
    { keyReuse: "never" },
    { keyUsage: ["digitalSignature", "keyAgreement"] },
    { certificatePolicies: ["1.2.3"] },
    { revocation: { shortLivedMaxSeconds: 60 } },
    { revocation: { crl: false } },
    { revocation: { ocsp: true } },
  ] as const;
  const hashes = changes.map((change) =>
    workloadProfile(structuredClone(change) as Partial<WrittenProfile>).hash.toString("hex"),
  );
  t.equal(new Set([...hashes, hash.toString("hex")]).size, changes.length + 1, "every key is in it");
  const written = { issuer: "default", subject: "empty", keyReuse: "any" } as const;
  const revocation = { ocsp: false, crl: true, shortLivedMaxSeconds: 86_400 };
  t.ok(workloadProfile({ ...written, revocation }).hash.equals(hash), "and a default that is written is no other");
});
