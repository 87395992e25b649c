/** Format tpm-device against attestations of the tests' own makers of TPMs: every algorithm, and what is wrong in one way. */
import { createHash, generateKeyPairSync } from "node:crypto";
import t from "tap";
import type { VerificationContext } from "../../../src/attestation/evidence.ts";
import {
  tpmDeviceFormat,
  verifyTpmDevice,
  type TpmDeviceSettings,
} from "../../../src/attestation/formats/tpmDevice.ts";
import type { Writable } from "../../support/cborWriter.ts";
import { deviceKey } from "../../support/deviceAttestations.ts";
import { spkiOf } from "../../support/foreignCa.ts";
import { tpmAttestation, type TpmWishes } from "../../support/tpmAttestations.ts";
import { refusal } from "../testIssuer.ts";
import {
  alg,
  attributes,
  describeKey,
  digestOf,
  quote,
  signed,
  softwareKey,
  tpm2b,
  u16,
  u32,
} from "../tpm/softwareTpm.ts";
import { keyCertificate, maker, purpose, rootsOf } from "../tpm/tpmMaker.ts";

const root = maker("Root");
const issuing = maker("Issuing", root);
const ak = softwareKey("P-256");
const keyAuthorization = "dG9rZW4.thumbprint";
const context: VerificationContext = {
  now: new Date("2026-06-15T12:00:00Z"),
  audience: "",
  binding: undefined,
  identifier: { type: "permanent-identifier", value: "PC-1" },
  accountKey: Buffer.alloc(32),
  keyAuthorization,
};
const verify = (value: string, settings: Partial<TpmDeviceSettings> = {}, by = rootsOf(root), at = context) =>
  verifyTpmDevice(
    { format: "tpm-device", ref: "pcs", value },
    { ref: "pcs", format: "tpm-device", ...settings },
    by,
    at,
  );
const made = (wishes: TpmWishes = {}, device: string | undefined = "PC-1"): string =>
  tpmAttestation(root, keyAuthorization, device, { ak, issuer: issuing, ...wishes });

t.test("what comes out: claims, level, the certified key, and an end", async (t) => {
  const key = deviceKey();
  const verified = await verify(made({ key, resetCount: 5 }));
  const { kty, crv, x, y } = key.publicKey.export({ format: "jwk" });
  const end = new Date("2049-01-01T00:00:00Z");
  t.match(verified, {
    format: "tpm-device",
    claims: {
      permanentIdentifier: "PC-1",
      akSha256: createHash("sha256").update(spkiOf(ak.publicKey)).digest("hex"),
      manufacturer: "id:54534554",
      model: "Model 7",
      firmware: "id:0102",
      resetCount: 5,
      restartCount: 3,
    },
    bindingLevel: "nonce",
    instance: "permanentIdentifier:PC-1",
    certificateKey: createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url"),
    expires: end,
    notAfterCap: end,
  });
  t.same(Object.keys(verified.claims).sort(), tpmDeviceFormat.claimNames?.toSorted());
  const unnamed = await verify(tpmAttestation(root, keyAuthorization, undefined, { ak }));
  t.match(unnamed.instance, /^akSha256:[0-9a-f]{64}$/);
  t.notOk("permanentIdentifier" in unnamed.claims);
  const assigned = await verify(made({}, "PC-1/1.2.3"));
  t.equal(assigned.claims["permanentIdentifier"], "PC-1/1.2.3");
});

t.test("a statement counts once, however its signature is written", async (t) => {
  const key = deviceKey();
  const [one, other] = await Promise.all([verify(made({ key })), verify(made({ key, bare: true }))]);
  t.ok(one.oneTimeId && one.oneTimeId.equals(other.oneTimeId ?? Buffer.of()));
});

