import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { Value } from "typebox/value";
import { tpmFormat, type TpmSettings } from "../../../src/attestation/formats/tpm.ts";
import { checkSource, sourceSchemaOf } from "../../../src/attestation/registry.ts";
import { openEnrolledKeys, parseEnrolledKeys } from "../../../src/attestation/tpm/enrolledKeys.ts";
import { softwareKey } from "../tpm/softwareTpm.ts";
import { ak, openTpmSource, pemFile, root } from "../tpm/tpmEvidence.ts";

const good: TpmSettings = { ref: "machines", format: "tpm", ekRootsFile: "/etc/roots.pem" };
const [digest, digest384] = ["0a".repeat(32), "0a".repeat(48)];

t.test("settings that the schema refuses", async (t) => {
  const accepts = (settings: object): boolean =>
    Value.Check(sourceSchemaOf(tpmFormat as never), { ...good, ...settings });
  t.ok(accepts({}));
  t.ok(accepts({ pcrs: [{ index: 7, values: [digest] }], statements: ["quote", "certify"] }));
  const bad = {
    "no statement": { statements: [] },
    "a statement twice": { statements: ["quote", "quote"] },
    "an unknown statement": { statements: ["audit"] },
    "the SHA-1 bank": { pcrBank: "sha1" },
    "PCR 24": { pcrs: [{ index: 24, values: [digest] }] },
    "no value": { pcrs: [{ index: 7, values: [] }] },
    "a value in upper case": { pcrs: [{ index: 7, values: [digest.toUpperCase()] }] },
    "a short value": { pcrs: [{ index: 7, values: ["0a"] }] },
    "an unknown key": { pcrs: [{ index: 7, values: [digest], value: digest }] },
    "an issuer": { issuer: "https://platform.example" },
  };
  for (const [what, settings] of Object.entries(bad)) t.notOk(accepts(settings), what);
});

t.test("settings that cannot be", async (t) => {
  const refused = (settings: Partial<TpmSettings>, message: RegExp): void => {
    t.throws(() => checkSource({ ...good, ...settings }), { message }, String(message));
  };
  t.doesNotThrow(() => checkSource(good));
  const { ekRootsFile: _, ...nobody } = good;
  t.throws(() => checkSource(nobody), { message: /^sources\.machines: .*nothing else says whose keys count/ });
  refused({ statements: ["certify"], pcrs: [{ index: 7, values: [digest] }] }, /\.pcrs: .*no quote/);
  refused({ statements: ["certify"], pcrSelection: [7], pcrDigests: [digest] }, /no quote/);
  refused({ statements: ["certify"], pcrSelection: [7] }, /\.pcrSelection: .*no quote/);
  refused({ pcrDigests: [digest] }, /\.pcrDigests: .*pcrSelection with it/);
  refused({ pcrs: [{ index: 7, values: [digest384] }] }, /values of 64 hex/);
  refused({ pcrBank: "sha384", pcrs: [{ index: 7, values: [digest] }] }, /values of 96 hex/);
  refused({ pcrs: [7, 7].map((register) => ({ index: register, values: [digest] })) }, /each register once/);
});

