/** Formats of devices against attestations of the tests' own makers: hostile chains, keys and statements. */
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import t from "tap";
import { fingerprintOf, readForeignCertificate, type TrustedRoots } from "../../../src/attestation/certificateChain.ts";
import { androidKeyFormat, verifyAndroidKey } from "../../../src/attestation/formats/androidKey.ts";
import { appleFormat, verifyApple } from "../../../src/attestation/formats/apple.ts";
import { packedFormat, verifyPacked } from "../../../src/attestation/formats/packed.ts";
import type { VerificationContext } from "../../../src/attestation/evidence.ts";
import { readAttestationObject } from "../../../src/attestation/webauthn/attestationObject.ts";
import {
  androidAttestation,
  appleAttestation,
  attestationObject,
  attestingCertificate,
  deviceKey,
  keyDescription,
  maker,
  packedAttestation,
} from "../../support/deviceAttestations.ts";
import { foreignCertificate, rawExtension, spkiOf } from "../../support/foreignCa.ts";

const made = maker("Maker");
const roots: TrustedRoots = { certificates: [], fingerprints: [fingerprintOf(made.root.certificate)] };
const pem: TrustedRoots = { certificates: [readForeignCertificate(made.root.certificate)], fingerprints: [] };
const keyAuthorization = "dG9rZW4.thumbprint";
const context: VerificationContext = {
  now: new Date(),
  audience: "",
  binding: undefined,
  identifier: { type: "permanent-identifier", value: "S" },
  accountKey: Buffer.alloc(32),
  keyAuthorization,
};
const extension = "1.3.6.1.4.1.11129.2.1.17";
const android = { ref: "phones", format: "android-key" };
const item = (format: string, value: string) => ({ format, ref: "r", value });
const androidKey = (value: string, by = roots) => verifyAndroidKey(item("android-key", value), android, by, context);
const packed = (value: string, by = pem) => verifyPacked(item("packed", value), by, context);
const apple = (value: string, by = pem) => verifyApple(item("apple", value), by, context);

t.test("what comes out: claims, level, the attested key, and a digest of what was sent", async (t) => {
  const key = deviceKey();
  const value = androidAttestation(made, keyAuthorization, { serial: "S" }, { key });
  const verified = await androidKey(value);
  const { kty, crv, x, y } = key.publicKey.export({ format: "jwk" });
  const thumbprint = createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
  t.match(verified, {
    claims: { serial: "S", securityLevel: "trustedEnvironment", osVersion: 150_000, verifiedBootKey: "07".repeat(32) },
    bindingLevel: "nonce",
    instance: "serial:S",
    certificateKey: thumbprint,
  });
  t.ok(verified.digest.equals(createHash("sha256").update(value).digest()));
  t.match(await packed(packedAttestation(made, keyAuthorization, { serial: 0xff_00_00_01 })), {
    claims: { serial: "4278190081", firmware: "5.7.1", pinPolicy: "once", touchPolicy: "cached" },
    instance: "serial:4278190081",
  });
  t.match(await apple(appleAttestation(made, "dG9rZW4", { udid: "U" })), {
    bindingLevel: "bearer",
    instance: "udid:U",
  });
});

t.test("hostile: a leaf's own self-signed copy as root", async (t) => {
  const key = deviceKey();
  const description = rawExtension(extension, false, keyDescription(keyAuthorization, { serial: "S" }));
  const own = maker("Maker");
  const leaf = attestingCertificate(own, key, [description]);
  const sig = sign("sha256", Buffer.from(keyAuthorization), key.privateKey);
  const chains = [
    [leaf],
    [leaf, leaf],
    [leaf, own.issuing.certificate, own.root.certificate],
    [leaf, made.root.certificate],
  ];
  for (const x5c of chains) {
    const value = attestationObject("android-key", [
      ["alg", -7],
      ["sig", sig],
      ["x5c", x5c],
    ]);
    await t.rejects(androidKey(value), { code: "evidenceInvalid" }, `${x5c.length} certificates`);
  }
});

t.test("hostile: a key attestation in a certificate above the key's counts for nothing", async (t) => {
  const key = deviceKey();
  const described = rawExtension(extension, false, keyDescription(keyAuthorization, { serial: "S" }));
  const below = made.root.authority("Attested", {
    more: [described],
    signs: "ecdsa-sha256",
    notBefore: new Date("2020-01-01T00:00:00Z"),
    notAfter: new Date("2040-01-01T00:00:00Z"),
  });
  const sig = sign("sha256", Buffer.from(keyAuthorization), key.privateKey);
  for (const more of [[], [described]]) {
    const leaf = attestingCertificate({ root: made.root, issuing: below }, key, more);
    const x5c = [leaf, below.certificate, made.root.certificate];
    const value = attestationObject("android-key", [
      ["alg", -7],
      ["sig", sig],
      ["x5c", x5c],
    ]);
    await t.rejects(androidKey(value), { code: "evidenceInvalid" }, `${more.length} in the leaf`);
  }
});

t.test("hostile: an attested key certifies another key below itself", async (t) => {
  const [phone, forged] = [deviceKey(), deviceKey()];
  const described = rawExtension(extension, false, keyDescription(keyAuthorization, { serial: "S" }));
  const leaf = attestingCertificate(made, phone, []);
  const attested = { subject: "device", keys: phone, algorithm: "ecdsa-sha256" } as const;
  const below = attestingCertificate(
    { root: made.root, issuing: { ...made.issuing, certify: (plan) => foreignCertificate(attested, plan) } },
    forged,
    [described],
  );
  const sig = sign("sha256", Buffer.from(keyAuthorization), forged.privateKey);
  const value = attestationObject("android-key", [
    ["alg", -7],
    ["sig", sig],
    ["x5c", [below, leaf, made.issuing.certificate, made.root.certificate]],
  ]);
  await t.rejects(androidKey(value), { code: "evidenceInvalid" });
});

