/** Names of the subject, broken. */
import { oids } from "../../../src/x509/oid.ts";
import { agentOne } from "../../support/authorized.ts";
import { nameOf } from "../../support/craftedTbs.ts";
import {
  type Case,
  workload,
  server,
  named,
  replaced,
  recriticised,
  emailName,
  long,
  withNames,
} from "./caseGround.ts";

export const nameCases: readonly Case[] = [
  { lint: "subjectAltNamePresent", how: "none", good: server, bytes: replaced(server, oids.subjectAltName) },
  {
    lint: "subjectAltNameCriticality",
    how: "not critical, without a subject",
    good: server,
    bytes: recriticised(server, oids.subjectAltName),
  },
  {
    lint: "subjectAltNameCriticality",
    how: "critical, with a subject",
    good: named,
    bytes: recriticised(named, oids.subjectAltName),
  },
  {
    lint: "subjectAltNameKinds",
    how: "an rfc822Name",
    good: workload,
    bytes: replaced(workload, oids.subjectAltName, { oid: oids.subjectAltName, critical: true, value: emailName }),
  },
  { lint: "subjectAltNameOnce", how: "a DNS name twice", ...withNames(server, { dns: ["a.test", "a.test"] }) },
  ...[
    "-a.test",
    "a-.test",
    "a..test",
    "a.test.",
    `${"a".repeat(64)}.test`,
    `${"a.".repeat(126)}test`,
    "a b.test",
    "a.te$t",
  ].map((name): Case => ({ lint: "dnsNameSyntax", how: name.slice(0, 20), ...withNames(server, { dns: [name] }) })),
  { lint: "dnsNameUnderscore", how: "in a label", ...withNames(server, { dns: ["_a.test"] }) },
  ...["a.*.test", "*a.test", "*.*.test", "*"].map((name): Case => ({
    lint: "dnsNameWildcard",
    how: name,
    ...withNames(server, { dns: [name] }),
  })),
  ...["10.0.0.1", "127.1", "0x7f.1", "a.0x7f"].map((name): Case => ({
    lint: "dnsNameNotAddress",
    how: name,
    ...withNames(server, { dns: [name] }),
  })),
  { lint: "dnsNameLowerCase", how: "upper case", ...withNames(server, { dns: ["A.test"] }) },
  ...["agent/one", "//mayfly.test/x", "spiffe:", "spiffe://mayfly.test/%zz"].map((uri): Case => ({
    lint: "uriAbsolute",
    how: uri,
    ...withNames(workload, { uri: [uri] }),
  })),
  {
    lint: "svidOneUri",
    how: "two SPIFFE IDs",
    ...withNames(workload, { uri: [agentOne, "spiffe://mayfly.test/agent/b"] }),
  },
  ...[
    "https://mayfly.test/agent/one",
    "spiffe://mayfly.test",
    "spiffe://mayfly.test/a//b",
    "SPIFFE://mayfly.test/a",
  ].map((uri): Case => ({ lint: "svidSpiffeId", how: uri, ...withNames(workload, { uri: [uri] }) })),
  { lint: "svidTrustDomain", how: "an issuer of another", good: workload, issuer: { trustDomain: "other.test" } },
  {
    lint: "commonNameInNames",
    how: "another name",
    good: named,
    bytes: { subject: nameOf([oids.commonName, "c.test"]) },
  },
  {
    lint: "commonNameLength",
    how: "67 characters",
    ...withNames(named, { dns: [long] }),
    bytes: { ...withNames(named, { dns: [long] }).bytes, subject: nameOf([oids.commonName, long]) },
  },
];
