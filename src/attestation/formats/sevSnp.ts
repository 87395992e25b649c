/**
 * Format `sev-snp`: the attestation report of an AMD SEV-SNP guest, with the certificate of the key that signed it as an endorsement. Level
 * `nonce`: REPORT_DATA is the binding value, its 32 octets, and 32 zeros.
 */
import { bindingOctets, boundReplayUntil, evidenceDigest, evidenceOctets, isAllZero } from "../binaryEvidence.ts";
import {
  type Claims,
  EvidenceRefused,
  type EvidenceItem,
  oneTimeIdOfEvidence,
  type VerificationContext,
  type VerifiedEvidence,
} from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import { readChipCertificate, requireCertificateOf } from "../sevSnp/chipCertificate.ts";
import { type Product, tcbOf } from "../sevSnp/product.ts";
import { isReportSigned, readSnpReport, reportBytes, type SnpReport } from "../sevSnp/report.ts";
import { appraise, checkSevSnp, type SevSnpSettings, sevSnpProperties, tenantClaimsOfSnp } from "../sevSnp/settings.ts";
import { type ChipChain, endorsementsOf, openSnpTrust, type SnpTrust, verifyChipChain } from "../sevSnp/trust.ts";

export type { SevSnpSettings } from "../sevSnp/settings.ts";

const claimNames = [
  "measurement",
  "hostData",
  "idKeyDigest",
  "authorKeyDigest",
  "chipId",
  "reportId",
  "cspId",
  "productName",
  "vmpl",
  "policy",
  "guestSvn",
  "tcbBootloader",
  "tcbTee",
  "tcbSnp",
  "tcbMicrocode",
  "tcbFmc",
] as const;

export const sevSnpFormat: EvidenceFormat<SevSnpSettings> = {
  name: "sev-snp",
  properties: sevSnpProperties,
  check: checkSevSnp,
  claimNames,
  tenantClaims: tenantClaimsOfSnp,
  levels: ["nonce"],
  open(settings) {
    const trust = openSnpTrust(settings);
    return { verify: async (item, context) => verifySevSnp(item, settings, trust, context) };
  },
};

/**
 * Yields flat claims. Hex: measurement, reportId, policy (16 digits, the greatest first), and where they are set hostData, idKeyDigest,
 * authorKeyDigest, chipId. Text: productName, and cspId of a provider's key. Numbers: vmpl, guestSvn, and of the reported TCB tcbBootloader,
 * tcbTee, tcbSnp, tcbMicrocode, tcbFmc (Turin). The instance is chip and report: one guest from launch to end.
 * @throws {EvidenceRefused}
 */
export function verifySevSnp(
  item: EvidenceItem,
  settings: SevSnpSettings,
  trust: SnpTrust,
  context: VerificationContext,
): VerifiedEvidence {
  const expected = Buffer.concat([bindingOctets(context), Buffer.alloc(32)]);
  const octets = evidenceOctets(item, reportBytes);
  const { report, chain } = verifySnpReport(octets, item, expected, settings, trust, context.now);
  return {
    format: item.format,
    ref: item.ref,
    claims: claimsOf(report, chain),
    bindingLevel: "nonce",
    digest: evidenceDigest(item),
    oneTimeId: oneTimeIdOfEvidence(item.ref, report.signed),
    replayUntil: boundReplayUntil(context.now),
    expires: chain.end,
    instance: `${report.chipId.toString("hex")}/${report.reportId.toString("hex")}`,
  };
}

/**
 * The report itself, whatever REPORT_DATA is to be.
 * @param expectedReportData 64 octets
 * @throws {EvidenceRefused}
 */
export function verifySnpReport(
  octets: Buffer,
  endorsed: Pick<EvidenceItem, "endorsements">,
  expectedReportData: Buffer,
  settings: SevSnpSettings,
  trust: SnpTrust,
  now: Date,
): { readonly report: SnpReport; readonly chain: ChipChain } {
  const report = readSnpReport(octets);
  const chain = verifyChipChain(endorsementsOf(endorsed, report, trust), trust, now);
  if (!isReportSigned(report, chain.publicKey)) {
    throw new EvidenceRefused("evidenceInvalid", "The report's signature does not verify");
  }
  const certificate = readChipCertificate(chain.leaf);
  requireCertificateOf(report, certificate, chain.product);
  appraise(report, certificate.cspId, chain.product, settings);
  requireReportData(report, expectedReportData);
  return { report, chain: { ...chain, cspId: certificate.cspId } };
}

function requireReportData({ reportData }: SnpReport, expected: Buffer): void {
  if (isAllZero(reportData)) throw new EvidenceRefused("bindingMissing", "The report has no REPORT_DATA");
  if (!reportData.equals(expected)) {
    throw new EvidenceRefused(
      "bindingMismatch",
      "The report's REPORT_DATA is not the binding value of this challenge and zeros",
    );
  }
}

function claimsOf(report: SnpReport, { product, cspId }: { product: Product; cspId?: string | undefined }): Claims {
  const tcb = tcbOf(report.reportedTcb, product);
  const identities = {
    hostData: report.hostData,
    idKeyDigest: report.idKeyDigest,
    authorKeyDigest: report.authorKeyEnabled ? report.authorKeyDigest : Buffer.of(),
    chipId: report.chipId,
  };
  const set = Object.entries(identities).filter(([, octets]) => !isAllZero(octets));
  return {
    measurement: report.measurement.toString("hex"),
    ...Object.fromEntries(set.map(([name, octets]) => [name, octets.toString("hex")])),
    reportId: report.reportId.toString("hex"),
    ...(cspId !== undefined && { cspId }),
    productName: product.name,
    vmpl: report.vmpl,
    policy: report.policy.toString(16).padStart(16, "0"),
    guestSvn: report.guestSvn,
    tcbBootloader: tcb.bootloader,
    tcbTee: tcb.tee,
    tcbSnp: tcb.snp,
    tcbMicrocode: tcb.microcode,
    ...(tcb.fmc !== undefined && { tcbFmc: tcb.fmc }),
  };
}
