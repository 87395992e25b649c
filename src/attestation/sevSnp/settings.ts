/** Settings of a source of SEV-SNP reports, and the appraisal of a report that verified by them. */
import { type Static, type TSchema, Type } from "typebox";
import { isAllZero } from "../binaryEvidence.ts";
import { mismatch } from "../evidence.ts";
import type { SourceSettings } from "../format.ts";
import { type Product, productNames, reachesFloor, tcbOf } from "./product.ts";
import type { SnpReport } from "./report.ts";
import { optionalPath, requiredPath, sha256Form } from "../settings.ts";

const list = <Item extends TSchema>(item: Item, maxItems: number, description: string) =>
  Type.Optional(Type.Array(item, { minItems: 1, maxItems, description }));
const digests = (octets: number, description: string) =>
  list(Type.String({ pattern: `^[0-9a-f]{${octets * 2}}$` }), 1000, description);
const component = Type.Optional(Type.Integer({ minimum: 0, maximum: 255 }));
const product = Type.Enum([...productNames]);

export const sevSnpProperties = {
  roots: list(
    Type.Object({ product, sha256: Type.String({ pattern: sha256Form }) }, { additionalProperties: false }),
    16,
    "The roots (ARK) that count, by SHA-256; those that AMD publishes unless said.",
  ),
  certificateChainFiles: list(requiredPath(), 16, "PEM files with ASK or ASVK, then ARK."),
  certificateDirectory: optionalPath("Directory with VCEK and VLEK certificates."),
  crlFiles: list(requiredPath(), 16, "Revocation lists of the roots, DER or PEM."),
  measurements: digests(48, "Launch measurements that are accepted."),
  hostData: digests(32, "Values of HOST_DATA that are accepted."),
  idKeyDigests: digests(48, "Keys that signed the guest's identity block."),
  authorKeyDigests: digests(48, "Keys that signed those keys."),
  chipIds: digests(64, "Chips that are accepted."),
  cspIds: list(
    Type.String({ minLength: 1, maxLength: 256 }),
    16,
    "Providers whose VLEK is accepted; none unless said.",
  ),
  vmpls: list(Type.Integer({ minimum: 0, maximum: 3 }), 4, "Privilege levels that may ask; 0 unless said."),
  minGuestSvn: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 4_294_967_295, description: "Least GUEST_SVN; 0 unless said." }),
  ),
  minTcb: list(
    Type.Object(
      { product, bootloader: component, tee: component, snp: component, microcode: component, fmc: component },
      { additionalProperties: false },
    ),
    3,
    "Least versions of the platform by product; then other products are refused.",
  ),
  allowMigrationAgent: Type.Optional(
    Type.Boolean({ description: "Whether guests with a migration agent are accepted; false unless said." }),
  ),
};
const schema = Type.Object(sevSnpProperties);
export type SevSnpSettings = SourceSettings & Static<typeof schema>;

/** Lists that say whose guest it is: a source with none of them trusts everybody's. */
const tellingSettings = ["measurements", "hostData", "idKeyDigests", "authorKeyDigests", "chipIds"] as const;
const tellingClaims = ["measurement", "hostData", "idKeyDigest", "authorKeyDigest", "chipId"] as const;

/** The claims of which a grant must name one, or undefined where the source itself says whose guests count. */
export function tenantClaimsOfSnp(settings: SevSnpSettings): readonly string[] | undefined {
  return tellingSettings.some((key) => settings[key] !== undefined) ? undefined : tellingClaims;
}

/**
 * Refuses settings that cannot work or must not.
 * @throws {Error} naming key, value and what was expected
 */
export function checkSevSnp(settings: SevSnpSettings, at: string): void {
  for (const key of tellingSettings) {
    const unset = settings[key]?.find((value) => /^0+$/.test(value));
    if (unset !== undefined) {
      throw new Error(`${at}.${key}: ${JSON.stringify(unset)}: expected no zeros: they mean that it is not set`);
    }
  }
  const { minTcb = [] } = settings;
  for (const [index, floor] of minTcb.entries()) {
    if (minTcb.findIndex((other) => other.product === floor.product) < index) {
      throw new Error(`${at}.minTcb[${index}].product: ${JSON.stringify(floor.product)}: expected each product once`);
    }
    if (floor.fmc !== undefined && floor.product !== "Turin") {
      throw new Error(`${at}.minTcb[${index}].fmc: ${floor.fmc}: expected it for Turin alone`);
    }
  }
}

/**
 * Whether the source takes a guest like this one. The report's signature must have been verified.
 * @throws {EvidenceRefused} measurementMismatch; it never says what would do
 */
export function appraise(report: SnpReport, cspId: string | undefined, of: Product, settings: SevSnpSettings): void {
  if (report.debug) throw mismatch("The guest may be debugged by its host");
  if (report.migrationAgent && settings.allowMigrationAgent !== true) {
    throw mismatch("The guest may be moved by a migration agent");
  }
  if (!(settings.vmpls ?? [0]).includes(report.vmpl)) {
    throw mismatch("The report was asked for at a privilege level that the source does not take");
  }
  if (cspId !== undefined && settings.cspIds?.includes(cspId) !== true) {
    throw mismatch("The report is signed with the key of a provider that the source does not take");
  }
  if (report.guestSvn < (settings.minGuestSvn ?? 0)) throw mismatch("The guest's security version is too low");
  requireFloor(report, of, settings);
  requireListed(report.measurement, settings.measurements);
  requireListed(report.hostData, settings.hostData);
  requireListed(report.idKeyDigest, settings.idKeyDigests);
  // What stands there where no author key is enabled was checked by nobody.
  requireListed(report.authorKeyEnabled ? report.authorKeyDigest : Buffer.alloc(48), settings.authorKeyDigests);
  requireListed(report.chipId, settings.chipIds);
}

/** Reported: what the key is bound to. Committed: what the platform cannot go back behind. Launch: what the guest began on. */
function requireFloor(
  { reportedTcb, committedTcb, launchTcb }: SnpReport,
  of: Product,
  { minTcb }: SevSnpSettings,
): void {
  if (minTcb === undefined) return;
  const floor = minTcb.find((candidate) => candidate.product === of.name);
  if (floor === undefined) throw mismatch("The platform is of a product that the source does not take");
  const versions = [reportedTcb, committedTcb, launchTcb].map((version) => tcbOf(version, of));
  if (!versions.every((version) => reachesFloor(version, floor))) throw mismatch("The platform's firmware is too old");
}

function requireListed(value: Buffer, allowed: readonly string[] | undefined): void {
  if (allowed === undefined) return;
  if (isAllZero(value) || !allowed.includes(value.toString("hex"))) {
    throw mismatch("A measurement of the guest, or an identity of it, is not one that the source takes");
  }
}
