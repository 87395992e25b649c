/**
 * Evidence as the agent sees it: what the challenge accepts, what the platform must put inside, what is sent.
 */
import { ClientError } from "./errors.ts";

/** A kind of evidence that the server would take for this identifier. */
export interface Accept {
  readonly format: string;
  /** The server's name of the source. */
  readonly ref: string;
  /** The least binding level: `nonce`, `key`, `bearer` or `document`. */
  readonly minBinding: string;
}

/** One item of the challenge response. */
export interface EvidenceItem {
  readonly format: string;
  readonly ref: string;
  /** A compact JWT, or bytes as base64url. */
  readonly value: string;
  /** What goes with it: certificates, collateral, the secret of a credential. */
  readonly endorsements?: Readonly<Record<string, string | readonly string[]>>;
}

/** A credential for a TPM (docs/workload-attest-01.md, format `tpm`), base64url. */
export interface ActivationOffer {
  readonly credentialBlob: string;
  readonly encryptedSecret: string;
}

/** What evidence may be bound to. All of it belongs to one challenge, one account and one certificate key. */
export interface EvidenceBinding {
  readonly spiffeId: string;
  /** The server's fixed audience, for platforms that cannot put a value of ours into a token. */
  readonly audience: string;
  /** `<audience>/<B>`: what a nonce-bound token carries as `aud`. */
  readonly boundAudience: string;
  /** B as base64url, 43 characters. */
  readonly binding: string;
  readonly accept: readonly Accept[];
  /** The challenge's token (RFC 8555 §8). */
  readonly token: string;
  /** The account key as an authority token names it (RFC 9447 §4): `SHA256 AA:BB:…` of its thumbprint. */
  readonly fingerprint: string;
  /**
   * Asks the server for a credential that only one TPM can read: `ref`, and what its format wants besides.
   * @throws {AcmeProblem} the server takes none of it, and the challenge has ended
   */
  readonly activate: (request: Readonly<Record<string, unknown>>) => Promise<ActivationOffer>;
  /** Aborts when the time for the whole request is over. */
  readonly signal: AbortSignal;
}

/** Evidence at hand, or a way to get it once the challenge is known. */
export type Evidence = readonly EvidenceItem[] | ((binding: EvidenceBinding) => Promise<readonly EvidenceItem[]>);

const itemsMax = 4;
/** The most that one item's value may hold. */
export const evidenceBytesMax = 65_536;

/**
 * Asks for the evidence and checks it against the limits of workload-attest-01 before anything is sent.
 * @throws {ClientError} evidence · whatever the caller's function throws · the signal's reason
 */
export async function gatherEvidence(evidence: Evidence, binding: EvidenceBinding): Promise<readonly EvidenceItem[]> {
  const items = typeof evidence === "function" ? await untilAborted(evidence(binding), binding.signal) : evidence;
  if (items.length < 1 || items.length > itemsMax) {
    throw new ClientError("evidence", `one to ${itemsMax} items of evidence can be sent, not ${items.length}`);
  }
  return items.map(({ format, ref, value, endorsements }) => {
    if (value === "") throw new ClientError("evidence", `the evidence for ${format}:${ref} is empty`);
    if (Buffer.byteLength(value) > evidenceBytesMax) {
      throw new ClientError("evidence", `the evidence for ${format}:${ref} is larger than ${evidenceBytesMax} bytes`);
    }
    return { format, ref, value, ...(endorsements !== undefined && { endorsements }) };
  });
}

/** The caller's function may not listen to the signal; the request must end all the same. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * The one source that fits what the caller knows of its evidence.
 * @throws {ClientError} evidence, naming the sources there are, when none fits or more than one does
 */
export function chooseSource(
  accept: readonly Accept[],
  known: { readonly format?: string | undefined; readonly ref?: string | undefined },
): Accept {
  const fitting = accept.filter(({ format, ref }) => (known.format ?? format) === format && (known.ref ?? ref) === ref);
  const [source, ...others] = fitting;
  if (source !== undefined && others.length === 0) return source;
  const wanted = `${known.format ?? "any format"}${known.ref === undefined ? "" : `:${known.ref}`}`;
  if (source !== undefined) {
    throw new ClientError("evidence", `several sources accept ${wanted}: ${listOf(fitting)}; say which one is meant`);
  }
  const offer = accept.length === 0 ? "no evidence at all" : listOf(accept);
  throw new ClientError("evidence", `the server does not accept ${wanted} for this identity; it accepts ${offer}`);
}

function listOf(accept: readonly Accept[]): string {
  return accept.map(({ format, ref }) => `${format}:${ref}`).join(", ");
}
