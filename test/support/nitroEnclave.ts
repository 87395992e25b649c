/** An AWS Nitro hypervisor of the tests' own: documents that are right, or wrong in what a test says. */
import { sign } from "node:crypto";
import { sigStructure } from "../../src/attestation/coseSign1.ts";
import { encodeCbor, TaggedCbor, type Writable } from "./cborWriter.ts";
import {
  type CertificatePlan,
  foreignNow,
  foreignRoot,
  type ForeignAuthority,
  type Validity,
  type KeyPair,
  keysFor,
} from "./foreignCa.ts";

export interface NitroPlatform {
  readonly root: ForeignAuthority;
  /** Root first. */
  readonly cabundle: readonly Buffer[];
  readonly leafKeys: KeyPair;
  /** The certificate of the enclave's key. */
  readonly leaf: Buffer;
  /** Another certificate for it. */
  certify(changes: Partial<CertificatePlan>): Buffer;
  /** COSE_Sign1 over a document. */
  document(changes?: DocumentChanges): Buffer;
}

export interface DocumentChanges {
  /** Members in place of those that a document has; undefined leaves one out. */
  readonly members?: Readonly<Record<string, Writable | undefined>>;
  readonly nonce?: Uint8Array;
  /** PCRs in place of those that a production enclave has; undefined leaves one out. */
  readonly pcrs?: Readonly<Record<number, Buffer | undefined>>;
  readonly protectedHeader?: Writable;
  readonly unprotectedHeader?: Writable;
  readonly tagged?: boolean;
  readonly signedBy?: KeyPair;
  /** The payload's octets in place of the document's. */
  readonly payload?: Buffer;
}

/** Measurements of the tests' enclave: each PCR is its own number over and over. */
export const pcrOf = (index: number): Buffer => Buffer.alloc(48, index + 0x10);
const unset = Buffer.alloc(48);
export const moduleId = "i-0123456789abcdef0-enc0123456789abcdef";
export const instanceId = "i-0123456789abcdef0";

/** A platform whose certificates are valid around `foreignNow`, or in another time. */
export function nitroPlatform(validity: Validity = {}): NitroPlatform {
  const root = foreignRoot("aws.nitro-enclaves", "ecdsa-sha384", validity);
  const region = root.authority("eu-central-1.aws.nitro-enclaves", { pathLenConstraint: 2, ...validity });
  const zone = region.authority("zonal.aws.nitro-enclaves", { pathLenConstraint: 1, ...validity });
  const machine = zone.authority("i-0123456789abcdef0.aws.nitro-enclaves", { pathLenConstraint: 0, ...validity });
  const leafKeys = keysFor("ecdsa-sha384");
  const certify = (changes: Partial<CertificatePlan>): Buffer =>
    machine.certify({
      subject: "enclave.aws",
      keys: leafKeys,
      notAfter: new Date(foreignNow.getTime() + 10_800_000),
      ...validity,
      ...changes,
    });
  const cabundle = [root.certificate, region.certificate, zone.certificate, machine.certificate];
  const leaf = certify({});
  return {
    root,
    cabundle,
    leafKeys,
    leaf,
    certify,
    document(changes = {}) {
      const payload = changes.payload ?? encodeCbor(documentOf(leaf, cabundle, changes));
      const protectedHeader = encodeCbor(changes.protectedHeader ?? new Map([[1, -35]]));
      const key = (changes.signedBy ?? leafKeys).privateKey;
      const signature = sign("sha384", sigStructure(protectedHeader, payload), { key, dsaEncoding: "ieee-p1363" });
      const message: Writable = [protectedHeader, changes.unprotectedHeader ?? new Map(), payload, signature];
      return encodeCbor(changes.tagged === true ? new TaggedCbor(18, message) : message);
    },
  };
}

function documentOf(leaf: Buffer, cabundle: readonly Buffer[], { members = {}, nonce, pcrs = {} }: DocumentChanges) {
  const measured = new Map<number, Writable>();
  for (let index = 0; index < 16; index++) {
    const digest = index in pcrs ? pcrs[index] : [0, 1, 2, 3, 4, 8].includes(index) ? pcrOf(index) : unset;
    if (digest !== undefined) measured.set(index, digest);
  }
  const document: Record<string, Writable | undefined> = {
    module_id: moduleId,
    digest: "SHA384",
    timestamp: foreignNow.getTime() - 1000,
    pcrs: measured,
    certificate: leaf,
    cabundle,
    public_key: null,
    user_data: null,
    nonce: nonce ?? null,
    ...members,
  };
  const present = Object.entries(document).filter((member): member is [string, Writable] => member[1] !== undefined);
  return new Map<string, Writable>(present);
}
