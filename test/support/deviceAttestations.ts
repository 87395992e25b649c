/** Attestations of devices, made by makers of the tests' own: right in every way or wrong in one. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import {
  booleanTrue,
  constructed,
  der,
  type DerPart,
  encodeDer,
  octetString,
  sequence,
  smallInteger,
} from "../../src/x509/derWriter.ts";
import { tags } from "../../src/x509/der.ts";
import { type Extension, subjectAltName } from "../../src/x509/extensions.ts";
import { encodeCbor, type Writable } from "./cborWriter.ts";
import {
  type CertificatePlan,
  type ForeignAuthority,
  foreignRoot,
  type KeyPair,
  rawExtension,
  spkiOf,
} from "./foreignCa.ts";

const sha256 = (octets: Buffer | string): Buffer => createHash("sha256").update(octets).digest();

/** A key of a device, and its way into a CSR. */
export interface DeviceKey extends KeyPair {
  readonly spki: Buffer;
}

export function deviceKey(namedCurve: "P-256" | "P-384" = "P-256"): DeviceKey {
  const keys = generateKeyPairSync("ec", { namedCurve });
  return { ...keys, spki: spkiOf(keys.publicKey) };
}

/** A maker: a root, and a CA that certifies keys of devices. */
export interface Maker {
  readonly root: ForeignAuthority;
  readonly issuing: ForeignAuthority;
}

export function maker(name: string): Maker {
  const validity = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2040-01-01T00:00:00Z") };
  const root = foreignRoot(`${name} Root`, "ecdsa-sha384", validity);
  return { root, issuing: root.authority(`${name} Attestation`, { ...validity, signs: "ecdsa-sha256" }) };
}

/** An attestation object, base64url. */
export function attestationObject(
  fmt: string,
  statement: readonly (readonly [string, Writable])[],
  more: Writable = new Map(),
): string {
  const members: [string, Writable][] = [
    ["fmt", fmt],
    ["attStmt", new Map(statement)],
    ...((more instanceof Map ? [...more] : []) as [string, Writable][]),
  ];
  return encodeCbor(new Map(members)).toString("base64url");
}

const wholeSecond = (milliseconds: number): Date => new Date(Math.floor(milliseconds / 1000) * 1000);

/** The certificate of an attested key, valid around now unless the plan says otherwise. */
export function attestingCertificate(
  { issuing }: Maker,
  key: DeviceKey,
  more: readonly Extension[],
  plan: Partial<CertificatePlan> = {},
): Buffer {
  const hour = 3_600_000;
  return issuing.certify({
    subject: "device",
    keys: key,
    notBefore: wholeSecond(Date.now() - hour),
    notAfter: wholeSecond(Date.now() + hour),
    more,
    ...plan,
  });
}

/** What signs a statement and what it says, each as it should be unless said. */
export interface StatementWishes {
  readonly key?: DeviceKey;
  readonly signer?: KeyObject;
  readonly signed?: string;
  readonly plan?: Partial<CertificatePlan>;
  readonly fmt?: string;
}

/** Format packed: a PIV attestation with a serial number, or a certificate with a permanent identifier. */
export function packedAttestation(
  made: Maker,
  keyAuthorization: string,
  device: { readonly serial?: number; readonly permanentIdentifier?: string },
  { key = deviceKey(), signer = key.privateKey, signed = keyAuthorization, plan, fmt = "packed" }: StatementWishes = {},
): string {
  const { serial, permanentIdentifier } = device;
  const extensions = [
    ...(serial === undefined ? [] : [rawExtension("1.3.6.1.4.1.41482.3.7", false, integerOf(serial))]),
    rawExtension("1.3.6.1.4.1.41482.3.3", false, Buffer.of(5, 7, 1)),
    rawExtension("1.3.6.1.4.1.41482.3.8", false, Buffer.of(2, 3)),
    ...(permanentIdentifier === undefined
      ? []
      : [subjectAltName({ dns: [], ip: [], uri: [], permanentIdentifiers: [permanentIdentifier] }, false)]),
  ];
  const leaf = attestingCertificate(made, key, extensions, plan);
  return attestationObject(fmt, [
    ["alg", -7],
    ["sig", sign("sha256", Buffer.from(signed), signer)],
    ["x5c", [leaf, made.issuing.certificate]],
  ]);
}

