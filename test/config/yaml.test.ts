/** YAML files of operators: a fault is a sentence with the file's name, whatever is in them. */
import t from "tap";
import { readYaml } from "../../src/config/yaml.ts";

t.test("values, and aliases that stand for something else", async (t) => {
  t.same(readYaml("a: &x [1, two]\nb: *x\n", "f"), { a: [1, "two"], b: [1, "two"] });
  t.equal(readYaml("", "f"), null);
});

t.test("what is refused", async (t) => {
  const bomb = ["a: &a [x, x, x]"];
  for (let level = 1; level < 9; level++) {
    const below = `*${"abcdefghi"[level - 1]}`;
    bomb.push(`${"abcdefghi"[level]}: &${"abcdefghi"[level]} [${Array.from({ length: 9 }, () => below).join(", ")}]`);
  }
  const faults: [string, RegExp][] = [
    ["a: 1\na: 2\n", /^file\.yaml: Map keys must be unique/],
    ["a: [1\n", /^file\.yaml: /],
    ["a: 1\n---\nb: 2\n", /^file\.yaml: .*multiple documents/],
    [bomb.join("\n"), /^file\.yaml: .*alias/],
    ["a: *b\n", /^file\.yaml: .*alias/],
    ["a: &x [*x]\n", /^file\.yaml: the alias \*x stands for something that it is a part of$/],
    ["a: &x\n  b: {c: [1, *x]}\n", /^file\.yaml: the alias \*x stands/],
    [`a: ${"[".repeat(20_000)}${"]".repeat(20_000)}`, /^file\.yaml: /],
  ];
  for (const [text, message] of faults) t.throws(() => readYaml(text, "file.yaml"), { message }, text.slice(0, 40));
});