t.test("every algorithm, as TPMT_SIGNATURE and bare", async (t) => {
  const [rsa, p384] = [softwareKey("rsa"), softwareKey("P-384")];
  const taken: readonly [string, TpmWishes][] = [
    ["ES256", { ak }],
    ["ES384", { ak: p384, hash: "sha384" }],
    ["RS256", { ak: rsa }],
    ["RS384", { ak: rsa, hash: "sha384" }],
    ["RS512", { ak: rsa, hash: "sha512" }],
    ["PS256", { ak: rsa, pss: "digest" }],
    ["PS384", { ak: rsa, pss: "digest", hash: "sha384" }],
    ["PS512", { ak: rsa, pss: "digest", hash: "sha512" }],
  ];
  for (const [name, wishes] of taken)
    for (const bare of [false, true]) t.ok(await verify(made({ ...wishes, bare })), `${name} ${bare ? "bare" : ""}`);
  t.ok(await verify(made({ ak: rsa, pss: "longest" })), "a salt as long as fits");
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  t.ok(await verify(made({ key: { ...keys, spki: spkiOf(keys.publicKey) } })), "an RSA key is certified");

  for (const bare of [false, true]) {
    const old = made({ ak: rsa, hash: "sha1", bare });
    t.match(await refusal(verify(old)), /^evidenceInvalid: .*SHA-1/);
    t.ok(await verify(old, { allowSha1: true }));
  }
  const named = made({ nameHash: "sha1" });
  t.match(await refusal(verify(named)), /^evidenceInvalid: .*SHA-1/, "a name");
  t.ok(await verify(named, { allowSha1: true }));

  const swapped: readonly [string, TpmWishes, number][] = [
    ["RS256 for PS256", { ak: rsa, pss: "digest" }, -257],
    ["PS256 for RS256", { ak: rsa }, -37],
    ["RS256 for RS384", { ak: rsa, hash: "sha384" }, -257],
    ["ES256 for RSA", { ak: rsa }, -7],
    ["RS256 for ECDSA", { ak }, -257],
    ["ES384 for P-256", { ak }, -35],
    ["ES256 for P-384", { ak: p384, hash: "sha256" }, -7],
    ["ES256K", { ak }, -47],
    ["EdDSA", { ak }, -8],
  ];
  for (const [name, wishes, cose] of swapped)
    for (const bare of [false, true])
      t.match(
        await refusal(verify(made({ ...wishes, bare, members: { alg: cose } }))),
        /^evidence(Invalid|Malformed)/,
        `${name} ${bare ? "bare" : ""}`,
      );
});

t.test("a certified key is the TPM's own and for signatures", async (t) => {
  const refused: readonly [string, number, RegExp][] = [
    ["fixedTPM", attributes.tls & ~0x02, /is not fixedTPM/],
    ["fixedParent", attributes.tls & ~0x10, /is not fixedParent/],
    ["sensitiveDataOrigin", attributes.tls & ~0x20, /is not sensitiveDataOrigin/],
    ["sign", attributes.tls & ~0x4_0000, /is not sign/],
    ["restricted", attributes.ak, /is restricted/],
    ["decrypt", attributes.tls | 0x2_0000, /for decryption/],
  ];
  for (const [what, attributeBits, message] of refused)
    t.match(await refusal(verify(made({ attributeBits }))), message, what);
  const both = made({ attributeBits: attributes.tls | 0x2_0000 });
  t.ok(await verify(both, { allowDecrypt: true }));
  const key = deviceKey();
  const userWithAuth = 0x40;
  const others: readonly [string, Buffer][] = [
    ["another key", describeKey(deviceKey(), attributes.tls).publicArea],
    ["the key, described otherwise", describeKey(key, attributes.tls & ~userWithAuth).publicArea],
    ["fixedTPM that was not", describeKey(key, attributes.tls).publicArea],
  ];
  for (const [what, pubArea] of others) {
    const attributeBits = what.startsWith("fixedTPM") ? attributes.tls & ~0x02 : attributes.tls;
    const value = made({ key, attributeBits, members: { pubArea } });
    t.match(await refusal(verify(value)), /not the one that was certified/, what);
  }
});

