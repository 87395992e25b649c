/** What a certificate is made of, broken: version, serial number, algorithm, validity, and extensions as such. */
import { der, encodeDer, objectIdentifier, sequence, time } from "../../../src/x509/derWriter.ts";
import { oids } from "../../../src/x509/oid.ts";
import { noRevAvail } from "../../../src/x509/revocationExtensions.ts";
import { generalized, nameOf } from "../../support/craftedTbs.ts";
import {
  later,
  random,
  type Case,
  workload,
  replaced,
  added,
  far,
  farDay,
  withSerial,
  withValidity,
} from "./caseGround.ts";

export const formCases: readonly Case[] = [
  { lint: "version3", how: "version 2", good: workload, bytes: { version: 1 } },
  { lint: "version3", how: "no version", good: workload, bytes: { version: undefined } },
  {
    lint: "serialPositive",
    how: "a negative number",
    good: workload,
    bytes: {
      serialNumber: Buffer.concat([farDay, random]),
      notBefore: time(later(-60, far)),
      notAfter: time(later(839, far)),
    },
    prepared: {
      serialNumber: Buffer.concat([farDay, random]),
      notBefore: later(-60, far),
      notAfter: later(839, far),
      preparedAt: far,
    },
    issuer: { notAfter: later(900, far) },
  },
  {
    lint: "serialTwentyOctets",
    how: "21 octets",
    ...withSerial(Buffer.concat([workload.serialNumber, Buffer.alloc(5, 7)])),
  },
  {
    lint: "serialEntropy",
    how: "72 bits, of which 16 are the day",
    ...withSerial(workload.serialNumber.subarray(0, 9)),
  },
  {
    lint: "serialNotConstant",
    how: "zeros",
    ...withSerial(Buffer.concat([workload.serialNumber.subarray(0, 2), Buffer.alloc(14)])),
  },
  {
    lint: "serialNotConstant",
    how: "ones",
    ...withSerial(Buffer.concat([workload.serialNumber.subarray(0, 2), Buffer.alloc(14, 0xff)])),
  },
  {
    lint: "serialDayOfNotAfter",
    how: "the day before",
    ...withSerial(Buffer.concat([Buffer.of(0x4f, 0xe5), random])),
  },
  {
    lint: "signatureOfIssuer",
    how: "the identifier of Ed25519",
    good: workload,
    bytes: { signature: encodeDer(sequence(objectIdentifier(oids.ed25519))) },
  },
  {
    lint: "signatureStrong",
    how: "sha1WithRSAEncryption, by an issuer that would",
    good: workload,
    bytes: { signature: encodeDer(sequence(objectIdentifier("1.2.840.113549.1.1.5"), der(0x05))) },
    issuer: { signatureIdentifier: encodeDer(sequence(objectIdentifier("1.2.840.113549.1.1.5"), der(0x05))) },
  },
  {
    lint: "issuerNotEmpty",
    how: "the empty name",
    good: workload,
    bytes: { issuer: nameOf() },
    issuer: { subject: nameOf() },
  },
  {
    lint: "issuerIsTheSubject",
    how: "another name",
    good: workload,
    bytes: { issuer: nameOf([oids.commonName, "x"]) },
  },
  {
    lint: "validityEncoding",
    how: "GeneralizedTime in 2026",
    good: workload,
    bytes: { notAfter: generalized(workload.notAfter) },
  },
  {
    lint: "validityOrder",
    how: "notAfter before notBefore",
    ...withValidity(later(120), later(60)),
  },
  {
    lint: "issuerOutlivesLeaf",
    how: "an issuer that ends a second before",
    good: workload,
    issuer: { notAfter: later(838) },
  },
  {
    lint: "uniqueIdentifiersAbsent",
    how: "one of the subject",
    good: workload,
    bytes: { uniqueIdentifiers: [der(0x82, Buffer.of(0, 1))] },
  },
  { lint: "extensionsOnce", how: "noRevAvail twice", good: workload, bytes: added(workload, noRevAvail) },
  {
    lint: "extensionsKnown",
    how: "tlsFeature",
    good: workload,
    bytes: added(workload, { oid: "1.3.6.1.5.5.7.1.24", critical: false, value: Buffer.of(0x30, 0) }),
  },
  {
    lint: "extensionsReadable",
    how: "BasicConstraints that is a BOOLEAN",
    good: workload,
    bytes: replaced(workload, oids.basicConstraints, {
      oid: oids.basicConstraints,
      critical: true,
      value: Buffer.of(1, 1, 0xff),
    }),
  },
  {
    lint: "extensionsReadable",
    how: "KeyUsage without a bit",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, { oid: oids.keyUsage, critical: true, value: Buffer.of(3, 1, 0) }),
  },
  {
    lint: "extensionsReadable",
    how: "SubjectAltName without a name",
    good: workload,
    bytes: replaced(workload, oids.subjectAltName, {
      oid: oids.subjectAltName,
      critical: true,
      value: Buffer.of(0x30, 0),
    }),
  },
  {
    lint: "extensionsReadable",
    how: "noRevAvail that is not NULL",
    good: workload,
    bytes: replaced(workload, oids.noRevAvail, { ...noRevAvail, value: Buffer.of(0x30, 0) }),
  },
];
