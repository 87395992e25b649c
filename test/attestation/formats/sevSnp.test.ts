import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { fingerprintOf, readPemCertificates } from "../../../src/attestation/certificateChain.ts";
import {
  EvidenceRefused,
  type EvidenceItem,
  SourceUnavailable,
  type VerificationContext,
} from "../../../src/attestation/evidence.ts";
import {
  sevSnpFormat,
  type SevSnpSettings,
  verifySevSnp,
  verifySnpReport,
} from "../../../src/attestation/formats/sevSnp.ts";
import { checkSource } from "../../../src/attestation/registry.ts";
import { reportBytes, signedBytes } from "../../../src/attestation/sevSnp/report.ts";
import { openRevocationLists } from "../../../src/attestation/sevSnp/revocation.ts";
import { rootsOf, type SnpTrust } from "../../../src/attestation/sevSnp/trust.ts";
import { openSource, sourceFacts } from "../../../src/attestation/sources.ts";
import { parseGrants } from "../../../src/authority/grants.ts";
import { createLru } from "../../../src/cache/lru.ts";
import { readCertificate } from "../../../src/x509/certificate.ts";
import { basicConstraints, keyUsage, type KeyUsage } from "../../../src/x509/extensions.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { flippedBits } from "../../support/flipped.ts";
import { foreignNow, foreignRoot, keysFor, notAfter, notBefore } from "../../support/foreignCa.ts";
import { evidenceFile, type EvidenceSample, evidenceSamples, withEvidence } from "../../support/sharedEvidence.ts";
import {
  askSerial,
  chipId,
  type ChipPlan,
  cspId,
  policyOf,
  type ReportPlan,
  snpPlatform,
  type SnpPlatform,
} from "../../support/snpPlatform.ts";

const milan = snpPlatform("Milan");
const turin = snpPlatform("Turin");
const binding = randomBytes(32);
const reportData = Buffer.concat([binding, Buffer.alloc(32)]);
const measurement = Buffer.alloc(48, 0x4d).toString("hex");
const settings: SevSnpSettings = { ref: "guests", format: "sev-snp", measurements: [measurement] };
const context: VerificationContext = {
  now: foreignNow,
  audience: "https://ca.example/wa",
  binding: binding.toString("base64url"),
  identifier: { type: "uri", value: "spiffe://example.org/guest/checkout" },
  accountKey: Buffer.alloc(32),
};
const trusting = (...platforms: readonly SnpPlatform[]): SnpTrust => ({
  roots: rootsOf({
    roots: platforms.map(({ ark, product }) => ({ product: product.name, sha256: fingerprintOf(ark.certificate) })),
  }),
  authorities: platforms.flatMap(({ ark, ask, asvk }) =>
    [ask, asvk, ark].map(({ certificate }) => readCertificate(certificate, { lenient: true })),
  ),
  signers: [],
  revocation: undefined,
  verified: createLru(64),
});
const trust = trusting(milan, turin);
const text = (octets: Buffer): string => octets.toString("base64url");
const itemOf = (
  octets: Buffer,
  endorsements: EvidenceItem["endorsements"] = { vcek: text(milan.vcek) },
): EvidenceItem => ({
  format: "sev-snp",
  ref: "guests",
  value: text(octets),
  endorsements: endorsements ?? {},
});
const report = (plan: ReportPlan = {}, platform = milan): Buffer => platform.report({ reportData, ...plan });

function judged(verify: () => unknown): string {
  try {
    verify();
    return "accepted";
  } catch (error) {
    if (error instanceof EvidenceRefused) return `${error.code}: ${error.message}`;
    if (error instanceof SourceUnavailable) return `unavailable: ${error.message}`;
    throw error;
  }
}
interface Circumstances {
  readonly own?: Partial<SevSnpSettings>;
  readonly endorsements?: EvidenceItem["endorsements"];
  readonly anchors?: SnpTrust;
  readonly context?: Partial<VerificationContext>;
}
/** "evidenceInvalid: The …", or "accepted". */
const verdict = (
  octets: Buffer,
  { own = {}, endorsements, anchors = trust, context: changes = {} }: Circumstances = {},
): string =>
  judged(() =>
    verifySevSnp(itemOf(octets, endorsements), { ...settings, ...own }, anchors, { ...context, ...changes }),
  );