t.test("hostile: statements over something else, or over nothing a TPM made", async (t) => {
  const key = deviceKey();
  const object = describeKey(key, attributes.tls);
  const { attest: quoted } = quote({ extraData: digestOf("sha256", Buffer.from(keyAuthorization)), banks: [] });
  const over = (bytes: Buffer): Readonly<Record<string, Writable>> => ({ certInfo: bytes, sig: signed(ak, bytes) });
  const refused: readonly [string, TpmWishes, RegExp][] = [
    ["another challenge", { extraData: digestOf("sha256", Buffer.from("other")) }, /^bindingMismatch/],
    ["the key authorization itself", { extraData: Buffer.from(keyAuthorization) }, /^bindingMismatch/],
    ["its SHA-1", { extraData: digestOf("sha1", Buffer.from(keyAuthorization)) }, /^bindingMismatch/],
    ["its SHA-384 with ES256", { extraData: digestOf("sha384", Buffer.from(keyAuthorization)) }, /^bindingMismatch/],
    ["nothing", { extraData: Buffer.of() }, /^bindingMissing/],
    ["another magic", { magic: 0xff544348 }, /^evidenceMalformed: .*not made by a TPM/],
    ["a certify that says quote", { type: 0x8018 }, /^evidenceMalformed/],
    ["TPM2_Certify of a creation", { type: 0x801a }, /^evidenceMalformed/],
    ["a quote", { members: over(quoted) }, /^evidenceMalformed: .*not a certify/],
    ["a quote that says certify", { members: over(retyped(quoted)) }, /^evidenceMalformed/],
    ["a signature by another key", { signer: softwareKey("P-256") }, /^evidenceInvalid: .*has not signed/],
    ["the same, bare", { signer: softwareKey("P-256"), bare: true }, /^evidenceInvalid: .*has not signed/],
    ["a signature by the certified key", { key, signer: object }, /^evidenceInvalid: .*has not signed/],
    ["a signature over something else", { members: { sig: signed(ak, quoted) } }, /^evidenceInvalid: .*has not signed/],
    ["a signature that is empty", { members: { sig: Buffer.of() } }, /^evidenceMalformed/],
    ["a signature of DER's first octet", { members: { sig: Buffer.of(0x30) } }, /^evidenceInvalid/],
    [
      "a signature that goes on",
      { members: { sig: Buffer.concat([signed(ak, quoted), Buffer.of(0)]) } },
      /^evidenceMalformed/,
    ],
    ["a name of another hash", { members: { pubArea: renamed(object.publicArea) } }, /^evidenceInvalid/],
    ["a P-521 key", { members: { pubArea: p521(object.publicArea) } }, /^evidenceMalformed/],
  ];
  for (const [what, wishes, message] of refused) t.match(await refusal(verify(made(wishes))), message, what);
});

const retyped = (attest: Buffer): Buffer => Buffer.concat([u32(0xff544347), u16(0x8017), attest.subarray(6)]);
const renamed = (area: Buffer): Buffer => Buffer.concat([area.subarray(0, 2), u16(alg.sha384), area.subarray(4)]);
/** Type, hash, attributes, an empty policy, no symmetric algorithm and no scheme; then the curve. */
const p521 = (area: Buffer): Buffer =>
  Buffer.concat([area.subarray(0, 14), u16(5), u16(alg.none), tpm2b(Buffer.alloc(66, 1)), tpm2b(Buffer.alloc(66, 1))]);

t.test("the statement's members are there and of their kind", async (t) => {
  for (const ver of [undefined, "1.2", "2.0 ", 2, Buffer.from("2.0")])
    t.match(await refusal(verify(made({ members: { ver } }))), /^evidenceMalformed: .*version/, String(ver));
  for (const name of ["sig", "certInfo", "pubArea", "x5c"])
    for (const value of [undefined, "text", 7, null, Buffer.of(1)])
      t.match(
        await refusal(verify(made({ members: { [name]: value } }))),
        /^evidenceMalformed/,
        `${name}: ${String(value)}`,
      );
  for (const value of [undefined, "-7", null, 7, -8])
    t.match(await refusal(verify(made({ members: { alg: value } }))), /^evidenceInvalid/, `alg: ${String(value)}`);
});

