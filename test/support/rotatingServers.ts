/** Two server processes on one database, whose issuers are moved by commands, and clients that look at what they issue meanwhile. */
import { X509Certificate } from "node:crypto";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";

import { acmeDriver, type AcmeClient, type AcmeDriver } from "./acmeDriver.ts";
import type { TestOwner } from "./certificateAuthority.ts";
import { temporaryPostgres } from "./postgres.ts";
import { finalize, readyOrder } from "./processFlows.ts";
import { runMayfly } from "./program.ts";
import { serverPlace, startServer, type ServerPlace, type ServerProcess } from "./serverProcess.ts";

export interface RotatingServer {
  readonly server: ServerProcess;
  /** Of its own port, with whatever roots the place has by now. */
  driver(): Promise<AcmeDriver>;
}

export interface RotatingServers {
  readonly place: ServerPlace;
  readonly databaseUrl: string;
  readonly servers: readonly [RotatingServer, RotatingServer];
  /** `mayfly issuers …` by the first server; resolves to its JSON. @throws {Error} with what it said */
  readonly issuers: (...parameters: readonly string[]) => Promise<Record<string, unknown>>;
  /** Issuers as the first server shows them. */
  readonly list: () => Promise<readonly ListedIssuer[]>;
}

export interface ListedIssuer {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly generation: number;
  readonly state: string;
  readonly activatedAt: string | null;
}

export interface Issued {
  readonly leaf: X509Certificate;
  readonly chain: readonly X509Certificate[];
}

/** Starts both. A new issuing CA is published for five seconds before it is active. */
export async function rotatingServers(t: TestOwner, configuration: object = {}): Promise<RotatingServers> {
  const { url: databaseUrl } = await temporaryPostgres(t);
  const first = await serverPlace(t, { MAYFLY_DATABASE_URL: databaseUrl });
  const beside = await serverPlace(t);
  const config = join(first.dataDir, "mayfly.yaml");
  const shared = {
    keys: {
      development: { directory: join(first.dataDir, "keys"), passphraseFile: join(first.dataDir, "key-passphrase") },
    },
    access: { operatorTokenFile: join(first.dataDir, "operator-token") },
    attestation: { developmentSource: true },
    issuers: { default: { publishedSeconds: 5 } },
    externalUrl: first.url,
    ...configuration,
  };
  await writeFile(config, stringify(shared));
  const env = { ...first.env, MAYFLY_CONFIG: config };
  const one = await startServer(t, { ...first, env });
  await copyFile(join(first.dataDir, "dev-issuer.jwk"), join(beside.dataDir, "dev-issuer.jwk"));
  const second: ServerPlace = { ...beside, url: first.url, directoryUrl: first.directoryUrl };
  const other = { MAYFLY_DATA_DIR: beside.dataDir, MAYFLY_LISTEN: beside.env["MAYFLY_LISTEN"] ?? "" };
  const two = await startServer(t, { ...second, env: { ...env, ...other } });
  const portOf = ({ env: { MAYFLY_LISTEN } }: ServerPlace): number => Number(MAYFLY_LISTEN?.split(":").at(-1));
  const rotating = (server: ServerProcess, place: ServerPlace): RotatingServer => ({
    server,
    driver: async () => {
      const root = await readFile(place.rootFile, "utf8");
      return await acmeDriver(t, { directoryUrl: place.directoryUrl, root }, () => portOf(place));
    },
  });
  const nearest = rotating(one, first);
  return {
    place: first,
    databaseUrl,
    servers: [nearest, rotating(two, { ...second, env: { ...beside.env } })],
    async issuers(...parameters) {
      const { status, stdout, stderr } = await runMayfly(["issuers", ...parameters, "--json"], { env });
      if (stdout === "") throw new Error(`mayfly issuers ${parameters.join(" ")}: ${status}: ${stderr}`);
      return JSON.parse(stdout) as Record<string, unknown>;
    },
    async list() {
      const token = (await readFile(join(first.dataDir, "operator-token"), "utf8")).trim();
      const headers = { authorization: `Bearer ${token}` };
      const reply = await (await nearest.driver()).request(`${first.url}/api/v1/issuers`, { headers });
      return reply.json()["issuers"] as readonly ListedIssuer[];
    },
  };
}

/** One certificate, from order to download. */
export async function obtain(place: ServerPlace, alice: AcmeClient): Promise<Issued> {
  const flow = await readyOrder(place, alice);
  const answer = (await finalize(alice, flow)).json();
  const url =
    (answer["certificate"] as string | undefined) ?? (await alice.readOrder(flow.order.url)).certificate ?? "";
  const { status, text } = await alice.postAsGet(url);
  if (status !== 200) throw new Error(`no certificate: ${status} ${text} ${JSON.stringify(answer)}`);
  const [leaf, ...chain] = (text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  );
  if (leaf === undefined) throw new Error("no certificate");
  return { leaf, chain };
}

/** The roots in a server's bundle now. */
export async function bundleOf(driver: AcmeDriver, { url }: ServerPlace): Promise<X509Certificate[]> {
  const { keys } = (await driver.request(`${url}/spiffe/bundle.json`)).json() as { keys: { x5c: string[] }[] };
  return keys.map(({ x5c }) => new X509Certificate(Buffer.from(x5c[0] ?? "", "base64")));
}

/** Whether it leads to one of the roots, every signature verified, and no certificate ends before the one below it. */
export function leadsTo(roots: readonly X509Certificate[], { leaf, chain }: Issued): boolean {
  const path = [leaf, ...chain];
  return path.every((certificate, index) => {
    const above = path[index + 1] ?? roots.find((root) => certificate.checkIssued(root));
    return (
      above !== undefined &&
      certificate.checkIssued(above) &&
      certificate.verify(above.publicKey) &&
      certificate.validToDate <= above.validToDate
    );
  });
}