t.test("a report with the binding value yields what was measured, and the guest", async (t) => {
  const hostData = Buffer.alloc(32, 0x05);
  const octets = report({ hostData, idKeyDigest: Buffer.alloc(48, 6), authorKeyDigest: Buffer.alloc(48, 7), flags: 1 });
  const verified = verifySevSnp(itemOf(octets), settings, trust, context);
  t.strictSame(verified.claims, {
    measurement,
    hostData: hostData.toString("hex"),
    idKeyDigest: "06".repeat(48),
    authorKeyDigest: "07".repeat(48),
    chipId: chipId.toString("hex"),
    reportId: "1d".repeat(32),
    productName: "Milan",
    vmpl: 0,
    policy: "0000000000030000",
    guestSvn: 4,
    tcbBootloader: 11,
    tcbTee: 12,
    tcbSnp: 13,
    tcbMicrocode: 18,
  });
  t.equal(verified.bindingLevel, "nonce");
  t.equal(verified.instance, `${chipId.toString("hex")}/${"1d".repeat(32)}`);
  t.strictSame(verified.expires, notAfter, "the end of its key's certificate");
  t.ok(verified.replayUntil.getTime() - foreignNow.getTime() >= 600_000, "longer than any challenge is open");
  t.strictSame(verified.digest, createHash("sha256").update(text(octets)).digest());
  t.ok(
    Object.keys(verified.claims).every((name) => sevSnpFormat.claimNames?.includes(name)),
    "all of them are claims of the format",
  );

  const bare = verifySevSnp(itemOf(report({ authorKeyDigest: Buffer.alloc(48, 7) })), settings, trust, context).claims;
  t.notOk("hostData" in bare || "idKeyDigest" in bare, "zeros are not set, and no claim");
  t.notOk("authorKeyDigest" in bare, "nor is an author key that nobody checked");
});

t.test("replay: the id is that of the signed part", async (t) => {
  const idOf = (octets: Buffer, ref = "guests"): string =>
    verifySevSnp({ ...itemOf(octets), ref }, settings, trust, context).oneTimeId.toString("hex");
  t.equal(idOf(report()), idOf(report()), "signed twice, it is the same report");
  t.not(idOf(report(), "others"), idOf(report()));
  t.not(idOf(report({ guestSvn: 5 })), idOf(report()));
});

t.test("Turin: TCB_VERSION has another layout, and the chip's number eight octets", async (t) => {
  const endorsements = { vcek: text(turin.vcek) };
  const verified = verifySevSnp(itemOf(report({}, turin), endorsements), settings, trust, context);
  t.match(verified.claims, {
    productName: "Turin",
    tcbFmc: 19,
    tcbBootloader: 11,
    tcbTee: 12,
    tcbSnp: 13,
    tcbMicrocode: 18,
  });
  t.match(
    verdict(report({ chipId }, turin), { endorsements }),
    /^evidenceInvalid: .*another chip/,
    "the other 56 are zeros",
  );
  const wrapped = turin.certifyChip({ hwId: Buffer.concat([Buffer.from([4, 8]), chipId.subarray(0, 8)]) });
  t.equal(
    verdict(report({}, turin), { endorsements: { vcek: text(wrapped) } }),
    "accepted",
    "an OCTET STRING around them",
  );
});

t.test("versions 2 to 5; the processor counts where the version has it", async (t) => {
  for (const version of [2, 3, 4, 5]) t.equal(verdict(report({ version })), "accepted", `${version}`);
  for (const version of [0, 1, 6, 0x03000000])
    t.match(verdict(report({ version })), /^evidenceMalformed: .*version/, `${version}`);
  t.match(verdict(report({ cpu: [0x19, 0x11] })), /^evidenceInvalid: .*another product than the report/, "Genoa's");
  t.equal(verdict(report({ version: 2, cpu: [0x19, 0x11] })), "accepted", "version 2 has no such field");
});

t.test("binding: REPORT_DATA is B, then 32 zeros", async (t) => {
  const bound = (data: Buffer): string => verdict(report({ reportData: data }));
  t.match(bound(Buffer.concat([randomBytes(32), Buffer.alloc(32)])), /^bindingMismatch/);
  t.match(bound(Buffer.concat([binding, Buffer.alloc(31), Buffer.of(1)])), /^bindingMismatch/, "the zeros count");
  t.match(bound(Buffer.concat([Buffer.alloc(32), binding])), /^bindingMismatch/, "the wrong half");
  t.match(bound(Buffer.concat([binding, binding])), /^bindingMismatch/);
  t.match(bound(Buffer.alloc(64)), /^bindingMissing/);
  t.match(verdict(report(), { context: { binding: undefined } }), /^bindingMissing/, "no key was committed");
  t.match(verdict(report(), { context: { binding: text(randomBytes(32)) } }), /^bindingMismatch/);
});

t.test("every bit of the signed part counts, and every bit of the signature", async (t) => {
  const octets = report({ hostData: Buffer.alloc(32, 5) });
  for (const { at, flipped } of flippedBits(octets)) {
    if (verdict(flipped) === "accepted") t.fail(`byte ${at}`);
  }
  t.equal(verdict(octets), "accepted");
});

