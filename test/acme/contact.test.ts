import t from "tap";
import { readContact } from "../../src/acme/contact.ts";
import type { JsonValue } from "../../src/encoding/json.ts";

t.test("absent and null are none; plain mailto URLs are kept as they are", async (t) => {
  t.same(readContact(undefined, 3), []);
  t.same(readContact(null, 3), []);
  t.same(readContact([], 3), []);
  const kept = ["mailto:ops@example.com", "MAILTO:a+b@x-y.example", "mailto:o'neil@localhost"];
  t.same(readContact(kept, 3), kept);
});

t.test("R7.3-3 each fault has its type", async (t) => {
  const cases: [JsonValue, string][] = [
    ["mailto:a@b", "malformed"],
    [{}, "malformed"],
    [[1], "malformed"],
    [[["mailto:a@b"]], "malformed"],
    [["tel:1"], "unsupportedContact"],
    [[" mailto:a@b"], "unsupportedContact"],
    [["mailto"], "unsupportedContact"],
    [[""], "invalidContact"],
    [["mailto:"], "invalidContact"],
    [["mailto:a@b,c@d"], "invalidContact"],
    [["mailto:a@b?cc=c@d"], "invalidContact"],
    [["mailto:a@b\n"], "invalidContact"],
    [["mailto:ä@b"], "invalidContact"],
    [['mailto:"a b"@c'], "invalidContact"],
    [["mailto:a@"], "invalidContact"],
    [["mailto:@b"], "invalidContact"],
    [["mailto:a@b..c"], "invalidContact"],
    [[`mailto:${"a".repeat(65)}@b`], "invalidContact"],
    [["mailto:a@b", "mailto:a@b", "mailto:a@b", "mailto:a@b"], "invalidContact"],
  ];
  for (const [value, code] of cases)
    t.throws(() => readContact(value, 3), { name: "Problem", code }, JSON.stringify(value));
});
