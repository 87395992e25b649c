/** Certificates that are well-formed, and not what was decided, asked for or allowed by the profile. */
import * as x from "../../../src/x509/extensions.ts";
import { certificatePolicies } from "../../../src/x509/certificatePolicies.ts";
import { oids } from "../../../src/x509/oid.ts";
import { agentOne, p256 } from "../../support/authorized.ts";
import { nameOf } from "../../support/craftedTbs.ts";
import {
  now,
  later,
  type Case,
  workload,
  server,
  named,
  withPolicy,
  replaced,
  added,
  authorizedAs,
  profiled,
  usage,
  purposesOf,
  otherGrant,
  withValidity,
  issuing,
} from "./caseGround.ts";

export const decisionCases: readonly Case[] = [
  {
    lint: "recordIsTheCertificate",
    how: "another serial number",
    good: workload,
    prepared: { serialNumber: Buffer.alloc(16, 7) },
  },
  { lint: "recordIsTheCertificate", how: "another notBefore", good: workload, prepared: { notBefore: now } },
  { lint: "recordIsTheCertificate", how: "another notAfter", good: workload, prepared: { notAfter: now } },
  {
    lint: "lifetimeAtMost",
    how: "a second too much",
    good: workload,
    prepared: profiled(workload, { lifetimeMaxSeconds: 899 }),
  },
  {
    lint: "lifetimeAtLeast",
    how: "a second too little",
    good: workload,
    prepared: profiled(workload, { lifetimeMinSeconds: 901 }),
  },
  {
    lint: "lifetimeWithinGrant",
    how: "a second too much",
    good: workload,
    prepared: authorizedAs(workload, { validity: { lifetimeMaxSeconds: 899 } }),
  },
  {
    lint: "notAfterWithinEvidence",
    how: "a second too much",
    good: workload,
    prepared: authorizedAs(workload, { validity: { notAfterCap: later(838) } }),
  },
  {
    lint: "validityAsAsked",
    how: "another notBefore",
    good: workload,
    prepared: authorizedAs(workload, { validity: { notBefore: now } }),
  },
  {
    lint: "validityAsAsked",
    how: "another notAfter",
    good: workload,
    prepared: authorizedAs(workload, { validity: { notAfter: later(840) } }),
  },
  { lint: "notBeforeNotPast", how: "a minute and a second", ...withValidity(later(-61), later(838)) },
  { lint: "notBeforeNotAhead", how: "an hour and a second", ...withValidity(later(3601), later(4500)) },
  {
    lint: "notEndedYet",
    how: "ended now",
    good: workload,
    prepared: { preparedAt: workload.notAfter, ...profiled(workload, { backdateSeconds: 3600 }) },
  },
  {
    lint: "namesAreTheAuthorizedOnes",
    how: "a name more",
    good: server,
    bytes: replaced(
      server,
      oids.subjectAltName,
      x.subjectAltName({ dns: ["b.test", "a.test", "c.test"], ip: ["192.0.2.1"], uri: [] }, true),
    ),
  },
  {
    lint: "namesAreTheAuthorizedOnes",
    how: "a name less",
    good: server,
    bytes: replaced(
      server,
      oids.subjectAltName,
      x.subjectAltName({ dns: ["b.test", "a.test"], ip: [], uri: [] }, true),
    ),
  },
  {
    lint: "namesAreTheAuthorizedOnes",
    how: "another name",
    good: server,
    bytes: replaced(
      server,
      oids.subjectAltName,
      x.subjectAltName({ dns: ["b.test", "c.test"], ip: ["192.0.2.1"], uri: [] }, true),
    ),
  },
  {
    lint: "everyNameIsProved",
    how: "one proof less",
    good: server,
    prepared: authorizedAs(server, { evidence: server.authorized.evidence.slice(1) }),
  },
  {
    lint: "everyNameIsProved",
    how: "a SPIFFE ID by a challenge",
    good: workload,
    prepared: authorizedAs(workload, {
      evidence: [{ identifier: { type: "uri", value: agentOne }, proved: { by: "challenge", challenge: "x", at: "" } }],
    }),
  },
  {
    lint: "everyNameIsProved",
    how: "a name that is not below the proved domain",
    good: server,
    prepared: authorizedAs(server, {
      evidence: server.authorized.evidence.map((one) =>
        "identifier" in one && one.identifier.value === "a.test" && one.proved.by === "challenge"
          ? { ...one, proved: { ...one.proved, of: "b.test" } }
          : one,
      ),
    }),
  },
  {
    lint: "identifierTypesOfProfile",
    how: "an address, of DNS names only",
    good: server,
    prepared: profiled(server, { identifiers: ["dns"] }),
  },
  {
    lint: "svidOfProfile",
    how: "a SPIFFE ID, of DNS names only",
    good: workload,
    prepared: profiled(workload, { identifiers: ["dns"] }),
  },
  {
    lint: "svidOfProfile",
    how: "no SPIFFE ID",
    good: server,
    prepared: profiled(server, { identifiers: ["uri", "dns", "ip"] }),
  },
  {
    lint: "subjectOfProfile",
    how: "a common name where it is empty",
    good: named,
    prepared: profiled(named, { subject: "empty" }),
  },
  {
    lint: "subjectOfProfile",
    how: "an organization as well",
    good: named,
    bytes: { subject: nameOf([oids.organizationName, "x"], [oids.commonName, "b.test"]) },
  },
  {
    lint: "subjectOfProfile",
    how: "an organization alone",
    good: named,
    bytes: { subject: nameOf([oids.organizationName, "x"]) },
  },
  {
    lint: "keyUsageOfProfile",
    how: "a use more",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("digitalSignature", "keyAgreement")),
  },
  {
    lint: "keyUsageOfProfile",
    how: "nonRepudiation, which no profile has",
    good: workload,
    bytes: replaced(workload, oids.keyUsage, usage("digitalSignature", "nonRepudiation")),
  },
  { lint: "extendedKeyUsageOfProfile", how: "none", good: workload, bytes: replaced(workload, oids.extendedKeyUsage) },
  {
    lint: "extendedKeyUsageOfProfile",
    how: "a purpose more",
    good: server,
    bytes: replaced(server, oids.extendedKeyUsage, purposesOf(oids.serverAuth, oids.clientAuth)),
  },
  { lint: "policiesOfProfile", how: "none", good: withPolicy, bytes: replaced(withPolicy, oids.certificatePolicies) },
  {
    lint: "policiesOfProfile",
    how: "one that the profile has not",
    good: server,
    bytes: added(server, certificatePolicies(["1.2.3"])),
  },
  {
    lint: "keyIsTheApprovedOne",
    how: "another key",
    good: workload,
    prepared: { publicKey: { ...p256(), kind: "ec-p256" } },
  },
  {
    lint: "keyKindOfProfile",
    how: "a kind that it does not take",
    good: workload,
    prepared: profiled(workload, { keyKinds: ["ed25519"] }),
  },
  {
    lint: "nameWithinGrant",
    how: "a grant of another template",
    good: workload,
    prepared: authorizedAs(workload, { granted: otherGrant() }),
  },
  { lint: "nameWithinGrant", how: "no grant", good: workload, prepared: authorizedAs(workload, { granted: [] }) },
  { lint: "issuerOfProfile", how: "another line", good: workload, prepared: profiled(workload, { issuer: "west" }) },
  ...(["prepared", "published", "retiring", "retired"] as const).map((state): Case => ({
    lint: "issuerMayIssue",
    how: state,
    good: workload,
    prepared: { issuer: { ...issuing, state } },
  })),
];
