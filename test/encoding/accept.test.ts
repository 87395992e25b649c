import t from "tap";
import { preferredType } from "../../src/encoding/accept.ts";

const available = ["a/default", "a/other", "b/bag;kind=x"] as const;

t.test(
  "R7.4.2-2 the wanted type by quality, exactness and place; nothing where none will do (RFC 9110 §12.5.1)",
  async (t) => {
    const table: [string | undefined, string | undefined][] = [
      [undefined, "a/default"],
      ["", "a/default"],
      ["  ", "a/default"],
      ["*/*", "a/default"],
      ["a/*", "a/default"],
      ["b/*", "b/bag;kind=x"],
      ["a/other", "a/other"],
      ["A/Other", "a/other"],
      ["*/*, a/other", "a/other"],
      ["a/*, a/other", "a/other"],
      ["a/other, a/default", "a/other"],
      ["a/other;q=0.5, a/default;q=0.6", "a/default"],
      ["a/default;q=0.5, */*", "a/other"],
      ["a/default;q=0, */*;q=0.1", "a/other"],
      ["a/default;q=0, a/other;q=0, b/bag;q=0, */*", undefined],
      ["*/*;q=0", undefined],
      ["a/other;q=nonsense", undefined],
      ["a/other;q=-1, a/default;q=0.001", "a/default"],
      ["a/other ; q=1.0 , a/default;q=0.999", "a/other"],
      ["a/other;charset=utf-8", "a/other"],
      ["b/bag", "b/bag;kind=x"],
      ['b/bag; kind="x"', "b/bag;kind=x"],
      ["b/bag;kind=y", undefined],
      ["text/html, *; q=.2, */*; q=.2", "a/default"],
      ["c/unknown", undefined],
      [",,;;,", undefined],
      [`${"x/y,".repeat(250)}a/other`, undefined],
    ];
    for (const [header, type] of table) t.equal(preferredType(header, available), type, header ?? "absent");
  },
);
