import { createHash } from "node:crypto";
import * as fc from "fast-check";
import t from "tap";
import { couldDerive, derive, parseTemplate } from "../../src/authority/grantTemplate.ts";
import { claimTransforms, templateTransforms, unescape } from "../../src/authority/grantTransforms.ts";
import { parseSpiffeId } from "../../src/x509/spiffeId.ts";

const { lower, sha256hex, escaped, digest } = claimTransforms;
const hex = "667b7cc9407f7d9949d43fd51dde2a5b66db9b695ef5bfe525cf8576d54ffaa9";
const deriveWith = (transform: string, x: string) =>
  derive(parseTemplate(`spiffe://example.org/a/{x|${transform}}`), { x });

t.test("escaped: ARNs, owner/repo@ref, digests, and what is plain already", async (t) => {
  const table = {
    "arn:aws:iam::123456789012:role/Data_Role": "arn_3aaws_3aiam_3a_3a123456789012_3arole_2fData_5fRole",
    "octo-org/app/.github/workflows/r.yml@refs/heads/main":
      "octo-org_2fapp_2f.github_2fworkflows_2fr.yml_40refs_2fheads_2fmain",
    [`sha256:${hex}`]: `sha256_3a${hex}`,
    "plain-1.2": "plain-1.2",
    _: "_5f",
    _5f: "_5f5f",
    "a b": "a_20b",
    é: "_c3_a9",
    "e\u0301": "e_cc_81",
    "\0": "_00",
    "...": "...",
    "-": "-",
  };
  for (const [text, expected] of Object.entries(table)) {
    t.equal(escaped.apply(text), expected);
    t.equal(unescape(expected), text);
    t.strictSame(deriveWith("escaped", text), { spiffeId: `spiffe://example.org/a/${expected}` });
  }
  for (const text of [".", "..", "\ud800", "a\udc00b", "a".repeat(513), "/".repeat(171), "é".repeat(86)])
    t.equal(escaped.apply(text), undefined, JSON.stringify(text).slice(0, 30));
  t.equal(escaped.apply("/".repeat(170))?.length, 510);
  t.match(deriveWith("escaped", ".."), { failed: /claim x is not what escaped takes/ });
});

t.test("escaped: what it never makes", async (t) => {
  for (const outcome of [
    "",
    "_",
    "_5",
    "_5F",
    "_2G",
    "_61",
    "_2e",
    "_2d",
    "_30",
    "a_b",
    "é",
    "a/b",
    "_ff",
    "_c3",
    ".",
    "..",
    "_ed_a0_80",
  ]) {
    t.notOk(escaped.yields(outcome), outcome);
    t.equal(unescape(outcome), undefined);
  }
});

const text = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 40 }),
  // The characters at which an escaping goes wrong.
  fc.string({
    unit: fc.constantFrom("_", "5", "f", "2", ".", "-", "/", ":", "é", "a", "A"),
    minLength: 1,
    maxLength: 12,
  }),
);

t.test("property: escaped is injective, and can be undone", async (t) => {
  fc.assert(
    fc.property(text, text, (a, b) => {
      const [one, two] = [escaped.apply(a), escaped.apply(b)];
      if (one === undefined || two === undefined) return true;
      return unescape(one) === a && unescape(two) === b && (one === two) === (a === b);
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

t.test("property: escaped makes one legal segment that it says it makes", async (t) => {
  fc.assert(
    fc.property(text, (a) => {
      const outcome = escaped.apply(a);
      if (outcome === undefined) return "failed" in deriveWith("escaped", a);
      return /^[A-Za-z0-9._-]+$/.test(outcome) && escaped.yields(outcome);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test("property: what is unescaped was escaped", async (t) => {
  const outcome = fc.string({ unit: fc.constantFrom("_", "5", "f", "c", "3", "a", "9", "2", "0", "."), maxLength: 12 });
  fc.assert(
    fc.property(outcome, (one) => {
      const original = unescape(one);
      return original === undefined ? !escaped.yields(one) : escaped.apply(original) === one;
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

t.test("digest: sha256: and 64 lower-case hex digits, nothing else", async (t) => {
  t.equal(digest.apply(`sha256:${hex}`), hex);
  const others = [
    hex,
    `sha256:${hex.toUpperCase()}`,
    `SHA256:${hex}`,
    `sha256:${hex}0`,
    `sha256:${hex.slice(1)}`,
    "sha256:",
  ];
  const odd = [`sha512:${hex}${hex}`, ` sha256:${hex}`, `sha256:${hex}\n`, `sha256:${hex}:x`, `x@sha256:${hex}`, "é"];
  for (const one of [...others, ...odd]) {
    t.equal(digest.apply(one), undefined, one);
    t.match(deriveWith("digest", one), { failed: /claim x is not what digest takes: sha256: and 64/ });
  }
  t.ok(digest.yields(hex));
  t.notOk(digest.yields(`sha256:${hex}`));
});

t.test("property: digest is injective", async (t) => {
  const digits = fc.string({ unit: fc.constantFrom(...Array.from("0123456789abcdef")), minLength: 64, maxLength: 64 });
  fc.assert(
    fc.property(digits, digits, (a, b) => (digest.apply(`sha256:${a}`) === digest.apply(`sha256:${b}`)) === (a === b)),
  );
  t.pass();
});

t.test("lower and sha256hex", async (t) => {
  t.equal(lower.apply("Octo-Repo"), "octo-repo");
  for (const one of ["\u212A", "a/b", "é"]) t.equal(lower.apply(one), undefined);
  t.equal(sha256hex.apply("a/b@c é"), createHash("sha256").update("a/b@c é").digest("hex"));
  t.equal(sha256hex.apply("\ud800"), undefined);
});

t.test("property: what a template with a transform derives, it could derive", async (t) => {
  for (const transform of templateTransforms) {
    const template = parseTemplate(`spiffe://example.org/p-{x|${transform}}.s`);
    fc.assert(
      fc.property(fc.oneof(text, fc.constant(`sha256:${hex}`)), (x) => {
        const derived = derive(template, { x });
        return "failed" in derived || couldDerive(template, parseSpiffeId(derived.spiffeId));
      }),
    );
    t.notOk(couldDerive(template, parseSpiffeId("spiffe://example.org/p-_ZZ.s")) && transform !== "lower", transform);
  }
});
