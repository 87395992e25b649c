/**
 * How well patched a platform is: Intel's TCB information (version 3, TDX) and identity of the quoting enclave (version 2), and what they say of
 * one platform (Intel, "API for PCS", Get TCB Info V4 and Get TDX QE Identity V4, with their algorithms of appraisal).
 */
import type { JsonObject } from "../../encoding/json.ts";
import { parseEvidenceJson } from "../binaryEvidence.ts";
import { EvidenceRefused } from "../evidence.ts";
import { dateAt, integerAt, objectAt, objectsAt, octetsAt, textAt } from "./members.ts";
import type { PckPlatform } from "./pckCertificate.ts";
import type { EnclaveReport, TdReport } from "./quote.ts";

/** What Intel says of a TCB level. A source may allow any of them but `Revoked`. */
export const allowableTcbStatuses = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
] as const;
export type AllowableTcbStatus = (typeof allowableTcbStatuses)[number];
export type TcbStatus = AllowableTcbStatus | "Revoked";

/** From when to when a document of Intel's counts, and which of its evaluations it is of. */
export interface Issue {
  readonly issueDate: Date;
  readonly nextUpdate: Date;
  readonly evaluationDataNumber: number;
}

interface SvnLevel {
  readonly isvSvn: number;
  readonly status: TcbStatus;
}

interface TcbLevel {
  readonly sgxSvns: readonly number[];
  readonly tdxSvns: readonly number[];
  readonly pceSvn: number;
  readonly status: TcbStatus;
}

interface ModuleIdentity {
  readonly mrSigner: Buffer;
  readonly attributes: Buffer;
  readonly attributesMask: Buffer;
}

/** TCB information of one kind of platform. */
export interface TcbInfo extends Issue {
  readonly fmspc: Buffer;
  readonly pceId: Buffer;
  readonly module: ModuleIdentity;
  /** By their ids, "TDX_01" for version 1 of the module. */
  readonly modules: ReadonlyMap<string, ModuleIdentity & { readonly levels: readonly SvnLevel[] }>;
  readonly levels: readonly TcbLevel[];
}

/** Which enclave quotes trust domains. */
export interface QeIdentity extends Issue, ModuleIdentity {
  readonly miscSelect: Buffer;
  readonly miscSelectMask: Buffer;
  readonly isvProdId: number;
  readonly levels: readonly SvnLevel[];
}

/** What Intel says of a platform, its TDX module and its quoting enclave, each for itself. */
export interface TcbStatuses {
  readonly platform: TcbStatus;
  readonly module: TcbStatus;
  readonly qe: TcbStatus;
}

const componentCount = 16;
const levelsMax = 100;

/** @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid for information about something else than TDX */
export function readTcbInfo(octets: Buffer): TcbInfo {
  const info = parseEvidenceJson(octets, "The TCB information");
  if (info["id"] !== "TDX" || info["version"] !== 3) {
    throw new EvidenceRefused("evidenceInvalid", "The TCB information is not version 3 about TDX");
  }
  const modules = objectsAt(info, "tdxModuleIdentities", true).map((module): [string, TcbModule] => [
    textAt(module, "id"),
    { ...readModule(module), levels: bounded(objectsAt(module, "tcbLevels")).map(readSvnLevel) },
  ]);
  return {
    ...readIssue(info),
    fmspc: octetsAt(info, "fmspc", 6),
    pceId: octetsAt(info, "pceId", 2),
    module: readModule(objectAt(info, "tdxModule")),
    modules: new Map(modules),
    levels: bounded(objectsAt(info, "tcbLevels")).map(readLevel),
  };
}
type TcbModule = ModuleIdentity & { readonly levels: readonly SvnLevel[] };

/** @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid for the identity of another enclave */
export function readQeIdentity(octets: Buffer): QeIdentity {
  const identity = parseEvidenceJson(octets, "The identity of the quoting enclave");
  if (identity["id"] !== "TD_QE" || identity["version"] !== 2) {
    throw new EvidenceRefused("evidenceInvalid", "The identity is not version 2 about the quoting enclave of TDX");
  }
  return {
    ...readIssue(identity),
    mrSigner: octetsAt(identity, "mrsigner", 32),
    attributes: octetsAt(identity, "attributes", 16),
    attributesMask: octetsAt(identity, "attributesMask", 16),
    miscSelect: octetsAt(identity, "miscselect", 4),
    miscSelectMask: octetsAt(identity, "miscselectMask", 4),
    isvProdId: integerAt(identity, "isvprodid"),
    levels: bounded(objectsAt(identity, "tcbLevels")).map(readSvnLevel),
  };
}

/**
 * Finds the level of each of the three parts. The first level that the part reaches in everything counts: Intel lists the newest first.
 * @throws {EvidenceRefused} measurementMismatch when a part reaches none, or is not what Intel says it has to be
 */