t.test("files are read when a source is opened", async (t) => {
  t.doesNotThrow(() => openTpmSource({ akRootsFile: pemFile(t, root.der), ekRootsFile: pemFile(t, root.der) }));
  const folder = t.testdir({ empty: "", text: "roots", "enrolled.json": "{}" });
  for (const name of ["absent", "empty", "text"]) {
    t.throws(() => openTpmSource({ akRootsFile: path.join(folder, name) }), name);
    t.throws(() => openTpmSource({ ekRootsFile: path.join(folder, name) }), name);
  }
  t.throws(() => openTpmSource({ enrolledKeysFile: path.join(folder, "enrolled.json") }), /expected \{"devices"/);
  t.throws(() => openTpmSource({ enrolledKeysFile: folder }), /not a regular file/);
});

t.test("a file of enrolled keys that says something else is refused", async (t) => {
  const name = ak.name.toString("hex");
  const jwk = softwareKey("P-256").publicKey.export({ format: "jwk" });
  const parse = (devices: unknown) => parseEnrolledKeys(Buffer.from(JSON.stringify({ devices })), "file");
  t.equal(parse([{ name: "rack-7", ak: name }]).byName.get(name)?.device, "rack-7");
  const cases: [string, unknown, RegExp][] = [
    ["no list", {}, /expected \{"devices"/],
    ["no key", [{ name: "rack-7" }], /devices\[0\]: expected name/],
    ["a member more", [{ name: "rack-7", ak: name, note: "" }], /devices\[0\]: expected name/],
    ["a name with a slash", [{ name: "rack/7", ak: name }], /expected name/],
    ["a name of dots", [{ name: "..", ak: name }], /expected name/],
    [
      "a device twice",
      [
        { name: "a", ak: name },
        { name: "a", ak: jwk },
      ],
      /devices\[1\]: the device is there twice/,
    ],
    [
      "a key twice",
      [
        { name: "a", ak: jwk },
        { name: "b", ak: jwk },
      ],
      /devices\[1\]: the key is there twice/,
    ],
    [
      "a name twice",
      [
        { name: "a", ak: name },
        { name: "b", ak: name.toUpperCase() },
      ],
      /the key is there twice/,
    ],
    ["a short name", [{ name: "a", ak: name.slice(2) }], /devices\[0\]\.ak: /],
    ["half a byte", [{ name: "a", ak: `${name}0` }], /devices\[0\]\.ak: /],
    ["text", [{ name: "a", ak: "key" }], /expected a PEM public key, a JWK, or a name in hex/],
    ["a number", [{ name: "a", ak: 7 }], /expected a PEM public key/],
    ["a secret key", [{ name: "a", ak: { kty: "oct", k: "AAAA" } }], /expected a PEM public key/],
    ["a curve that is not taken", [{ name: "a", ak: secp521() }], /neither P-256 nor P-384/],
  ];
  for (const [what, devices, message] of cases) t.throws(() => parse(devices), { message }, what);
  const twice = Buffer.from('{"devices":[],"devices":[]}');
  t.throws(() => parseEnrolledKeys(twice, "file"), { message: /twice/ });
});

t.test("a file that changes is read once, however many ask, and others have their turn meanwhile", async (t) => {
  const file = path.join(t.testdir({ "enrolled.json": JSON.stringify({ devices: [] }) }), "enrolled.json");
  const keys = openEnrolledKeys(file, "machines");
  const nameOf = (n: number): string => `000b${n.toString(16).padStart(64, "0")}`;
  const devices = Array.from({ length: 5000 }, (_, n) => ({ name: `device-${n}`, ak: nameOf(n) }));
  writeFileSync(file, JSON.stringify({ devices }));
  let turns = 0;
  const turning = setInterval(() => (turns += 1), 0);
  const all = await Promise.all(Array.from({ length: 50 }, () => keys()));
  clearInterval(turning);
  t.equal(new Set(all).size, 1, "all got the same");
  t.equal(all[0]?.byName.size, 5000);
  t.ok(turns > 5, `${turns} turns`);
});

t.test("the file is read again when it changes, and nobody is let in while it cannot be", async (t) => {
  const name = ak.name.toString("hex");
  const file = path.join(t.testdir({ "enrolled.json": JSON.stringify({ devices: [] }) }), "enrolled.json");
  const keys = openEnrolledKeys(file, "machines");
  t.equal((await keys()).byName.size, 0);
  writeFileSync(file, JSON.stringify({ devices: [{ name: "rack-7", ak: name }] }));
  t.equal((await keys()).byName.get(name)?.device, "rack-7");
  writeFileSync(file, '{"devices":');
  await t.rejects(keys(), { name: "SourceUnavailable" });
  await t.rejects(keys(), { name: "SourceUnavailable" }, "and not the keys of before");
  writeFileSync(file, JSON.stringify({ devices: [] }));
  t.equal((await keys()).byName.size, 0, "a device that was removed is out");
});

const secp521 = (): object => generateKeyPairSync("ec", { namedCurve: "P-521" }).publicKey.export({ format: "jwk" });

t.test("ten thousand devices in one file", async (t) => {
  const names = Array.from({ length: 10_000 }, (_, n) => `000b${n.toString(16).padStart(64, "0")}`);
  const devices = names.map((name, n) => ({ name: `rack-${n}`, ak: name }));
  const { byName } = parseEnrolledKeys(Buffer.from(JSON.stringify({ devices })), "enrolled.json");
  t.equal(byName.size, names.length);
  t.same(byName.get(names.at(-1) ?? ""), { device: "rack-9999" });
});
