/** What every test of a foreign ACME client needs: an authority that asks pebble-challtestsrv, a folder for the client, a judge of what it got. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createSecureContext, createServer } from "node:tls";
import type { Test } from "tap";
import { certificateAuthority, freePort } from "./certificateAuthority.ts";
import { challengeServer, type ChallengeServer } from "./challengeServer.ts";
import { leafIn, opensslVerify } from "./opensslVerify.ts";
import { capture, cleanEnvironment, repository, succeed } from "./program.ts";

export interface ClientGround {
  readonly url: string;
  readonly directoryUrl: string;
  /** PEM file of the root. */
  readonly rootFile: string;
  /** The client's own. */
  readonly folder: string;
  readonly http01Port: number;
  readonly tlsAlpn01Port: number;
  readonly challenges: ChallengeServer;
  /** For hooks: `CHALLENGES` is where pebble-challtestsrv takes commands. */
  readonly hookEnv: Readonly<Record<string, string>>;
  /** Checks the chain in this file, and that the inventory has its first certificate as valid; resolves to the serial in hexadecimal. */
  obtained(t: Test, chainFile: string, names: readonly string[]): Promise<string>;
  /** Checks that the inventory has this certificate as revoked, with this reason code. */
  revoked(t: Test, serial: string, reason: number | null): Promise<void>;
  /** The serials with this DNS name or address, newest first. */
  serialsOf(name: string): Promise<string[]>;
}

export interface GroundOptions {
  /** pebble-challtestsrv answers http-01 itself; otherwise the client listens there. */
  readonly answersHttp01?: boolean;
  /** Over what the ground configures. */
  readonly configuration?: Readonly<Record<string, unknown>>;
}

interface Entry {
  readonly serial: string;
  readonly state: string;
  readonly revocationReason: number | null;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** The version of a Debian package, as its authors count: for a program that does not say it itself. */
export async function packagedVersion(name: string): Promise<string> {
  return (await succeed("dpkg-query", ["-W", "-f", "${source:Upstream-Version}", name])).replace(/\+ds\d*$/, "");
}

/** The hook script of a client, below `test/e2e/clients/hooks/`. */
export const hookOf = (name: string): string => join(repository, "test/e2e/clients/hooks", `${name}.sh`);

export async function clientGround(t: Test, options: GroundOptions = {}): Promise<ClientGround> {
  const [http01Port, tlsAlpn01Port] = [await freePort(), await freePort()];
  const challenges = await challengeServer(t, options.answersHttp01 ? { http01Port } : {});
  const authority = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port, tlsAlpn01Port, dnsResolver: challenges.dnsResolver, allowPrivate: true },
      ...options.configuration,
    },
  });
  const { dataDir, url, directoryUrl } = authority;
  const folder = join(dataDir, "client");
  await mkdir(folder);

  async function entriesOf(query: string): Promise<Entry[]> {
    const { status, body } = await authority.inventory(`/certificates?${query}`);
    if (status !== 200) throw new Error(`the inventory answered ${status}: ${JSON.stringify(body)}`);
    return body["certificates"] as Entry[];
  }
  const rootFile = join(dataDir, "root.pem");
  return {
    url,
    directoryUrl,
    rootFile,
    folder,
    http01Port,
    tlsAlpn01Port,
    challenges,
    hookEnv: { CHALLENGES: challenges.url },
    async obtained(t, chainFile, names) {
      await opensslVerify(rootFile, chainFile);
      const { serial, certificate } = await leafIn(chainFile);
      const found = certificate.subjectAltName?.replaceAll(/DNS:|IP Address:/g, "").split(", ");
      t.strictSame(found?.sort(), [...names].sort());
      t.match(await entriesOf(`serial=${serial}`), { length: 1, 0: { state: "valid" } });
      return serial;
    },
    async revoked(t, serial, reason) {
      t.match(await entriesOf(`serial=${serial}`), { length: 1, 0: { state: "revoked", revocationReason: reason } });
    },
    async serialsOf(name) {
      const found = (await entriesOf("limit=1000")).filter((entry) =>
        [...entry.dnsNames, ...entry.ipAddresses].includes(name),
      );
      return found.map(({ serial }) => serial);
    },
  };
}

/** Serves what a client made for tls-alpn-01: `certificateOf` finds key and certificate of a name. */
export async function alpnTarget(
  t: Test,
  port: number,
  certificateOf: (name: string) => { readonly key: string | Buffer; readonly cert: string | Buffer },
): Promise<void> {
  const server = createServer({
    ALPNProtocols: ["acme-tls/1"],
    SNICallback: (name, done) => done(null, createSecureContext(certificateOf(name))),
  });
  server.on("secureConnection", (socket) => socket.end());
  server.on("tlsClientError", () => {}); // Seen by the validating server, which says so.
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => void server.close());
}

/** A program that runs until the test's end, and is killed then. */
export function background(
  t: Test,
  program: string,
  parameters: readonly string[],
  env: Readonly<Record<string, string>> = {},
): {
  readonly printed: { readonly stdout: string; readonly stderr: string };
  readonly pid: number;
  readonly signal: (name: NodeJS.Signals) => void;
} {
  const child = spawn(program, parameters, { env: cleanEnvironment(env), stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  t.teardown(async () => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await closed;
    clearTimeout(late);
  });
  return { printed: capture(child), pid: child.pid ?? 0, signal: (name) => void child.kill(name) };
}

/** Resolves once `found` has something. @throws {Error} with `describe`'s text when that takes longer than a minute */
export async function eventually<T>(found: () => Promise<T | undefined>, describe: () => string): Promise<T> {
  const last = performance.now() + 60_000;
  for (;;) {
    const value = await found();
    if (value !== undefined) return value;
    if (performance.now() > last) throw new Error(`it did not happen within a minute:\n${describe()}`);
    await pause(200);
  }
}
