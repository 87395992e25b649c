/**
 * Why something outside could not be reached or did not answer, as a closed set; what the system or the other side said about it is
 * translated or quoted.
 */

/**
 * `dns` the lookup failed · `connection` no connection, or it broke · `tls` no handshake · `answer` it answers, and not in a way that
 * is read · `forbidden` no address of it may be connected to · `ours` nothing was found out about it: we are too busy, or our
 * resolver is away.
 */
export type OutboundProblem = "dns" | "connection" | "tls" | "answer" | "forbidden" | "ours";

export class OutboundFailure extends Error {
  override readonly name = "OutboundFailure";
  readonly problem: OutboundProblem;
  /** Worth another try: what was missing may only be late. */
  readonly retryable: boolean;
  /** @param detail printable ASCII, at most 300 characters are kept; foreign text only through `quoted` */
  constructor(
    problem: OutboundProblem,
    detail: string,
    { retryable = false, cause }: { retryable?: boolean; cause?: unknown } = {},
  ) {
    super(plain(detail), { cause });
    this.problem = problem;
    this.retryable = retryable;
  }
}

/** What may stand in a detail: printable ASCII, at most 300 characters. */
export function plain(detail: string): string {
  return detail.replace(/[^\x20-\x7e]/g, "?").slice(0, 300);
}

/**
 * Foreign text in quotation marks, safe in logs, terminals, JSON and careless HTML: only printable ASCII stays, without quotation
 * marks, angle brackets, ampersand and backslash; the rest is "?", and at most `limit` characters are shown.
 */
export function quoted(foreign: Uint8Array | string, limit = 80): string {
  // Cut before looking, so that a huge input costs no more than a small one. A character has at most four bytes of UTF-8.
  const text =
    typeof foreign === "string"
      ? foreign.slice(0, limit + 1)
      : new TextDecoder().decode(foreign.subarray(0, 4 * limit + 4));
  const safe = text.replace(/[^\x20-\x7e]|["'`<>&\\]/g, "?");
  return safe.length > limit ? `"${safe.slice(0, limit)}..."` : `"${safe}"`;
}
