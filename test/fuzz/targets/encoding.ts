/** base64url, JSON, CBOR and cursors. */
import { isDeepStrictEqual } from "node:util";
import { decode as decodeWithWitness } from "cborg";
import { parseDocument } from "yaml";
import { readCertificateId, writeCertificateId } from "../../../src/acme/certificateId.ts";
import { decodeBase64url } from "../../../src/encoding/base64url.ts";
import { CborError, decodeCbor, type CborValue } from "../../../src/encoding/cbor.ts";
import { JsonRefused, parseJsonObject } from "../../../src/encoding/json.ts";
import { readCursor, writeCursor } from "../../../src/inventory/cursor.ts";
import { Problem } from "../../../src/problem/problem.ts";
import { encodeCbor, type Writable } from "../../support/cborWriter.ts";
import { base64urlText, bendBytes, bendJson, bendText, jsonText, type Json } from "../mutate.ts";
import type { Random } from "../random.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const sampleObjects: readonly { [member: string]: Json }[] = [
  { identifiers: [{ type: "dns", value: "a.example" }], notAfter: "2026-01-01T00:00:00Z" },
  { protected: "e30", payload: "", signature: "AAAA" },
  { a: { b: [1, 2.5, -3e4, null, true, false, 'é\u2028"\\'], "": {} }, c: [[[{}]]] },
  { contact: ["mailto:a@example.com"], termsOfServiceAgreed: true },
];

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parsed(octets: Buffer): unknown {
  try {
    return JSON.parse(strictUtf8.decode(octets));
  } catch {
    return undefined;
  }
}

/** A YAML reader knows JSON, and minds members that are named twice. */
const namesTwice = (text: string): boolean =>
  parseDocument(text, { schema: "json", uniqueKeys: true }).errors.some(({ code }) => code === "DUPLICATE_KEY");

const json: Target = {
  name: "json",
  about: "JSON objects, as every request has them; JSON.parse and a YAML reader are the witnesses",
  cases: 6_000,
  slowMs: 300,
  make(random) {
    const object = random.pick(sampleObjects);
    const text = jsonText(random, random.chance(0.7) ? bendJson(random, object) : object);
    return random.chance(0.2) ? bendBytes(random, Buffer.from(text)) : Buffer.from(text);
  },
  check(input) {
    let refusal = "";
    const read = readOrRefuse(() => {
      try {
        return parseJsonObject(input, "it");
      } catch (error) {
        refusal = error instanceof Error ? error.message : "";
        throw error;
      }
    }, JsonRefused);
    const witness = parsed(input);
    if (read !== undefined) {
      holds(isDeepStrictEqual(read, witness), "JSON.parse reads something else");
      holds(!namesTwice(input.toString("utf8")), "a member is named twice");
      holds(Object.getPrototypeOf(read) === Object.prototype, "its prototype is another");
      return "accepted";
    }
    if (refusal === "it is not JSON") holds(witness === undefined, "JSON.parse reads it");
    if (refusal === "it is not a JSON object")
      holds(typeof witness !== "object" || witness === null || Array.isArray(witness), "it is an object");
    return "refused";
  },
};

const base64url: Target = {
  name: "base64url",
  about: "base64url text; the way back is the witness",
  cases: 20_000,
  slowMs: 200,
  make: (random) => Buffer.from(base64urlText(random, random.bytes(random.below(40)))),
  check(input) {
    const text = input.toString("utf8");
    const octets = decodeBase64url(text);
    if (octets === undefined) {
      const canonical = Buffer.from(text, "base64url").toString("base64url") === text;
      holds(!canonical, "it is the text of its octets");
      return "refused";
    }
    holds(octets.toString("base64url") === text, "its octets have another text");
    return "accepted";
  },
};

