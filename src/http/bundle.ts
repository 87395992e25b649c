/** The SPIFFE bundle of the trust domain (SPIFFE Trust Domain and Bundle §4, X.509-SVID §6): a JWK Set with the roots. */
import { X509Certificate, type JsonWebKey } from "node:crypto";

/** How often consumers should come back; seconds. */
const refreshHintSeconds = 300;

/**
 * Key types that parsers know. A parser is to pass over others (RFC 7517 §5), but go-spiffe and all that is built on it refuse the
 * whole bundle for one: a root with a key of ML-DSA (`AKP`, RFC 9964) would take the trust in all the others with it.
 */
const knownKeyTypes: ReadonlySet<string | undefined> = new Set(["EC", "OKP", "RSA"]);

/**
 * The bundle that every parser reads; roots with keys of other types are left out of it.
 *
 * @param roots DER; each becomes a JWK with exactly one certificate in `x5c`
 * @param sequence grows whenever the content changes
 */
export function spiffeBundle(roots: readonly Buffer[], sequence: number): object {
  return bundleOf(
    entriesOf(roots).filter(({ kty }) => knownKeyTypes.has(kty)),
    sequence,
  );
}

/** The same with every root, for consumers that know keys of ML-DSA or pass over what they do not know. */
export function postQuantumBundle(roots: readonly Buffer[], sequence: number): object {
  return bundleOf(entriesOf(roots), sequence);
}

function entriesOf(roots: readonly Buffer[]): JsonWebKey[] {
  return roots.map((der) => ({
    ...new X509Certificate(der).publicKey.export({ format: "jwk" }),
    use: "x509-svid",
    x5c: [der.toString("base64")],
  }));
}

function bundleOf(keys: readonly JsonWebKey[], sequence: number): object {
  return { keys, spiffe_sequence: sequence, spiffe_refresh_hint: refreshHintSeconds };
}
