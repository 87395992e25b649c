/** A maker of SEV-SNP processors of the tests' own: certificates of chips and providers, reports, revocation lists; right, or wrong as a test says. */
import { sign } from "node:crypto";
import type { Product, ProductName } from "../../src/attestation/sevSnp/product.ts";
import { products } from "../../src/attestation/sevSnp/product.ts";
import { reportBytes, signedBytes } from "../../src/attestation/sevSnp/report.ts";
import { der, encodeDer, sequence, time, bitString, smallInteger, type DerPart } from "../../src/x509/derWriter.ts";
import { tags } from "../../src/x509/der.ts";
import { encodeName } from "../../src/x509/name.ts";
import {
  type CertificatePlan,
  foreignAlgorithmIdentifier,
  foreignNow,
  foreignRoot,
  foreignSignature,
  type ForeignAuthority,
  type Validity,
  type KeyPair,
  keysFor,
  rawExtension,
} from "./foreignCa.ts";

const amd = "1.3.6.1.4.1.3704.1";
export const chipId = Buffer.alloc(64, 0xc1);
export const cspId = "CN=provider.example";

/** What a chip's or provider's certificate says, besides what it should. */
export interface ChipPlan extends Partial<CertificatePlan> {
  readonly productName?: string;
  /** Component by the last arc of its extension, in place of the platform's; undefined leaves one out. */
  readonly tcb?: Readonly<Record<number, number | undefined>>;
  readonly hwId?: Buffer | undefined;
  readonly csp?: string;
}

/** Fields of a report, in place of those of a good one. */
export interface ReportPlan {
  readonly version?: number;
  readonly guestSvn?: number;
  readonly policy?: bigint;
  readonly vmpl?: number;
  readonly algorithm?: number;
  readonly flags?: number;
  readonly reportData?: Buffer;
  readonly measurement?: Buffer;
  readonly hostData?: Buffer;
  readonly idKeyDigest?: Buffer;
  readonly authorKeyDigest?: Buffer;
  readonly reportedTcb?: Buffer;
  readonly committedTcb?: Buffer;
  readonly launchTcb?: Buffer;
  readonly cpu?: readonly [family: number, model: number];
  readonly chipId?: Buffer;
  readonly signedBy?: KeyPair;
}

export interface SnpPlatform {
  readonly product: Product;
  readonly ark: ForeignAuthority;
  readonly ask: ForeignAuthority;
  readonly asvk: ForeignAuthority;
  readonly keys: KeyPair;
  readonly vcek: Buffer;
  readonly vlek: Buffer;
  /** TCB_VERSION: each component has its own number. */
  readonly tcb: Buffer;
  certifyChip(plan?: ChipPlan): Buffer;
  certifyProvider(plan?: ChipPlan): Buffer;
  report(plan?: ReportPlan): Buffer;
  /** A list of the root that revokes these serial numbers. */
  revocationList(serialNumbers: readonly Buffer[], plan?: ListPlan): Buffer;
}

export interface ListPlan {
  readonly thisUpdate?: Date;
  readonly nextUpdate?: Date;
  readonly signedBy?: ForeignAuthority;
}

export const policyOf = { good: 0x30000n, debug: 0xb0000n, migration: 0x70000n } as const;
/** ASK and ASVK as AMD numbers them: not 0. */
export const askSerial = Buffer.from("010001", "hex");
const asvkSerial = Buffer.from("010002", "hex");
const families: Readonly<Record<ProductName, readonly [number, number]>> = {
  Milan: [0x19, 1],
  Genoa: [0x19, 0x11],
  Turin: [0x1a, 2],
};

