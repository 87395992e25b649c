/**
 * Templates of SPIFFE IDs over verified claims: `spiffe://example.org/ns/{namespace}/sa/{serviceAccount}`. Pure.
 *
 * A placeholder fills one whole segment, or what a fixed beginning and end leave of it: `build-{run_id|lower}-x`. It never reaches over
 * a slash and never meets another placeholder, so that two sets of claims cannot be joined to the same ID.
 */
import { isClaimReference, readClaim, type ClaimReference } from "../attestation/claimReference.ts";
import type { Claims } from "../attestation/evidence.ts";
import { claimTransforms, isSegmentText, templateTransforms, type TemplateTransform } from "./grantTransforms.ts";
import { isPathSegment, parseSpiffeId, SpiffeIdError, type SpiffeId } from "../x509/spiffeId.ts";

interface Placeholder {
  readonly claim: ClaimReference;
  readonly transform: TemplateTransform | undefined;
}

/** One path segment: fixed text around at most one placeholder. */
export interface TemplateSegment {
  readonly before: string;
  readonly placeholder: Placeholder | undefined;
  readonly after: string;
}

export interface IdentityTemplate {
  readonly trustDomain: string;
  readonly segments: readonly TemplateSegment[];
}

/** The template breaks a rule. The message says which and quotes at most the segment. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

const scheme = "spiffe://";
/** What may stand beside a placeholder: characters of a path segment (SPIFFE-ID §2.2). */
const fixedText = "[A-Za-z0-9._-]*";
const segmentPattern = new RegExp(`^(?<before>${fixedText})\\{(?<inside>[^{}]*)\\}(?<after>${fixedText})$`);

/**
 * Takes a template apart.
 * @throws {TemplateError}
 */
export function parseTemplate(text: string): IdentityTemplate {
  if (!text.startsWith(scheme)) throw new TemplateError("a template begins with spiffe://");
  const [trustDomain = "", ...segments] = splitOutsideBraces(text.slice(scheme.length));
  if (segments.length === 0) throw new TemplateError("a template has a path");
  const template = { trustDomain, segments: segments.map(parseSegment) };
  requireLegal(template);
  return template;
}

/** Claims that a template takes values from. */
export function templateClaims(template: IdentityTemplate): ClaimReference[] {
  return template.segments.flatMap(({ placeholder }) => placeholder?.claim ?? []);
}

/** Slashes inside braces belong to a JSON Pointer. */
function splitOutsideBraces(text: string): string[] {
  return text
    .replaceAll(/\{[^{}]*\}/g, (inside) => inside.replaceAll("/", "\0"))
    .split("/")
    .map((part) => part.replaceAll("\0", "/"));
}

function parseSegment(text: string): TemplateSegment {
  if (isPathSegment(text)) return { before: text, placeholder: undefined, after: "" };
  if (text.split("{").length > 2) throw new TemplateError(`the segment "${text}" joins two placeholders`);
  const parts = segmentPattern.exec(text)?.groups;
  if (parts === undefined) throw new TemplateError(`"${text}" is not a path segment with at most one {placeholder}`);
  const { before = "", inside = "", after = "" } = parts;
  const [claim = "", transform, ...more] = inside.split("|");
  if (!isClaimReference(claim)) throw new TemplateError(`the placeholder {${inside}} does not name a claim`);
  if (transform !== undefined && (more.length > 0 || !isTransform(transform))) {
    throw new TemplateError(
      `the placeholder {${inside}} has an unknown transform: expected ${templateTransforms.join(", ")}`,
    );
  }
  return { before, placeholder: { claim, transform }, after };
}

function isTransform(text: string | undefined): text is TemplateTransform {
  return templateTransforms.some((transform) => transform === text);
}

/** Lets the SPIFFE ID parser judge what the template is like with something harmless filled in. */
function requireLegal(template: IdentityTemplate): void {
  try {
    parseSpiffeId(fill(template, () => "x"));
  } catch (error) {
    throw error instanceof SpiffeIdError ? new TemplateError(error.message) : error;
  }
}

function fill({ trustDomain, segments }: IdentityTemplate, value: (placeholder: Placeholder) => string): string {
  const path = segments.map(
    ({ before, placeholder, after }) => before + (placeholder ? value(placeholder) : "") + after,
  );
  return `${scheme}${trustDomain}/${path.join("/")}`;
}

/** True when some claims would make the template this SPIFFE ID. */
export function couldDerive(template: IdentityTemplate, id: SpiffeId): boolean {
  if (id.trustDomain !== template.trustDomain || id.segments.length !== template.segments.length) return false;
  return template.segments.every((segment, index) => couldFill(segment, id.segments[index] ?? ""));
}

/** True when some claim would make the segment this text. */
export function couldFill({ before, placeholder, after }: TemplateSegment, text: string): boolean {
  if (placeholder === undefined) return text === before;
  if (!text.startsWith(before) || !text.endsWith(after)) return false;
  // Fixed beginning and end may not share characters: "ab" is no filling of "ab{x}b".
  if (text.length <= before.length + after.length) return false;
  const value = text.slice(before.length, text.length - after.length);
  return placeholder.transform === undefined || claimTransforms[placeholder.transform].yields(value);
}

/**
 * The SPIFFE ID that these claims make, or why they make none. A value that is not legal as it stands is refused, and never changed but
 * by the transform that the template names.
 */
export function derive(template: IdentityTemplate, claims: Claims): { spiffeId: string } | { failed: string } {
  try {
    const spiffeId = fill(template, (placeholder) => valueOf(placeholder, claims));
    parseSpiffeId(spiffeId);
    return { spiffeId };
  } catch (error) {
    if (error instanceof TemplateError || error instanceof SpiffeIdError) return { failed: error.message };
    throw error;
  }
}

function valueOf({ claim, transform }: Placeholder, claims: Claims): string {
  const found = readClaim(claims, claim);
  if (found === undefined) throw new TemplateError(`claim ${claim} is absent`);
  const text = typeof found === "number" && Number.isSafeInteger(found) ? String(found) : found;
  if (typeof text !== "string") throw new TemplateError(`claim ${claim} is neither a string nor an integer`);
  if (text === "") throw new TemplateError(`claim ${claim} is empty`);
  if (transform === undefined) {
    if (!isSegmentText(text)) throw new TemplateError(`claim ${claim} has characters that no SPIFFE ID has`);
    return text;
  }
  const { apply, takes } = claimTransforms[transform];
  const changed = apply(text);
  if (changed === undefined) throw new TemplateError(`claim ${claim} is not what ${transform} takes: ${takes}`);
  return changed;
}
