/** What a trust domain is and may be: its measurements and attributes. */
import { type Static, Type } from "typebox";
import { isAllZero } from "../binaryEvidence.ts";
import { mismatch } from "../evidence.ts";
import type { TdReport } from "./quote.ts";

const measurement = (what: string) =>
  Type.Optional(
    Type.Array(Type.String({ pattern: "^[0-9a-f]{96}$" }), {
      minItems: 1,
      maxItems: 100,
      uniqueItems: true,
      description: `${what}: lower-case hexadecimal of 48 octets each. Any unless said; grants may ask for more.`,
    }),
  );

/** Measurements that a source may limit: setting → what it is. The claims have the same names. */
export const measurements = {
  mrTd: measurement("Accepted initial contents of the domain"),
  mrSeam: measurement("Accepted TDX modules"),
  mrConfigId: measurement("Accepted configurations"),
  mrOwner: measurement("Accepted owners"),
  mrOwnerConfig: measurement("Accepted configurations by the owner"),
  rtmr0: measurement("Accepted values of RTMR 0 (firmware)"),
  rtmr1: measurement("Accepted values of RTMR 1 (loader, kernel)"),
  rtmr2: measurement("Accepted values of RTMR 2 (operating system)"),
  rtmr3: measurement("Accepted values of RTMR 3 (application)"),
};
export type MeasurementName = keyof typeof measurements;
export const measurementNames = Object.keys(measurements) as MeasurementName[];

/** TD attributes (Intel TDX module specification, ATTRIBUTES): the lowest octet is for domains under test, bit 0 for debugging. */
const debugOctet = 0;
const migratableBit = 1n << 29n;
/** LASS, SEPT_VE_DISABLE, MIGRATABLE, PKS, KL, PERFMON; every other bit is reserved. */
const knownAttributes = (1n << 27n) | (1n << 28n) | migratableBit | (1n << 30n) | (1n << 31n) | (1n << 63n);

const policySchema = Type.Object(measurements);
/** What a source asks of a domain. */
export type DomainPolicy = Readonly<Static<typeof policySchema>> & { readonly allowMigratable?: boolean };

/** @throws {EvidenceRefused} measurementMismatch */
export function requireDomain(body: TdReport, policy: DomainPolicy): void {
  if (body.tdAttributes[debugOctet] !== 0) {
    throw mismatch("The trust domain is under debugging or test");
  }
  const attributes = body.tdAttributes.readBigUInt64LE(0);
  if ((attributes & ~knownAttributes) !== 0n) {
    throw mismatch("The trust domain has reserved attributes");
  }
  if ((attributes & migratableBit) !== 0n && policy.allowMigratable !== true) {
    throw mismatch("The trust domain may be moved to another platform");
  }
  if (!isAllZero(body.mrSignerSeam) || !isAllZero(body.seamAttributes)) {
    throw mismatch("The TDX module is not Intel's");
  }
  const found = measurementsOf(body);
  for (const name of measurementNames) {
    if (policy[name]?.includes(found[name]) === false) {
      throw mismatch(`The trust domain's ${name} is none that the source takes`);
    }
  }
}

/** All measurements in lower-case hexadecimal. */
export function measurementsOf(body: TdReport): Readonly<Record<MeasurementName, string>> {
  const [rtmr0, rtmr1, rtmr2, rtmr3] = body.rtmrs;
  const { mrTd, mrSeam, mrConfigId, mrOwner, mrOwnerConfig } = body;
  const octets = { mrTd, mrSeam, mrConfigId, mrOwner, mrOwnerConfig, rtmr0, rtmr1, rtmr2, rtmr3 };
  return inHex(octets);
}

/** The same names with hexadecimal in place of the octets. */
export function inHex<Name extends string>(octets: Readonly<Record<Name, Buffer>>): Record<Name, string> {
  const entries = Object.entries<Buffer>(octets).map(([name, value]) => [name, value.toString("hex")]);
  return Object.fromEntries(entries) as Record<Name, string>;
}
