/** A bag of certificates: SignedData that signs nothing (RFC 5652 §5.1; `certs-only` of RFC 8551 §3.8). */
import { constructed, der, encodeDer, objectIdentifier, sequence, smallInteger } from "./derWriter.ts";
import { tags } from "./der.ts";
import { oids } from "./oid.ts";

/** DER ContentInfo. A SET OF is sorted by its octets (X.690 §11.6), so the order of the chain is lost, as always in this format. */
export function certsOnly(certificates: readonly Buffer[]): Buffer {
  const sorted = [...certificates].sort((a, b) => a.compare(b));
  const signedData = sequence(
    smallInteger(1),
    der(tags.set),
    sequence(objectIdentifier(oids.pkcs7Data)),
    constructed(0, ...sorted),
    der(tags.set),
  );
  return encodeDer(sequence(objectIdentifier(oids.pkcs7SignedData), constructed(0, signedData)));
}
