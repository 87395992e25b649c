import fc from "fast-check";
import t from "tap";
import { JsonRefused, parseJsonObject } from "../../src/encoding/json.ts";

const parse = (text: string | Buffer) => parseJsonObject(Buffer.from(text), "the text");
const why = (text: string | Buffer): string => {
  try {
    return `accepted: ${JSON.stringify(parse(text))}`;
  } catch (error) {
    if (error instanceof JsonRefused) return error.message;
    throw error;
  }
};

t.test("what JSON.stringify writes of an object is read back", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (object) => {
        const text = JSON.stringify(object);
        return JSON.stringify(parse(text)) === JSON.stringify(JSON.parse(text));
      }),
    ),
  );
});

t.test("H-22 a member twice is found wherever it is and however it is written", async (t) => {
  for (const text of [
    '{"a":1,"a":1}',
    '{ "a" : 1 , "a" : 2 }',
    '{"a":1,"\\u0061":2}',
    '{"":1,"":2}',
    '{"x":{"a":1,"b":2,"a":3}}',
    '{"x":[1,{"y":[{"a":1,"a":2}]}]}',
    '{"a":{"a":1},"a":2}',
    '{"\\"":1,"\\"":2}',
    '{"\\\\":1,"\\\\":2}',
    '{"a\\"":1,"b":"{\\"","a\\"":2}',
    '{"__proto__":1,"__proto__":2}',
    '{"a"\t\r\n :1,"a":2}',
  ])
    t.equal(why(text), "the text names a member twice", text);
});

t.test("equal names in different objects, and names that look equal in values, are no doubles", async (t) => {
  for (const text of [
    '{"a":{"a":{"a":1}},"b":{"a":1}}',
    '[{"a":1},{"a":1}]'.replace(/^(.*)$/, '{"x":$1}'),
    '{"a":"a","b":"a\\":1,\\"a"}',
    '{"a":"}{","b":"]["}',
    '{"a":["a","a","a"]}',
    '{"a":"\\\\","b":"\\\\\\""}',
    '{"A":1,"a":2,"ａ":3}',
  ])
    t.same(parse(text), JSON.parse(text), text);
});

/** The text with each of its UTF-16 units as an escape. */
const escapesOf = (text: string): string =>
  Array.from({ length: text.length }, (_, n) => `\\u${text.charCodeAt(n).toString(16).padStart(4, "0")}`).join("");

t.test("duplicates are found in whatever is generated", async (t) => {
  const pair = fc.tuple(fc.string(), fc.jsonValue(), fc.jsonValue());
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(pair, fc.boolean(), ([name, one, two], escaped) => {
        const plain = JSON.stringify(name);
        const other = escaped ? `"${escapesOf(name)}"` : plain;
        return (
          why(`{${plain}:${JSON.stringify(one)},${other}:${JSON.stringify(two)}}`) === "the text names a member twice"
        );
      }),
    ),
  );
});

t.test("only an object in plain UTF-8, at most 32 levels deep", async (t) => {
  for (const text of ["", "null", "1", '"x"', "[]", "[{}]", "{", "{}{}"])
    t.match(why(text), /^the text is not (JSON|a JSON object)$/, text);
  t.equal(why("[]"), "the text is not a JSON object");
  for (const octets of [
    Buffer.from("\uFEFF{}"),
    Buffer.from("{}", "utf16le"),
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
  ])
    t.equal(why(octets), "the text is not JSON");
  const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
  t.match(why(nested(32)), /^accepted/);
  t.equal(why(nested(33)), "the text is nested deeper than 32 levels");
  t.equal(why(`{"a":${"[".repeat(32)}${"]".repeat(32)}}`), "the text is nested deeper than 32 levels");
});

t.test("H-22 __proto__ is an own member and pollutes nothing", async (t) => {
  const object = parse('{"__proto__":{"x":1},"constructor":2}');
  t.equal(Object.getPrototypeOf(object), Object.prototype);
  t.ok(Object.hasOwn(object, "__proto__"));
  t.equal(object["x"], undefined);
});
