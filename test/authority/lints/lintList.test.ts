import { readdirSync, readFileSync } from "node:fs";
import t from "tap";
import { findingsOf, lint } from "../../../src/authority/lint.ts";
import { factsOf } from "../../../src/authority/lints/issuerFacts.ts";
import { lintList } from "../../../src/authority/lints/lintList.ts";
import { craftTbs, partsOf } from "../../support/craftedTbs.ts";
import { lintsPage, lintsText } from "../../support/lintTable.ts";
import { cases, type Case } from "./lintCases.ts";

function brokenBy({ good, bytes = {}, prepared = {}, issuer = {} }: Case): string[] {
  const tbs = craftTbs({ ...partsOf(good.tbs), ...bytes });
  const facts = { ...factsOf(good.issuer), ...issuer };
  return findingsOf(tbs, facts, { ...good, ...prepared, tbs }).map((finding) => finding.split(" ")[0] ?? "");
}

t.test("every lint is broken by a certificate that breaks nothing else", async (t) => {
  for (const one of cases) t.same(brokenBy(one), [one.lint], `${one.lint}: ${one.how}`);
});

t.test("and what the certificates were before meets all of them", async (t) => {
  for (const good of new Set(cases.map((one) => one.good))) {
    t.equal(lint(good), good);
    t.ok(craftTbs(partsOf(good.tbs)).equals(good.tbs), "written as prepare writes it");
  }
});

t.test("no lint is without such a case, and every file of a lint is in the list", async (t) => {
  const names = lintList.map(({ name }) => name);
  const tried = new Set(cases.map((one) => one.lint));
  t.same(
    names.filter((name) => !tried.has(name)),
    [],
  );
  t.equal(new Set(names).size, names.length);
  const shared = ["certificateReading", "issuerFacts", "lint", "lintList", "names"];
  const files = readdirSync(new URL("../../../src/authority/lints", import.meta.url)).map((file) =>
    file.replace(/\.ts$/, ""),
  );
  t.same(files.filter((file) => !shared.includes(file)).sort(), [...names].sort());
  for (const { name, source } of lintList) t.not(source, "", `${name} has a source`);
  t.notMatch(lintsText(), /\|  \|/, "and every file says what it is about");
});

t.test("docs/lints.md is what the code says", async (t) => {
  t.equal(readFileSync(lintsPage, "utf8"), lintsText(), "npm run lints:table");
});