/** Format apple: a certificate with serial number, UDID and the freshness code of a token. */
export function appleAttestation(
  made: Maker,
  token: string,
  { serial, udid }: { readonly serial?: string; readonly udid?: string },
  { key = deviceKey("P-384"), plan, nonce }: StatementWishes & { readonly nonce?: Buffer } = {},
): string {
  const extensions = [
    ...(serial === undefined ? [] : [rawExtension("1.2.840.113635.100.8.9.1", false, Buffer.from(serial))]),
    ...(udid === undefined ? [] : [rawExtension("1.2.840.113635.100.8.9.2", false, Buffer.from(udid))]),
    ...(nonce?.length === 0 ? [] : [rawExtension("1.2.840.113635.100.8.11.1", false, nonce ?? sha256(token))]),
  ];
  const leaf = attestingCertificate(made, key, extensions, plan);
  return attestationObject("apple", [["x5c", [leaf, made.issuing.certificate]]]);
}

/** What an Android device says of a key. */
export interface AndroidWishes {
  readonly challenge?: Buffer;
  readonly levels?: readonly [number, number];
  readonly purposes?: readonly number[];
  readonly origin?: number;
  readonly serial?: string;
  readonly locked?: boolean;
  readonly bootState?: number;
  readonly rootOfTrust?: boolean;
  readonly allApplications?: "software" | "hardware";
}

/** KeyDescription, the value of the extension. */
export function keyDescription(keyAuthorization: string, wishes: AndroidWishes = {}): Buffer {
  const { challenge = sha256(keyAuthorization), levels = [1, 1], purposes = [2], origin = 0, serial } = wishes;
  const enumerated = (value: number) => der(tags.enumerated, Buffer.of(value));
  const root = sequence(
    octetString(Buffer.alloc(32, 7)),
    wishes.locked === false ? der(tags.boolean, Buffer.of(0)) : booleanTrue,
    enumerated(wishes.bootState ?? 0),
    octetString(Buffer.alloc(32, 8)),
  );
  const all = explicit(600, der(tags.null));
  const hardware = [
    explicit(1, der(tags.set, ...purposes.map(smallInteger))),
    ...(wishes.allApplications === "hardware" ? [all] : []),
    explicit(702, smallInteger(origin)),
    ...(wishes.rootOfTrust === false ? [] : [explicit(704, root)]),
    explicit(705, der(tags.integer, Buffer.of(2, 73, 240))),
    ...(serial === undefined ? [] : [explicit(713, octetString(Buffer.from(serial)))]),
  ];
  return encodeDer(
    sequence(
      smallInteger(100),
      enumerated(levels[0]),
      smallInteger(100),
      enumerated(levels[1]),
      octetString(challenge),
      octetString(Buffer.alloc(0)),
      sequence(...(wishes.allApplications === "software" ? [all] : [])),
      sequence(...hardware),
    ),
  );
}

/** A context-specific, constructed element with any tag number. */
function explicit(number: number, part: DerPart): Buffer {
  if (number < 31) return encodeDer(constructed(number, part));
  const inner = encodeDer(constructed(0, part)).subarray(1);
  const head = number < 128 ? [0xbf, number] : [0xbf, 0x80 | (number >> 7), number & 0x7f];
  return Buffer.concat([Buffer.from(head), inner]);
}

/** Format android-key. */
export function androidAttestation(
  made: Maker,
  keyAuthorization: string,
  wishes: AndroidWishes,
  { key = deviceKey(), signer = key.privateKey, signed = keyAuthorization, plan }: StatementWishes = {},
): string {
  const description = rawExtension("1.3.6.1.4.1.11129.2.1.17", false, keyDescription(keyAuthorization, wishes));
  const leaf = attestingCertificate(made, key, [description], plan);
  return attestationObject("android-key", [
    ["alg", -7],
    ["sig", sign("sha256", Buffer.from(signed), signer)],
    ["x5c", [leaf, made.issuing.certificate, made.root.certificate]],
  ]);
}

function integerOf(value: number): Buffer {
  const hex = value.toString(16);
  const magnitude = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  const content = (magnitude[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), magnitude]) : magnitude;
  return encodeDer(der(tags.integer, content));
}
