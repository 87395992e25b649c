/** Chains of foreign certificates: one that was bent leads to no root. */
import { type TrustedRoots, verifyChain } from "../../../src/attestation/certificateChain.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { createLru } from "../../../src/cache/lru.ts";
import { readCertificate } from "../../../src/x509/certificate.ts";
import { foreignNow, foreignRoot, keysFor } from "../../support/foreignCa.ts";
import { bendBytes } from "../mutate.ts";
import { bendDer } from "../mutateDer.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const root = foreignRoot("Maker Root", "ecdsa-sha256");
const maker = root.authority("Maker");
const leaf = maker.certify({ subject: "Device", keys: keysFor("ecdsa-sha256") });
const good: readonly Buffer[] = [leaf, maker.certificate, root.certificate];
const roots: TrustedRoots = { certificates: [readCertificate(root.certificate, { lenient: true })], fingerprints: [] };
const verified = createLru<string, true>(64);

/** Which of the three it is, in one octet; then the certificate. */
const chains: Target = {
  name: "certificate-chain",
  about: "leaf, intermediate or root bent; none but the certificates that were signed are taken",
  cases: 4_000,
  slowMs: 300,
  make(random) {
    const which = random.below(good.length);
    const original = good[which] ?? leaf;
    const bent = random.chance(0.1)
      ? original
      : random.chance(0.7)
        ? bendDer(random, original, 1)
        : bendBytes(random, original, 1);
    return Buffer.concat([Buffer.of(which), bent]);
  },
  check(input) {
    const which = input[0] ?? 0;
    const [first = leaf, ...above] = good.with(which, input.subarray(1));
    const rules = { now: foreignNow, verified };
    const chain = readOrRefuse(() => verifyChain(first, above, roots, rules), EvidenceRefused);
    if (chain === undefined) return "refused";
    holds(
      chain.certificates.every(({ der }, index) => der.equals(good[index] ?? leaf)),
      "a certificate that nobody signed",
    );
    return "accepted";
  },
};

export const certificateChainTargets: readonly Target[] = [chains];
