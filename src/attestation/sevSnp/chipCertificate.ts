/**
 * The certificate of the key that signs reports: VCEK, of one chip with one firmware, or VLEK, of one provider with one firmware. AMD's
 * extensions are below 1.3.6.1.4.1.3704.1 (VCEK Certificate and KDS Interface Specification).
 */
import type { Certificate } from "../../x509/certificate.ts";
import { DerError, readDer, smallIntegerOf, textOf } from "../../x509/der.ts";
import { commonNameOf } from "../../x509/name.ts";
import { EvidenceRefused } from "../evidence.ts";
import type { SigningKey, SnpReport } from "./report.ts";
import { isCpuOf, type Product } from "./product.ts";

const amd = "1.3.6.1.4.1.3704.1";
const productNameOid = `${amd}.2`;
const hwIdOid = `${amd}.4`;
const cspIdOid = `${amd}.5`;
const tcbOid = (arc: number): string => `${amd}.3.${arc}`;
const tcbArcsMax = 9;
/** Up to Genoa 64 octets; since Turin 8, which are the first of the report's 64. */
const hwIdLengths: readonly number[] = [64, 8];
const chipIdBytes = 64;
const cspIdForm = /^[\x20-\x7e]{1,256}$/;

/** What such a certificate says. */
export interface ChipCertificate {
  readonly kind: SigningKey;
  /** The issuer's common name. */
  readonly issuer: string | undefined;
  readonly productName: string;
  /** By the last arc of its extension. */
  readonly tcb: ReadonlyMap<number, number>;
  /** Of a VCEK: the 64 octets that the chip's reports have as CHIP_ID. */
  readonly chipId: Buffer | undefined;
  /** Of a VLEK: whose it is. */
  readonly cspId: string | undefined;
}

/**
 * Reads AMD's extensions. A certificate has either a chip's identifier or a provider's.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function readChipCertificate(certificate: Certificate): ChipCertificate {
  const value = (oid: string): Buffer | undefined =>
    certificate.extensions.find((extension) => extension.oid === oid)?.value;
  try {
    const [productName, hwId, csp] = [value(productNameOid), value(hwIdOid), value(cspIdOid)];
    if (productName === undefined || (hwId === undefined) === (csp === undefined)) throw malformed();
    const tcb = new Map<number, number>();
    for (let arc = 1; arc <= tcbArcsMax; arc++) {
      const component = value(tcbOid(arc));
      if (component !== undefined) tcb.set(arc, octetOf(component));
    }
    return {
      kind: hwId === undefined ? "vlek" : "vcek",
      issuer: commonNameOf(certificate.issuer),
      productName: textOf(readDer(productName), "The product's name"),
      tcb,
      chipId: hwId && chipIdOf(hwId),
      cspId: csp && cspIdOf(csp),
    };
  } catch (error) {
    if (error instanceof DerError) throw malformed();
    throw error;
  }
}

/**
 * Makes sure that this certificate is the one for this report: kind, product, issuer, chip or provider, and every octet of the reported TCB.
 * @throws {EvidenceRefused} evidenceInvalid
 */
export function requireCertificateOf(report: SnpReport, certificate: ChipCertificate, product: Product): void {
  const { kind, issuer, productName, tcb, chipId } = certificate;
  if (report.signingKey !== kind) throw invalid("is of another kind than the key that signed the report");
  if (issuer !== (kind === "vcek" ? `SEV-${product.name}` : `SEV-VLEK-${product.name}`)) {
    throw invalid("was issued by a CA for other certificates");
  }
  if (!product.leafNames.test(productName)) throw invalid("is of another product than its root");
  if (report.cpu !== undefined && !isCpuOf(product, report.cpu)) throw invalid("is of another product than the report");
  if (!report.chipId.equals(chipId ?? Buffer.alloc(chipIdBytes))) throw invalid("is of another chip than the report");
  if (!sameTcb(report.reportedTcb, tcb, product)) throw invalid("is for another TCB than the one that is reported");
}

/** True when each octet of the version is what the certificate has for it; what it does not have is 0. */
export function sameTcb(version: Buffer, tcb: ReadonlyMap<number, number>, { tcbLayout }: Product): boolean {
  if ([...tcb].some(([arc, component]) => component !== 0 && !tcbLayout.includes(arc))) return false;
  return tcbLayout.every((arc, index) => version[index] === (tcb.get(arc) ?? 0));
}

/** The octets themselves, or, as some certificates have them, an OCTET STRING around them. */
function chipIdOf(value: Buffer): Buffer {
  const wrapped = hwIdLengths.includes(value.length - 2) && value[0] === 0x04 && value[1] === value.length - 2;
  const hwId = wrapped ? value.subarray(2) : value;
  if (!hwIdLengths.includes(hwId.length)) throw malformed();
  return Buffer.concat([hwId, Buffer.alloc(chipIdBytes - hwId.length)]);
}

function cspIdOf(value: Buffer): string {
  const text = textOf(readDer(value), "The provider");
  if (!cspIdForm.test(text)) throw malformed();
  return text;
}

function octetOf(value: Buffer): number {
  const number = smallIntegerOf(readDer(value), "A component of the TCB");
  if (number > 255) throw malformed();
  return number;
}

function malformed(): EvidenceRefused {
  return new EvidenceRefused(
    "evidenceMalformed",
    "The certificate of the signing key has not the extensions of a VCEK or VLEK",
  );
}

function invalid(what: string): EvidenceRefused {
  return new EvidenceRefused("evidenceInvalid", `The certificate of the signing key ${what}`);
}