t.test("the attestation key is one by its certificate", async (t) => {
  const refused: readonly [string, TpmWishes, RegExp][] = [
    ["no purpose", { certificate: { purposes: [] } }, /not for this purpose/],
    ["an endorsement key's", { certificate: { purposes: [purpose.ek] } }, /not for this purpose/],
    ["a CA's", { certificate: { ca: true } }, /is a CA's/],
    ["a subject", { certificate: { subject: "PC-1" } }, /has a subject/],
    ["no name of its TPM", { certificate: { identity: [] } }, /does not name its TPM/],
    ["two devices", { certificate: { permanentIdentifiers: ["PC-1", "PC-2"] } }, /more than one permanent identifier/],
    ["a root of that name", { issuer: maker("Root") }, /^evidenceInvalid/],
    ["a CA of its own", { issuer: maker("Issuing", maker("Root")) }, /^evidenceInvalid/],
    ["run out", { certificate: { notAfter: new Date("2026-06-15T11:59:59Z") } }, /^evidenceExpired/],
    ["61 seconds ahead", { certificate: { notBefore: new Date("2026-06-15T12:01:01Z") } }, /^evidenceExpired/],
  ];
  for (const [what, wishes, message] of refused) t.match(await refusal(verify(made(wishes))), message, what);
  t.ok(await verify(made({ certificate: { notBefore: new Date("2026-06-15T12:01:00Z") } })), "clocks differ");
  t.match(await refusal(verify(made(), {}, rootsOf(maker("Root")))), /^evidenceInvalid/, "a source's other root");
  const own = softwareKey("P-256");
  const selfSigned = keyCertificate(
    { der: Buffer.of(), subject: Buffer.of(0x30, 0), key: own.privateKey },
    own.publicKey,
    {
      purposes: [purpose.ak],
    },
  );
  for (const x5c of [[selfSigned], [selfSigned, issuing.der], [selfSigned, root.der]])
    t.match(await refusal(verify(made({ ak: own, members: { x5c } }))), /^evidenceInvalid/, "vouched for by itself");
  t.match(await refusal(verify(made({ members: { x5c: [issuing.der, root.der] } }))), /^evidenceInvalid/);
  t.match(await refusal(verify(made({ members: { x5c: [] } }))), /^evidenceMalformed/);
});

t.test("hostile: the certified key certifies another one below the attestation key", async (t) => {
  const certified = softwareKey("P-256");
  const subject = Buffer.of(0x30, 0);
  const akLeaf = keyCertificate(issuing, ak.publicKey, { purposes: [purpose.ak] });
  const below = keyCertificate({ der: akLeaf, subject, key: ak.privateKey }, certified.publicKey, {
    purposes: [purpose.ak],
    permanentIdentifiers: ["PC-2"],
  });
  const value = made({ ak: certified, members: { x5c: [below, akLeaf, issuing.der] } });
  t.match(await refusal(verify(value)), /^evidenceInvalid/);
});

t.test("not without a key authorization, and not as another format", async (t) => {
  const { keyAuthorization: _, ...elsewhere } = context;
  t.match(await refusal(verify(made(), {}, rootsOf(root), elsewhere)), /^formatNotAccepted/);
  const packed = { format: "packed", ref: "pcs", value: made() };
  t.match(
    await refusal(verifyTpmDevice(packed, { ref: "pcs", format: "packed" }, rootsOf(root), context)),
    /^formatNotAccepted/,
  );
  t.throws(() => tpmDeviceFormat.check?.({ ref: "r", format: "tpm-device" }, "sources.r"), /at least one of them/);
});
