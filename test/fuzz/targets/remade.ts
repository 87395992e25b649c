/**
 * Evidence that was shown before, written in another way: with another signature over the same, in another encoding, with other
 * endorsements or unsigned parts. It may be taken or not; where it is, it is the same evidence in all that counts, and used once.
 */
import { fingerprintOf, readForeignCertificate, type TrustedRoots } from "../../../src/attestation/certificateChain.ts";
import {
  type Endorsements,
  EvidenceRefused,
  type EvidenceItem,
  type VerificationContext,
  type VerifiedEvidence,
} from "../../../src/attestation/evidence.ts";
import { verifyAndroidKey } from "../../../src/attestation/formats/androidKey.ts";
import { verifyNitro } from "../../../src/attestation/formats/awsNitro.ts";
import { verifyAzureImds } from "../../../src/attestation/formats/azureImds.ts";
import { verifyPacked } from "../../../src/attestation/formats/packed.ts";
import { verifySevSnp } from "../../../src/attestation/formats/sevSnp.ts";
import { verifyTdx } from "../../../src/attestation/formats/tdx.ts";
import type { SnpTrust } from "../../../src/attestation/sevSnp/trust.ts";
import type { VerifiedCollateral } from "../../../src/attestation/tdx/collateral.ts";
import { createLru } from "../../../src/cache/lru.ts";
import { readCertificate } from "../../../src/x509/certificate.ts";
import { context as anyContext } from "../../attestation/testIssuer.ts";
import { quoteOf, valueOf, verifyValue, x5c } from "../../attestation/tpm/tpmEvidence.ts";
import { androidAttestation, maker, packedAttestation } from "../../support/deviceAttestations.ts";
import { foreignNow } from "../../support/foreignCa.ts";
import { nitroPlatform } from "../../support/nitroEnclave.ts";
import { issue } from "../../support/platformCertificates.ts";
import { signedDocument } from "../../support/signedDocuments.ts";
import { snpPlatform } from "../../support/snpPlatform.ts";
import { tdxCollateral, tdxNow, tdxPlatform, tdxQuote } from "../../support/tdxPlatform.ts";
import { bendBytes } from "../mutate.ts";
import { bendDer } from "../mutateDer.ts";
import type { Random } from "../random.ts";
import { holds, type Target } from "../target.ts";

interface Shown {
  readonly value: Buffer;
  readonly endorsements: Readonly<Record<string, string>>;
  /** Where r ‖ s of P-256 or P-384 stands in the value: whoever has it can make a second one, r ‖ −s. */
  readonly signature?: { readonly at: number; readonly bytes: 32 | 48; readonly littleEndian?: true };
  readonly verify: (item: EvidenceItem) => VerifiedEvidence | Promise<VerifiedEvidence>;
}

const binding = Buffer.alloc(32, 0xb5);
const at = (now: Date): VerificationContext => ({ ...anyContext, now, binding: binding.toString("base64url") });
const rootsOf = (certificate: Buffer): TrustedRoots => ({
  certificates: [readForeignCertificate(certificate)],
  fingerprints: [],
});

const nitro = nitroPlatform();
const nitroTrust = { roots: rootsOf(nitro.root.certificate) };
const document = nitro.document({ nonce: binding });
const amd = snpPlatform("Milan");
const snpTrust: SnpTrust = {
  roots: new Map([[fingerprintOf(amd.ark.certificate), amd.product]]),
  authorities: [amd.ask, amd.ark].map(({ certificate }) => readForeignCertificate(certificate)),
  signers: [],
  revocation: undefined,
};
const intel = tdxPlatform();
const tdxTrust = { collaterals: createLru<string, VerifiedCollateral>(8) };
const azureRoot = issue({ commonName: "root" });
const azureSigner = issue({ commonName: "azure", issuer: azureRoot, dns: ["metadata.azure.com"] });
const azureTrust = { roots: [readCertificate(azureRoot.der)], intermediates: [] };
const subscription = "0c0ffee0-1234-4abc-8def-00112233aabb";
const azureContent = {
  nonce: binding.toString("base64url").slice(0, 32),
  subscriptionId: subscription,
  timeStamp: { createdOn: "11/26/26 11:00:00 -0000", expiresOn: "11/26/26 17:00:00 -0000" },
  vmId: "11aa22bb-5678-4cde-9f01-ccddeeff0011",
};
const devices = maker("Maker");
const deviceRoots = rootsOf(devices.root.certificate);
const deviceContext = { ...at(new Date()), keyAuthorization: "token.thumbprint" };