/** A platform of this product line under a root of its own; its certificates are valid around `foreignNow`, or in another time. */
export function snpPlatform(name: ProductName = "Milan", validity: Validity = {}): SnpPlatform {
  const product = products[name];
  const ark = foreignRoot(`ARK-${name}`, "pss-sha384", validity);
  const ask = ark.authority(`SEV-${name}`, { pathLenConstraint: 0, serialNumber: askSerial, ...validity });
  const asvk = ark.authority(`SEV-VLEK-${name}`, { pathLenConstraint: 0, serialNumber: asvkSerial, ...validity });
  const keys = keysFor("ecdsa-sha384");
  // Octets that are reserved are 0.
  const tcb = Buffer.from(product.tcbLayout.map((arc) => ([4, 5, 6, 7].includes(arc) ? 0 : 10 + arc)));
  const hwId = name === "Turin" ? chipId.subarray(0, 8) : chipId;
  const certified = (authority: ForeignAuthority, subject: string, plan: ChipPlan): Buffer => {
    const { productName = `${name}-B1`, tcb: changes = {}, hwId: chip, csp, ...rest } = plan;
    const components = new Map<number, number | undefined>(product.tcbLayout.map((arc, index) => [arc, tcb[index]]));
    for (const [arc, component] of Object.entries(changes)) components.set(Number(arc), component);
    const extensions = [
      rawExtension(`${amd}.1`, false, encodeDer(smallInteger(name === "Turin" ? 1 : 0))),
      rawExtension(`${amd}.2`, false, encodeDer(der(tags.ia5String, Buffer.from(productName)))),
      ...[...components].flatMap(([arc, component]) =>
        component === undefined ? [] : [rawExtension(`${amd}.3.${arc}`, false, integer(component))],
      ),
      ...(chip === undefined ? [] : [rawExtension(`${amd}.4`, false, chip)]),
      ...(csp === undefined ? [] : [rawExtension(`${amd}.5`, false, encodeDer(der(tags.ia5String, Buffer.from(csp))))]),
    ];
    return authority.certify({ subject, keys, extensions, ...validity, ...rest });
  };
  const certifyChip = (plan: ChipPlan = {}): Buffer => certified(ask, "SEV-VCEK", { hwId, ...plan });
  const certifyProvider = (plan: ChipPlan = {}): Buffer =>
    certified(asvk, "SEV-VLEK", { csp: cspId, productName: name, ...plan });
  return {
    product,
    ark,
    ask,
    asvk,
    keys,
    tcb,
    vcek: certifyChip(),
    vlek: certifyProvider(),
    certifyChip,
    certifyProvider,
    report(plan = {}) {
      const own = name === "Turin" ? Buffer.concat([chipId.subarray(0, 8), Buffer.alloc(56)]) : chipId;
      return signedReport({ cpu: families[name], reportedTcb: tcb, chipId: own, ...plan }, plan.signedBy ?? keys);
    },
    revocationList: (serialNumbers, plan = {}) => revocationList(ark, serialNumbers, plan),
  };
}

/** A report in its 1184 octets. */
function signedReport(plan: ReportPlan, { privateKey }: KeyPair): Buffer {
  const { version = 3, cpu = [0, 0], reportedTcb = Buffer.alloc(8), policy = policyOf.good } = plan;
  const octets = Buffer.alloc(reportBytes);
  octets.writeUInt32LE(version, 0x000);
  octets.writeUInt32LE(plan.guestSvn ?? 4, 0x004);
  octets.writeBigUInt64LE(policy, 0x008);
  octets.writeUInt32LE(plan.vmpl ?? 0, 0x030);
  octets.writeUInt32LE(plan.algorithm ?? 1, 0x034);
  octets.writeUInt32LE(plan.flags ?? 0, 0x048);
  const fields: readonly (readonly [number, Buffer | undefined])[] = [
    [0x038, reportedTcb],
    [0x050, plan.reportData],
    [0x090, plan.measurement ?? Buffer.alloc(48, 0x4d)],
    [0x0c0, plan.hostData],
    [0x0e0, plan.idKeyDigest],
    [0x110, plan.authorKeyDigest],
    [0x140, Buffer.alloc(32, 0x1d)],
    [0x180, reportedTcb],
    [0x188, version < 3 ? undefined : Buffer.from(cpu)],
    [0x1a0, plan.chipId],
    [0x1e0, plan.committedTcb ?? reportedTcb],
    [0x1f0, plan.launchTcb ?? reportedTcb],
  ];
  for (const [at, field] of fields) field?.copy(octets, at);
  const signature = sign("sha384", octets.subarray(0, signedBytes), { key: privateKey, dsaEncoding: "ieee-p1363" });
  Buffer.from(signature.subarray(0, 48).toReversed()).copy(octets, signedBytes);
  Buffer.from(signature.subarray(48).toReversed()).copy(octets, signedBytes + 72);
  return octets;
}

function revocationList(ark: ForeignAuthority, serialNumbers: readonly Buffer[], plan: ListPlan): Buffer {
  const {
    thisUpdate = new Date(foreignNow.getTime() - 86_400_000),
    nextUpdate = new Date(foreignNow.getTime() + 86_400_000),
  } = plan;
  const issuer = plan.signedBy ?? ark;
  const identifier = foreignAlgorithmIdentifier(issuer.algorithm);
  const entries = serialNumbers.map((serialNumber) => sequence(der(tags.integer, serialNumber), time(thisUpdate)));
  const parts: DerPart[] = [
    smallInteger(1),
    identifier,
    encodeName({ commonName: ark.subject }),
    time(thisUpdate),
    time(nextUpdate),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
  ];
  const tbs = encodeDer(sequence(...parts));
  return encodeDer(
    sequence(tbs, identifier, bitString(foreignSignature(issuer.algorithm, tbs, issuer.keys.privateKey))),
  );
}

/** INTEGER from 0 to 255, or more, for what is too large. */
function integer(value: number): Buffer {
  const octets = value > 255 ? [value >> 8, value & 0xff] : value > 127 ? [0, value] : [value];
  return encodeDer(der(tags.integer, Buffer.from(octets)));
}
