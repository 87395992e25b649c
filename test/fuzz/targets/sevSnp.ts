/** Attestation reports of AMD SEV-SNP, and certificates of chips. */
import { fingerprintOf } from "../../../src/attestation/certificateChain.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { verifySnpReport, type SevSnpSettings } from "../../../src/attestation/formats/sevSnp.ts";
import { readChipCertificate } from "../../../src/attestation/sevSnp/chipCertificate.ts";
import { readSnpReport, reportBytes } from "../../../src/attestation/sevSnp/report.ts";
import { rootsOf, type SnpTrust } from "../../../src/attestation/sevSnp/trust.ts";
import { createLru } from "../../../src/cache/lru.ts";
import { CertificateError, readCertificate } from "../../../src/x509/certificate.ts";
import { foreignNow } from "../../support/foreignCa.ts";
import { snpPlatform } from "../../support/snpPlatform.ts";
import { bendBytes } from "../mutate.ts";
import { bendDer } from "../mutateDer.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const platform = snpPlatform("Milan");
const reportData = Buffer.alloc(64, 5);
const good = platform.report({ reportData });
const settings: SevSnpSettings = { ref: "guests", format: "sev-snp" };
const trust: SnpTrust = {
  roots: rootsOf({ roots: [{ product: "Milan", sha256: fingerprintOf(platform.ark.certificate) }] }),
  authorities: [platform.ask, platform.ark].map(({ certificate }) => readCertificate(certificate, { lenient: true })),
  signers: [],
  revocation: undefined,
  verified: createLru(64),
};

const reports: Target = {
  name: "sev-snp-report",
  about: "attestation reports; what is taken apart is all there, and only what was signed is accepted",
  cases: 2_000,
  slowMs: 200,
  make: (random) => {
    if (random.chance(0.1)) return good;
    const bent = bendBytes(random, good, 1);
    // Mostly of the right length, so that it is read at all.
    return random.chance(0.9) ? Buffer.concat([bent, Buffer.alloc(8)]).subarray(0, reportBytes) : bent;
  },
  check(input) {
    const read = readOrRefuse(() => readSnpReport(input), EvidenceRefused);
    if (read === undefined) return "refused";
    holds(read.signed.length === 0x2a0 && read.signature.length === 96, "a part of another length");
    const item = { endorsements: { vcek: platform.vcek.toString("base64url") } };
    const verify = () => verifySnpReport(input, item, reportData, settings, trust, foreignNow);
    const found = readOrRefuse(verify, EvidenceRefused);
    if (found !== undefined) holds(input.equals(good), "a report that nobody signed");
    return "accepted";
  },
};

const chips: Target = {
  name: "sev-snp-vcek",
  about: "extensions of the certificates of chips and providers",
  cases: 5_000,
  slowMs: 200,
  make: (random) => {
    const original = random.pick([platform.vcek, platform.vlek]);
    return random.chance(0.1) ? original : bendDer(random, original, 1);
  },
  check(input) {
    const certificate = readOrRefuse(() => readCertificate(input, { lenient: true }), CertificateError);
    const chip = certificate && readOrRefuse(() => readChipCertificate(certificate), EvidenceRefused);
    if (chip === undefined) return "refused";
    holds((chip.chipId === undefined) !== (chip.cspId === undefined), "neither chip nor provider, or both");
    holds(chip.chipId === undefined || chip.chipId.length === 64, "a chip's number of another length");
    holds(
      [...chip.tcb].every(([, component]) => component >= 0 && component <= 255),
      "a component",
    );
    return "accepted";
  },
};

export const sevSnpTargets: readonly Target[] = [reports, chips];
