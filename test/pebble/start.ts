/** The server in Pebble's clothes: an authority of the tests', with Pebble's paths, knobs and management interface. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { certificateAuthority, type TestOwner } from "../support/certificateAuthority.ts";
import { temporaryPostgres } from "../support/postgres.ts";
import type { Knobs } from "./commandLine.ts";
import type { PebbleConfiguration } from "./configurationFile.ts";
import { addressOf, type Door } from "./door.ts";
import { putInFront } from "./front.ts";
import { alternateChains, ownChain } from "./hierarchies.ts";
import { pebblePaths, replacementsOf } from "./knobs.ts";
import { createManagement } from "./management.ts";

/** Of temporary folders; the process id follows. */
export const dataPrefix = "mayfly-pebble-";

export interface PebbleOptions {
  readonly configuration: PebbleConfiguration;
  readonly knobs: Knobs;
  readonly dnsServer: string | undefined;
  /** Where both interfaces are; the management one may be off. */
  readonly doors: { readonly acme: Door; readonly management: Door | undefined };
  /** PEM, for both. */
  readonly tls: { readonly cert: string; readonly key: string };
}

/** Resolves once both interfaces answer. */
export async function startPebble(owner: TestOwner, options: PebbleOptions): Promise<{ directoryUrl: string }> {
  const { configuration, knobs, tls, doors } = options;
  const dataDir = await mkdtemp(join(tmpdir(), `${dataPrefix}${process.pid}-`));
  owner.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const { url: databaseUrl } = await temporaryPostgres(owner);
  const open = (alternateChainFiles: readonly string[]) =>
    certificateAuthority(owner, {
      dataDir,
      databaseUrl,
      configuration: serverConfiguration(options, alternateChainFiles),
      ...replacementsOf(knobs, configuration),
    });

  let authority = await open([]);
  const chains = [await ownChain(authority)];
  if (knobs.alternateRoots > 0) {
    // The issuing CA has to be there before others can certify it.
    const alternates = await alternateChains(authority, chains[0] ?? (await ownChain(authority)), knobs.alternateRoots);
    await authority.close();
    authority = await open(alternates.files);
    chains.push(...alternates.chains);
  }
  const renewalInfo = new Map<string, string>();
  putInFront(authority.authority.server.server, {
    renewalInfo,
    retryAfter: configuration.retryAfter,
  });
  if (doors.management !== undefined) {
    const inventory = (path: string) => authority.inventory(path);
    doors.management.open(createManagement({ tls, chains, inventory, renewalInfo }));
  }
  doors.acme.open(authority.authority.server.server);
  return { directoryUrl: `${authority.url}${pebblePaths.directory}` };
}

/** All of it can be said in the server's own configuration. */
function serverConfiguration(
  { configuration, knobs, dnsServer }: PebbleOptions,
  alternateChainFiles: readonly string[],
): Record<string, unknown> {
  const profiles = Object.entries(configuration.profiles).map(([name, { description, validityPeriod }]) => [
    name,
    {
      description,
      identifiers: ["dns", "ip"],
      lifetimeDefaultSeconds: validityPeriod,
      lifetimeMinSeconds: 60,
      lifetimeMaxSeconds: 34_560_000,
      backdateSeconds: 0,
      keyKinds: ["ec-p256", "ec-p384", "ed25519", "rsa"],
      extendedKeyUsage: ["serverAuth"],
    },
  ]);
  const { host, port } = addressOf(configuration.listenAddress);
  return {
    // Pebble repeats what the request calls it. Here there is one name for all; "localhost" might be 127.0.0.1 alone.
    externalUrl: host === "::1" ? `https://[::1]:${port}` : `https://localhost:${port}`,
    tls: {
      mode: "files",
      certificateFile: resolve(configuration.certificate),
      keyFile: resolve(configuration.privateKey),
    },
    hierarchy: { alternateChainFiles },
    profiles: Object.fromEntries(profiles),
    acme: {
      termsOfService: "https://localhost/terms", // The directory shows another one; agreement is wanted because of this.
      externalAccountRequired: configuration.externalAccountBindingRequired,
      ordersPerPage: knobs.ordersPerPage,
    },
    validation: {
      http01Port: configuration.httpPort,
      tlsAlpn01Port: configuration.tlsPort,
      dnsResolver: dnsServer,
      allowPrivate: true,
      allowLocalhostNames: true,
      timeoutMs: 5_000,
      attempts: 1,
    },
    attestation: { developmentSource: false },
  };
}
