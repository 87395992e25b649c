/**
 * Attestation keys that an operator has enrolled: a JSON file `{"devices": [{"name", "ak"}, …]}`, where `ak` is a PEM public key, a JWK, or the
 * TPM's name of the key in hex. A name fixes the key's attributes as well; with the other two the operator has looked at them.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { isJsonObject, JsonRefused, parseJsonObject, type JsonValue } from "../../encoding/json.ts";
import { keyOf, KeyRefused } from "../../x509/publicKey.ts";
import { SourceUnavailable } from "../evidence.ts";
import { openSourceFile } from "../sourceFile.ts";
import { requireName } from "./attest.ts";
import { TpmStructureError } from "./reader.ts";

/** A device whose attestation key is known. */
export interface Enrolled {
  readonly device: string;
}

/** The enrolled keys as they are now. */
export interface EnrolledKeys {
  /** By the TPM's name of the key, hex. */
  readonly byName: ReadonlyMap<string, Enrolled>;
  /** By SHA-256 of its SubjectPublicKeyInfo, hex. */
  readonly byKey: ReadonlyMap<string, Enrolled>;
}

const bytesMax = 16 * 1024 * 1024;
const devicesMax = 50_000;
const devicesAtOnce = 32;
/** A device's name can be a segment of a SPIFFE ID. */
const deviceForm = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;

/**
 * Opens the file, which is read again when it changes.
 * @returns the keys as they are now; rejects with {SourceUnavailable} while the file cannot be used
 * @throws {Error} with a message for people when it cannot be used now
 */
export function openEnrolledKeys(path: string, ref: string): () => Promise<EnrolledKeys> {
  const read = openSourceFile(
    path,
    bytesMax,
    (octets) => parseEnrolledKeys(octets, path),
    (octets) => inTurns(parsing(octets, path)),
  );
  return async () =>
    await read().catch((cause: unknown) => {
      throw new SourceUnavailable(`the enrolled keys of source ${ref} cannot be read`, { cause });
    });
}

/** Thousands of keys take seconds, in which others have their turn as well. */
async function inTurns<T>(work: Generator<void, T>): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    await setImmediate();
  }
}

/**
 * Reads the file's text. A device or key that is there twice is an error: one of the two would be ignored.
 * @throws {Error} with a message for people
 */
export function parseEnrolledKeys(bytes: Buffer, path: string): EnrolledKeys {
  const work = parsing(bytes, path);
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** Stops after every few devices, for whoever wants to. */
function* parsing(bytes: Buffer, path: string): Generator<void, EnrolledKeys> {
  const [byName, byKey] = [new Map<string, Enrolled>(), new Map<string, Enrolled>()];
  const devices = new Set<string>();
  for (const [index, entry] of devicesIn(bytes, path).entries()) {
    const at = `${path}: devices[${index}]`;
    const { name, ak } = requireEntry(entry, at);
    if (devices.has(name)) throw new Error(`${at}: the device is there twice`);
    devices.add(name);
    const { map, id } = typeof ak === "string" && /^(?:[0-9a-f]{2})+$/i.test(ak) ? named(ak, at) : keyed(ak, at);
    const target = map === "name" ? byName : byKey;
    if (target.has(id)) throw new Error(`${at}: the key is there twice`);
    target.set(id, { device: name });
    if (index % devicesAtOnce === devicesAtOnce - 1) yield;
  }
  return { byName, byKey };
}

function devicesIn(bytes: Buffer, path: string): readonly JsonValue[] {
  try {
    const { devices, ...more } = parseJsonObject(bytes, path, Infinity);
    if (!Array.isArray(devices) || devices.length > devicesMax || Object.keys(more).length > 0) {
      throw new Error(`${path}: expected {"devices": […]} and nothing else, of at most ${devicesMax}`);
    }
    return devices;
  } catch (error) {
    if (error instanceof JsonRefused) throw new Error(error.message, { cause: error });
    throw error;
  }
}

function requireEntry(entry: JsonValue, at: string): { name: string; ak: JsonValue } {
  if (isJsonObject(entry) && Object.keys(entry).length === 2) {
    const { name, ak } = entry;
    if (typeof name === "string" && deviceForm.test(name) && ak !== undefined) return { name, ak };
  }
  throw new Error(`${at}: expected name, of 1 to 128 characters A-Z a-z 0-9 . _ -, and ak`);
}

type Place = { readonly map: "name" | "key"; readonly id: string };

function named(hex: string, at: string): Place {
  try {
    requireName(Buffer.from(hex, "hex"));
    return { map: "name", id: hex.toLowerCase() };
  } catch (error) {
    if (error instanceof TpmStructureError) throw new Error(`${at}.ak: ${error.message}`, { cause: error });
    throw error;
  }
}

function keyed(ak: JsonValue, at: string): Place {
  try {
    return { map: "key", id: keyOf(importKey(ak)).sha256.toString("hex") };
  } catch (error) {
    const why = error instanceof KeyRefused ? error.message : "expected a PEM public key, a JWK, or a name in hex";
    throw new Error(`${at}.ak: ${why}`, { cause: error });
  }
}

function importKey(ak: JsonValue): KeyObject {
  if (typeof ak === "string") return createPublicKey(ak);
  if (!isJsonObject(ak)) throw new TypeError("neither text nor object");
  return createPublicKey({ key: ak, format: "jwk" });
}