t.test("hostile: statements that attest themselves, other keys, other algorithms", async (t) => {
  const key = deviceKey();
  const sig = sign("sha256", Buffer.from(keyAuthorization), key.privateKey);
  const leaf = attestingCertificate(made, key, [rawExtension("1.3.6.1.4.1.41482.3.7", false, Buffer.of(2, 1, 7))]);
  const x5c = [leaf, made.issuing.certificate];
  const refused: readonly [string, Parameters<typeof attestationObject>[1], string][] = [
    [
      "self attestation",
      [
        ["alg", -7],
        ["sig", sig],
      ],
      "evidenceInvalid",
    ],
    [
      "no certificate",
      [
        ["alg", -7],
        ["sig", sig],
        ["x5c", []],
      ],
      "evidenceMalformed",
    ],
    [
      "seven certificates",
      [
        ["alg", -7],
        ["sig", sig],
        ["x5c", Array(7).fill(leaf)],
      ],
      "evidenceMalformed",
    ],
    [
      "a certificate that is text",
      [
        ["alg", -7],
        ["sig", sig],
        ["x5c", ["x"]],
      ],
      "evidenceMalformed",
    ],
    [
      "no signature",
      [
        ["alg", -7],
        ["x5c", x5c],
      ],
      "evidenceMalformed",
    ],
    [
      "an empty signature",
      [
        ["alg", -7],
        ["sig", Buffer.alloc(0)],
        ["x5c", x5c],
      ],
      "evidenceInvalid",
    ],
    [
      "no algorithm",
      [
        ["sig", sig],
        ["x5c", x5c],
      ],
      "evidenceInvalid",
    ],
    [
      "an algorithm that is text",
      [
        ["alg", "-7"],
        ["sig", sig],
        ["x5c", x5c],
      ],
      "evidenceInvalid",
    ],
    [
      "null for an algorithm",
      [
        ["alg", null],
        ["sig", sig],
        ["x5c", x5c],
      ],
      "evidenceInvalid",
    ],
    [
      "the algorithm of another curve",
      [
        ["alg", -35],
        ["sig", sig],
        ["x5c", x5c],
      ],
      "evidenceInvalid",
    ],
    [
      "RSA for a key that is none",
      [
        ["alg", -257],
        ["sig", sig],
        ["x5c", x5c],
      ],
      "evidenceInvalid",
    ],
    [
      "SHA-1",
      [
        ["alg", -65_535],
        ["sig", sig],
        ["x5c", x5c],
      ],
      "evidenceInvalid",
    ],
  ];
  for (const [what, statement, code] of refused)
    await t.rejects(packed(attestationObject("packed", statement)), { code }, what);
  t.ok(
    await packed(
      attestationObject("packed", [
        ["alg", -7],
        ["sig", sig],
        ["x5c", x5c],
      ]),
    ),
    "as it should be",
  );

  const swapped = packedAttestation(made, keyAuthorization, { serial: 1 }, { signer: deviceKey().privateKey });
  await t.rejects(packed(swapped), { code: "evidenceInvalid" }, "signed by another key");
  await t.rejects(packed(packedAttestation(made, keyAuthorization, {})), { code: "evidenceInvalid" }, "no device");
  const p521 = generateKeyPairSync("ec", { namedCurve: "P-521" });
  const odd = { ...p521, spki: spkiOf(p521.publicKey) };
  await t.rejects(
    apple(appleAttestation(made, "dG9rZW4", { serial: "S" }, { key: odd })),
    { code: "evidenceInvalid" },
    "a key that is not certified",
  );
});

t.test("texts in an attestation are a few printable characters", async (t) => {
  for (const serial of ["a\u0000", "é", "x".repeat(129), " \n"])
    await t.rejects(
      apple(appleAttestation(made, "dG9rZW4", { serial })),
      { code: "evidenceMalformed" },
      JSON.stringify(serial).slice(0, 12),
    );
});

t.test("not for another challenge, format or object", async (t) => {
  const value = packedAttestation(made, keyAuthorization, { serial: 1 });
  const { keyAuthorization: _, ...elsewhere } = context;
  await t.rejects(verifyPacked(item("packed", value), pem, elsewhere), { code: "formatNotAccepted" });
  await t.rejects(androidKey(value), { code: "formatNotAccepted" });
  for (const object of ["", "!", "oA", "v_8", "omNmbXQBZ2F0dFN0bXSg", Buffer.alloc(50_000, 0x80).toString("base64url")])
    t.throws(() => readAttestationObject(object), { code: "evidenceMalformed" }, object.slice(0, 10));
});

t.test("a source without a root does not start", async (t) => {
  for (const format of [packedFormat, androidKeyFormat, appleFormat]) {
    t.throws(
      () => format.check?.({ ref: "r", format: format.name }, "attestation.sources.r"),
      /expected at least one of them/,
    );
    t.doesNotThrow(() => format.check?.({ ref: "r", format: format.name, rootSha256s: ["00".repeat(32)] }, "x"));
    t.throws(() => format.open({ ref: "r", format: format.name, rootsFile: "/nowhere.pem" }, {} as never), /nowhere/);
  }
});
