/** The lists themselves: ids in their form and once, one line of words each. */
import t from "tap";
import { attacks, documents, requirements } from "./requirements.ts";

t.test("every requirement has one id of the form that test names carry", async (t) => {
  const ids = [...documents, ...attacks].flatMap((list) => Object.keys(list.requirements));
  t.equal(ids.length, requirements.size, "no id stands in two lists");
  for (const id of documents.flatMap((list) => Object.keys(list.requirements))) t.match(id, /^R[0-9A-Z.]*-\d+$/);
  for (const id of attacks.flatMap((list) => Object.keys(list.requirements))) t.match(id, /^H-\d\d[a-e]?$/);
});

t.test("the words fit into a table", async (t) => {
  for (const [id, { words, notApplicable }] of requirements) {
    t.match(words, /^[^|\n]{10,140}$/, id);
    if (notApplicable !== undefined) t.match(notApplicable, /^[a-z][^|\n]{10,140}$/i, `${id}: the reason`);
  }
});
