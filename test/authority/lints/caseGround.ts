/** What certificates that break lints are made of: good ones, and ways to change them. */
import { generateKeyPairSync, hash } from "node:crypto";
import type { Authorized } from "../../../src/authority/authorize.ts";
import type { IssuerFacts } from "../../../src/authority/lints/issuerFacts.ts";
import { prepare, type PreparedCertificate } from "../../../src/authority/prepare.ts";
import type { Profile, WrittenProfile } from "../../../src/authority/profile.ts";
import { der, encodeDer, objectIdentifier, sequence, time } from "../../../src/x509/derWriter.ts";
import * as x from "../../../src/x509/extensions.ts";
import { ipToBytes } from "../../../src/x509/names.ts";
import { oids } from "../../../src/x509/oid.ts";
import { keyOf, type PublicKey } from "../../../src/x509/publicKey.ts";
import { agentOne, authorizedServer, authorizedWorkload, p256 } from "../../support/authorized.ts";
import { partsOf, spkiOf, type TbsParts } from "../../support/craftedTbs.ts";
import { memoryHierarchy, serverProfile, workloadProfile } from "../../support/issuers.ts";

export const now = new Date("2026-01-01T00:00:00Z");
export const { issuing } = await memoryHierarchy(now);
export const later = (seconds: number, from = now): Date => new Date(from.getTime() + seconds * 1000);
export const random = Buffer.from("00112233445566778899aabbccdd", "hex");

/** What a case changes: the bytes, what they are held against, or both. */
export interface Case {
  readonly lint: string;
  readonly how: string;
  /** Meets every lint. */
  readonly good: PreparedCertificate;
  readonly bytes?: Partial<TbsParts>;
  readonly prepared?: Partial<PreparedCertificate>;
  readonly issuer?: Partial<IssuerFacts>;
}

export const workload = prepare(authorizedWorkload(), p256(), issuing, { now, random });
export const server = prepare(authorizedServer(), p256(), issuing, { now, random });
export const rsa = keyOf(generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey);
export const ofRsa = prepare(authorizedServer(), rsa, issuing, { now, random });
/** It lives longer than the threshold, and points to list and responder. */
export const pointed = (revocation: WrittenProfile["revocation"] = {}): PreparedCertificate =>
  serverWith({ revocation: { shortLivedMaxSeconds: 60, ocsp: true, ...revocation } });
export const named = serverWith({ subject: "commonName" });
export const withPolicy = serverWith({ certificatePolicies: ["1.3.6.1.4.1.32473.1"] });

export function serverWith(changes: Partial<WrittenProfile>, key: PublicKey = p256()): PreparedCertificate {
  return prepare(authorizedServer(serverProfile(changes)), key, issuing, { now, random });
}

/** The extensions of a certificate without this one, or with another in its place. */
export const replaced = (good: PreparedCertificate, oid: string, ...by: x.Extension[]): Partial<TbsParts> => ({
  extensions: partsOf(good.tbs).extensions.flatMap((extension) => (extension.oid === oid ? by : extension)),
});
export const added = (good: PreparedCertificate, ...by: x.Extension[]): Partial<TbsParts> => ({
  extensions: [...partsOf(good.tbs).extensions, ...by],
});
export const recriticised = (good: PreparedCertificate, oid: string): Partial<TbsParts> => ({
  extensions: partsOf(good.tbs).extensions.map((one) => (one.oid === oid ? { ...one, critical: !one.critical } : one)),
});
export const authorizedAs = (
  good: PreparedCertificate,
  changes: Partial<Authorized>,
): Partial<PreparedCertificate> => ({
  authorized: { ...good.authorized, ...changes },
});
export const profiled = (good: PreparedCertificate, changes: Partial<Profile>) =>
  authorizedAs(good, { profile: { ...good.authorized.profile, ...changes } });

export const noNames = { dns: [], ip: [], uri: [], permanentIdentifiers: [] };
export type Names = Partial<Authorized["names"]>;
/** Certificate and decision agree on these names, with proofs and grants for them. */
export function withNames(good: PreparedCertificate, names: Names): Pick<Case, "good" | "bytes" | "prepared"> {
  const all = { ...noNames, ...names };
  const critical = partsOf(good.tbs).extensions.some((one) => one.oid === oids.subjectAltName && one.critical);
  const [grant] = good.authorized.granted;
  return {
    good,
    bytes: replaced(good, oids.subjectAltName, sanOf(all, critical)),
    prepared: authorizedAs(good, {
      names: all,
      granted: grant === undefined ? [] : all.uri.map((name) => ({ ...grant, name })),
      evidence: [
        ...all.dns.map((value) => challenged("dns", value)),
        ...all.ip.map((value) => challenged("ip", value)),
        ...all.uri.map((value) => attested(value)),
      ],
    }),
  };
}
/** Also of names that `subjectAltName` would not write. */
export const sanOf = ({ dns, ip, uri }: Authorized["names"], critical: boolean): x.Extension => ({
  oid: oids.subjectAltName,
  critical,
  value: encodeDer(
    sequence(
      ...dns.map((name) => der(0x82, Buffer.from(name, "latin1"))),
      ...ip.map((address) => der(0x87, ipToBytes(address))),
      ...uri.map((name) => der(0x86, Buffer.from(name, "latin1"))),
    ),
  ),
});
export const challenged = (type: "dns" | "ip", value: string) =>
  ({
    identifier: { type, value },
    proved: { by: "challenge", challenge: "http-01", at: "2026-01-01T00:00:00Z" },
  }) as const;
