/**
 * Certificates of endorsement and attestation keys (TCG EK Credential Profile 2.6 §3.1, TCG EK and AK certificates' names): a chain to a
 * pinned root, for this purpose, naming the TPM.
 */
import type { Certificate } from "../../x509/certificate.ts";
import { DerError, membersOf, oidOf, readDer, tags, textOf } from "../../x509/der.ts";
import { oids } from "../../x509/oid.ts";
import { type CertificateChain, type ChainRules, type TrustedRoots, verifyChain } from "../certificateChain.ts";
import { invalid } from "../evidence.ts";

/** What a certificate may be for (TCG OID registry, tcg-kp). */
export const purposes = { endorsement: "2.23.133.8.1", attestation: "2.23.133.8.3" } as const;

/** What the maker or the CA says of the TPM, as it is written: "id:53544D20", a model, "id:00010102". */
export interface TpmIdentity {
  readonly manufacturer: string;
  readonly model: string;
  readonly firmware: string;
}

/** tcg-at-tpmManufacturer, -Model, -Version. */
const attributeNames = new Map<string, keyof TpmIdentity>([
  ["2.23.133.2.1", "manufacturer"],
  ["2.23.133.2.2", "model"],
  ["2.23.133.2.3", "firmware"],
]);
const textCharactersMax = 128;

/**
 * Verifies the chain of a key's certificate and reads what it says of the TPM.
 * @param chain - DER, the leaf first
 * @param rules - the instant, how much clocks may differ, and what verified before
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid · evidenceExpired
 */
export function verifyTpmCertificate(
  [leaf, ...intermediates]: readonly Buffer[],
  roots: TrustedRoots,
  purpose: keyof typeof purposes,
  { now, clockSkewSeconds, verified }: Pick<ChainRules, "now" | "clockSkewSeconds" | "verified">,
): CertificateChain & { readonly identity: TpmIdentity } {
  if (leaf === undefined) throw invalid("There is no certificate");
  const chain = verifyChain(leaf, intermediates, roots, {
    now,
    leafPurpose: purposes[purpose],
    ...(clockSkewSeconds !== undefined && { clockSkewSeconds }),
    ...(verified !== undefined && { verified }),
  });
  return { ...chain, identity: readTpmIdentity(chain.leaf) };
}

/**
 * The attributes in the directoryName of the SubjectAltName, in one relative name or in several.
 * @throws {EvidenceRefused} evidenceInvalid where one of the three is missing or there twice
 */
function readTpmIdentity({ extensions }: Certificate): TpmIdentity {
  const names = extensions.find(({ oid }) => oid === oids.subjectAltName);
  const found = new Map<string, string>();
  try {
    for (const [type, text] of names === undefined ? [] : directoryAttributes(names.value)) {
      const name = attributeNames.get(type);
      if (name === undefined) continue;
      if (found.has(name)) throw invalid("The certificate says the same of its TPM twice");
      found.set(name, text());
    }
  } catch (error) {
    if (error instanceof DerError) throw invalid("The certificate's name of its TPM is malformed");
    throw error;
  }
  const [manufacturer, model, firmware] = ["manufacturer", "model", "firmware"].map((name) => found.get(name));
  if (manufacturer === undefined || model === undefined || firmware === undefined) {
    throw invalid("The certificate does not name its TPM's manufacturer, model and version");
  }
  return { manufacturer, model, firmware };
}

/** Type and text of every attribute of every directoryName [4] (RFC 5280 §4.2.1.6). */
function directoryAttributes(subjectAltName: Buffer): [type: string, text: () => string][] {
  const generalNames = membersOf(readDer(subjectAltName), tags.sequence, "SubjectAltName");
  const relativeNames = generalNames
    .filter(({ tag }) => tag === 0xa4)
    .flatMap(({ children }) => membersOf(children[0], tags.sequence, "A directoryName"));
  return relativeNames
    .flatMap((relativeName) => membersOf(relativeName, tags.set, "A relative name"))
    .map((attribute) => {
      const [type, value] = membersOf(attribute, tags.sequence, "An attribute of a name");
      return [oidOf(type, "The type of an attribute"), () => shortText(textOf(value, "An attribute of a name"))];
    });
}

function shortText(text: string): string {
  if (text === "" || text.length > textCharactersMax || !/^[\x20-\x7e]+$/.test(text)) {
    throw invalid(`The certificate's name of its TPM is not 1 to ${textCharactersMax} characters of printable ASCII`);
  }
  return text;
}
