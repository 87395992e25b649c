/**
 * What can go wrong on the agent's side: the server refused (`AcmeProblem`), or we could not or would not go on (`ClientError`).
 */

/** `network` no answer · `tls` not the server we trust · `protocol` an answer no ACME server may give · `timeout` the deadline passed ·
 * `aborted` the caller's signal · `evidence` none that the server would take · `chain` a certificate that must not be used. */
export type ClientErrorCode = "network" | "tls" | "protocol" | "timeout" | "aborted" | "evidence" | "chain";

export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientErrorCode;
  constructor(code: ClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** One entry of `subproblems` (RFC 8555 §6.7.1). */
export interface Subproblem {
  readonly type: string;
  readonly detail: string;
}

/** A problem document (RFC 9457) as an ACME server sends it (RFC 8555 §6.7). */
export interface ProblemDocument {
  /** URN; `about:blank` when the server sent none. */
  readonly type: string;
  /** HTTP status; of a problem inside an order or challenge the document's own, or 0. */
  readonly status: number;
  readonly detail: string;
  readonly subproblems: readonly Subproblem[];
}

/** The server refused. `message` is one line for people: what was asked, the reason, and the finer reasons. */
export class AcmeProblem extends Error implements ProblemDocument {
  override readonly name = "AcmeProblem";
  readonly type: string;
  readonly status: number;
  readonly detail: string;
  readonly subproblems: readonly Subproblem[];

  /** `what` names what was refused, for example "the challenge". */
  constructor(what: string, { type, status, detail, subproblems }: ProblemDocument) {
    // Where a finer reason has the words of the whole, its name is all that it adds.
    const [same, others] = [true, false].map((wanted) =>
      subproblems.filter((one) => (detail !== "" && one.detail === detail) === wanted),
    ) as [Subproblem[], Subproblem[]];
    const names = [...new Set([type, ...same.map((one) => one.type)].map(shortType))].join(", ");
    const reason = detail === "" ? names : `${detail} (${names})`;
    const finer = others.map((one) => `; ${shortType(one.type)}: ${one.detail}`).join("");
    super(`${status === 503 ? `the server cannot take ${what} now` : `the server refused ${what}`}: ${reason}${finer}`);
    this.type = type;
    this.status = status;
    this.detail = detail;
    this.subproblems = subproblems;
  }

  /** True for the registered ACME error of this name, for example `badNonce`. */
  is(name: string): boolean {
    return this.type === `urn:ietf:params:acme:error:${name}`;
  }
}

/** The last word of a URN: `badNonce` of `urn:ietf:params:acme:error:badNonce`. */
function shortType(type: string): string {
  return type.slice(type.lastIndexOf(":") + 1);
}
