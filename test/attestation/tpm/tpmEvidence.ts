/** Evidence of format `tpm` as the tests have it: good, or with a wish granted that no TPM would grant. */
import { createHash, type KeyObject } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Test } from "tap";
import { tpmFormat, verifyTpm, type TpmSettings } from "../../../src/attestation/formats/tpm.ts";
import type { Endorsements, VerificationContext } from "../../../src/attestation/evidence.ts";
import type { OpenSource } from "../../../src/attestation/format.ts";
import type { AttestationKeyTrust } from "../../../src/attestation/tpm/attestationKey.ts";
import { parseEnrolledKeys } from "../../../src/attestation/tpm/enrolledKeys.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { context as tokenContext } from "../testIssuer.ts";
import {
  attributes,
  certify,
  quote,
  signed,
  softwareKey,
  type Attesting,
  type Bank,
  type HashName,
  type SoftwareKey,
} from "./softwareTpm.ts";
import { keyCertificate, maker, purpose, rootsOf, type CertificateWishes } from "./tpmMaker.ts";

export const extraData = Buffer.alloc(32, 0xb5);
export const context: VerificationContext = { ...tokenContext, binding: extraData.toString("base64url") };
export const [pcr0, pcr7] = [Buffer.alloc(32, 0xa0), Buffer.alloc(32, 0xa7)];
export const bank: Bank = { hash: "sha256", registers: { 0: pcr0, 7: pcr7 } };
export const sha256 = (key: KeyObject): string =>
  createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("hex");

export const root = maker("Root of the tests");
export const intermediate = maker("Intermediate of the tests", root);
export const otherRoot = maker("Root of the tests");
export const keys = { rsa: softwareKey("rsa"), "P-256": softwareKey("P-256"), "P-384": softwareKey("P-384") };
export const ak = keys["P-256"];
export const tlsKey = softwareKey("P-256", attributes.tls);
export const akCertificate = (key: SoftwareKey = ak, wishes: CertificateWishes = {}, issuer = intermediate): Buffer =>
  keyCertificate(issuer, key.publicKey, { purposes: [purpose.ak], ...wishes });
export const chain = [akCertificate(), intermediate.der];

export type Value = Record<string, unknown>;
export const base64url = (bytes: Buffer): string => bytes.toString("base64url");
export const valueOf = (members: Value | string): string =>
  base64url(Buffer.from(typeof members === "string" ? members : JSON.stringify(members)));

export interface Quoting extends Partial<Attesting> {
  readonly key?: SoftwareKey;
  readonly banks?: readonly Bank[];
  readonly hash?: HashName;
  readonly digest?: Buffer;
}
export function quoteOf({ key = ak, banks = [bank], hash = "sha256", ...attesting }: Quoting = {}): Value {
  const { attest, pcrs } = quote({ extraData, banks, digestHash: hash, ...attesting });
  return { attest: base64url(attest), signature: base64url(signed(key, attest, { hash })), pcrs: base64url(pcrs) };
}
export interface Certifying extends Partial<Attesting> {
  readonly key?: SoftwareKey;
  readonly object?: SoftwareKey;
  readonly name?: Buffer;
  readonly hash?: HashName;
}
export function certifyOf({
  key = ak,
  object = tlsKey,
  name = object.name,
  hash = "sha256",
  ...attesting
}: Certifying = {}) {
  const attest = certify({ extraData, name, ...attesting });
  const signature = base64url(signed(key, attest, { hash }));
  return { attest: base64url(attest), signature, object: base64url(object.publicArea) };
}

export const noTrust: AttestationKeyTrust = { akRoots: undefined, enrolled: undefined, ekRoots: undefined };
export const certifiedAks: AttestationKeyTrust = { ...noTrust, akRoots: rootsOf(root) };
export const enrolledAks = (...devices: object[]): AttestationKeyTrust => {
  const known = parseEnrolledKeys(Buffer.from(JSON.stringify({ devices })), "enrolled.json");
  return { ...noTrust, enrolled: () => Promise.resolve(known) };
};
export const enrolled = enrolledAks({ name: "rack-7", ak: ak.name.toString("hex") });

export interface Verifying {
  readonly settings?: Partial<TpmSettings>;
  readonly trust?: AttestationKeyTrust;
  readonly context?: Partial<VerificationContext>;
  readonly endorsements?: Endorsements;
  readonly ref?: string;
}
export const verifyValue = (
  value: string,
  { settings, trust = certifiedAks, endorsements, ref = "rack", ...more }: Verifying = {},
) =>
  verifyTpm(
    { format: "tpm", ref, value, ...(endorsements !== undefined && { endorsements }) },
    { ref, format: "tpm", ...settings },
    trust,
    { ...context, ...more.context },
  );
export const verify = (members: Value, verifying?: Verifying) => verifyValue(valueOf(members), verifying);
export const x5c = chain.map(base64url);
export const certifyOnly: Partial<TpmSettings> = { statements: ["certify"] };

/** A file with these certificates. */
export function pemFile(t: Test, ...certificates: Buffer[]): string {
  const file = path.join(t.testdir(), "roots.pem");
  writeFileSync(file, certificates.map((der) => pemEncode("CERTIFICATE", der)).join(""));
  return file;
}

/** A source that read its files. */
export function openTpmSource(settings: Partial<TpmSettings>): OpenSource {
  const surroundings = {
    fetchBody: () => Promise.reject(new Error("nothing is fetched")),
    now: () => context.now,
    trustDomain: "example.org",
  };
  return tpmFormat.open({ ref: "rack", format: "tpm", ...settings }, surroundings);
}
