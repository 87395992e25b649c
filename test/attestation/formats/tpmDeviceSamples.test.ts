/** Format tpm-device against the real samples of `../shared/evidence/tpm`; what WebAuthn signs stands where ACME has the key authorization. */
import { createHash } from "node:crypto";
import t, { type Test } from "tap";
import {
  readForeignCertificate,
  readPemCertificates,
  type TrustedRoots,
} from "../../../src/attestation/certificateChain.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { type TpmDeviceSettings, verifyTpmStatement } from "../../../src/attestation/formats/tpmDevice.ts";
import { readPublicArea } from "../../../src/attestation/tpm/publicArea.ts";
import { readAttestationObject } from "../../../src/attestation/webauthn/attestationObject.ts";
import type { Attested } from "../../../src/attestation/webauthn/deviceEvidence.ts";
import type { CborMap, CborValue } from "../../../src/encoding/cbor.ts";
import { flippedBits } from "../../support/flipped.ts";
import { evidenceFile, evidenceSamples, type EvidenceSample, withEvidence } from "../../support/sharedEvidence.ts";

const samples = evidenceSamples().filter(({ format }) => format === "tpm-certify");
const octets = (text: unknown): Buffer => Buffer.from(String(text), "base64url");

interface Opened {
  readonly statement: CborMap;
  readonly signed: Buffer;
  readonly roots: TrustedRoots;
  readonly settings: Partial<TpmDeviceSettings>;
  readonly at: Date;
}

function open({ files, verifyAt = "" }: EvidenceSample): Opened {
  const written = JSON.parse(evidenceFile(files["statement"] ?? "").toString("utf8")) as Record<string, unknown>;
  const { fmt, statement, statementFormats } = readAttestationObject(String(written["attestationObject"]));
  if (fmt !== "tpm" || statementFormats[0] !== "tpm-device") throw new Error("the sample is of another format");
  const anchor = octets((written["x5c"] as string[]).at(-1));
  const root = files["root"];
  const certificates =
    root === undefined ? [readForeignCertificate(anchor)] : readPemCertificates(evidenceFile(root).toString("latin1"));
  return {
    statement,
    signed: Buffer.concat([octets(written["authData"]), octets(written["clientDataHash"])]),
    roots: { certificates, fingerprints: [] },
    settings: { allowSha1: true, allowDecrypt: true },
    at: new Date(verifyAt),
  };
}

const verify = ({ statement, signed, roots, settings, at }: Opened): Attested =>
  verifyTpmStatement(statement, { signed }, { ref: "pcs", format: "tpm-device", ...settings }, roots, at);

const changed = (opened: Opened, name: string, value: CborValue): Opened => ({
  ...opened,
  statement: new Map([...opened.statement, [name, value]]),
});
const member = ({ statement }: Opened, name: string): Buffer => statement.get(name) as Buffer;
const chainOf = ({ statement }: Opened): Buffer[] => statement.get("x5c") as Buffer[];