const cursor: Target = {
  name: "cursor",
  about: "cursors of the inventory",
  cases: 10_000,
  slowMs: 200,
  make(random) {
    const at = new Date(random.below(2 ** 32) * 500);
    const good = writeCursor({ at, key: random.bytes(16).toString("hex") });
    if (random.chance(0.2)) return Buffer.from(good);
    if (random.chance(0.3)) return Buffer.from(bendText(random, good));
    const value = bendJson(random, [at.toISOString(), "key"]);
    return Buffer.from(base64urlText(random, jsonText(random, value)));
  },
  check(input) {
    const read = readOrRefuse(() => readCursor(input.toString("utf8")), Problem);
    if (read === undefined) return "refused";
    holds(!Number.isNaN(read.at.getTime()) && !read.key.includes("\0"), "Postgres does not take it");
    const again = readCursor(writeCursor(read));
    holds(again.key === read.key && again.at.getTime() === read.at.getTime(), "it does not survive the way back");
    return "accepted";
  },
};

const certificateId: Target = {
  name: "certificate-id",
  about: "ids of renewal information (RFC 9773)",
  cases: 10_000,
  slowMs: 200,
  make(random) {
    const keyIdentifier = random.bytes(random.pick([20, 20, 0, 1, 64, 65]));
    const serialNumber = Buffer.from([random.pick([0, 0x4f, 0x7f, 0x80]), ...random.bytes(random.below(20))]);
    const parts = [keyIdentifier, serialNumber].map((part) => base64urlText(random, part));
    const text = parts.join(random.chance(0.9) ? "." : "..");
    return Buffer.from(random.chance(0.2) ? bendText(random, text) : text);
  },
  check(input) {
    const text = input.toString("utf8");
    const read = readCertificateId(text);
    if (read === undefined) return "refused";
    holds(writeCertificateId(read) === text, "it has another text");
    return "accepted";
  },
};

/** Shapes that evidence has: a signed document, a COSE key, an attestation object. */
const cborSamples: readonly Writable[] = [
  [Buffer.from("a1013822", "hex"), new Map(), Buffer.alloc(40, 7), Buffer.alloc(96, 9)],
  new Map<number | string, Writable>([
    [1, 2],
    [3, -7],
    [-1, 1],
    [-2, Buffer.alloc(32, 1)],
    [-3, Buffer.alloc(32, 2)],
  ]),
  new Map<string, Writable>([
    ["module_id", "i-0"],
    ["timestamp", 1_665_651_482_136],
    ["pcrs", new Map([0, 1, 2, 300, 70_000].map((index) => [index, Buffer.alloc(48, index)]))],
    ["cabundle", [Buffer.alloc(3), Buffer.alloc(300)]],
    ["nonce", null],
    ["fmt", true],
  ]),
];

const cborStrict = { strict: true, useMaps: true, rejectDuplicateMapKeys: true, allowIndefinite: false };

function cborOfWitness(input: Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: decodeWithWitness(input, cborStrict) };
  } catch {
    return undefined;
  }
}

/** Octets as text: the witness has Uint8Arrays where we have Buffers. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return `h'${Buffer.from(value).toString("hex")}'`;
  if (value instanceof Map) return [...(value as Map<unknown, unknown>)].map((member) => member.map(comparable));
  return Array.isArray(value) ? value.map(comparable) : value;
}

const cbor: Target = {
  name: "cbor",
  about: "CBOR, as attestation documents have it; the writer and cborg are the witnesses",
  cases: 12_000,
  slowMs: 200,
  make(random) {
    const octets = encodeCbor(random.pick(cborSamples));
    return random.chance(0.1) ? octets : bendBytes(random, octets, 1);
  },
  check(input) {
    const read = readOrRefuse<{ readonly value: CborValue }>(() => ({ value: decodeCbor(input) }), CborError);
    if (read === undefined) return "refused";
    holds(encodeCbor(read.value).equals(input), "written again it is something else");
    const other = cborOfWitness(input);
    holds(other !== undefined, "the witness refuses it");
    holds(isDeepStrictEqual(comparable(read.value), comparable(other?.value)), "the witness reads something else");
    return "accepted";
  },
};

export const encodingTargets: readonly Target[] = [json, base64url, cbor, cursor, certificateId];

/** A JSON object for other targets, bent or not. */
export const bentOrNot = (random: Random, value: Json): Json => (random.chance(0.25) ? value : bendJson(random, value));
