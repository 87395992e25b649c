/**
 * SPIFFE IDs (SPIFFE-ID §2), to the letter: never normalised, compared byte for byte.
 */

/** The value is not a SPIFFE ID of a workload. The message names the broken rule and quotes nothing. */
export class SpiffeIdError extends Error {
  override readonly name = "SpiffeIdError";
}

/** A SPIFFE ID in its parts. */
export interface SpiffeId {
  readonly trustDomain: string;
  /** With its leading slash. */
  readonly path: string;
  /** At least one, none empty. */
  readonly segments: readonly string[];
}

const scheme = "spiffe://";
/** SPIFFE-ID §2.3. */
const byteLimit = 2048;
const trustDomainByteLimit = 255;

/** True for a legal trust domain name (SPIFFE-ID §2.1): 1 to 255 of `[a-z0-9.-_]`, with no special treatment of any shape. */
export function isTrustDomain(value: string): boolean {
  return value.length <= trustDomainByteLimit && /^[a-z0-9._-]+$/.test(value);
}

/** True for a legal path segment (SPIFFE-ID §2.2): `[a-zA-Z0-9.-_]`, not empty, not `.` or `..`. */
export function isPathSegment(value: string): boolean {
  return /^[A-Za-z0-9._-]+$/.test(value) && value !== "." && value !== "..";
}

/**
 * Takes apart the SPIFFE ID of a workload, whose path is not the root (X509-SVID §3.1).
 * @throws {SpiffeIdError}
 */
export function parseSpiffeId(value: string): SpiffeId {
  if (Buffer.byteLength(value) > byteLimit) throw new SpiffeIdError(`A SPIFFE ID has at most ${byteLimit} bytes`);
  if (!value.startsWith(scheme)) throw new SpiffeIdError("A SPIFFE ID begins with spiffe:// in lower case");
  if (value.includes("?")) throw new SpiffeIdError("A SPIFFE ID has no query");
  if (value.includes("#")) throw new SpiffeIdError("A SPIFFE ID has no fragment");
  if (value.includes("%")) throw new SpiffeIdError("A SPIFFE ID has no percent-encoding");

  const pathStart = value.indexOf("/", scheme.length);
  const trustDomain = pathStart === -1 ? value.slice(scheme.length) : value.slice(scheme.length, pathStart);
  requireTrustDomain(trustDomain);

  const path = pathStart === -1 ? "" : value.slice(pathStart);
  if (path === "" || path === "/") throw new SpiffeIdError("The SPIFFE ID of a workload has a path");
  if (path.endsWith("/")) throw new SpiffeIdError("The path of a SPIFFE ID does not end in a slash");
  const segments = path.slice(1).split("/");
  for (const segment of segments) requirePathSegment(segment);
  return { trustDomain, path, segments };
}

function requireTrustDomain(trustDomain: string): void {
  if (isTrustDomain(trustDomain)) return;
  if (trustDomain === "") throw new SpiffeIdError("A SPIFFE ID has a trust domain");
  if (trustDomain.includes("@")) throw new SpiffeIdError("A SPIFFE ID has no user information");
  if (trustDomain.includes(":")) throw new SpiffeIdError("A SPIFFE ID has no port");
  if (trustDomain.length > trustDomainByteLimit) {
    throw new SpiffeIdError(`A trust domain has at most ${trustDomainByteLimit} bytes`);
  }
  throw new SpiffeIdError("A trust domain has only the characters a-z, 0-9, dot, hyphen and underscore");
}

function requirePathSegment(segment: string): void {
  if (isPathSegment(segment)) return;
  if (segment === "") throw new SpiffeIdError("The path of a SPIFFE ID has no empty segment");
  if (segment === "." || segment === "..") throw new SpiffeIdError("The path of a SPIFFE ID has no . or .. segment");
  throw new SpiffeIdError("A path segment has only the characters A-Z, a-z, 0-9, dot, hyphen and underscore");
}