export function statusesOf(
  { tcbInfo, qeIdentity }: { readonly tcbInfo: TcbInfo; readonly qeIdentity: QeIdentity },
  platform: PckPlatform,
  body: TdReport,
  qeReport: EnclaveReport,
): TcbStatuses {
  if (!tcbInfo.fmspc.equals(platform.fmspc) || !tcbInfo.pceId.equals(platform.pceId)) {
    throw new EvidenceRefused("evidenceInvalid", "The TCB information is about another kind of platform");
  }
  return {
    platform: platformStatus(tcbInfo, platform, body.teeTcbSvn),
    module: moduleStatus(tcbInfo, body),
    qe: qeStatus(qeIdentity, qeReport),
  };
}

/** With a module of version 1 and above the first two components are the module's own, which is judged by its identity. */
function platformStatus({ levels }: TcbInfo, platform: PckPlatform, teeTcbSvn: Buffer): TcbStatus {
  const firstTdx = moduleVersion(teeTcbSvn) === 0 ? 0 : 2;
  const level = levels.find(
    ({ sgxSvns, tdxSvns, pceSvn }) =>
      sgxSvns.every((svn, i) => (platform.componentSvns[i] ?? -1) >= svn) &&
      platform.pceSvn >= pceSvn &&
      tdxSvns.every((svn, i) => i < firstTdx || (teeTcbSvn[i] ?? -1) >= svn),
  );
  return level?.status ?? below("The platform is below every TCB level of Intel's");
}

function moduleStatus(tcbInfo: TcbInfo, { teeTcbSvn, mrSignerSeam, seamAttributes }: TdReport): TcbStatus {
  const version = moduleVersion(teeTcbSvn);
  const versioned = tcbInfo.modules.get(`TDX_${version.toString(16).toUpperCase().padStart(2, "0")}`);
  const module = version === 0 ? tcbInfo.module : versioned;
  if (module === undefined) return below("Intel does not know the platform's TDX module");
  if (!mrSignerSeam.equals(module.mrSigner) || !isMasked(seamAttributes, module.attributesMask, module.attributes)) {
    return below("The platform's TDX module is not Intel's");
  }
  // Version 0 is judged by the platform's own components.
  if (version === 0 || versioned === undefined) return "UpToDate";
  const isvSvn = teeTcbSvn[0] ?? 0;
  return (
    versioned.levels.find((level) => isvSvn >= level.isvSvn)?.status ?? below("The TDX module is below every level")
  );
}

function qeStatus(identity: QeIdentity, report: EnclaveReport): TcbStatus {
  const same =
    report.mrSigner.equals(identity.mrSigner) &&
    report.isvProdId === identity.isvProdId &&
    isMasked(report.miscSelect, identity.miscSelectMask, identity.miscSelect) &&
    isMasked(report.attributes, identity.attributesMask, identity.attributes);
  if (!same) return below("The quoting enclave is not Intel's for TDX");
  const level = identity.levels.find(({ isvSvn }) => report.isvSvn >= isvSvn);
  return level?.status ?? below("The quoting enclave is below every level");
}

const moduleVersion = (teeTcbSvn: Buffer): number => teeTcbSvn[1] ?? 0;

function isMasked(value: Buffer, mask: Buffer, expected: Buffer): boolean {
  return value.length === mask.length && value.every((octet, i) => (octet & (mask[i] ?? 0)) === expected[i]);
}

function readIssue(object: JsonObject): Issue {
  return {
    issueDate: dateAt(object, "issueDate"),
    nextUpdate: dateAt(object, "nextUpdate"),
    evaluationDataNumber: integerAt(object, "tcbEvaluationDataNumber", 1_000_000),
  };
}

function readModule(object: JsonObject): ModuleIdentity {
  return {
    mrSigner: octetsAt(object, "mrsigner", 48),
    attributes: octetsAt(object, "attributes", 8),
    attributesMask: octetsAt(object, "attributesMask", 8),
  };
}

function readSvnLevel(level: JsonObject): SvnLevel {
  return { isvSvn: integerAt(objectAt(level, "tcb"), "isvsvn"), status: statusOf(level) };
}

function readLevel(level: JsonObject): TcbLevel {
  const tcb = objectAt(level, "tcb");
  return {
    sgxSvns: readComponents(tcb, "sgxtcbcomponents"),
    tdxSvns: readComponents(tcb, "tdxtcbcomponents"),
    pceSvn: integerAt(tcb, "pcesvn"),
    status: statusOf(level),
  };
}

function readComponents(tcb: JsonObject, name: string): number[] {
  const components = objectsAt(tcb, name).map((component) => integerAt(component, "svn", 255));
  if (components.length === componentCount) return components;
  throw new EvidenceRefused("evidenceMalformed", `The collateral has no usable ${name}`);
}

function statusOf(level: JsonObject): TcbStatus {
  const status = textAt(level, "tcbStatus");
  const known = [...allowableTcbStatuses, "Revoked" as const].find((one) => one === status);
  if (known === undefined) throw new EvidenceRefused("evidenceMalformed", "The collateral has no usable tcbStatus");
  return known;
}

function bounded<T>(levels: readonly T[]): readonly T[] {
  if (levels.length <= levelsMax) return levels;
  throw new EvidenceRefused("evidenceMalformed", `The collateral has more than ${levelsMax} levels`);
}

function below(message: string): never {
  throw new EvidenceRefused("measurementMismatch", message);
}
