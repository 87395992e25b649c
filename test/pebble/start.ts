/** The server in Pebble's clothes: an authority of the tests', with Pebble's paths, knobs and management interface. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { certificateAuthority, type TestOwner } from "../support/certificateAuthority.ts";
import { temporaryPostgres } from "../support/postgres.ts";
import type { Knobs } from "./commandLine.ts";
import type { PebbleConfiguration } from "./configurationFile.ts";
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
  /** PEM, for both listeners. */
  readonly tls: { readonly cert: string; readonly key: string };
}

/** Resolves once both interfaces answer. */
export async function startPebble(owner: TestOwner, options: PebbleOptions): Promise<{ directoryUrl: string }> {
  const { configuration, knobs, tls } = options;
  const dataDir = await mkdtemp(join(tmpdir(), `${dataPrefix}${process.pid}-`));
  owner.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const { url: databaseUrl } = await temporaryPostgres(owner);
  const open = (alternateChainFiles: readonly string[]) =>
    certificateAuthority(owner, {
      dataDir,
      databaseUrl,
      configuration: serverConfiguration(options, alternateChainFiles),
      acme: replacementsOf(knobs, configuration),
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
  if (configuration.managementListenAddress !== "") {
    const inventory = (path: string) => authority.inventory(path);
    const management = createManagement({ tls, chains, inventory, renewalInfo });
    const { host, port } = addressOf(configuration.managementListenAddress);
    management.listen(port, host);
    await once(management, "listening");
    owner.teardown(() => {
      management.closeAllConnections();
      management.close();
    });
  }
  return { directoryUrl: `${authority.url}${pebblePaths.directory}` };
}

/** An empty host is every address of this machine, as in Go. */
export function addressOf(address: string): { host: string; port: number } {
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(address) ?? [];
  return { host: host.replaceAll(/[[\]]/g, "") || "::", port: Number(port) };
}

/** All of it can be said in the server's own configuration. */
function serverConfiguration(
  { configuration, knobs, dnsServer }: PebbleOptions,
  alternateChainFiles: readonly string[],
): Record<string, unknown> {
  const { host, port } = addressOf(configuration.listenAddress);
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
  return {
    listen: `${host.includes(":") ? `[${host}]` : host}:${port}`,
    externalUrl: `https://localhost:${port}`,
    tls: {
      mode: "files",
      certificateFile: resolve(configuration.certificate),
      keyFile: resolve(configuration.privateKey),
    },
    hierarchy: { alternateChainFiles },
    profiles: Object.fromEntries(profiles),
    acme: {
      termsOfService: "https://localhost/terms", // The directory shows another one; agreement is wanted because of this.
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
