/** Members of Intel's JSON by their type. What is missing or of another type makes the whole document unusable. */
import { isJsonObject, type JsonObject, type JsonValue } from "../../encoding/json.ts";
import { parseRfc3339 } from "../../x509/time.ts";
import { EvidenceRefused } from "../evidence.ts";

/** An object. @throws {EvidenceRefused} evidenceMalformed, as all of these do */
export function objectAt(object: JsonObject, name: string): JsonObject {
  return objectOf(object[name], name);
}

/** The same of a value that was found under this name. */
export function objectOf(value: JsonValue | undefined, name: string): JsonObject {
  if (!isJsonObject(value)) throw unusable(name);
  return value;
}

/** Of objects; none where the member is absent and `optional`. */
export function objectsAt(object: JsonObject, name: string, optional = false): JsonObject[] {
  const value = object[name];
  if (value === undefined && optional) return [];
  if (!Array.isArray(value)) throw unusable(name);
  return value.map((item) => objectOf(item, name));
}

/** A text. */
export function textAt(object: JsonObject, name: string): string {
  const value = object[name];
  if (typeof value !== "string") throw unusable(name);
  return value;
}

/** An integer from 0 to `max`. */
export function integerAt(object: JsonObject, name: string, max = 65_535): number {
  const value = object[name];
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > max) throw unusable(name);
  return value;
}

/** Hexadecimal in either case, exactly so many octets. */
export function octetsAt(object: JsonObject, name: string, length: number): Buffer {
  const text = textAt(object, name);
  if (text.length !== 2 * length || !/^[0-9A-Fa-f]*$/.test(text)) throw unusable(name);
  return Buffer.from(text, "hex");
}

/** A time of RFC 3339. */
export function dateAt(object: JsonObject, name: string): Date {
  return parseRfc3339(textAt(object, name)) ?? fail(name);
}

function fail(name: string): never {
  throw unusable(name);
}

function unusable(name: string): EvidenceRefused {
  return new EvidenceRefused("evidenceMalformed", `The collateral has no usable ${name}`);
}