export const attested = (value: string) =>
  ({
    identifier: { type: "uri", value },
    proved: { by: "attestation", record: { grant: "dev", grantVersion: "v1" } },
  }) as const;

/** Certificate and decision agree on this key; its form is not one that `PublicKey` would have. */
export function withKey(
  good: PreparedCertificate,
  spki: Buffer,
  bits: Buffer,
): Pick<Case, "good" | "bytes" | "prepared"> {
  const identifier = hash("sha256", bits, "buffer").subarray(0, 20);
  const value = Buffer.concat([Buffer.of(4, 20), identifier]);
  return {
    good,
    bytes: {
      spki,
      ...replaced(good, oids.subjectKeyIdentifier, { oid: oids.subjectKeyIdentifier, critical: false, value }),
    },
    prepared: { publicKey: { ...good.publicKey, spki } },
  };
}
export const rsaKey = (modulus: Buffer, exponent: Buffer): [Buffer, Buffer] => {
  const bits = encodeDer(sequence(der(0x02, modulus), der(0x02, exponent)));
  return [spkiOf(sequence(objectIdentifier(oids.rsaEncryption), der(0x05)), bits), bits];
};
export const odd = (octets: number, first = 0x80): Buffer =>
  Buffer.concat([Buffer.of(0, first), Buffer.alloc(octets - 1, 0x55)]);
export const ecKey = (curve: string, point: Buffer): [Buffer, Buffer] => [
  spkiOf(sequence(objectIdentifier(oids.ecPublicKey), objectIdentifier(curve)), point),
  point,
];
export const f4 = Buffer.of(1, 0, 1);

/** Certificate and record agree on this serial number. */
export const withSerial = (serialNumber: Buffer, good = workload): Pick<Case, "good" | "bytes" | "prepared"> => ({
  good,
  bytes: { serialNumber },
  prepared: { serialNumber },
});
/** Certificate and record agree on this validity. */
export const withValidity = (
  notBefore: Date,
  notAfter: Date,
  good = workload,
): Pick<Case, "good" | "bytes" | "prepared"> => ({
  good,
  bytes: { notBefore: time(notBefore), notAfter: time(notAfter) },
  prepared: { notBefore, notAfter },
});
/** After 2059 the day reaches into the sign of the serial number. */
export const far = later(0, new Date("2060-01-01T00:00:00Z"));
export const farDay = Buffer.alloc(2);
farDay.writeUInt16BE(Math.floor(later(839, far).getTime() / 86_400_000));
export const emailName = encodeDer(sequence(der(0x86, Buffer.from(agentOne)), der(0x81, Buffer.from("a@b.c"))));
export const usage = (...uses: x.KeyUsage[]): x.Extension => x.keyUsage(uses);
export const purposesOf = (...purposes: string[]): x.Extension => ({
  oid: oids.extendedKeyUsage,
  critical: false,
  value: encodeDer(sequence(...purposes.map(objectIdentifier))),
});
export const long = `${"a".repeat(62)}.test`;

export function revoking(
  good: PreparedCertificate,
  changes: Partial<Profile["revocation"]>,
): Partial<PreparedCertificate> {
  return profiled(good, { revocation: { ...good.authorized.profile.revocation, ...changes } });
}

/** A profile that would have these uses, though none may: what is left is the rule in question. */
export function profiledToUses(good: PreparedCertificate, ...uses: x.KeyUsage[]): Partial<PreparedCertificate> {
  const keyUsage = uses as unknown as Profile["keyUsage"];
  return profiled(good, { keyUsage });
}

export function profiledToPurposes(good: PreparedCertificate, ...purposes: string[]): Partial<PreparedCertificate> {
  return profiled(good, { extendedKeyUsage: purposes as Profile["extendedKeyUsage"] });
}

export function otherGrant(): Authorized["granted"] {
  const { granted } = authorizedWorkload(workloadProfile(), "spiffe://mayfly.test/agent/two");
  return granted;
}
