/**
 * The commands of `mayfly`, in the order in which help lists them. Summaries stand here so that help imports nothing heavy.
 */
import type { CommandEntry } from "./command.ts";

export const commands: readonly CommandEntry[] = [
  {
    name: "serve",
    summary: "run the certificate authority",
    load: async () => (await import("./serve.ts")).command,
  },
  {
    name: "init",
    summary: "create the root and issuing CA, in a token or as development key files",
    load: async () => (await import("./init.ts")).command,
  },
  {
    name: "ceremony",
    summary: "make roots and issuing CAs step by step: root in a token, offline, or another PKI's; cross-signing",
    load: async () => (await import("./ceremony.ts")).command,
  },
  {
    name: "migrate",
    summary: "bring the database schema up to date",
    load: async () => (await import("./migrate.ts")).command,
  },
  {
    name: "check-config",
    summary: "check the configuration without starting anything",
    load: async () => (await import("./checkConfig.ts")).command,
  },
  {
    name: "presets",
    summary: "print sources and grants to begin with, for platforms that are known",
    load: async () => (await import("./presets.ts")).command,
  },
  {
    name: "request",
    summary: "obtain a certificate for a workload by showing evidence of what it is",
    load: async () => (await import("./request.ts")).command,
  },
  {
    name: "dev-token",
    summary: "mint a token of the development evidence source",
    load: async () => (await import("./devToken.ts")).command,
  },
  {
    name: "explain",
    summary: "say which grants would give an identity to evidence, and why the others would not",
    load: async () => (await import("./explain.ts")).command,
  },
  {
    name: "grants list",
    summary: "list the grants that stand, in the order in which they are asked",
    load: async () => (await import("./grantsList.ts")).command,
  },
  {
    name: "grants show",
    summary: "print a grant as it stands, or as it read in a version",
    load: async () => (await import("./grantsShow.ts")).command,
  },
  {
    name: "grants apply",
    summary: "write the grants of a file into the database",
    load: async () => (await import("./grantsApply.ts")).command,
  },
  {
    name: "grants remove",
    summary: "end a grant of the database",
    load: async () => (await import("./grantsRemove.ts")).command,
  },
  {
    name: "grants history",
    summary: "list the versions of a grant, newest first",
    load: async () => (await import("./grantsHistory.ts")).command,
  },
  {
    name: "eab create",
    summary: "make a key for external account binding",
    load: async () => (await import("./eabCreate.ts")).command,
  },
  {
    name: "eab list",
    summary: "list the keys for external account binding, newest first",
    load: async () => (await import("./eabList.ts")).command,
  },
  {
    name: "eab revoke",
    summary: "revoke a key for external account binding",
    load: async () => (await import("./eabRevoke.ts")).command,
  },
  {
    name: "incident create",
    summary: "ask the clients of certificates to replace them now",
    load: async () => (await import("./incidentCreate.ts")).command,
  },
  {
    name: "incident list",
    summary: "list incidents, newest first",
    load: async () => (await import("./incidentList.ts")).command,
  },
  {
    name: "incident end",
    summary: "end an incident",
    load: async () => (await import("./incidentEnd.ts")).command,
  },
  {
    name: "delegation end",
    summary: "end a task, or all that somebody delegated, with its certificates",
    load: async () => (await import("./delegationEnd.ts")).command,
  },
  {
    name: "delegation list",
    summary: "list the tasks and delegators that have been ended",
    load: async () => (await import("./delegationList.ts")).command,
  },
  {
    name: "delegation resume",
    summary: "let certificates be issued again for what was ended",
    load: async () => (await import("./delegationResume.ts")).command,
  },
  {
    name: "limits list",
    summary: "show the rate limits, and who is over one",
    load: async () => (await import("./limitsList.ts")).command,
  },
  {
    name: "limits reset",
    summary: "forget what was counted against a rate limit",
    load: async () => (await import("./limitsReset.ts")).command,
  },
  {
    name: "pauses list",
    summary: "show identifiers that are paused for their accounts",
    load: async () => (await import("./pausesList.ts")).command,
  },
  {
    name: "pauses resume",
    summary: "let paused identifiers be ordered again",
    load: async () => (await import("./pausesResume.ts")).command,
  },
  {
    name: "revoke",
    summary: "revoke a certificate, or all of an identity, key, account, grant, source, task or issuer",
    load: async () => (await import("./revoke.ts")).command,
  },
  {
    name: "revocations list",
    summary: "list revocations, newest first",
    load: async () => (await import("./revocationsList.ts")).command,
  },
  {
    name: "revocations show",
    summary: "show a revocation: who, what, why, and since when it is in effect on every server",
    load: async () => (await import("./revocationsShow.ts")).command,
  },
  {
    name: "revocations resume",
    summary: "issue again by a grant, a source or an issuer that a revocation has suspended",
    load: async () => (await import("./revocationsResume.ts")).command,
  },
  {
    name: "issuers list",
    summary: "show roots and issuing CAs, and what is planned for them",
    load: async () => (await import("./issuersList.ts")).command,
  },
  {
    name: "issuers show",
    summary: "show a root or issuing CA, with its certificate",
    load: async () => (await import("./issuersShow.ts")).command,
  },
  {
    name: "issuers prepare",
    summary: "make the next issuer of a line, earlier than planned",
    load: async () => (await import("./issuersPrepare.ts")).command,
  },
  {
    name: "issuers request",
    summary: "print the request of an issuer that waits for its certificate",
    load: async () => (await import("./issuersRequest.ts")).command,
  },
  {
    name: "issuers import",
    summary: "bring in the certificate that an issuer waits for",
    load: async () => (await import("./issuersImport.ts")).command,
  },
  {
    name: "issuers publish",
    summary: "make a prepared issuer known, before it issues",
    load: async () => (await import("./issuersPublish.ts")).command,
  },
  {
    name: "issuers activate",
    summary: "let an issuer sign from now on, in place of the one before",
    load: async () => (await import("./issuersActivate.ts")).command,
  },
  {
    name: "issuers replace",
    summary: "let the next issuer take the place of the active one at once, as after a compromise",
    load: async () => (await import("./issuersReplace.ts")).command,
  },
  {
    name: "issuers revoke",
    summary: "have an issuing CA revoked by its root",
    load: async () => (await import("./issuersRevoke.ts")).command,
  },
  {
    name: "issuers retire",
    summary: "end an issuer of which nothing counts any more, or one that is not wanted",
    load: async () => (await import("./issuersRetire.ts")).command,
  },
  {
    name: "keys block",
    summary: "refuse a public key from now on",
    load: async () => (await import("./keysBlock.ts")).command,
  },
  {
    name: "keys list",
    summary: "show the public keys that are blocked",
    load: async () => (await import("./keysList.ts")).command,
  },
  {
    name: "keys unblock",
    summary: "take a public key off the list of blocked ones",
    load: async () => (await import("./keysUnblock.ts")).command,
  },
  {
    name: "quarantine create",
    summary: "issue nothing to an identity until further notice",
    load: async () => (await import("./quarantineCreate.ts")).command,
  },
  {
    name: "quarantine list",
    summary: "list quarantines, newest first",
    load: async () => (await import("./quarantineList.ts")).command,
  },
  {
    name: "quarantine lift",
    summary: "issue to an identity again",
    load: async () => (await import("./quarantineLift.ts")).command,
  },
  {
    name: "crl list",
    summary: "show the revocation lists that stand",
    load: async () => (await import("./crlList.ts")).command,
  },
  {
    name: "pins list",
    summary: "show to which accounts running instances belong",
    load: async () => (await import("./pinsList.ts")).command,
  },
  {
    name: "pins release",
    summary: "let a running instance go from the accounts it belongs to",
    load: async () => (await import("./pinsRelease.ts")).command,
  },
];
