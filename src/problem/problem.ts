/**
 * Problems (RFC 9457): the closed set of refusals that ACME and REST share. A `Problem` is thrown where a rule is enforced; the
 * document is made in one place, `http/problems.ts`. Anything thrown that is not a `Problem` is our own fault: 500, no detail.
 */

const acme = "urn:ietf:params:acme:error:";
const mayfly = "urn:mayfly:error:";
const attestation = "urn:mayfly:workload-attest:error:";

/** Code → type, status, title. ACME types are those of RFC 8555 §6.7 and the IANA registry; ours never sit in that namespace. */
export const problems = {
  // RFC 8555 §6.7 and its companions
  accountDoesNotExist: { type: `${acme}accountDoesNotExist`, status: 400, title: "The account does not exist" },
  alreadyRevoked: { type: `${acme}alreadyRevoked`, status: 400, title: "The certificate is already revoked" },
  alreadyReplaced: {
    type: `${acme}alreadyReplaced`,
    status: 409,
    title: "The certificate is being replaced already",
  }, // RFC 9773 §7.4
  badAttestationStatement: { type: `${acme}badAttestationStatement`, status: 400, title: "The evidence was refused" },
  badCSR: { type: `${acme}badCSR`, status: 400, title: "The CSR is unacceptable" },
  badNonce: { type: `${acme}badNonce`, status: 400, title: "The nonce is unacceptable" },
  badPublicKey: { type: `${acme}badPublicKey`, status: 400, title: "The JWS key is unacceptable" },
  badRevocationReason: {
    type: `${acme}badRevocationReason`,
    status: 400,
    title: "The revocation reason is not allowed",
  },
  badSignatureAlgorithm: {
    type: `${acme}badSignatureAlgorithm`,
    status: 400,
    title: "The JWS algorithm is not supported",
  },
  caa: { type: `${acme}caa`, status: 403, title: "CAA records forbid this CA to issue" },
  connection: { type: `${acme}connection`, status: 400, title: "The validation target could not be reached" },
  dns: { type: `${acme}dns`, status: 400, title: "A DNS query failed during validation" },
  externalAccountRequired: {
    type: `${acme}externalAccountRequired`,
    status: 403,
    title: "External account binding is required",
  },
  incorrectResponse: {
    type: `${acme}incorrectResponse`,
    status: 403,
    title: "The challenge response is not the expected one",
  },
  invalidContact: { type: `${acme}invalidContact`, status: 400, title: "A contact is invalid" },
  invalidProfile: { type: `${acme}invalidProfile`, status: 400, title: "The profile is not available" },
  malformed: { type: `${acme}malformed`, status: 400, title: "The request is malformed" },
  orderNotReady: { type: `${acme}orderNotReady`, status: 403, title: "The order is not ready to be finalized" },
  rateLimited: { type: `${acme}rateLimited`, status: 429, title: "A rate limit was exceeded" },
  rejectedIdentifier: { type: `${acme}rejectedIdentifier`, status: 400, title: "The identifier will not be certified" },
  serverInternal: { type: `${acme}serverInternal`, status: 500, title: "The server had an internal error" },
  tls: { type: `${acme}tls`, status: 400, title: "A TLS error occurred during validation" },
  unauthorized: { type: `${acme}unauthorized`, status: 403, title: "The client is not authorized" },
  unsupportedContact: { type: `${acme}unsupportedContact`, status: 400, title: "The contact scheme is not supported" },
  unsupportedIdentifier: {
    type: `${acme}unsupportedIdentifier`,
    status: 400,
    title: "The identifier type is not supported",
  },
  userActionRequired: { type: `${acme}userActionRequired`, status: 403, title: "The user must act" },

  // workload-attest-01, only ever as subproblems[].type
  evidenceMalformed: { type: `${attestation}evidenceMalformed`, status: 400, title: "The evidence is malformed" },
  evidenceInvalid: { type: `${attestation}evidenceInvalid`, status: 403, title: "The evidence does not verify" },
  evidenceExpired: {
    type: `${attestation}evidenceExpired`,
    status: 403,
    title: "The evidence is expired or not yet valid",
  },
  evidenceReplayed: { type: `${attestation}evidenceReplayed`, status: 403, title: "The evidence was already used" },
  bindingMissing: {
    type: `${attestation}bindingMissing`,
    status: 403,
    title: "The evidence is not bound strongly enough",
  },
  bindingMismatch: {
    type: `${attestation}bindingMismatch`,
    status: 403,
    title: "The evidence is bound to another request",
  },
  sourceNotConfigured: {
    type: `${attestation}sourceNotConfigured`,
    status: 403,
    title: "The evidence source is unknown",
  },
  formatNotAccepted: {
    type: `${attestation}formatNotAccepted`,
    status: 403,
    title: "The evidence format is not accepted",
  },
  instancePinned: {
    type: `${attestation}instancePinned`,
    status: 403,
    title: "The instance belongs to another account",
  },
  instanceCloned: {
    type: `${attestation}instanceCloned`,
    status: 403,
    title: "The certificate is not the newest of its lineage",
  },
  measurementMismatch: {
    type: `${attestation}measurementMismatch`,
    status: 403,
    title: "A measurement does not match",
  },
  identityNotDerived: {
    type: `${attestation}identityNotDerived`,
    status: 403,
    title: "The evidence does not yield the identifier",
  },
  approvalRequired: { type: `${attestation}approvalRequired`, status: 403, title: "An approval is required" },

  // Ours, only ever as subproblems[].type
  identityQuarantined: {
    type: `${mayfly}identityQuarantined`,
    status: 403,
    title: "The identity is in quarantine",
  },
  issuanceSuspended: {
    type: `${mayfly}issuanceSuspended`,
    status: 403,
    title: "What the certificate would rest on is suspended",
  },

  // HTTP and REST
  notFound: { type: `${acme}malformed`, status: 404, title: "There is no such resource" },
  methodNotAllowed: { type: `${acme}malformed`, status: 405, title: "The method is not allowed here" },
  notAcceptable: { type: `${acme}malformed`, status: 406, title: "None of the accepted types is available" },
  payloadTooLarge: { type: `${acme}malformed`, status: 413, title: "The request is too large" },
  unsupportedMediaType: { type: `${acme}malformed`, status: 415, title: "The content type is not supported" },
  unavailable: { type: `${acme}serverInternal`, status: 503, title: "The service is not available right now" },
  restInvalid: { type: `${mayfly}invalidRequest`, status: 400, title: "The request is not valid" },
  restUnauthenticated: { type: `${mayfly}unauthenticated`, status: 401, title: "A valid operator token is required" },
  restConflict: { type: `${mayfly}conflict`, status: 409, title: "The resource cannot be changed so" },
  restPreconditionFailed: {
    type: `${mayfly}preconditionFailed`,
    status: 412,
    title: "The resource has changed meanwhile",
  },
  restPreconditionRequired: {
    type: `${mayfly}preconditionRequired`,
    status: 428,
    title: "The request must say what it replaces",
  },
  restNotFound: { type: `${mayfly}notFound`, status: 404, title: "There is no such resource" },
} as const;

