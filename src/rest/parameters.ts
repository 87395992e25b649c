/** What paths, queries and bodies of the REST interface hold: schemas of texts, and what they are read as. */
import { Type, type TString } from "typebox";

import { problem } from "../problem/problem.ts";
import { readSerialHex } from "../x509/certificate.ts";
import { parseRfc3339 } from "../x509/time.ts";

const uuidPattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
const digestPattern = "^[0-9a-fA-F]{64}$";

/** An id that this server gave out: a UUID. */
export const uuid = Type.String({ pattern: uuidPattern, description: "an id, which is a UUID" });

/** A SHA-256 in hexadecimal. */
export const digest = Type.String({
  pattern: digestPattern,
  description: "SHA-256 in hexadecimal, 64 digits",
});

/** A time; `readTime` reads it. */
export const time = Type.String({ maxLength: 40, description: "RFC 3339" });

/** Text that people read: one line. */
export const oneLine = (maxLength: number): TString =>
  Type.String({
    pattern: "^[^\\u0000-\\u001f\\u007f]+$",
    maxLength,
    description: "one line of text, and not empty",
  });

/** A name of whatever form. No text in Postgres holds NUL, so no name does. */
export const nameText = (maxLength: number): TString =>
  Type.String({ pattern: "^[^\\u0000]+$", maxLength, description: "text without NUL, and not empty" });

const isUuid = new RegExp(uuidPattern);
const isDigest = new RegExp(digestPattern);

/** The id in a path; undefined for what can be none. */
export const readUuid = (text: string): string | undefined => (isUuid.test(text) ? text : undefined);

/** The SHA-256 in a path; undefined for what can be none. */
export const readDigest = (text: string): Buffer | undefined =>
  isDigest.test(text) ? Buffer.from(text, "hex") : undefined;

/** @throws {Problem} restInvalid naming the parameter */
export function readTime(text: string, parameter: string): Date {
  const value = parseRfc3339(text);
  if (value === undefined)
    throw problem(
      "restInvalid",
      `${parameter} is not an RFC 3339 time such as 2026-01-31T12:00:00Z (in a query, write + as %2B)`,
    );
  return value;
}

/** @throws {Problem} restInvalid */
export function readSerial(text: string): Buffer {
  const serial = readSerialHex(text);
  if (serial === undefined) throw problem("restInvalid", "a serial is up to 20 octets in hexadecimal");
  return serial;
}
