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
];
