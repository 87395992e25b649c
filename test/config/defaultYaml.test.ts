/** `config/default.yaml` against the schema: every key is there, with exactly its default, explained with its limits. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Value } from "typebox/value";
import { isMap, isScalar, isSeq, LineCounter, parse, parseDocument, type Node } from "yaml";
import { loadConfiguration } from "../../src/config/load.ts";
import { evidenceFormats, formatNamed, sourceSchemaOf } from "../../src/attestation/registry.ts";
import { readProfile, type Profile, type WrittenProfile } from "../../src/authority/profile.ts";
import { configurationSchema, defaultProfiles } from "../../src/config/schema.ts";

const file = fileURLToPath(new URL("../../config/default.yaml", import.meta.url));
const text = readFileSync(file, "utf8");
/** The same with the settings in force that are only shown: `#key: value` → `key: value`. */
const uncommented = text.replaceAll(/^( *)#(?=\S)/gm, "$1");

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly enum?: readonly (string | number)[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly type?: string;
}

/** Every key of the schema, by its path: `*` stands for any name, `[]` for any entry of a list. */
function keysOf(schema: Schema, path = ""): [string, Schema][] {
  const below = (key: string, inner: Schema): [string, Schema][] => [
    [`${path}${key}`, inner],
    ...keysOf(inner, `${path}${key}.`),
  ];
  const named = Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => below(key, inner));
  const anyName = Object.values(schema.patternProperties ?? {}).flatMap((inner) => keysOf(inner, `${path}*.`));
  const entries = schema.items === undefined ? [] : keysOf(schema.items, `${path.slice(0, -1)}[].`);
  return [...named, ...anyName, ...entries];
}

const sourcesKey = "attestation.sources[]";
/** What a source may hold depends on its format: here all of them together. Two formats may have a key of one name. */
const ofSources = evidenceFormats.flatMap((name) =>
  keysOf(sourceSchemaOf(formatNamed(name)) as Schema, `${sourcesKey}.`).filter(
    ([key]) => key !== `${sourcesKey}.format`,
  ),
);
const schemaKeys = new Map([...keysOf(configurationSchema as Schema), ...ofSources]);

/** Below these, names are the operator's. */
const anyNamed = ["issuers.", "profiles.", "attestation.sources[].certificateFiles."];

/** Line numbers (from 0) of every key in the file, by its path in the schema. */
function linesOf(yaml: string): Map<string, number[]> {
  const counter = new LineCounter();
  const lines = new Map<string, number[]>();
  const visit = (node: Node | null, path: string): void => {
    if (isSeq(node)) for (const item of node.items) visit(item as Node, `${path.slice(0, -1)}[].`);
    if (!isMap(node)) return;
    for (const { key, value } of node.items) {
      if (!isScalar(key) || key.range === null || key.range === undefined)
        throw new Error(`a key below ${path} is not a word`);
      const name = anyNamed.includes(path) ? "*" : String(key.value);
      lines.set(`${path}${name}`, [...(lines.get(`${path}${name}`) ?? []), counter.linePos(key.range[0]).line - 1]);
      visit(value as Node | null, `${path}${name}.`);
    }
  };
  visit(parseDocument(yaml, { lineCounter: counter }).contents, "");
  return lines;
}

const rows = text.split("\n");
const isProse = (row: string | undefined): boolean => /^ *#( |$)/.test(row ?? "");

/** What is written above a key. */
function explanationAbove(line: number): string {
  let first = line;
  while (isProse(rows[first - 1])) first -= 1;
  return rows
    .slice(first, line)
    .map((row) => row.replace(/^ *# ?/, ""))
    .join(" ");
}

/** The end of a key's name, and what its explanation says then. */
const units: readonly (readonly [string, RegExp])[] = [
  ["Seconds", /seconds/i],
  ["Ms", /milliseconds/],
  ["Days", /days/],
  ["Bytes", /bytes/],
];

t.test("the schema is walked to its leaves", async (t) => {
  // If the schema's library changes its shape, the tests below must not pass for want of keys.
  for (const key of [
    "listen",
    "keys.pkcs11.pinFile",
    "profiles.*.keyKinds",
    "attestation.sources[].typ",
    "grants[].conditions[].oneOf",
  ]) {
    t.ok(schemaKeys.has(key), key);
  }
  t.ok(schemaKeys.size > 85, `${schemaKeys.size} keys`);
});

t.test("every key of the schema is in the file, and nothing else", async (t) => {
  const written = [...linesOf(uncommented).keys()].filter((key) => !key.endsWith(".*")).sort();
  t.strictSame(written, [...schemaKeys.keys()].sort());
});

t.test("every value is the default", async (t) => {
  const complete = Value.Default(configurationSchema, { profiles: structuredClone(defaultProfiles) });
  const inForce: unknown = parse(text);
  const compare = (schema: Schema, value: unknown, normal: unknown, path: string): void => {
    const written = value as Record<string, unknown>;
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      const expected = (normal as Record<string, unknown>)[key];
      if (inner.properties !== undefined) compare(inner, written[key], expected, `${path}${key}.`);
      // Empty in the file: no default, or the empty list.
      else if (written[key] === null)
        t.ok(expected === undefined || (Array.isArray(expected) && expected.length === 0), `${path}${key}`);
      else t.strictSame(written[key], expected, `${path}${key}`);
    }
  };
  // What a profile may leave out has its default from where profiles are read.
  const read = (tree: unknown) => {
    const { profiles } = tree as { profiles: Record<string, WrittenProfile> };
    const entries = Object.entries(profiles).map(([name, profile]) => [name, readProfile(name, profile)]);
    return { ...(tree as object), profiles: Object.fromEntries(entries) as Record<string, Profile> };
  };
  compare(configurationSchema as Schema, read(inForce), read(complete), "");
});

t.test("every key is explained, with its allowed values", async (t) => {
  const lines = linesOf(uncommented);
  for (const [key, schema] of schemaKeys) {
    const explained = (lines.get(key) ?? []).map(explanationAbove).filter((explanation) => explanation !== "");
    if (schema.properties !== undefined && explained.length === 0) continue; // A section's name may speak for itself.
    if (key.startsWith(sourcesKey)) t.ok(explained.length >= 1, `${key} is explained`);
    else t.equal(explained.length, 1, `${key} is explained once`);
    if (explained.length === 0) continue;
    const words = explained.join(" ").split(/[^\w-]+/);
    const limits = [
      schema.minimum,
      schema.maximum,
      schema.maxItems,
      (schema.maxLength ?? 4096) < 1000 ? schema.maxLength : undefined,
    ];
    const values = [
      ...(schema.enum ?? []),
      ...(schema.items?.enum ?? []),
      ...(schema.type === "boolean" ? ["true", "false"] : []),
      ...limits,
    ];
    for (const value of values.filter((limit) => limit !== undefined))
      t.ok(words.includes(String(value)), `${key} tells of ${value}`);
    for (const [ending, unit] of units)
      if (key.endsWith(ending)) t.match(explained.join(" "), unit, `${key} tells its unit`);
  }
});

t.test("the file is a configuration, with the settings that it only shows as well", async (t) => {
  const configuration = loadConfiguration(file, {});
  t.strictSame(configuration.grants, []);
  t.strictSame([...configuration.profiles.keys()], ["workload", "server"]);
  const shown = join(t.testdir({ "shown.yaml": uncommented }), "shown.yaml");
  t.strictSame(
    loadConfiguration(shown, {}).grants.map(({ name }) => name),
    ["github-deploy", "orchestrated-pay", "laptops", "github-deploy-again"],
  );
});
