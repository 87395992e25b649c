/** Ceremonies that cannot be held: each says why before a key is made, and leaves nothing behind. */
import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import t, { type Test } from "tap";
import { stringify } from "yaml";

import { runCommandLine } from "../../src/cli/command.ts";
import { commands } from "../../src/cli/commands.ts";

t.setTimeout(120_000);

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-ceremony-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Holds what is written, with development keys. */
async function hold(folder: string, written: object | string) {
  const text = typeof written === "string" ? written : stringify(written);
  await writeFile(join(folder, "ceremony.yaml"), text);
  const [out, err]: [string[], string[]] = [[], []];
  const status = await runCommandLine(["ceremony", "--file", join(folder, "ceremony.yaml"), "--yes"], commands, {
    env: { MAYFLY_DATA_DIR: join(folder, "data"), MAYFLY_TRUST_DOMAIN: "mayfly.test" },
    stdin: new PassThrough(),
    stdout: { write: (line: string) => out.push(line) },
    stderr: { write: (line: string) => err.push(line) },
  });
  return { status, stdout: out.join(""), stderr: err.join("") };
}

const keysIn = (folder: string): string[] => {
  const keys = join(folder, "data", "keys");
  return existsSync(keys) ? readdirSync(keys) : [];
};

const root = { step: "makeRoot", keyKind: "ec-p256", certificateFile: "root.pem" };
const ceremony = (more: object) => ({ name: "hostile", steps: [{ ...root, ...more }] });

t.test("files that cannot be made, and constraints that no CA can have: no key is made for them", async (t) => {
  const folder = await temporaryFolder(t);
  await symlink("nowhere", join(folder, "dangling.pem"));
  await symlink("dangling.pem", join(folder, "twice.pem"));
  await mkdir(join(folder, "folder.pem"));
  await writeFile(join(folder, "empty.pem"), "");
  const cases: [object, RegExp][] = [
    [{ certificateFile: "no/such/folder/root.pem" }, /no\/such\/folder\/root\.pem cannot be made \(ENOENT\)/],
    [{ certificateFile: "ceremony.yaml/root.pem" }, /ceremony\.yaml\/root\.pem cannot be (made|read) \(ENOTDIR\)/],
    [{ certificateFile: "dangling.pem" }, /dangling\.pem cannot be made: something of this name is there/],
    [{ certificateFile: "twice.pem" }, /twice\.pem cannot be made: something of this name is there/],
    [{ certificateFile: "folder.pem" }, /folder\.pem is no file of at most/],
    [{ certificateFile: "empty.pem" }, /empty\.pem: expected PEM certificates/],
    [{ certificateFile: "/dev/zero" }, /\/dev\/zero is no file/],
    [{ certificateFile: "a".repeat(300) }, /cannot be (made|read) \(ENAMETOOLONG\)/],
    [{ certificateFile: "a\0b" }, /cannot be read/],
    [{ nameConstraints: {} }, /nameConstraints: NameConstraints has at least one name/],
    [{ nameConstraints: { ip: ["::/129"] } }, /nameConstraints: A network is an address/],
    [{ nameConstraints: { ip: ["10.0.0.1/8"] } }, /nameConstraints: A network's address/],
    [{ nameConstraints: { dns: ["ü.example"] } }, /nameConstraints: The DNS name/],
    [{ nameConstraints: { dns: ["*.example"] } }, /nameConstraints: A wildcard/],
    [{ nameConstraints: { uri: ["spiffe://mayfly.test/x"] } }, /nameConstraints: /],
    [{ subject: { commonName: "a\u0007b" } }, /steps\[0\]\.subject\.commonName/],
    [{ lifetimeDays: 1e9 }, /steps\[0\]\.lifetimeDays: /],
  ];
  for (const [more, message] of cases) {
    const { status, stderr } = await hold(folder, ceremony(more));
    t.equal(status, 1, JSON.stringify(more).slice(0, 80));
    t.match(stderr, message);
    t.same(keysIn(folder), [], "no key");
  }
  t.same(
    readdirSync(folder).filter((name) => name.endsWith(".part")),
    [],
  );
  const good = await hold(folder, ceremony({}));
  t.equal(good.status, 0, good.stderr);
  t.same(keysIn(folder), ["mayfly-issuing-root.pem"]);
});

t.test("what is no ceremony", async (t) => {
  const folder = await temporaryFolder(t);
  const text = stringify(ceremony({}));
  for (const [written, message] of [
    ["", /ceremony\.yaml: null: expected object/],
    ["[]", /expected object/],
    ["\u0000\u0001", /ceremony\.yaml: /],
    [`${text}more: 1\n`, /more: unknown key/],
    [`${text}__proto__: {a: 1}\n`, /__proto__: unknown key/],
    ["name: x\nsteps:\n  - step: constructor\n", /steps\[0\]\.step: "constructor": expected one of/],
    ["name: ../x\nsteps:\n  - step: activate\n", /name: "\.\.\/x": expected/],
    ["name: x\nsteps: &s [*s]\n", /the alias \*s stands for something that it is a part of/],
    ["a: &a [x, x]\nb: &b [*a, *a]\nname: x\nsteps: [*b]\n", /ceremony\.yaml: .*unknown key/],
    [`name: x\nsteps: [${"a,".repeat(200_000)}]`, /is larger than 262144 characters/],
    [`name: x\nsteps:\n${"  - {step: activate}\n".repeat(51)}`, /steps: .*expected not have more than 50/],
    [`${text}---\n${text}`, /multiple documents/],
  ] as const) {
    const { status, stderr } = await hold(folder, written);
    t.equal(status, 1, JSON.stringify(written.slice(0, 60)));
    t.match(stderr, message);
  }
  t.notOk(existsSync(join(folder, "data", "ceremonies")), "no transcript is begun");
});
