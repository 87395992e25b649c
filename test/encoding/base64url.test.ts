import fc from "fast-check";
import t from "tap";
import { decodeBase64url, decodeBase64urlUpTo } from "../../src/encoding/base64url.ts";

t.test("R6.1-4 every text of octets is read back, and no other text is", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (octets) => {
      const text = Buffer.from(octets).toString("base64url");
      return decodeBase64url(text)?.equals(octets) === true;
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 20, unit: fc.constantFrom(..."AQgwZz09-_+/= \n.é".split("")) }), (text) => {
      const octets = decodeBase64url(text);
      return octets === undefined || octets.toString("base64url") === text;
    }),
  );
  t.same(decodeBase64url(""), Buffer.alloc(0), "nothing is nothing");
});

t.test("R6.1-3 padding, the other alphabet, white space, stray bits and impossible lengths are refused", async (t) => {
  for (const text of ["AA==", "AAA=", "+A", "/A", "A A", " AA", "AA\n", "AB", "AAB", "A", "AAAAA", "ＡＡ", "A\u0000"])
    t.equal(decodeBase64url(text), undefined, JSON.stringify(text));
});
t.test("a limit counts octets exactly", async (t) => {
  for (let limit = 1; limit <= 9; limit++) {
    const [most, more] = [limit, limit + 1].map((octets) => Buffer.alloc(octets, 0xa5).toString("base64url"));
    t.same(decodeBase64urlUpTo(limit, most ?? ""), Buffer.alloc(limit, 0xa5), `${limit} octets of ${limit}`);
    t.equal(decodeBase64urlUpTo(limit, more ?? ""), undefined, `${limit + 1} octets of ${limit}`);
  }
});
