/**
 * Format `tdx`: a quote of an Intel TDX trust domain, version 4 or 5, judged with Intel's collateral. Level `nonce`: the first half of
 * report_data is the binding value, the rest is zero.
 */
import { hash } from "node:crypto";
import { type Static, Type } from "typebox";
import { createLru, type LRU } from "../../cache/lru.ts";
import { bindingOctets, boundReplayUntil, evidenceDigest, evidenceOctets, isAllZero } from "../binaryEvidence.ts";
import { fingerprintOf, type VerifiedSignatures } from "../certificateChain.ts";
import { EvidenceRefused, invalid, mismatch, oneTimeIdOfEvidence, SourceUnavailable } from "../evidence.ts";
import type { Claims, EvidenceItem, VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat, SourceSettings } from "../format.ts";
import {
  type Collateral,
  readCollateral,
  requireUnrevoked,
  type VerifiedCollateral,
  verifyCollateral,
} from "../tdx/collateral.ts";
import { type FindCollateral, openCollateralFiles } from "../tdx/collateralFiles.ts";
import { inHex, measurementNames, measurements, measurementsOf, requireDomain } from "../tdx/domain.ts";
import { type PckPlatform, readPckPlatform } from "../tdx/pckCertificate.ts";
import { quoteBytesMax, readTdxQuote, type TdxQuote } from "../tdx/quote.ts";
import { allowableTcbStatuses, statusesOf, type TcbStatuses } from "../tdx/tcb.ts";
import { verifyQuote } from "../tdx/verifyQuote.ts";
import { requiredPath, sha256Form } from "../settings.ts";

const properties = {
  ...measurements,
  collateralFiles: Type.Optional(
    Type.Array(requiredPath(), {
      minItems: 1,
      maxItems: 64,
      uniqueItems: true,
      description:
        "JSON files with collateral, one for each kind of platform (FMSPC); read again when they change. For a platform in none of them, the client sends it.",
    }),
  ),
  allowedTcbStatuses: Type.Optional(
    Type.Array(Type.Enum([...allowableTcbStatuses]), {
      minItems: 1,
      uniqueItems: true,
      description:
        "What Intel may say of the platform, its TDX module and its quoting enclave, each for itself; UpToDate unless said.",
    }),
  ),
  minTcbEvaluationDataNumber: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description:
        "Oldest of Intel's evaluations (TCB recoveries) that collateral may be of. Any that is in force unless said.",
    }),
  ),
  allowMigratable: Type.Optional(
    Type.Boolean({ description: "Takes domains that may be moved to another platform; false unless said." }),
  ),
  rootSha256: Type.Optional(
    Type.String({
      pattern: sha256Form,
      description: "SHA-256 of the root certificate that is trusted; Intel's SGX root CA unless said.",
    }),
  ),
};
const settingsSchema = Type.Object(properties);

/** Settings of a source of this format. */
export type TdxSettings = SourceSettings & Readonly<Static<typeof settingsSchema>>;

/** What quotes are verified with besides the settings. */
export interface TdxTrust {
  readonly findCollateral?: FindCollateral;
  readonly verified?: VerifiedSignatures;
  /** Collateral that verified before, by its digest and the PCK CA that its list is of; it counts within its dates. */
  readonly collaterals?: LRU<string, VerifiedCollateral>;
}

/** SHA-256 of "Intel SGX Root CA", valid from 2018 to 2049. */
const intelSgxRootSha256 = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";

/** Claims that belong to whoever runs the domain or owns the machine: a grant that asks for none would admit everybody's. */
const ownClaims = [...measurementNames.filter((name) => name !== "mrSeam"), "ppid", "platformInstanceId"];
const otherClaims = ["mrServiceTd", "tdAttributes", "xfam", "teeTcbSvn", "fmspc", "pceId", "quoteVersion"];
const tcbClaims = ["tcbStatus", "tdxModuleTcbStatus", "qeTcbStatus", "tcbEvaluationDataNumber"];

/** Kinds of platform, in the month's and the last month's collateral, that a source meets at one time. */
const collateralsMax = 32;

export const tdxFormat: EvidenceFormat<TdxSettings> = {
  name: "tdx",
  properties,
  claimNames: [...ownClaims, "mrSeam", ...otherClaims, ...tcbClaims],
  tenantClaims: (settings) => (ownClaims.some((name) => Object.hasOwn(settings, name)) ? undefined : ownClaims),
  levels: ["nonce"],
  open(settings) {
    const { ref, collateralFiles } = settings;
    const trust: TdxTrust = {
      verified: createLru(1000),
      collaterals: createLru(collateralsMax),
      ...(collateralFiles !== undefined && { findCollateral: openCollateralFiles(ref, collateralFiles) }),
    };
    return { verify: (item, context) => verifyTdx(item, settings, trust, context) };
  },
};

/**
 * Yields the measurements, attributes and TCB of the domain, all octets in lower-case hexadecimal. There is no id of a running domain in a
 * quote, hence no instance.
 * @throws {EvidenceRefused}
 * @throws {SourceUnavailable} when the operator's own collateral does not hold
 */
