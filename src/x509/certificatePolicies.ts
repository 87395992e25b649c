/** The extension that names the policies a certificate was issued under (RFC 5280 §4.2.1.4), without qualifiers: building and reading. */
import { DerError, membersOf, oidOf, readDer, tags } from "./der.ts";
import { encodeDer, objectIdentifier, sequence } from "./derWriter.ts";
import type { Extension } from "./extensions.ts";
import { oids } from "./oid.ts";

/** Not critical. @throws {RangeError} without any policy, or for what is no OID */
export function certificatePolicies(policies: readonly string[]): Extension {
  if (policies.length === 0) throw new RangeError("CertificatePolicies has at least one policy");
  const members = policies.map((policy) => sequence(objectIdentifier(policy)));
  return { oid: oids.certificatePolicies, critical: false, value: encodeDer(sequence(...members)) };
}

/** The OIDs of the policies in their order, dotted. @throws {DerError} also for qualifiers */
export function readCertificatePolicies(value: Uint8Array): string[] {
  const members = membersOf(readDer(value), tags.sequence, "CertificatePolicies");
  if (members.length === 0) throw new DerError("CertificatePolicies is empty");
  return members.map((member) => {
    const [policy, ...qualifiers] = membersOf(member, tags.sequence, "A policy");
    if (qualifiers.length > 0) throw new DerError("A policy has qualifiers");
    return oidOf(policy, "The identifier of a policy");
  });
}
