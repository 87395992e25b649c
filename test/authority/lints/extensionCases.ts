/** Extensions about the issuer, the key and its uses, broken. */
import * as x from "../../../src/x509/extensions.ts";
import { oids } from "../../../src/x509/oid.ts";
import { partsOf } from "../../support/craftedTbs.ts";
import {
  type Case,
  workload,
  server,
  rsa,
  ofRsa,
  replaced,
  recriticised,
  profiled,
  usage,
  purposesOf,
  profiledToUses,
  profiledToPurposes,
} from "./caseGround.ts";

export const extensionCases: readonly Case[] = [
  {
    lint: "authorityKeyIdentifierPresent",
    how: "none",
    good: workload,
    bytes: replaced(workload, oids.authorityKeyIdentifier),
  },
  {
    lint: "authorityKeyIdentifierOfIssuer",
    how: "another key's",
    good: workload,
    bytes: replaced(workload, oids.authorityKeyIdentifier, x.authorityKeyIdentifier(Buffer.alloc(20))),
  },
  {
    lint: "authorityKeyIdentifierNotCritical",
    how: "critical",
    good: workload,
    bytes: recriticised(workload, oids.authorityKeyIdentifier),
  },
  {
    lint: "subjectKeyIdentifierPresent",
    how: "none",
    good: workload,
    bytes: replaced(workload, oids.subjectKeyIdentifier),
  },
  {
    lint: "subjectKeyIdentifierOfKey",
    how: "another key's",
    good: workload,
    bytes: replaced(workload, oids.subjectKeyIdentifier, x.subjectKeyIdentifier(rsa.spki)),
  },
  {
    lint: "subjectKeyIdentifierNotCritical",
    how: "critical",
    good: workload,
    bytes: recriticised(workload, oids.subjectKeyIdentifier),
  },
  { lint: "basicConstraintsPresent", how: "none", good: workload, bytes: replaced(workload, oids.basicConstraints) },
  {
    lint: "basicConstraintsOfLeaf",
    how: "cA",
    good: workload,
    bytes: replaced(workload, oids.basicConstraints, x.basicConstraints({ cA: true })),
  },
  { lint: "keyUsagePresent", how: "none", good: workload, bytes: replaced(workload, oids.keyUsage) },
  { lint: "keyUsageCritical", how: "not critical", good: workload, bytes: recriticised(workload, oids.keyUsage) },
  ...(["keyCertSign", "cRLSign"] as const).map((use): Case => ({
    lint: "keyUsageOfLeaf",
    how: use,
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("digitalSignature", use)),
    prepared: profiledToUses(workload, "digitalSignature", use),
  })),
  {
    lint: "keyUsageFitsKey",
    how: "encipherment with an elliptic-curve key",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("digitalSignature", "keyEncipherment")),
    prepared: profiledToUses(workload, "digitalSignature", "keyEncipherment"),
  },
  {
    lint: "keyUsageFitsKey",
    how: "agreement with an RSA key",
    good: ofRsa,
    bytes: replaced(ofRsa, oids.keyUsage, usage("digitalSignature", "keyAgreement")),
    prepared: profiledToUses(ofRsa, "digitalSignature", "keyAgreement"),
  },
  {
    lint: "keyUsageOfSvid",
    how: "agreement alone",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("keyAgreement")),
    prepared: profiledToUses(workload, "keyAgreement"),
  },
  {
    lint: "extendedKeyUsageNotAny",
    how: "anyExtendedKeyUsage",
    good: server,
    bytes: replaced(server, oids.extendedKeyUsage, purposesOf(oids.serverAuth, oids.anyExtendedKeyUsage)),
    prepared: profiledToPurposes(server, "serverAuth", oids.anyExtendedKeyUsage),
  },
  {
    lint: "extendedKeyUsageNotCritical",
    how: "critical",
    good: server,
    bytes: recriticised(server, oids.extendedKeyUsage),
  },
  {
    lint: "extendedKeyUsageOfSvid",
    how: "serverAuth alone",
    good: workload,
    bytes: replaced(workload, oids.extendedKeyUsage, purposesOf(oids.serverAuth)),
    prepared: profiledToPurposes(workload, "serverAuth"),
  },
  {
    lint: "purposesFitKeyUsage",
    how: "clientAuth of a key that only enciphers",
    good: ofRsa,
    bytes: {
      extensions: partsOf(ofRsa.tbs).extensions.map((one) =>
        one.oid === oids.keyUsage
          ? usage("keyEncipherment")
          : one.oid === oids.extendedKeyUsage
            ? purposesOf(oids.clientAuth)
            : one,
      ),
    },
    prepared: profiled(ofRsa, { keyUsage: ["keyEncipherment"], extendedKeyUsage: ["clientAuth"] }),
  },
];
