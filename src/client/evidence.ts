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
  /** What must be shown together with it. */
  readonly with?: readonly Omit<Accept, "with">[];
}

/** One item of the challenge response. */
export interface EvidenceItem {
  readonly format: string;
  readonly ref: string;
  /** A compact JWT, or bytes as base64url. */
  readonly value: string;
  /** What goes with it: certificates, collateral, the secret of a credential. */
  readonly endorsements?: Endorsements;
}

/** A credential for a TPM (docs/workload-attest-01.md, format `tpm`), base64url. */
export interface ActivationOffer {
  readonly credentialBlob: string;
  readonly encryptedSecret: string;
}
export type Endorsements = Readonly<Record<string, string | readonly string[]>>;

/**
 * What evidence may be bound to. All of it belongs to one challenge (or one request, where evidence goes with the order), one account and one
 * certificate key.
 */
export interface EvidenceBinding {
  readonly spiffeId: string;
  /** The server's fixed audience, for platforms that cannot put a value of ours into a token. */
  readonly audience: string;
  /** `<audience>/<B>`: what a nonce-bound token carries as `aud`. */
  readonly boundAudience: string;
  /** B as base64url, 43 characters. */
  readonly binding: string;
  readonly accept: readonly Accept[];
  /** The challenge's token (RFC 8555 §8), or the nonce that stands in for it. */
  readonly token: string;
  /** The account key as an authority token names it (RFC 9447 §4): `SHA256 AA:BB:…` of its thumbprint. */
  readonly fingerprint: string;
  /**
   * Asks the server for a credential that only one TPM can read: `ref`, and what its format wants besides. Where there is no challenge to ask
   * at, this ends the attempt to send evidence with the order, and the function is called again with a challenge.
   * @throws {AcmeProblem} the server takes none of it, and the challenge has ended
   */
  readonly activate: (request: Readonly<Record<string, unknown>>) => Promise<ActivationOffer>;
  /** Aborts when the time for the whole request is over. */
  readonly signal: AbortSignal;
}

/** Evidence at hand, or a way to get it once it is known what to bind it to; asked again where a request has to be repeated. */
export type Evidence = readonly EvidenceItem[] | ((binding: EvidenceBinding) => Promise<readonly EvidenceItem[]>);

const itemsMax = 4;
/** The most that one item's value may hold. */
export const evidenceBytesMax = 65_536;
/** The most that the endorsements of all items may hold. */
export const endorsementBytesMax = 262_144;

/**
 * Asks for the evidence and checks it against the limits of workload-attest-01 before anything is sent.
 * @throws {ClientError} evidence · whatever the caller's function throws · the signal's reason
 */
export async function gatherEvidence(evidence: Evidence, binding: EvidenceBinding): Promise<readonly EvidenceItem[]> {
  const items = typeof evidence === "function" ? await untilAborted(evidence(binding), binding.signal) : evidence;
  if (items.length < 1 || items.length > itemsMax) {
    throw new ClientError("evidence", `one to ${itemsMax} items of evidence can be sent, not ${items.length}`);
  }
  const endorsed = items.flatMap(({ endorsements = {} }) => Object.values(endorsements).flat());
  if (endorsed.reduce((sum, text) => sum + Buffer.byteLength(text), 0) > endorsementBytesMax)
    throw new ClientError("evidence", `the endorsements are larger than ${endorsementBytesMax} bytes`);
  return items.map(({ format, ref, value, endorsements }) => {
    if (value === "") throw new ClientError("evidence", `the evidence for ${format}:${ref} is empty`);
    if (Buffer.byteLength(value) > evidenceBytesMax) {
      throw new ClientError("evidence", `the evidence for ${format}:${ref} is larger than ${evidenceBytesMax} bytes`);
    }
    return endorsements === undefined ? { format, ref, value } : { format, ref, value, endorsements };
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

/** What the caller knows of a piece of its evidence. */
export interface Known {
  readonly format?: string | undefined;
  readonly ref?: string | undefined;
}

type Source = Omit<Accept, "with">;

/**
 * The one way through what a server accepts that fits what the caller knows of its evidence: a source for each piece, in the caller's order.
 * @throws {ClientError} evidence, naming the sources there are, when none fits or more than one does
 */
export function chooseSources(accept: readonly Accept[], known: readonly Known[]): readonly Source[] {
  const ways = accept.map((one): readonly Source[] => [one, ...(one.with ?? [])]);
  const fitting = new Map(ways.flatMap((way) => assignments(way, known)).map((found) => [nameOf(found), found]));
  const [sources, ...others] = fitting.values();
  if (sources !== undefined && others.length === 0) return sources;
  const wanted = known
    .map(({ format, ref }) =>
      format === undefined && ref !== undefined
        ? `evidence of source ${ref}`
        : `${format ?? "any format"}${ref === undefined ? "" : `:${ref}`}`,
    )
    .join(together);
  if (sources !== undefined) {
    const found = [...fitting.keys()].join(", ");
    throw new ClientError("evidence", `several sources accept ${wanted}: ${found}; say which one is meant`);
  }
  const offer = ways.length === 0 ? "no evidence at all" : ways.map(nameOf).join(", ");
  throw new ClientError("evidence", `the server does not accept ${wanted} for this identity; it accepts ${offer}`);
}

const together = " together with ";
const nameOf = (sources: readonly Source[]): string =>
  sources.map(({ format, ref }) => `${format}:${ref}`).join(together);

/** The orders of a way in which every piece that is known has its source, and no source is left. There are at most four of either. */
function assignments(way: readonly Source[], [first, ...others]: readonly Known[]): (readonly Source[])[] {
  if (first === undefined) return way.length === 0 ? [[]] : [];
  return way.flatMap((source, index) => {
    if ((first.format ?? source.format) !== source.format || (first.ref ?? source.ref) !== source.ref) return [];
    return assignments(way.toSpliced(index, 1), others).map((rest) => [source, ...rest]);
  });
}
