/** Formats of devices against real attestations that others published; tests of them run where the samples are. */
import { createHash, X509Certificate } from "node:crypto";
import t, { type Test } from "tap";
import { readPemCertificates, type TrustedRoots } from "../../../src/attestation/certificateChain.ts";
import { verifyAndroidStatement } from "../../../src/attestation/formats/androidKey.ts";
import { verifyAppleStatement } from "../../../src/attestation/formats/apple.ts";
import { readAttestationObject } from "../../../src/attestation/webauthn/attestationObject.ts";
import type { Attested, ToBeAttested } from "../../../src/attestation/webauthn/deviceEvidence.ts";
import type { CborMap } from "../../../src/encoding/cbor.ts";
import { evidenceFile, evidenceSamples, type EvidenceSample, withEvidence } from "../../support/sharedEvidence.ts";
import { flippedBits } from "../../support/flipped.ts";

const android = { ref: "phones", format: "android-key" };
const octets = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64url");

interface Opened {
  readonly statement: CborMap;
  readonly asked: ToBeAttested;
  readonly roots: TrustedRoots;
  readonly at: Date;
}

/** What WebAuthn signs stands where ACME has the key authorization. */
function open({ files, verifyAt = "" }: EvidenceSample): Opened {
  const written = JSON.parse(evidenceFile(files["statement"] ?? "").toString("utf8")) as Record<string, string>;
  const clientDataHash = octets(written["clientDataHash"]);
  const signed = Buffer.concat([octets(written["authData"]), clientDataHash]);
  const root = files["root"];
  return {
    statement: readAttestationObject(written["attestationObject"] ?? "").statement,
    asked: { signed, challenge: clientDataHash, tokenDigest: undefined },
    roots: {
      certificates: root === undefined ? [] : readPemCertificates(evidenceFile(root).toString("latin1")),
      fingerprints: [],
    },
    at: new Date(verifyAt),
  };
}

const verify = (sample: EvidenceSample, { statement, asked, roots, at }: Opened): Attested =>
  sample.format === "apple"
    ? verifyAppleStatement(statement, asked, roots, at)
    : verifyAndroidStatement(statement, asked, android, roots, at);

/** The statement with another member. */
const changed = (
  opened: Opened,
  name: string,
  value: CborMap extends ReadonlyMap<infer _, infer V> ? V : never,
): Opened => ({
  ...opened,
  statement: new Map([...opened.statement, [name, value]]),
});

const certificatesOf = ({ statement }: Opened): Buffer[] =>
  (statement.get("x5c") as Buffer[]).map((one) => Buffer.from(one));

for (const sample of evidenceSamples().filter(({ format }) => format === "android-key" || format === "apple")) {
  t.test(`${sample.id}: ${sample.result}, as published`, withEvidence, async (t) => {
    const opened = open(sample);
    if (sample.result === "accept") acceptedOnlyAsItIs(t, sample, opened);
    else t.throws(() => verify(sample, opened), { name: "EvidenceRefused" });
  });
}
t.test("the samples of devices", withEvidence, async (t) => {
  t.ok(evidenceSamples().filter(({ format }) => format === "android-key" || format === "apple").length >= 4);
});

function acceptedOnlyAsItIs(t: Test, sample: EvidenceSample, opened: Opened): void {
  const { roots, asked } = opened;
  const attested = verify(sample, opened);
  t.equal(attested.bindingLevel, "nonce");
  const refusedWith = (changes: Partial<Opened>, what: string, code?: string): void => {
    t.throws(() => verify(sample, { ...opened, ...changes }), { name: "EvidenceRefused", ...(code && { code }) }, what);
  };
  const at = (text: string | undefined, ms: number): Date => new Date(Date.parse(text ?? "") + ms);
  refusedWith(
    { at: at(sample.validFrom, -61_000) },
    "before it is valid, by more than clocks differ",
    "evidenceExpired",
  );
  refusedWith({ at: at(sample.validUntil, 1000) }, "when it has run out", "evidenceExpired");
  refusedWith({ roots: { certificates: [], fingerprints: ["00".repeat(32)] } }, "another root", "evidenceInvalid");
  const otherChallenge = { ...asked, challenge: Buffer.alloc(32), signed: Buffer.concat([asked.signed, Buffer.of(0)]) };
  refusedWith({ asked: otherChallenge }, "another challenge");
  const certificates = certificatesOf(opened);
  const [leaf = Buffer.alloc(0)] = certificates;
  refusedWith(changed(opened, "x5c", []), "no certificate");
  refusedWith(changed(opened, "x5c", [leaf]), "the leaf alone");
  refusedWith(changed(opened, "x5c", certificates.slice(1)), "without the leaf");
  refusedWith(changed(opened, "x5c", certificates.toReversed()), "in the other order");
  refusedWith(changed(opened, "x5c", [leaf, ...certificates]), "the leaf twice");
  const cutShort = [leaf.subarray(0, -1), ...certificates.slice(1)];
  refusedWith(changed(opened, "x5c", cutShort), "a leaf that is cut short");
  refusedWith(
    changed(opened, "x5c", [Buffer.concat([leaf, Buffer.of(0)]), ...certificates.slice(1)]),
    "a leaf that goes on",
  );
  let flips = 0;
  for (const { at: place, flipped } of flippedBits(leaf, { stride: 13 })) {
    refusedWith(changed(opened, "x5c", [flipped, ...certificates.slice(1)]), `a bit of the leaf at ${place}`);
    flips += 1;
  }
  t.ok(flips > 20);
  if (sample.format === "apple") return;

  const signature = opened.statement.get("sig");
  if (!Buffer.isBuffer(signature)) throw new Error("no signature");
  for (const { at: place, flipped } of flippedBits(signature, { stride: 5 }))
    refusedWith(changed(opened, "sig", flipped), `a bit of the signature at ${place}`, "evidenceInvalid");
  refusedWith(changed(opened, "alg", -257), "another algorithm", "evidenceInvalid");
  refusedWith(changed(opened, "alg", -65_535), "SHA-1", "evidenceInvalid");
  refusedWith(
    { asked: { ...asked, signed: Buffer.concat([asked.signed, Buffer.of(0)]) } },
    "other octets signed",
    "evidenceInvalid",
  );
  refusedWith(
    { asked: { ...asked, challenge: createHash("sha256").update("x").digest() } },
    "another challenge",
    "bindingMismatch",
  );
  const serials = { ...android, revokedSerials: [""] };
  t.throws(
    () =>
      verifyAndroidStatement(
        opened.statement,
        asked,
        { ...serials, revokedSerials: [serialOf(certificates[1])] },
        roots,
        opened.at,
      ),
    { code: "evidenceInvalid" },
    "a certificate that was revoked",
  );
  t.match(attested.claims, {
    securityLevel: "trustedEnvironment",
    attestationVersion: sample.expect?.["attestationVersion"],
  });
}

/** Serial number of a certificate, hex without leading zeros. */
function serialOf(der: Buffer | undefined): string {
  return new X509Certificate(der ?? Buffer.alloc(0)).serialNumber.toLowerCase().replace(/^0+/, "");
}
