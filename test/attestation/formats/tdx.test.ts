import { writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { Value } from "typebox/value";
import { createLru } from "../../../src/cache/lru.ts";
import { type EvidenceItem, EvidenceRefused, SourceUnavailable } from "../../../src/attestation/evidence.ts";
import { appraiseTdx, tdxFormat, type TdxSettings, verifyTdx } from "../../../src/attestation/formats/tdx.ts";
import type { VerifiedCollateral } from "../../../src/attestation/tdx/collateral.ts";
import { formatNamed, sourceSchemaOf } from "../../../src/attestation/registry.ts";
import { issue, newKey } from "../../support/platformCertificates.ts";
import {
  type CollateralWishes,
  goodQeIdentity,
  goodTcbInfo,
  platformPceSvn,
  platformSvns,
  type QuoteWishes,
  tcbLevel,
  tdxCollateral,
  tdxNow,
  tdxPlatform,
  tdxQuote,
  zero48,
  zeroSvns,
} from "../../support/tdxPlatform.ts";
import { evidenceFile, evidenceSamples, withEvidence } from "../../support/sharedEvidence.ts";
import { context as anyContext } from "../testIssuer.ts";

const platform = tdxPlatform();
const other = tdxPlatform();
const context = { ...anyContext, now: tdxNow };
const bound = Buffer.concat([Buffer.from(context.binding ?? "", "base64url"), Buffer.alloc(32)]);
const settings: TdxSettings = { ref: "tdx", format: "tdx", rootSha256: platform.rootSha256 };

const itemOf = (quote: Buffer, collateral?: string): EvidenceItem => ({
  format: "tdx",
  ref: "tdx",
  value: quote.toString("base64url"),
  ...(collateral !== undefined && { endorsements: { collateral } }),
});
const goodCollateral = tdxCollateral(platform);

interface Showing {
  readonly quote?: QuoteWishes;
  readonly collateral?: CollateralWishes;
  readonly settings?: Partial<TdxSettings>;
  readonly now?: Date;
}
const show = ({ quote, collateral, now = tdxNow, ...changed }: Showing = {}) =>
  verifyTdx(
    itemOf(
      tdxQuote(platform, { reportData: bound, ...quote }),
      collateral === undefined ? goodCollateral : tdxCollateral(platform, collateral),
    ),
    { ...settings, ...changed.settings },
    {},
    { ...context, now },
  );

/** "code: message" of the refusal; anything else that happens fails the test. */
async function refusal(verification: Promise<unknown>): Promise<string> {
  try {
    await verification;
    return "accepted";
  } catch (error) {
    if (error instanceof EvidenceRefused) return `${error.code}: ${error.message}`;
    throw error;
  }
}

t.test("a quote of version 4 or 5 yields measurements, attributes and TCB, and is bound", async (t) => {
  for (const version of [4, 5] as const) {
    const evidence = await show({ quote: { version } });
    t.equal(evidence.bindingLevel, "nonce");
    t.match(evidence.claims, {
      mrTd: "91".repeat(48),
      mrSeam: "5b".repeat(48),
      mrConfigId: zero48,
      rtmr0: "44".repeat(48),
      rtmr2: "d8".repeat(48),
      rtmr3: zero48,
      tdAttributes: "0000001000000000",
      xfam: "e702060000000000",
      fmspc: "c0ffee000000",
      ppid: "a1".repeat(16),
      platformInstanceId: "b2".repeat(16),
      quoteVersion: version,
      tcbStatus: "UpToDate",
      tdxModuleTcbStatus: "UpToDate",
      qeTcbStatus: "UpToDate",
      tcbEvaluationDataNumber: 18,
    });
    t.equal(Object.hasOwn(evidence.claims, "mrServiceTd"), version === 5);
    for (const name of Object.keys(evidence.claims)) t.ok(tdxFormat.claimNames?.includes(name), name);
    t.same(evidence.expires, new Date("2026-12-19T00:00:00Z"), "the first part of the collateral to end");
    t.equal(evidence.instance, undefined, "a quote names no running domain");
  }
});

t.test("version 5 with the body of TDX 1.0", async (t) => {
  const { claims } = await show({ quote: { version: 5, descriptor: [2, 584] } });
  t.match(claims, { quoteVersion: 5, mrTd: "91".repeat(48) });
  t.notOk(Object.hasOwn(claims, "mrServiceTd"));
  t.match(await refusal(show({ quote: { version: 5, descriptor: [2, 648] } })), /^evidenceMalformed: .*another size/);
});

t.test("report_data is the binding value and zeroes behind it", async (t) => {
  const wrong = Buffer.from(bound);
  wrong[0] = (wrong[0] ?? 0) ^ 1;
  const more = Buffer.from(bound);
  more[63] = 1;
  t.match(await refusal(show({ quote: { reportData: wrong } })), /^bindingMismatch/);
  t.match(await refusal(show({ quote: { reportData: more } })), /^bindingMismatch/);
  t.match(await refusal(show({ quote: { reportData: Buffer.alloc(64) } })), /^bindingMissing/);
  const unbound = { ...context, binding: undefined };
  const item = itemOf(tdxQuote(platform, { reportData: bound }), goodCollateral);
  t.match(await refusal(verifyTdx(item, settings, {}, unbound)), /^bindingMissing/);
});

t.test("a domain under debugging, test or another's control is refused", async (t) => {
  const attributes = (text: string): Showing => ({ quote: { body: (body) => void body.write(text, 120, "hex") } });
  for (const [text, message] of [
    ["0100001000000000", /under debugging/],
    ["1000001000000000", /under debugging/],
    ["0001001000000000", /reserved attributes/],
    ["0000001001000000", /reserved attributes/],
    ["0000003000000000", /moved to another platform/],
  ] as const) {
    t.match(await refusal(show(attributes(text))), message, text);
    t.match(await refusal(show(attributes(text))), /^measurementMismatch/);
  }
  t.equal(await refusal(show({ ...attributes("0000003000000000"), settings: { allowMigratable: true } })), "accepted");
  t.equal(await refusal(show(attributes("000000d800000080"))), "accepted", "LASS, PKS, KL, PERFMON");
  for (const at of [64, 111, 112]) {
    const said = await refusal(show({ quote: { body: (body) => void (body[at] = 1) } }));
    t.match(said, /^measurementMismatch: .*module is not Intel's/, `octet ${at}`);
  }
});

t.test("a source may limit every measurement", async (t) => {
  for (const [name, value] of Object.entries({
    mrTd: "91",
    mrSeam: "5b",
    rtmr0: "44",
    rtmr1: "00",
    mrConfigId: "00",
  })) {
    const accepted = value.repeat(48);
    t.equal(await refusal(show({ settings: { [name]: ["ff".repeat(48), accepted] } })), "accepted", name);
    t.match(
      await refusal(show({ settings: { [name]: ["ff".repeat(48)] } })),
      new RegExp(`^measurementMismatch: .*${name}`),
    );
  }
  t.ok(tdxFormat.tenantClaims?.(settings)?.includes("mrTd"), "a grant must ask for something of the domain's own");
  t.equal(tdxFormat.tenantClaims?.({ ...settings, mrTd: ["91".repeat(48)] }), undefined, "or the source does");
  t.ok(tdxFormat.tenantClaims?.({ ...settings, mrSeam: ["5b".repeat(48)] }), "a module is everybody's");
});

t.test("header and sizes", async (t) => {
  for (const [what, quote, message] of [
    ["version 3", { header: (h: Buffer) => void h.writeUInt16LE(3, 0) }, /^evidenceInvalid: .*version 4 or 5/],
    ["SGX", { header: (h: Buffer) => void h.writeUInt32LE(0, 4) }, /^evidenceInvalid: .*not of a TDX/],
    ["P-384", { header: (h: Buffer) => void h.writeUInt16LE(3, 2) }, /^evidenceInvalid: .*P-256/],
    [
      "another vendor",
      { header: (h: Buffer) => void h.fill(1, 12, 28) },
      /^evidenceInvalid: .*Intel's quoting enclave/,
    ],
    ["SGX body", { version: 5, descriptor: [1, 384] }, /^evidenceInvalid: .*not that of a TDX/],
    ["wrong size", { version: 5, descriptor: [3, 584] }, /^evidenceMalformed: .*another size/],
    ["slack", { slack: Buffer.alloc(1) }, /^evidenceMalformed: .*longer than its parts/],
    ["oversize", { trailing: Buffer.alloc(16_384) }, /^evidenceMalformed: .*more than 16384 bytes/],
    ["trailing", { trailing: Buffer.from([0, 0, 1]) }, /^evidenceMalformed: .*other than zero follow/],
  ] as const satisfies (readonly [string, QuoteWishes, RegExp])[]) {
    t.match(await refusal(show({ quote })), message, what);
  }
  t.equal(await refusal(show({ quote: { trailing: Buffer.alloc(3065) } })), "accepted", "the buffer of a provider");
  const quote = tdxQuote(platform, { reportData: bound });
  for (let length = 0; length < quote.length; length += 97) {
    t.match(
      await refusal(verifyTdx(itemOf(quote.subarray(0, length), goodCollateral), settings, {}, context)),
      /^evidenceMalformed/,
    );
  }
  t.match(
    await refusal(verifyTdx(itemOf(quote.subarray(0, -1), goodCollateral), settings, {}, context)),
    /^evidenceMalformed/,
  );
  t.match(await refusal(verifyTdx({ ...itemOf(quote), value: "AA=" }, settings, {}, context)), /^evidenceMalformed/);
});

t.test("signatures lead from the quote to the pinned root", async (t) => {
  for (const [what, quote, message] of [
    ["another attestation key", { quoteKey: newKey() }, /quote's signature does not verify/],
    ["another PCK key", { pckKey: newKey() }, /quoting enclave's report does not verify/],
    ["a key that is not vouched for", { qeReport: (r: Buffer) => void (r[320] = (r[320] ?? 0) ^ 1) }, /does not vouch/],
    ["octets behind the hash", { qeReport: (r: Buffer) => void (r[383] = 1) }, /does not vouch/],
    ["another platform's PCK", { chain: [other.pck, platform.ca, platform.root] }, /./],
    ["another root", { chain: [other.pck, other.ca, other.root], pckKey: other.pck.key }, /does not end in a root/],
    ["no root", { chain: [platform.pck, platform.ca] }, /does not end in a root/],
    ["in another order", { chain: [platform.pck, platform.root, platform.ca] }, /./],
    [
      "a PCK directly below the root",
      { chain: [platform.signer, platform.root], pckKey: platform.signer.key },
      /three certificates/,
    ],
    ["the signer of collateral as PCK", { chain: [issue({ commonName: "x", issuer: platform.ca, key: platform.signer.key }), platform.ca, platform.root], pckKey: platform.signer.key }, /no PCK certificate/], // prettier-ignore
  ] as const satisfies (readonly [string, QuoteWishes, RegExp])[]) {
    const said = await refusal(show({ quote }));
    t.match(said, /^evidenceInvalid/, what);
    t.match(said, message, what);
  }
  t.match(await refusal(show({ quote: { chain: [] } })), /^evidenceMalformed: .*not PEM/);
  t.match(await refusal(show({ settings: { rootSha256: other.rootSha256 } })), /^evidenceInvalid/);
  t.match(await refusal(verifyTdx(itemOf(tdxQuote(platform), goodCollateral), { ref: "tdx", format: "tdx" }, {}, context)), /^evidenceInvalid: .*root/, "Intel's root unless said"); // prettier-ignore
  t.match(await refusal(show({ now: new Date("2049-02-01T00:00:00Z") })), /^evidenceExpired/);
});

t.test("one flipped bit anywhere in the quote", async (t) => {
  for (const version of [4, 5] as const) {
    const quote = tdxQuote(platform, { version, reportData: bound });
    const good = await verifyTdx(itemOf(quote, goodCollateral), settings, {}, context);
    for (let bit = version; bit < quote.length * 8; bit += 41) {
      const bent = Buffer.from(quote);
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const said = await refusal(verifyTdx(itemOf(bent, goodCollateral), settings, {}, context));
      if (said !== "accepted") continue;
      // White space and the like of the chain's PEM is not signed.
      const again = await verifyTdx(itemOf(bent, goodCollateral), settings, {}, context);
      t.same([again.claims, again.oneTimeId], [good.claims, good.oneTimeId], `bit ${bit} of version ${version}`);
      t.ok(bit >> 3 > 1300, `bit ${bit} of version ${version} is none of the signed ones`);
    }
  }
});

t.test("collateral: signatures, signers and dates", async (t) => {
  const stranger = issue({ commonName: "Intel SGX TCB Signing", issuer: other.root });
  const misnamed = issue({ commonName: "PCK of the tests", issuer: platform.root });
  const indirect = issue({ commonName: "Intel SGX TCB Signing", issuer: platform.ca });
  for (const [what, collateral, message] of [
    ["another root's signer", { signer: stranger, signerChain: [stranger, other.root] }, /^evidenceInvalid: .*root/],
    ["a chain that does not fit", { signer: stranger }, /^evidenceInvalid/],
    [
      "another key",
      { signer: stranger, signerChain: [platform.signer, platform.root] },
      /^evidenceInvalid: A signature of the collateral/,
    ],
    ["another name", { signer: misnamed }, /^evidenceInvalid: .*TCB signing certificate/],
    [
      "not directly below the root",
      { signer: indirect, signerChain: [indirect, platform.ca, platform.root] },
      /^evidenceInvalid: .*TCB signing certificate/,
    ],
    [
      "the PCK itself",
      { signer: platform.pck, signerChain: [platform.pck, platform.ca, platform.root] },
      /^evidenceInvalid: .*TCB signing certificate/,
    ],
    ["no chain", { members: { tcb_info_issuer_chain: "" } }, /^evidenceMalformed: .*no chain/],
    [
      "another signature",
      { members: { tcb_info_signature: "0".repeat(128) } },
      /^evidenceInvalid: A signature of the collateral/,
    ],
    ["a short signature", { members: { qe_identity_signature: "00" } }, /^evidenceMalformed: .*64 octets/],
    ["no QE identity", { members: { qe_identity: undefined } }, /^evidenceMalformed: .*qe_identity/],
    ["TCB info of yesterday's month", { tcbInfo: { nextUpdate: "2026-11-26T11:59:59Z" } }, /^evidenceExpired/],
    ["TCB info of tomorrow", { tcbInfo: { issueDate: "2026-11-26T12:00:01Z" } }, /^evidenceExpired/],
    ["QE identity of yesterday's month", { qeIdentity: { nextUpdate: "2026-11-26T11:59:59Z" } }, /^evidenceExpired/],
    ["SGX TCB info", { tcbInfo: { id: "SGX" } }, /^evidenceInvalid: .*about TDX/],
    ["SGX QE", { qeIdentity: { id: "QE" } }, /^evidenceInvalid: .*TDX/],
    ["version 2", { tcbInfo: { version: 2 } }, /^evidenceInvalid/],
    ["another FMSPC", { tcbInfo: { fmspc: "00906EA10000" } }, /^evidenceInvalid: .*another kind of platform/],
    ["another PCE", { tcbInfo: { pceId: "0001" } }, /^evidenceInvalid: .*another kind of platform/],
    ["no FMSPC", { tcbInfo: { fmspc: "zz" } }, /^evidenceMalformed: .*no usable fmspc/],
    ["levels that are none", { tcbInfo: { tcbLevels: {} } }, /^evidenceMalformed: .*no usable tcbLevels/],
    [
      "15 components",
      { tcbInfo: { tcbLevels: [tcbLevel(zeroSvns.slice(1), zeroSvns, 0, "UpToDate")] } },
      /^evidenceMalformed/,
    ],
    ["an unknown status", { tcbInfo: { tcbLevels: [tcbLevel(zeroSvns, zeroSvns, 0, "Fine")] } }, /^evidenceMalformed/],
    [
      "101 levels",
      { tcbInfo: { tcbLevels: Array.from({ length: 101 }, () => goodTcbInfo.tcbLevels[0]) } },
      /^evidenceMalformed/,
    ],
  ] as const satisfies (readonly [string, CollateralWishes, RegExp])[]) {
    t.match(await refusal(show({ collateral })), message, what);
  }
  const quote = tdxQuote(platform, { reportData: bound });
  for (const [what, text] of [
    ["none", undefined],
    ["empty", ""],
    ["no object", "[]"],
    ["twice", goodCollateral.replace('"tcb_info":', '"tcb_info":"","tcb_info":')],
    ["huge", `{"x":"${"x".repeat(200_000)}"}`],
    ["deep", "[".repeat(5000)],
  ] as const) {
    t.match(await refusal(verifyTdx(itemOf(quote, text), settings, {}, context)), /^evidence(Malformed|Invalid)/, what);
  }
  t.equal(await refusal(show({ settings: { minTcbEvaluationDataNumber: 18 } })), "accepted");
  t.match(await refusal(show({ settings: { minTcbEvaluationDataNumber: 19 } })), /^measurementMismatch: .*evaluation/);
  t.match(await refusal(show({ settings: { minTcbEvaluationDataNumber: 18 }, collateral: { qeIdentity: { tcbEvaluationDataNumber: 17 } } })), /^measurementMismatch/); // prettier-ignore
});

t.test("one flipped bit in the signed texts, their signatures or the revocation lists of the collateral", async (t) => {
  const members = JSON.parse(goodCollateral) as Record<string, string>;
  const quote = tdxQuote(platform, { reportData: bound });
  const verify = (changed: Record<string, string>) =>
    refusal(verifyTdx(itemOf(quote, JSON.stringify({ ...members, ...changed })), settings, {}, context));
  t.equal(await verify({}), "accepted");
  for (const name of ["tcb_info", "qe_identity"]) {
    const text = Buffer.from(members[name] ?? "");
    for (let at = 0; at < text.length; at += 29) {
      const bent = Buffer.from(text);
      bent[at] = (bent[at] ?? 0) ^ 2;
      t.match(await verify({ [name]: bent.toString("latin1") }), /^evidence(Invalid|Malformed)/, `${name} ${at}`);
    }
  }
  for (const name of ["tcb_info_signature", "qe_identity_signature", "root_ca_crl", "pck_crl"]) {
    const octets = Buffer.from(members[name] ?? "", "hex");
    for (let bit = 0; bit < octets.length * 8; bit += 43) {
      const bent = Buffer.from(octets);
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      t.match(await verify({ [name]: bent.toString("hex") }), /^evidence(Invalid|Malformed|Expired)/, `${name} ${bit}`);
    }
  }
});

t.test("revocation lists: flipped, empty, stale, another's, and what they revoke", async (t) => {
  const stale = { nextUpdate: new Date("2026-11-26T11:59:59Z") };
  const early = { thisUpdate: new Date("2026-11-26T12:00:01Z") };
  const partial = { oid: "2.5.29.28", critical: true, value: Buffer.from("3000", "hex") };
  for (const [what, collateral, message] of [
    ["empty PCK list", { members: { pck_crl: "" } }, /^evidenceMalformed/],
    ["empty root list", { members: { root_ca_crl: "" } }, /^evidenceMalformed/],
    ["no hexadecimal", { members: { root_ca_crl: "MIIB" } }, /^evidenceMalformed/],
    ["stale PCK list", { pckCrl: stale }, /^evidenceExpired/],
    ["stale root list", { rootCrl: stale }, /^evidenceExpired/],
    ["PCK list of tomorrow", { pckCrl: early }, /^evidenceExpired/],
    ["no end", { pckCrl: { nextUpdate: null } }, /^evidenceMalformed: .*revocation list/],
    ["version 1", { pckCrl: { version1: true, extensions: [] } }, /^evidenceMalformed: .*revocation list/],
    ["partial", { pckCrl: { extensions: [partial] } }, /^evidenceMalformed: .*critical extension/],
    ["another key", { pckCrl: { signer: newKey() } }, /^evidenceInvalid: .*does not verify/],
    ["root's by another key", { rootCrl: { signer: newKey() } }, /^evidenceInvalid: .*does not verify/],
    ["another CA's", { crlIssuers: { pck: platform.root } }, /^evidenceInvalid: .*another CA's/],
    ["PCK CA's for the root's", { crlIssuers: { root: platform.ca } }, /^evidenceInvalid: .*another CA's/],
    ["another maker's", { crlIssuers: { root: other.root } }, /^evidenceInvalid/],
    [
      "a revoked PCK",
      { pckCrl: { revoked: [Buffer.from([1]), platform.pck.serialNumber] } },
      /^evidenceInvalid: The PCK certificate is revoked/,
    ],
    ["a revoked CA", { rootCrl: { revoked: [platform.ca.serialNumber] } }, /^evidenceInvalid: The CA of the PCK/],
    [
      "a revoked signer",
      { rootCrl: { revoked: [platform.signer.serialNumber] } },
      /^evidenceInvalid: The signer of the collateral/,
    ],
  ] as const satisfies (readonly [string, CollateralWishes, RegExp])[]) {
    t.match(await refusal(show({ collateral })), message, what);
  }
  const others = { revoked: [other.pck.serialNumber, Buffer.from([7])] };
  t.equal(await refusal(show({ collateral: { pckCrl: others, rootCrl: others } })), "accepted", "others are revoked");
});

t.test("the TCB level of platform, module and quoting enclave", async (t) => {
  const one = (i: number, of: readonly number[], more = 1): number[] =>
    of.map((svn, at) => (at === i ? svn + more : svn));
  const tdxSvns = [6, 1, 3, ...zeroSvns.slice(3)];
  const only = (...levels: unknown[]): Showing => ({ collateral: { tcbInfo: { tcbLevels: levels } } });
  for (let i = 0; i < 16; i++) {
    const level = tcbLevel(one(i, platformSvns), tdxSvns, platformPceSvn, "UpToDate");
    t.match(await refusal(show(only(level))), /^measurementMismatch: .*below every/, `SGX component ${i + 1}`);
    const tdxLevel = tcbLevel(platformSvns, one(i, tdxSvns), platformPceSvn, "UpToDate");
    const said = await refusal(show(only(tdxLevel)));
    // The first two are the module's, which its own identity judges.
    if (i < 2) t.equal(said, "accepted", `TDX component ${i + 1}`);
    else t.match(said, /^measurementMismatch: .*below every/, `TDX component ${i + 1}`);
  }
  t.match(
    await refusal(show(only(tcbLevel(platformSvns, tdxSvns, platformPceSvn + 1, "UpToDate")))),
    /below every/,
    "PCESVN",
  );
  t.match(await refusal(show(only())), /below every/);
  const outdated = tcbLevel(zeroSvns, zeroSvns, 0, "OutOfDate");
  t.match(await refusal(show(only(outdated))), /^measurementMismatch: The TCB status of the platform is OutOfDate/);
  t.match(
    await refusal(show(only(outdated, goodTcbInfo.tcbLevels[0]))),
    /OutOfDate/,
    "the first that is reached counts",
  );
  t.equal(
    await refusal(show({ ...only(outdated), settings: { allowedTcbStatuses: ["UpToDate", "OutOfDate"] } })),
    "accepted",
  );
  const revoked = tcbLevel(zeroSvns, zeroSvns, 0, "Revoked");
  t.match(
    await refusal(show({ ...only(revoked), settings: { allowedTcbStatuses: ["UpToDate", "OutOfDate"] } })),
    /is Revoked/,
  );

  const module = (svns: string): Showing => ({ quote: { body: (body) => void body.write(svns, 0, "hex") } });
  t.match(await refusal(show(module("0401030000"))), /^measurementMismatch: .*TDX module is OutOfDate/);
  t.match(await refusal(show(module("0301030000"))), /^measurementMismatch: The TDX module is below/);
  t.match(
    await refusal(show(module("090a030000"))),
    /^measurementMismatch: .*TDX module is Revoked/,
    "ids are hexadecimal",
  );
  t.match(await refusal(show(module("0902030000"))), /^measurementMismatch: .*does not know/);
  t.equal(await refusal(show({ ...module("0600030000"), ...only(tcbLevel(platformSvns, [6, 0, 3, ...zeroSvns.slice(3)], 13, "UpToDate")) })), "accepted", "version 0"); // prettier-ignore
  t.match(await refusal(show({ ...module("0500030000"), ...only(tcbLevel(platformSvns, [6, 0, 3, ...zeroSvns.slice(3)], 13, "UpToDate")) })), /below every/, "is judged by all components"); // prettier-ignore

  const qe = (change: (report: Buffer) => void): Showing => ({ quote: { qeReport: change } });
  t.match(await refusal(show(qe((r) => void r.writeUInt16LE(3, 258)))), /quoting enclave is OutOfDate/);
  t.match(await refusal(show(qe((r) => void r.writeUInt16LE(1, 258)))), /quoting enclave is below/);
  t.match(await refusal(show(qe((r) => void r.writeUInt16LE(1, 256)))), /not Intel's for TDX/, "product");
  t.match(await refusal(show(qe((r) => void r.fill(1, 128, 160)))), /not Intel's for TDX/, "signer");
  t.match(await refusal(show(qe((r) => void (r[48] = 0x13)))), /not Intel's for TDX/, "an enclave under debugging");
  t.match(await refusal(show(qe((r) => void (r[16] = 1)))), /not Intel's for TDX/, "miscselect");
  t.equal(await refusal(show(qe((r) => void (r[48] = 0x15)))), "accepted", "what the mask leaves out");
  t.match(await refusal(show({ collateral: { qeIdentity: { tcbLevels: [] } } })), /quoting enclave is below/);
  t.ok(goodQeIdentity.tcbLevels.length > 1);
});

t.test(
  "collateral from files: chosen by platform, read again when it changes, and our trouble when it is stale",
  async (t) => {
    const file = path.join(t.testdir(), "collateral.json");
    const elsewhere = path.join(t.testdir({}), "other.json");
    writeFileSync(file, goodCollateral);
    const open = (...collateralFiles: string[]) => tdxFormat.open({ ...settings, collateralFiles }, {} as never);
    const item = itemOf(tdxQuote(platform, { reportData: bound }));
    const opened = open(file);
    t.equal((await opened.verify(item, context)).bindingLevel, "nonce");
    t.equal(
      (await opened.verify(itemOf(tdxQuote(platform, { reportData: bound }), "{}"), context)).bindingLevel,
      "nonce",
      "the client's does not count",
    );
    await t.rejects(opened.verify(item, { ...context, now: new Date("2026-12-19T00:00:01Z") }), SourceUnavailable);
    await t.rejects(opened.verify({ ...item, value: "" }, context), EvidenceRefused);
    writeFileSync(file, tdxCollateral(platform, { pckCrl: { revoked: [platform.pck.serialNumber] } }));
    await t.rejects(opened.verify(item, context), EvidenceRefused, "a revoked platform is the platform's trouble");
    writeFileSync(file, "half");
    await t.rejects(opened.verify(item, context), SourceUnavailable);
    writeFileSync(file, goodCollateral);
    await t.resolves(opened.verify(item, context));
    writeFileSync(file, tdxCollateral(platform, { tcbInfo: { fmspc: "00906EA10000" } }));
    await t.rejects(opened.verify(item, context), EvidenceRefused, "for another platform the client brings it");
    await t.resolves(opened.verify(itemOf(tdxQuote(platform, { reportData: bound }), goodCollateral), context));
    writeFileSync(elsewhere, goodCollateral);
    await t.resolves(open(file, elsewhere).verify(item, context));
    t.throws(() => open(path.join(t.testdirName, "absent")), { code: "ENOENT" });
    writeFileSync(file, "{}");
    t.throws(() => open(file), { message: /collateral\.json: The collateral has no tcb_info/ });
  },
);

t.test("signatures of chains that verified once are remembered, and change nothing", async (t) => {
  const verified = createLru<string, true>(100);
  const item = itemOf(tdxQuote(platform, { reportData: bound }), goodCollateral);
  const first = await appraiseTdx(item, settings, { verified }, tdxNow);
  t.ok(verified.size > 0);
  t.same((await appraiseTdx(item, settings, { verified }, tdxNow)).claims, first.claims);
  const bent = itemOf(
    tdxQuote(platform, { reportData: bound, chain: [other.pck, platform.ca, platform.root] }),
    goodCollateral,
  );
  t.match(await refusal(appraiseTdx(bent, settings, { verified }, tdxNow)), /^evidenceInvalid/);
});

t.test("collateral that verified once is remembered by its text and its CA, and only within its dates", async (t) => {
  const trust = { collaterals: createLru<string, VerifiedCollateral>(10) };
  const verify = (text: string, now = tdxNow) =>
    refusal(appraiseTdx(itemOf(tdxQuote(platform, { reportData: bound }), text), settings, trust, now));
  for (const round of ["first", "again"]) {
    t.equal(await verify(goodCollateral), "accepted", round);
    t.equal(trust.collaterals.size, 1);
  }
  t.match(await verify(goodCollateral, new Date("2026-12-19T00:00:01Z")), /^evidenceExpired/);
  t.match(await verify(goodCollateral, new Date("2026-11-19T23:59:59Z")), /^evidenceExpired/);
  t.match(await verify(goodCollateral.replace("UpToDate", "OutOfDate")), /^evidenceInvalid/);
  t.match(await verify(tdxCollateral(other)), /^evidenceInvalid/);
  t.equal(trust.collaterals.size, 1, "what does not hold is not remembered");
  const others = { ...settings, rootSha256: other.rootSha256 };
  const foreign = itemOf(tdxQuote(other, { reportData: bound }), goodCollateral);
  t.match(
    await refusal(appraiseTdx(foreign, others, trust, tdxNow)),
    /^evidenceInvalid/,
    "it holds for its own CA alone",
  );
  const revoking = tdxCollateral(platform, { pckCrl: { revoked: [platform.pck.serialNumber] } });
  for (const round of ["first", "again"]) t.match(await verify(revoking), /^evidenceInvalid: .*revoked/, round);
});

t.test("settings", async (t) => {
  const schema = sourceSchemaOf(formatNamed("tdx"));
  t.ok(Value.Check(schema, { ref: "tdx", format: "tdx" }));
  for (const changed of [
    { mrTd: [] },
    { mrTd: ["00"] },
    { rtmr4: ["0".repeat(96)] },
    { allowedTcbStatuses: ["Revoked"] },
    { allowedTcbStatuses: [] },
    { rootSha256: "x" },
    { collateralFiles: [] },
  ]) {
    t.notOk(Value.Check(schema, { ref: "tdx", format: "tdx", ...changed }), JSON.stringify(changed));
  }
});

/** Samples of the shared folder, and what they come to; each under its own report_data, which is another's than this project's. */
const samples = [
  ["v4-uptodate", "collateral-b0c06f-2025-06", "2025-07-01T00:00:00Z", "2025-06-19T10:32:27Z", "2025-07-19T10:00:35Z"],
  ["v5-uptodate", "collateral-90c06f-2026-02", "2026-03-01T00:00:00Z", "2026-02-18T10:58:51Z", "2026-03-20T10:41:15Z"],
  [
    "v4-mrconfigid",
    "collateral-20a06f-2025-09",
    "2025-09-15T00:00:00Z",
    "2025-09-02T07:41:59Z",
    "2025-10-02T07:03:51Z",
  ],
] as const;
const intel: TdxSettings = { ref: "tdx", format: "tdx" };
const sampleQuote = (name: string): Buffer => evidenceFile("tdx", `${name}.quote.bin`);
const sampleCollateral = (name: string): string => evidenceFile("tdx", `${name}.json`).toString("utf8");
const appraised = (quote: Buffer, collateral: string | undefined, now: Date, by = intel) =>
  refusal(appraiseTdx(itemOf(quote, collateral), by, {}, now));

t.test("real quotes under Intel's root, within their time", withEvidence, async (t) => {
  for (const [name, collateralName, at, from, until] of samples) {
    const [quote, collateral] = [sampleQuote(name), sampleCollateral(collateralName)];
    const { claims, until: ends } = await appraiseTdx(itemOf(quote, collateral), intel, {}, new Date(at));
    const { expect = {} } = evidenceSamples().find(({ id }) => id === `tdx-${name}`) ?? {};
    const rtmrs = expect["rtmrs"] as string[];
    t.match(claims, {
      mrTd: expect["mrTd"],
      mrSeam: expect["mrSeam"],
      rtmr0: rtmrs[0],
      rtmr3: rtmrs[3],
      tdAttributes: expect["tdAttributes"],
      xfam: expect["xfam"],
      teeTcbSvn: expect["teeTcbSvn"],
      fmspc: expect["fmspc"],
      quoteVersion: expect["quoteVersion"],
      tcbStatus: "UpToDate",
      tdxModuleTcbStatus: "UpToDate",
      qeTcbStatus: "UpToDate",
    });
    t.same(ends, new Date(until), "the end of its collateral");
    t.equal(await appraised(quote, collateral, new Date(from)), "accepted");
    t.equal(await appraised(quote, collateral, new Date(until)), "accepted");
    t.match(await appraised(quote, collateral, new Date(Date.parse(from) - 1000)), /^evidenceExpired/);
    t.match(await appraised(quote, collateral, new Date(Date.parse(until) + 1000)), /^evidenceExpired/);
    t.match(await appraised(quote, undefined, new Date(at)), /^evidenceInvalid: There is no collateral/);
    t.match(await appraised(quote, collateral, new Date(at), settings), /^evidenceInvalid: .*root/, "another root");
    const foreign = verifyTdx(itemOf(quote, collateral), intel, {}, { ...context, now: new Date(at) });
    t.match(await refusal(foreign), /^bindingMismatch/, "it was made for somebody else");
    for (const [, another] of samples) {
      if (another === collateralName) continue;
      t.match(await appraised(quote, sampleCollateral(another), new Date(at)), /^evidence(Invalid|Expired)/, another);
    }
  }
});

t.test("real quotes that are refused, each for its own reason", withEvidence, async (t) => {
  const year2023 = sampleCollateral("collateral-50806f-2023-06");
  const july = new Date("2023-07-01T01:00:00Z");
  const year2026 = sampleCollateral("collateral-90c06f-2026-02");
  t.match(await appraised(sampleQuote("v4-debug"), year2023, july), /^measurementMismatch: .*under debugging/);
  t.match(await appraised(sampleQuote("v5-no-tcb-level"), year2026, new Date("2026-03-01T00:00:00Z")), /^measurementMismatch: .*below every TCB level/); // prettier-ignore
  const trailing = sampleQuote("v4-spr-trailing");
  t.match(await appraised(trailing, year2023, july), /^evidenceMalformed: Octets other than zero follow/);
  t.match(await appraised(trailing.subarray(0, -39), year2023, july), /^measurementMismatch: .*below every TCB level/);
  const sgx = sampleCollateral("collateral-sgx-00a067-2025-06");
  t.match(
    await appraised(sampleQuote("v3-sgx"), sgx, new Date("2025-07-01T00:00:00Z")),
    /^evidenceInvalid: .*version 4 or 5/,
  );
  const padded = sampleQuote("v4-padded-8000");
  t.match(await appraised(padded, undefined, new Date("2025-01-01T00:00:00Z")), /no collateral/, "its signatures hold");
  t.match(
    await appraised(padded, year2026, new Date("2026-03-01T00:00:00Z")),
    /^evidenceInvalid: .*(another kind|another CA)/,
  );
  padded[1000] = (padded[1000] ?? 0) ^ 1;
  t.notMatch(await appraised(padded, undefined, new Date("2025-01-01T00:00:00Z")), /no collateral/);
});

t.test("dcap-qvl 0.3.9: revocation lists that are flipped, empty or stale are refused", withEvidence, async (t) => {
  const [name, collateralName, at] = samples[0];
  const members = JSON.parse(sampleCollateral(collateralName)) as Record<string, string>;
  const old = JSON.parse(sampleCollateral("collateral-50806f-2023-06")) as Record<string, string>;
  const newer = JSON.parse(sampleCollateral("collateral-90c06f-2026-02")) as Record<string, string>;
  const verify = (changed: Record<string, string | undefined>, when = new Date(at)) =>
    appraised(sampleQuote(name), JSON.stringify({ ...members, ...changed }), when);
  t.equal(await verify({}), "accepted");
  for (const crl of ["root_ca_crl", "pck_crl"]) {
    const flipped = Buffer.from(members[crl] ?? "", "hex");
    flipped[100] = (flipped[100] ?? 0) ^ 1;
    t.match(await verify({ [crl]: flipped.toString("hex") }), /^evidence(Invalid|Malformed)/);
    t.match(await verify({ [crl]: "" }), /^evidenceMalformed/);
    t.match(await verify({ [crl]: undefined }), /^evidenceMalformed/);
    t.match(await verify({ [crl]: old[crl] }), /^evidence(Expired|Invalid)/, "of 2023");
  }
  t.match(await verify({ pck_crl: newer["pck_crl"] }), /^evidence(Expired|Invalid)/, "of 2026");
  t.match(
    await verify({}, new Date("2025-07-19T10:05:00Z")),
    /^evidenceExpired/,
    "the list has ended, the TCB information has not",
  );
  t.match(
    await verify({ tcb_info: newer["tcb_info"], tcb_info_signature: members["tcb_info_signature"] }),
    /^evidenceInvalid: A signature/,
  );
  t.match(
    await verify({ tcb_info: newer["tcb_info"], tcb_info_signature: newer["tcb_info_signature"] }),
    /^evidenceExpired/,
  );
});

t.test("one flipped bit in a real quote", withEvidence, async (t) => {
  for (const [name, collateralName, at] of samples) {
    const [quote, collateral] = [sampleQuote(name), sampleCollateral(collateralName)];
    for (let bit = 3; bit < 1300 * 8; bit += 59) {
      const bent = Buffer.from(quote);
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      t.notMatch(await appraised(bent, collateral, new Date(at)), /^accepted/, `${name} bit ${bit}`);
    }
  }
});