export async function verifyTdx(
  item: EvidenceItem,
  settings: TdxSettings,
  trust: TdxTrust,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const { quote, claims, until } = await appraiseTdx(item, settings, trust, context.now);
  requireBinding(quote.body.reportData, context);
  return {
    format: item.format,
    ref: item.ref,
    claims,
    bindingLevel: "nonce",
    digest: evidenceDigest(item),
    oneTimeId: oneTimeIdOfEvidence(item.ref, quote.signed),
    replayUntil: boundReplayUntil(context.now),
    expires: until,
  };
}

/** All of `verifyTdx` but the binding: whose quote it is, not for what. `until` is when the collateral ends. @throws as verifyTdx does */
export async function appraiseTdx(
  item: EvidenceItem,
  settings: TdxSettings,
  trust: TdxTrust,
  now: Date,
): Promise<{ readonly quote: TdxQuote; readonly claims: Claims; readonly until: Date }> {
  const quote = readTdxQuote(evidenceOctets(item, quoteBytesMax));
  const roots = { certificates: [], fingerprints: [settings.rootSha256 ?? intelSgxRootSha256] };
  const rules = { now, ...(trust.verified && { verified: trust.verified }) };
  const chain = verifyQuote(quote, roots, rules);
  const platform = readPckPlatform(chain.leaf);
  const collateral = await collateralFor(platform, item, trust, (digest, read) =>
    remembered(
      trust,
      `${digest.toString("hex")} ${fingerprintOf(chain.certificates[1]?.der ?? chain.leaf.der)}`,
      now,
      () => verifyCollateral(read(), chain, roots, rules),
    ),
  );
  requireUnrevoked(chain, collateral);
  const statuses = statusesOf(collateral, platform, quote.body, quote.qeReport);
  requireTcb(statuses, collateral, settings);
  requireDomain(quote.body, settings);
  return { quote, claims: claimsOf(quote, platform, statuses, collateral), until: collateral.until };
}

/** What holds for a digest and a CA holds again, within its dates; outside of them it is verified anew, and says why not. */
function remembered(
  { collaterals }: TdxTrust,
  key: string,
  now: Date,
  verifyAnew: () => VerifiedCollateral,
): VerifiedCollateral {
  const known = collaterals?.get(key);
  if (known !== undefined && known.from <= now && now <= known.until) return known;
  const verified = verifyAnew();
  collaterals?.set(key, verified);
  return verified;
}

/** The operator's collateral goes before the client's. Where it does not hold, that is our trouble and not the workload's. */
async function collateralFor(
  { fmspc }: PckPlatform,
  item: EvidenceItem,
  { findCollateral }: TdxTrust,
  verifyThis: (digest: Buffer, read: () => Collateral) => VerifiedCollateral,
): Promise<VerifiedCollateral> {
  const own = await findCollateral?.(fmspc.toString("hex"));
  if (own !== undefined) {
    try {
      return verifyThis(own.digest, () => own);
    } catch (cause) {
      if (!(cause instanceof EvidenceRefused)) throw cause;
      throw new SourceUnavailable(`the collateral of source ${item.ref} does not hold`, { cause });
    }
  }
  const sent = item.endorsements?.["collateral"];
  if (typeof sent !== "string") throw invalid("There is no collateral for the quote's platform");
  const octets = Buffer.from(sent, "utf8");
  return verifyThis(hash("sha256", octets, "buffer"), () => readCollateral(octets));
}

function requireTcb(statuses: TcbStatuses, { tcbInfo, qeIdentity }: VerifiedCollateral, settings: TdxSettings): void {
  const { allowedTcbStatuses = ["UpToDate"], minTcbEvaluationDataNumber = 0 } = settings;
  for (const { evaluationDataNumber } of [tcbInfo, qeIdentity]) {
    if (evaluationDataNumber >= minTcbEvaluationDataNumber) continue;
    throw mismatch("The collateral is of an evaluation before the one that is asked for");
  }
  const named = { platform: "platform", module: "TDX module", qe: "quoting enclave" } as const;
  for (const part of ["platform", "module", "qe"] as const) {
    if (allowedTcbStatuses.some((allowed) => allowed === statuses[part])) continue;
    throw mismatch(`The TCB status of the ${named[part]} is ${statuses[part]}`);
  }
}

function requireBinding(reportData: Buffer, context: VerificationContext): void {
  const expected = Buffer.concat([bindingOctets(context), Buffer.alloc(32)]);
  if (isAllZero(reportData)) throw new EvidenceRefused("bindingMissing", "The quote's report_data is empty");
  if (!reportData.equals(expected)) {
    throw new EvidenceRefused(
      "bindingMismatch",
      "The quote's report_data is not the binding value and zeroes behind it",
    );
  }
}

function claimsOf(
  { version, body }: TdxQuote,
  { fmspc, pceId, ppid, platformInstanceId }: PckPlatform,
  statuses: TcbStatuses,
  { tcbInfo }: VerifiedCollateral,
): Claims {
  const { tdAttributes, xfam, teeTcbSvn, mrServiceTd } = body;
  return {
    ...measurementsOf(body),
    ...inHex({ tdAttributes, xfam, teeTcbSvn, fmspc, pceId, ppid }),
    ...(mrServiceTd !== undefined && inHex({ mrServiceTd })),
    ...(platformInstanceId !== undefined && inHex({ platformInstanceId })),
    quoteVersion: version,
    tcbStatus: statuses.platform,
    tdxModuleTcbStatus: statuses.module,
    qeTcbStatus: statuses.qe,
    tcbEvaluationDataNumber: tcbInfo.evaluationDataNumber,
  };
}