export type ProblemCode = keyof typeof problems;

/** An ACME identifier inside a problem; RFC 8555 §6.7.1 allows it only in subproblems. */
export interface ProblemIdentifier {
  readonly type: string;
  readonly value: string;
}

export interface Subproblem {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly identifier?: ProblemIdentifier;
}

export interface ProblemOptions {
  readonly subproblems?: readonly Subproblem[];
  /** Overrides the table's status, for the few types RFC 8555 uses with two. */
  readonly status?: number;
  /** Seconds; becomes the `Retry-After` header. */
  readonly retryAfterSeconds?: number;
  /** Further members of the document, for example `algorithms` (RFC 8555 §6.2). */
  readonly members?: Readonly<Record<string, unknown>>;
  /** Further response headers, for example `Location` (RFC 8555 §7.3.5). */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** A refusal that a client may see. `message` is the document's `detail`: a sentence without secrets or internals. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: ProblemCode;
  readonly options: ProblemOptions;
  constructor(code: ProblemCode, detail: string, options: ProblemOptions = {}) {
    super(detail, { cause: options.cause });
    this.code = code;
    this.options = options;
  }
  get status(): number {
    return this.options.status ?? problems[this.code].status;
  }
}

/** Makes a `Problem`; reads as a word where it is thrown. */
export function problem(code: ProblemCode, detail: string, options?: ProblemOptions): Problem {
  return new Problem(code, detail, options);
}

/** The RFC 9457 document of a problem. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly subproblems?: readonly { type: string; title: string; detail: string; identifier?: ProblemIdentifier }[];
  readonly [member: string]: unknown;
}

/** Writes the document (RFC 9457 §3.1; `subproblems` per RFC 8555 §6.7.1). Also how a challenge keeps its `error`. */
export function problemDocument(refusal: Problem): ProblemDocument {
  const row = problems[refusal.code];
  const { subproblems, members } = refusal.options;
  return {
    type: row.type,
    title: row.title,
    status: refusal.status,
    detail: refusal.message,
    ...(subproblems && {
      subproblems: subproblems.map(({ code, detail, identifier }) => ({
        type: problems[code].type,
        title: problems[code].title,
        detail,
        ...(identifier && { identifier }),
      })),
    }),
    ...members,
  };
}