t.test("the signature is r and s, the least octet first, with zeros behind", async (t) => {
  const octets = report();
  const big = Buffer.from(octets);
  for (const at of [signedBytes, signedBytes + 72]) big.subarray(at, at + 48).reverse();
  t.match(verdict(big), /^evidenceInvalid: The report's signature/, "the greatest first");
  const swapped = Buffer.concat([
    octets.subarray(0, signedBytes),
    octets.subarray(signedBytes + 72, signedBytes + 144),
    octets.subarray(signedBytes, signedBytes + 72),
    octets.subarray(signedBytes + 144),
  ]);
  t.match(verdict(swapped), /^evidenceInvalid/, "s before r");
  const zero = Buffer.concat([octets.subarray(0, signedBytes), Buffer.alloc(512)]);
  t.match(verdict(zero), /^evidenceInvalid/, "CVE-2022-21449: r and s of zero");
  for (const at of [signedBytes + 48, signedBytes + 71, signedBytes + 143, reportBytes - 1]) {
    const padded = Buffer.from(octets);
    padded[at] = 1;
    t.match(verdict(padded), /^evidenceMalformed: .*signature/, "what nobody signs is zero");
  }
  t.match(verdict(report({ algorithm: 2 })), /^evidenceMalformed/);
  t.match(verdict(report({ signedBy: keysFor("ecdsa-sha384") })), /^evidenceInvalid: The report's signature/);
});

t.test("cut short, extended, empty, or no base64url: malformed", async (t) => {
  const octets = report();
  for (const length of [0, 1, 0x2a0, 1183])
    t.match(verdict(octets.subarray(0, length)), /^evidenceMalformed/, `${length}`);
  t.match(verdict(Buffer.concat([octets, Buffer.of(0)])), /^evidenceMalformed/);
  t.match(verdict(Buffer.alloc(49_152)), /^evidenceMalformed: The evidence has more than 1184 bytes/);
  t.match(
    judged(() => verifySevSnp({ ...itemOf(octets), value: `${text(octets).slice(0, -1)}=` }, settings, trust, context)),
    /^evidenceMalformed/,
  );
});

t.test("debug is refused always, a migration agent unless it is allowed", async (t) => {
  t.equal(verdict(report({ policy: policyOf.debug })), "measurementMismatch: The guest may be debugged by its host");
  t.match(
    verdict(report({ policy: policyOf.debug | policyOf.migration }), { own: { allowMigrationAgent: true } }),
    /debugged/,
  );
  t.equal(
    verdict(report({ policy: policyOf.migration })),
    "measurementMismatch: The guest may be moved by a migration agent",
  );
  t.equal(verdict(report({ policy: policyOf.migration }), { own: { allowMigrationAgent: true } }), "accepted");
});

t.test("privilege levels: 0 alone, unless the source says others", async (t) => {
  t.match(verdict(report({ vmpl: 1 })), /^measurementMismatch: .*privilege level/);
  t.equal(verdict(report({ vmpl: 1 }), { own: { vmpls: [0, 1] } }), "accepted");
  t.match(verdict(report({ vmpl: 0 }), { own: { vmpls: [1] } }), /^measurementMismatch/);
  t.match(
    verdict(report({ vmpl: 0xffffffff }), { own: { vmpls: [0, 1, 2, 3] } }),
    /^measurementMismatch/,
    "asked for by the host",
  );
});

t.test("allow-lists of measurement, host data, keys and chips", async (t) => {
  const other = {
    measurements: "00".repeat(47) + "01",
    hostData: "09".repeat(32),
    idKeyDigests: "09".repeat(48),
    authorKeyDigests: "09".repeat(48),
    chipIds: "09".repeat(64),
  };
  const fields = {
    hostData: Buffer.alloc(32, 5),
    idKeyDigest: Buffer.alloc(48, 6),
    authorKeyDigest: Buffer.alloc(48, 7),
    flags: 1,
  };
  const right = {
    measurements: measurement,
    hostData: "05".repeat(32),
    idKeyDigests: "06".repeat(48),
    authorKeyDigests: "07".repeat(48),
    chipIds: chipId.toString("hex"),
  };
  for (const key of ["measurements", "hostData", "idKeyDigests", "authorKeyDigests", "chipIds"] as const) {
    t.equal(verdict(report(fields), { own: { [key]: [other[key], right[key]] } }), "accepted", key);
    t.match(
      verdict(report(fields), { own: { [key]: [other[key]] } }),
      /^measurementMismatch: A measurement/,
      `${key}: another`,
    );
    if (key !== "measurements" && key !== "chipIds") {
      t.match(
        verdict(report(), { own: { [key]: ["00".repeat(key === "hostData" ? 32 : 48)] } }),
        /^measurementMismatch/,
        `${key}: not set`,
      );
    }
  }
  t.match(
    verdict(report({ ...fields, flags: 0 }), { own: { authorKeyDigests: [right.authorKeyDigests] } }),
    /^measurementMismatch/,
    "an author key that is not enabled",
  );
  t.equal(verdict(report(), { own: { minGuestSvn: 4 } }), "accepted");
  t.match(verdict(report(), { own: { minGuestSvn: 5 } }), /^measurementMismatch: .*security version/);
});

t.test("TCB floor: each component of reported, committed and launch TCB", async (t) => {
  const floor = { bootloader: 11, tee: 12, snp: 13, microcode: 18 };
  const under = (own: Partial<SevSnpSettings>, plan: ReportPlan = {}): string => verdict(report(plan), { own });
  t.equal(under({ minTcb: [{ product: "Milan", ...floor }] }), "accepted");
  for (const name of ["bootloader", "tee", "snp", "microcode"] as const) {
    t.match(
      under({ minTcb: [{ product: "Milan", ...floor, [name]: floor[name] + 1 }] }),
      /^measurementMismatch: The platform's firmware is too old/,
      name,
    );
  }
  const lower = Buffer.from(milan.tcb);
  lower[7] = 17;
  t.match(
    under({ minTcb: [{ product: "Milan", ...floor }] }, { committedTcb: lower }),
    /too old/,
    "it can go back there",
  );
  t.match(under({ minTcb: [{ product: "Milan", ...floor }] }, { launchTcb: lower }), /too old/, "it began there");
  t.match(
    under({ minTcb: [{ product: "Genoa", ...floor }] }),
    /^measurementMismatch: .*product/,
    "others are out then",
  );
  const turinFloor = (fmc: number): string =>
    verdict(report({}, turin), {
      own: { minTcb: [{ product: "Turin", fmc }] },
      endorsements: { vcek: text(turin.vcek) },
    });
  t.equal(turinFloor(19), "accepted");
  t.match(turinFloor(20), /too old/);
});

t.test("the certificate must be of the chip and of every octet of the reported TCB", async (t) => {
  const withLeaf = (plan: ChipPlan, of: ReportPlan = {}): string =>
    verdict(report(of), { endorsements: { vcek: text(milan.certifyChip(plan)) } });
  t.equal(withLeaf({}), "accepted");
  for (const arc of milan.product.tcbLayout) {
    const component = milan.tcb[milan.product.tcbLayout.indexOf(arc)] ?? 0;
    t.match(withLeaf({ tcb: { [arc]: component + 1 } }), /^evidenceInvalid: .*another TCB/, `${arc}`);
  }
  for (let at = 0; at < 8; at++) {
    const reportedTcb = Buffer.from(milan.tcb);
    reportedTcb[at] = (reportedTcb[at] ?? 0) + 1;
    t.match(withLeaf({}, { reportedTcb, committedTcb: milan.tcb }), /^evidenceInvalid: .*another TCB/, `octet ${at}`);
  }
  t.equal(withLeaf({ tcb: { 4: undefined } }), "accepted", "what is absent is 0");
  t.match(withLeaf({ tcb: { 8: undefined } }), /another TCB/, "and no more than 0");
  t.match(withLeaf({ tcb: { 9: 1 } }), /another TCB/, "a component that the product does not have");
  t.match(withLeaf({ tcb: { 8: 256 } }), /^evidenceMalformed/);
  t.match(withLeaf({ hwId: Buffer.alloc(64, 1) }), /^evidenceInvalid: .*another chip/);
  t.match(
    verdict(report({ chipId: Buffer.alloc(64) })),
    /^evidenceInvalid: .*another chip/,
    "a chip that hides itself",
  );
  t.match(withLeaf({ hwId: Buffer.alloc(32) }), /^evidenceMalformed/);
  t.match(withLeaf({ hwId: undefined }), /^evidenceMalformed/, "neither chip nor provider");
  t.match(withLeaf({ csp: cspId }), /^evidenceMalformed/, "both");
  t.match(withLeaf({ productName: "Genoa" }), /^evidenceInvalid: .*another product than its root/);
  t.match(withLeaf({ productName: "Milano" }), /^evidenceInvalid/);
  t.match(withLeaf({ extensions: [] }), /^evidenceMalformed/);
  const p256 = keysFor("ecdsa-sha256");
  t.match(
    verdict(report({ signedBy: p256 }), { endorsements: { vcek: text(milan.certifyChip({ keys: p256 })) } }),
    /^evidenceInvalid: The report's signature/,
  );
});

t.test("provider keys (VLEK): only of providers that the source names, and never in place of a chip's", async (t) => {
  const flags = 1 << 2;
  const masked = { flags, chipId: Buffer.alloc(64) };
  const endorsements = { vlek: text(milan.vlek) };
  const own = { cspIds: [cspId] };
  t.equal(verdict(report(masked), { own, endorsements }), "accepted");
  const { claims, instance } = verifySevSnp(
    itemOf(report(masked), endorsements),
    { ...settings, ...own },
    trust,
    context,
  );
  t.match(claims, { cspId, productName: "Milan" });
  t.notOk("chipId" in claims);
  t.equal(instance, `${"00".repeat(64)}/${"1d".repeat(32)}`);
  t.match(verdict(report(masked), { endorsements }), /^measurementMismatch: .*provider/, "none unless said");
  t.match(verdict(report(masked), { own: { cspIds: ["CN=other.example"] }, endorsements }), /^measurementMismatch/);
  t.match(
    verdict(report({ flags }), { own, endorsements }),
    /^evidenceInvalid: .*another chip/,
    "the chip shows itself",
  );
  t.match(
    verdict(report({ chipId: Buffer.alloc(64) }), { own, endorsements }),
    /^evidenceInvalid: .*another kind/,
    "the report says VCEK",
  );
  t.match(verdict(report({ flags }), { own }), /^evidenceInvalid: .*another kind/, "the report says VLEK");
  t.match(verdict(report({ flags: 2 << 2 })), /^evidenceMalformed: .*no key/);
  t.match(verdict(report({ flags: 7 << 2 })), /^evidenceMalformed: .*no key/);
  t.match(verdict(report({ flags: 1 << 5 })), /^evidenceMalformed: .*flags/);

  const underAsk = milan.ask.certify({
    subject: "SEV-VLEK",
    keys: milan.keys,
    extensions: readCertificate(milan.vlek, { lenient: true }).extensions,
  });
  t.match(
    verdict(report(masked), { own, endorsements: { vlek: text(underAsk) } }),
    /^evidenceInvalid: .*CA for other certificates/,
    "under the ASK",
  );
  const underAsvk = milan.asvk.certify({
    subject: "SEV-VCEK",
    keys: milan.keys,
    extensions: readCertificate(milan.vcek, { lenient: true }).extensions,
  });
  t.match(
    verdict(report(), { endorsements: { vcek: text(underAsvk) } }),
    /^evidenceInvalid: .*CA for other certificates/,
    "a chip's under the ASVK",
  );
});

t.test("chain: to a pinned root only, by the source's certificates or those that come along", async (t) => {
  const sent = (vcek: Buffer, ...chain: Buffer[]) => ({ vcek: text(vcek), chain: chain.map(text) });
  const only = { ...trust, authorities: [] };
  const { vcek, ask, ark } = milan;
  t.equal(verdict(report(), { endorsements: sent(vcek, ask.certificate, ark.certificate), anchors: only }), "accepted");
  t.equal(verdict(report(), { endorsements: sent(vcek, ask.certificate) }), "accepted", "the root is the source's");
  t.match(
    verdict(report(), { endorsements: sent(vcek, ask.certificate), anchors: only }),
    /^evidenceInvalid: .*does not end in a root/,
  );
  t.match(verdict(report(), { anchors: only }), /^evidenceInvalid: .*does not end in a root/, "nothing at hand");
  t.match(verdict(report(), { anchors: trusting(turin) }), /^evidenceInvalid/, "another root");
  t.match(
    verdict(report(), { endorsements: sent(vcek, ark.certificate, ask.certificate) }),
    /^evidenceInvalid/,
    "swapped",
  );
  t.match(
    verdict(report(), { endorsements: sent(vcek, turin.ask.certificate, turin.ark.certificate) }),
    /^evidenceInvalid/,
    "of another product",
  );
  t.match(
    verdict(report(), { endorsements: sent(ask.certificate, ark.certificate) }),
    /^evidenceInvalid/,
    "a CA's certificate",
  );
  t.match(
    verdict(report(), { endorsements: sent(vcek, ask.certificate, ark.certificate, ark.certificate) }),
    /^evidenceMalformed: .*more than 2/,
  );
  t.match(verdict(report(), { endorsements: { vcek: text(vcek), chain: "*" } }), /^evidenceMalformed/);
  t.match(
    verdict(report(), { endorsements: { vcek: text(vcek), vlek: text(milan.vlek) } }),
    /^evidenceMalformed: .*exclude/,
  );
  t.match(verdict(report(), { endorsements: { vcek: [text(vcek)] } }), /^evidenceMalformed/);
  t.match(verdict(report(), { endorsements: { vcek: text(Buffer.alloc(16_385)) } }), /^evidenceMalformed/);
  t.match(verdict(report(), { endorsements: {} }), /^evidenceInvalid: No certificate/);
  // A Milan leaf under a CA of Turin's root, name for name.
  const crossed = turin.ask.certify({
    subject: "SEV-VCEK",
    keys: milan.keys,
    extensions: readCertificate(vcek, { lenient: true }).extensions,
  });
  t.match(verdict(report(), { endorsements: { vcek: text(crossed) } }), /^evidenceInvalid: .*another product/);
  const fake = snpPlatform("Milan");
  t.match(
    verdict(report({}, fake), { endorsements: sent(fake.vcek, fake.ask.certificate, fake.ark.certificate) }),
    /^evidenceInvalid/,
    "a maker of one's own",
  );
});

t.test("every certificate must be valid now", async (t) => {
  const at = (now: Date): string => verdict(report(), { context: { now } });
  t.equal(at(notBefore), "accepted");
  t.equal(at(notAfter), "accepted");
  t.match(at(new Date(notBefore.getTime() - 1000)), /^evidenceExpired/);
  t.match(at(new Date(notAfter.getTime() + 1000)), /^evidenceExpired/);
  const old = milan.certifyChip({ notAfter: new Date(foreignNow.getTime() - 1000) });
  t.match(verdict(report(), { endorsements: { vcek: text(old) } }), /^evidenceExpired/);
});

t.test("a source with files: chain, certificates of chips, revocation lists", async (t) => {
  const dir = t.testdir({ signers: {} });
  const write = (name: string, content: Buffer | string): string => {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  };
  const pem = (...certificates: Buffer[]): string =>
    certificates.map((certificate) => pemEncode("CERTIFICATE", certificate)).join("");
  const roots = [{ product: "Milan" as const, sha256: fingerprintOf(milan.ark.certificate) }];
  const chain = write("milan.pem", pem(milan.ask.certificate, milan.asvk.certificate, milan.ark.certificate));
  const own = { ...settings, roots, certificateChainFiles: [chain] };
  const surroundings = { fetchBody: async () => Buffer.of(), now: () => foreignNow, trustDomain: "example.org" };
  const through = async (
    more: Partial<SevSnpSettings>,
    endorsements: EvidenceItem["endorsements"] = { vcek: text(milan.vcek) },
    octets = report(),
  ): Promise<string> => {
    try {
      await openSource({ ...own, ...more }, surroundings).verify(itemOf(octets, endorsements), context);
      return "accepted";
    } catch (error) {
      return error instanceof EvidenceRefused || error instanceof SourceUnavailable
        ? `${error.name}: ${error.message}`
        : String(error);
    }
  };
  t.equal(await through({}), "accepted");
  t.match(
    await through({ roots: [{ product: "Turin", sha256: fingerprintOf(turin.ark.certificate) }] }),
    /expected an ARK that is one of the source's roots/,
  );
  t.match(await through({ certificateChainFiles: [join(dir, "none.pem")] }), /none\.pem: ENOENT/);
  t.match(await through({ certificateChainFiles: [write("odd.pem", "odd")] }), /odd\.pem: /);

  const signers = join(dir, "signers");
  write("signers/chip.der", milan.vcek);
  write("signers/other.pem", pem(milan.certifyChip({ hwId: Buffer.alloc(64, 9) })));
  write("signers/later.crt", milan.certifyChip({ tcb: { 8: 19 } }));
  write("signers/provider.cer", milan.vlek);
  write("signers/a-provider.cer", snpPlatform("Milan").vlek); // Fits as well, but its key signed nothing of ours.
  write("signers/README.txt", "not a certificate");
  t.equal(await through({ certificateDirectory: signers }, {}), "accepted", "found by chip and TCB");
  t.match(
    await through({ certificateDirectory: signers }, {}, report({ chipId: Buffer.alloc(64, 8) })),
    /No certificate of the key/,
  );
  const masked = report({ flags: 1 << 2, chipId: Buffer.alloc(64) });
  t.equal(await through({ certificateDirectory: signers, cspIds: [cspId] }, {}, masked), "accepted", "a provider's");
  mkdirSync(join(dir, "broken"));
  write("broken/x.der", "x");
  t.match(await through({ certificateDirectory: join(dir, "broken") }), /x\.der: /);

  const list = (serials: Buffer[], plan = {}): Buffer => milan.revocationList(serials, plan);
  const day = 86_400_000;
  const withList = (content: Buffer | string): Promise<string> => through({ crlFiles: [write("milan.crl", content)] });
  t.equal(await withList(list([])), "accepted");
  t.equal(await withList(pemEncode("X509 CRL", list([Buffer.of(7)]))), "accepted", "PEM");
  t.match(
    await withList(list([Buffer.of(7), askSerial])),
    /EvidenceRefused: A certificate of the chain was revoked/,
    "the ASK",
  );
  t.match(
    await withList(list([], { nextUpdate: new Date(foreignNow.getTime() - 1000) })),
    /SourceUnavailable: .*not of this time/,
    "expired: nothing is accepted, and nothing fails for good",
  );
  t.match(
    await withList(
      list([], {
        thisUpdate: new Date(foreignNow.getTime() + day),
        nextUpdate: new Date(foreignNow.getTime() + 2 * day),
      }),
    ),
    /SourceUnavailable/,
  );
  t.match(await withList(list([], { signedBy: turin.ark })), /SourceUnavailable: .*not signed by its issuer/);
  t.match(
    await withList(turin.revocationList([])),
    /SourceUnavailable: no revocation list of the root/,
    "of another root",
  );
  for (const { flipped } of flippedBits(list([askSerial]), { start: 10, stride: 9 })) {
    const verdictOfFlipped = await withList(flipped);
    if (verdictOfFlipped === "accepted") t.fail("a flipped bit");
  }
  t.match(await withList("nothing"), /milan\.crl: /);

  const file = write("fresh.crl", list([]));
  const listed: SevSnpSettings = { ...own, crlFiles: [file] };
  const source = openSource(listed, surroundings);
  await source.verify(itemOf(report()), context);
  write("fresh.crl", list([askSerial]));
  await t.rejects(
    source.verify(itemOf(report()), context),
    { code: "evidenceInvalid" },
    "it is read again when it changes",
  );
  write("fresh.crl", "half");
  await t.rejects(source.verify(itemOf(report()), context), { name: "SourceUnavailable" });
  write("fresh.crl", list([]));
  await t.resolves(source.verify(itemOf(report()), context));
});

t.test("a root that may not sign revocation lists has none", async (t) => {
  const extensions = (...usages: KeyUsage[]) => [basicConstraints({ cA: true }), keyUsage(usages)];
  const file = join(t.testdir({}), "milan.crl");
  writeFileSync(file, milan.revocationList([]));
  const chainUnder = (...usages: KeyUsage[]) =>
    [
      milan.ask.certificate,
      foreignRoot("ARK-Milan", "pss-sha384", { keys: milan.ark.keys, extensions: extensions(...usages) }).certificate,
    ].map((certificate) => readCertificate(certificate, { lenient: true }));
  const lists = openRevocationLists([file]);
  t.doesNotThrow(() => lists.requireUnrevoked(chainUnder("keyCertSign", "cRLSign"), foreignNow));
  t.throws(() => lists.requireUnrevoked(chainUnder("keyCertSign"), foreignNow), { name: "SourceUnavailable" });
});

t.test("settings: what cannot work or must not is refused at start", async (t) => {
  const refused: readonly (readonly [Partial<SevSnpSettings>, RegExp])[] = [
    [{ measurements: ["00".repeat(48)] }, /measurements: .*expected no zeros/],
    [{ hostData: ["00".repeat(32)] }, /hostData: .*expected no zeros/],
    [{ chipIds: ["00".repeat(64)] }, /chipIds: .*expected no zeros/],
    [
      { minTcb: [{ product: "Milan" }, { product: "Milan" }] },
      /minTcb\[1\].product: "Milan": expected each product once/,
    ],
    [{ minTcb: [{ product: "Milan", fmc: 1 }] }, /minTcb\[0\].fmc: 1: expected it for Turin alone/],
  ];
  for (const [changes, message] of refused) t.throws(() => checkSource({ ...settings, ...changes }), message);
  t.doesNotThrow(() => checkSource(settings));
  t.same(
    [...rootsOf({}).values()].map(({ name }) => name),
    ["Milan", "Genoa", "Turin"],
    "AMD's own roots unless others are named",
  );
});

t.test("without an allow-list a grant must name what tells whose guest it is", async (t) => {
  const grants = (own: Partial<SevSnpSettings>, claim?: string) =>
    parseGrants(
      [
        {
          name: "checkout",
          spiffeId: "spiffe://example.org/guest/{reportId}",
          source: "guests",
          minBinding: "nonce",
          profile: "workload",
          conditions: claim === undefined ? [] : [{ claim, equals: "00" }],
        },
      ],
      {
        trustDomain: "example.org",
        sources: new Map([["guests", sourceFacts({ ref: "guests", format: "sev-snp", ...own })]]),
        profiles: new Map([["workload", { identifiers: ["uri"], lifetimeMinSeconds: 60, lifetimeMaxSeconds: 3600 }]]),
      },
    );
  t.throws(() => grants({}), /what tells yours.*measurement, hostData, idKeyDigest, authorKeyDigest, chipId/);
  t.throws(() => grants({}, "productName"), /what tells yours/);
  t.doesNotThrow(() => grants({}, "measurement"));
  t.doesNotThrow(() => grants({ measurements: [measurement] }));
});

/** Real reports: their REPORT_DATA is none of ours, so it is the expected one. */
const samples = evidenceSamples().filter(({ format }) => format === "sev-snp");
interface Real {
  readonly octets: Buffer;
  readonly item: Pick<EvidenceItem, "endorsements">;
  readonly data: Buffer;
  readonly trust: SnpTrust;
  readonly settings: SevSnpSettings;
}
function real(sample: EvidenceSample): Real {
  const { report: file = "", leaf = "", ca = "" } = sample.files as unknown as Record<string, string>;
  const raw = evidenceFile(file);
  const octets = file.endsWith(".hex") ? Buffer.from(raw.toString("latin1").trim(), "hex") : raw;
  const vlek = leaf.endsWith(".vlek.der");
  return {
    octets,
    item: { endorsements: { [vlek ? "vlek" : "vcek"]: text(evidenceFile(leaf)) } },
    data: Buffer.from(String(sample.expect?.["report_data"]), "hex"),
    trust: {
      roots: rootsOf({}),
      authorities: readPemCertificates(evidenceFile(ca).toString("latin1")),
      signers: [],
      revocation: undefined,
      verified: createLru(64),
    },
    settings: {
      ref: "guests",
      format: "sev-snp",
      ...(vlek && { vmpls: [1], cspIds: ["CN=cc-us-east-2.amazonaws.com"] }),
    },
  };
}

t.test("real reports: accepted at their instant, or refused for what they are", withEvidence, async (t) => {
  t.ok(samples.length >= 5);
  for (const sample of samples) {
    const { octets, item, data, trust: amd, settings: own } = real(sample);
    const now = new Date(sample.verifyAt ?? "");
    const said = judged(() => verifySnpReport(octets, item, data, own, amd, now));
    if (sample.result === "reject") {
      t.equal(said, "measurementMismatch: The guest may be debugged by its host", sample.id);
      continue;
    }
    t.equal(said, "accepted", sample.id);
    const { report: read } = verifySnpReport(octets, item, data, own, amd, now);
    const expect = sample.expect ?? {};
    t.match(
      {
        version: read.version,
        guest_svn: read.guestSvn,
        vmpl: read.vmpl,
        measurement: read.measurement.toString("hex"),
        host_data: read.hostData.toString("hex"),
        chip_id: read.chipId.toString("hex"),
        policy: `0x${read.policy.toString(16)}`,
      },
      Object.fromEntries(
        ["version", "guest_svn", "vmpl", "measurement", "host_data", "chip_id", "policy"].map((name) => [
          name,
          expect[name],
        ]),
      ),
    );
  }
});

for (const sample of samples.filter(({ result }) => result === "accept")) {
  t.test(`real report ${sample.id}: window, root, bits, key and floor`, async (t) => {
    const { octets, item, data, trust: amd, settings: own } = real(sample);
    const now = new Date(sample.verifyAt ?? "");
    const under = (
      of: Buffer,
      changes: { now?: Date; own?: Partial<SevSnpSettings>; trust?: SnpTrust; item?: Real["item"]; data?: Buffer } = {},
    ): string =>
      judged(() =>
        verifySnpReport(
          of,
          changes.item ?? item,
          changes.data ?? data,
          { ...own, ...changes.own },
          changes.trust ?? amd,
          changes.now ?? now,
        ),
      );
    const at = (iso: string | undefined, ms: number): Date => new Date(new Date(iso ?? "").getTime() + ms);
    t.equal(under(octets, { now: at(sample.validFrom, 0) }), "accepted");
    t.equal(under(octets, { now: at(sample.validUntil, 0) }), "accepted");
    t.match(under(octets, { now: at(sample.validFrom, -1000) }), /^evidenceExpired/);
    t.match(under(octets, { now: at(sample.validUntil, 1000) }), /^evidenceExpired/);
    t.match(under(octets, { trust }), /^evidenceInvalid/, "another root");
    t.match(under(octets, { data: reportData }), /^bindingMismatch/);
    t.match(under(octets, { own: { vmpls: [3] } }), /^measurementMismatch/);
    t.match(under(octets, { own: { measurements: [measurement] } }), /^measurementMismatch/);
    t.equal(under(octets, { own: { measurements: [String(sample.expect?.["measurement"])] } }), "accepted");
    const product = sample.id.includes("genoa") ? ("Genoa" as const) : ("Milan" as const);
    t.match(under(octets, { own: { minTcb: [{ product, microcode: 255 }] } }), /^measurementMismatch: .*too old/);
    t.match(under(octets.subarray(0, -1)), /^evidenceMalformed/);
    t.match(under(Buffer.concat([octets, Buffer.of(0)])), /^evidenceMalformed/);
    for (const { at: place, flipped } of flippedBits(octets)) {
      const refused = under(flipped);
      if (refused === "accepted") t.fail(`byte ${place}`);
    }
    for (const other of samples.filter(({ id }) => id !== sample.id)) {
      const { item: foreign, trust: foreignTrust } = real(other);
      const both = { ...amd, authorities: [...amd.authorities, ...foreignTrust.authorities] };
      t.match(
        under(octets, { item: foreign, trust: both }),
        /^evidence(Invalid|Expired)/,
        `with the certificate of ${other.id}`,
      );
    }
  });
}