const reportData = Buffer.concat([binding, Buffer.alloc(32)]);
const signedAzure = signedDocument({
  content: Buffer.from(JSON.stringify(azureContent)),
  signer: azureSigner,
  certificates: [azureSigner, azureRoot],
});
const shown: readonly Shown[] = [
  {
    value: document,
    endorsements: {},
    signature: { at: document.length - 96, bytes: 48 },
    verify: (item) => verifyNitro(item, { ref: "r", format: "f" }, nitroTrust, at(foreignNow)),
  },
  {
    value: amd.report({ reportData }),
    endorsements: { vcek: amd.vcek.toString("base64url"), chain: amd.ask.certificate.toString("base64url") },
    signature: { at: 0x2a0, bytes: 48, littleEndian: true },
    verify: (item) => verifySevSnp(item, { ref: "r", format: "f" }, snpTrust, at(foreignNow)),
  },
  {
    value: tdxQuote(intel, { reportData, trailing: Buffer.alloc(64) }),
    endorsements: { collateral: tdxCollateral(intel) },
    signature: { at: 48 + 584 + 4, bytes: 32 },
    verify: (item) => verifyTdx(item, { ref: "r", format: "f", rootSha256: intel.rootSha256 }, tdxTrust, at(tdxNow)),
  },
  {
    value: signedAzure,
    endorsements: {},
    verify: (item) =>
      verifyAzureImds(
        item,
        { ref: "r", format: "f", rootsFile: "", subscriptions: [subscription] },
        azureTrust,
        at(new Date("2026-11-26T12:00:00Z")),
      ),
  },
  {
    value: Buffer.from(valueOf({ x5c, quote: quoteOf() }), "base64url"),
    endorsements: {},
    verify: (item) => verifyValue(item.value),
  },
  {
    value: Buffer.from(androidAttestation(devices, "token.thumbprint", { serial: "PHONE" }), "base64url"),
    endorsements: {},
    verify: (item) => verifyAndroidKey(item, { ref: "r", format: "android-key" }, deviceRoots, deviceContext),
  },
  {
    value: Buffer.from(packedAttestation(devices, "token.thumbprint", { serial: 4242 }), "base64url"),
    endorsements: {},
    verify: (item) => verifyPacked(item, deviceRoots, deviceContext),
  },
];
const formats = ["f", "f", "f", "f", "tpm", "android-key", "packed"];

/** All of it but the digest, which is of what was sent. */
const meaningOf = (evidence: VerifiedEvidence): string =>
  JSON.stringify({
    ...evidence,
    oneTimeId: evidence.oneTimeId.toString("hex"),
    digest: undefined,
    replayUntil: undefined,
  });
const itemOf = (which: number, value: string, endorsements: Endorsements): EvidenceItem => ({
  format: formats[which] ?? "f",
  ref: "r",
  value,
  endorsements,
});

const meanings: Promise<string>[] = [];
const meaning = (which: number): Promise<string> =>
  (meanings[which] ??= (async () => {
    const { value, endorsements, verify } = shownAt(which);
    return meaningOf(await verify(itemOf(which, value.toString("base64url"), endorsements)));
  })());
function shownAt(which: number): Shown {
  const found = shown[which];
  if (found === undefined) throw new RangeError("no such evidence");
  return found;
}

/** Orders of P-256 and P-384. */
const orders = {
  32: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  48: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
} as const;

/** Another signature over the same. */
function mirrored(value: Buffer, { at: start, bytes, littleEndian }: NonNullable<Shown["signature"]>): Buffer {
  const second = Buffer.from(value);
  const s = second.subarray(start + (littleEndian ? 72 : bytes)).subarray(0, bytes);
  const big = Buffer.from(littleEndian ? s.toReversed() : s);
  const other = Buffer.from(
    (orders[bytes] - BigInt(`0x${big.toString("hex")}`)).toString(16).padStart(2 * bytes, "0"),
    "hex",
  );
  Buffer.from(littleEndian ? other.toReversed() : other).copy(s);
  return second;
}

function bentText(random: Random, text: string): string {
  if (text.startsWith("{"))
    return random.chance(0.5) ? text.replaceAll(":", ": ") : bendBytes(random, Buffer.from(text), 1).toString("latin1");
  return bendDer(random, Buffer.from(text, "base64url"), 1).toString("base64url");
}

const remade: Target = {
  name: "remade",
  about: "evidence written in another way: it is the same evidence, or none",
  cases: 1_500,
  slowMs: 200,
  make(random) {
    const which = random.below(shown.length);
    const { value, endorsements, signature } = shownAt(which);
    let octets = value;
    if (signature !== undefined && random.chance(0.3)) octets = mirrored(octets, signature);
    if (random.chance(0.5))
      octets = value === signedAzure && random.chance(0.7) ? bendDer(random, octets, 1) : bendBytes(random, octets, 1);
    const others = Object.entries(endorsements).map(([name, text]) => [
      name,
      random.chance(0.4) ? bentText(random, text) : text,
    ]);
    return Buffer.from(
      JSON.stringify({
        which,
        value: octets.toString("base64url"),
        endorsements: Object.fromEntries(others) as object,
      }),
    );
  },
  async check(input) {
    const { which, value, endorsements } = JSON.parse(input.toString()) as {
      which: number;
      value: string;
      endorsements: Endorsements;
    };
    let verified: VerifiedEvidence;
    try {
      verified = await shownAt(which).verify(itemOf(which, value, endorsements));
    } catch (error) {
      if (error instanceof EvidenceRefused) return "refused";
      throw error;
    }
    holds(meaningOf(verified) === (await meaning(which)), "the same evidence in another meaning, or usable once more");
    return "accepted";
  },
};

export const remadeTargets: readonly Target[] = [remade];
