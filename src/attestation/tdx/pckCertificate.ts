/**
 * What Intel certifies of a processor in its PCK certificate: the SGX extension (Intel, "SGX PCK Certificate and Certificate Revocation List
 * Profile Specification", §1.3.5).
 */
import type { Certificate } from "../../x509/certificate.ts";
import {
  contentOf,
  type DerElement,
  DerError,
  membersOf,
  oidOf,
  readDer,
  smallIntegerOf,
  tags,
} from "../../x509/der.ts";
import { EvidenceRefused } from "../evidence.ts";

/** A processor package in the state it was certified in. */
export interface PckPlatform {
  /** Family, model, stepping, platform type and custom SKU: which TCB information is about it; 6 octets. */
  readonly fmspc: Buffer;
  /** 2 octets. */
  readonly pceId: Buffer;
  readonly pceSvn: number;
  /** Security versions of the 16 components. */
  readonly componentSvns: readonly number[];
  /** The package's own id, 16 octets. */
  readonly ppid: Buffer;
  /** The platform's id where several packages make one; 16 octets. */
  readonly platformInstanceId: Buffer | undefined;
}

const sgxExtensions = "1.2.840.113741.1.13.1";
const members = { ppid: ".1", tcb: ".2", pceId: ".3", fmspc: ".4", platformInstanceId: ".6" };
const componentCount = 16;
const pceSvnMember = ".17";

/** @throws {EvidenceRefused} evidenceInvalid for a certificate that is no PCK certificate · evidenceMalformed */
export function readPckPlatform(certificate: Certificate): PckPlatform {
  const extension = certificate.extensions.find(({ oid }) => oid === sgxExtensions);
  if (extension === undefined)
    throw new EvidenceRefused("evidenceInvalid", "The quote's certificate is no PCK certificate");
  try {
    const found = valuesIn(readDer(extension.value), sgxExtensions, "The SGX extension");
    const tcbOid = `${sgxExtensions}${members.tcb}`;
    const tcb = valuesIn(found.get(members.tcb), tcbOid, "The TCB of the SGX extension");
    const platformInstanceId = found.get(members.platformInstanceId);
    return {
      fmspc: octetsOf(found.get(members.fmspc), 6, "The FMSPC"),
      pceId: octetsOf(found.get(members.pceId), 2, "The PCE-ID"),
      ppid: octetsOf(found.get(members.ppid), 16, "The PPID"),
      pceSvn: smallIntegerOf(tcb.get(pceSvnMember), "The PCESVN"),
      componentSvns: Array.from({ length: componentCount }, (_, i) =>
        smallIntegerOf(tcb.get(`.${i + 1}`), "The SVN of a TCB component"),
      ),
      platformInstanceId: platformInstanceId && octetsOf(platformInstanceId, 16, "The platform instance id"),
    };
  } catch (error) {
    if (error instanceof DerError) throw new EvidenceRefused("evidenceMalformed", error.message);
    throw error;
  }
}

/** A list of pairs of OID and value, by what follows `base` in the OID. */
function valuesIn(list: DerElement | undefined, base: string, what: string): ReadonlyMap<string, DerElement> {
  const values = new Map<string, DerElement>();
  for (const pair of membersOf(list, tags.sequence, what)) {
    const [oid, value, ...more] = membersOf(pair, tags.sequence, what);
    const name = oidOf(oid, what);
    if (value === undefined || more.length > 0 || values.has(name.slice(base.length))) {
      throw new DerError(`${what} has a member twice, or one that is no pair`);
    }
    if (name.startsWith(`${base}.`)) values.set(name.slice(base.length), value);
  }
  return values;
}

function octetsOf(element: DerElement | undefined, length: number, what: string): Buffer {
  const octets = contentOf(element, tags.octetString, what);
  if (octets.length !== length) throw new DerError(`${what} has not ${length} octets`);
  return octets;
}