/** The code and sentence of the refusal; anything else that happens fails the test. */
function refusalOf(opened: Opened): string {
  try {
    verify(opened);
  } catch (error) {
    if (error instanceof EvidenceRefused) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "it was accepted";
}

t.test("the samples of certified keys", withEvidence, async (t) => {
  t.ok(samples.filter(({ result }) => result === "accept").length >= 8);
  t.ok(samples.filter(({ result }) => result === "reject").length >= 2);
});

for (const sample of samples.filter(({ result }) => result === "accept")) {
  t.test(`${sample.id}: accepted as published`, withEvidence, async (t) => {
    const opened = open(sample);
    const { claims, bindingLevel, publicKey, signed, expires } = verify(opened);
    t.equal(bindingLevel, "nonce");
    t.ok(signed.equals(member(opened, "certInfo")));
    t.match(claims, { akSha256: /^[0-9a-f]{64}$/, manufacturer: /^id:[0-9A-F]{8}$/ });
    t.notOk("permanentIdentifier" in claims, "no maker names the device");
    const [leaf = Buffer.of()] = chainOf(opened);
    t.equal(createHash("sha256").update(leaf).digest("hex"), sample.expect?.["aikSha256"]);
    t.equal(expires.getTime(), readForeignCertificate(leaf).notAfter.getTime());
    const rsa = String(sample.expect?.["attestedKey"]).startsWith("RSA");
    t.equal(publicKey.asymmetricKeyType, rsa ? "rsa" : "ec");
    const decrypts = ((sample.expect?.["objectAttributes"] ?? []) as string[]).includes("decrypt");
    const strict = refusalOf({ ...opened, settings: { allowSha1: true } });
    t.match(strict, decrypts ? /for decryption/ : /accepted/, "without allowDecrypt");
    const sha1 = String(sample.expect?.["signature"]).includes("SHA-1");
    const modern = refusalOf({ ...opened, settings: { allowDecrypt: true } });
    t.match(modern, sha1 ? /^evidenceInvalid: .*SHA-1/ : /accepted/, "without allowSha1");
  });

  t.test(`${sample.id}: hostile: whatever is wrong with it is noticed`, withEvidence, async (t) => {
    const opened = open(sample);
    for (const name of ["certInfo", "sig", "pubArea"]) bentMember(t, opened, name);
    bentChain(t, opened, sample.files["root"] !== undefined);
    const certInfo = member(opened, "certInfo");
    const [typed, magic] = [Buffer.from(certInfo), Buffer.from(certInfo)];
    typed.writeUInt16BE(0x8018, 4);
    magic.writeUInt32BE(0xff544348);
    t.match(refusalOf(changed(opened, "certInfo", typed)), /^evidenceMalformed/, "type 0x8018");
    t.match(refusalOf(changed(opened, "certInfo", magic)), /^evidenceMalformed: .*not made by a TPM/, "magic");
    const pubArea = Buffer.from(member(opened, "pubArea"));
    pubArea.writeUInt32BE(pubArea.readUInt32BE(4) & ~0x02, 4);
    t.notOk(readPublicArea(pubArea).attributes.has("fixedTPM"));
    t.match(refusalOf(changed(opened, "pubArea", pubArea)), /not the one that was certified/, "fixedTPM cleared");
    const other = samples.find(({ id, result }) => id !== sample.id && result === "accept");
    if (other === undefined) return t.fail("there is no other sample");
    const foreign = open(other);
    t.match(
      refusalOf(changed(opened, "pubArea", member(foreign, "pubArea"))),
      /not the one that was certified/,
      "the public area of another sample",
    );
    t.match(refusalOf({ ...opened, signed: foreign.signed }), /^bindingMismatch/, "another challenge");
    t.match(
      refusalOf({ ...opened, signed: Buffer.concat([opened.signed, Buffer.of(0)]) }),
      /^bindingMismatch/,
      "one octet more was to be signed",
    );
    const wrong = readPemCertificates(evidenceFile("sev-snp/ca-milan-ask-ark.pem").toString("latin1"));
    t.match(refusalOf({ ...opened, roots: { certificates: wrong, fingerprints: [] } }), /^evidenceInvalid/, "root");
    const shifted = (text: string | undefined, ms: number): Opened => ({
      ...opened,
      at: new Date(Date.parse(text ?? "") + ms),
    });
    t.match(refusalOf(shifted(sample.validFrom, -61_000)), /^evidenceExpired/, "before it is valid, clocks considered");
    t.match(refusalOf(shifted(sample.validUntil, 1000)), /^evidenceExpired/, "when it has run out");
    for (const alg of [-7, -37, sample.expect?.["signature"]?.toString().includes("SHA-1") ? -257 : -65_535])
      t.match(refusalOf(changed(opened, "alg", alg)), /^evidenceInvalid/, `alg ${alg}`);
  });
}

function bentMember(t: Test, opened: Opened, name: string): void {
  const value = member(opened, name);
  const unnoticed = [...flippedBits(value)]
    .filter(({ flipped }) => !/^evidence(Invalid|Malformed)/.test(refusalOf(changed(opened, name, flipped))))
    .map(({ at }) => at);
  t.same(unnoticed, [], `one bit of ${name}`);
  const wrong: readonly [string, Buffer][] = [
    ["cut short", value.subarray(0, -1)],
    ["going on", Buffer.concat([value, Buffer.of(0)])],
    ["empty", Buffer.of()],
  ];
  for (const [what, bytes] of wrong)
    t.match(refusalOf(changed(opened, name, bytes)), /^evidence(Invalid|Malformed)/, `${name} ${what}`);
}

function bentChain(t: Test, opened: Opened, complete: boolean): void {
  const certificates = chainOf(opened);
  const [leaf = Buffer.of(), ...others] = certificates;
  const wrong: readonly [string, Buffer[]][] = [
    ["in the other order", certificates.toReversed()],
    ["without the leaf", others],
    ["the leaf twice", [leaf, ...certificates]],
    ["a leaf cut short", [leaf.subarray(0, -1), ...others]],
    ["a leaf that goes on", [Buffer.concat([leaf, Buffer.of(0)]), ...others]],
    ["empty", []],
    ...(complete ? [["the leaf alone", [leaf]] as [string, Buffer[]]] : []),
  ];
  for (const [what, x5c] of wrong)
    t.match(refusalOf(changed(opened, "x5c", x5c)), /^evidence(Invalid|Malformed)/, `x5c: ${what}`);
  for (const { at, flipped } of flippedBits(leaf, { stride: 17 })) {
    const outcome = refusalOf(changed(opened, "x5c", [flipped, ...others]));
    if (!/^evidence(Invalid|Malformed|Expired)/.test(outcome)) t.fail(`a bit of the leaf at ${at}: ${outcome}`);
  }
}

for (const sample of samples.filter(({ result }) => result === "reject")) {
  t.test(`${sample.id}: refused for its chain`, withEvidence, async (t) => {
    t.match(refusalOf(open(sample)), /^evidence(Malformed|Invalid): .*chain/);
  });
}
