/** Two servers behind one external URL on one database, each with a driver that reaches only that one. */
import { promises as fs } from "node:fs";
import os from "node:os";
import path from "node:path";

import { acmeDriver, type AcmeClient, type AcmeDriver } from "./acmeDriver.ts";
import {
  certificateAuthority,
  type TestAuthority,
  type TestAuthorityOptions,
  type TestOwner,
} from "./certificateAuthority.ts";

export interface Replica {
  readonly ca: TestAuthority;
  readonly acme: AcmeDriver;
  /** The account of a client of the other one, used here: nonces and connections are this server's. */
  as(client: AcmeClient): Promise<AcmeClient>;
  /** The value of a line of `/metrics`; 0 where there is none. */
  metric(line: string): Promise<number>;
}

async function replicaOf(t: TestOwner, ca: TestAuthority): Promise<Replica> {
  const acme = await acmeDriver(t, ca, () => ca.configuration.listenPort);
  return {
    ca,
    acme,
    async as({ key }) {
      const client = acme.client(key);
      const { status, text } = await client.register({ onlyReturnExisting: true });
      if (status !== 200) throw new Error(`the other server does not know the account: ${text}`);
      return client;
    },
    async metric(line) {
      const { text } = await acme.request(`${ca.url}/metrics`);
      const found = text.split("\n").find((one) => one.startsWith(`${line} `));
      return Number(found?.slice(line.length + 1) ?? 0);
    },
  };
}

/** Starts both, the second with the first one's keys and operator token, as operations.md has it. */
export async function replicas(t: TestOwner, options: TestAuthorityOptions = {}): Promise<[Replica, Replica]> {
  const first = await certificateAuthority(t, options);
  return [await replicaOf(t, first), await sibling(t, first, options)];
}

/** A driver whose requests go to one server after the other, so that every nonce and every step wanders between them. */
export function wanderingDriver(t: TestOwner, ...servers: [TestAuthority, ...TestAuthority[]]): Promise<AcmeDriver> {
  let turn = 0;
  return acmeDriver(t, servers[0], () => servers[turn++ % servers.length]?.configuration.listenPort ?? 0);
}

/** One more server beside this one, which may be a process of its own. */
export async function sibling(
  t: TestOwner,
  { url, dataDir: shared, databaseUrl }: Pick<TestAuthority, "url" | "dataDir" | "databaseUrl">,
  options: TestAuthorityOptions = {},
): Promise<Replica> {
  const dataDir = await fs.mkdtemp(path.join(os.tmpdir(), "mayfly-test-"));
  t.teardown(() => fs.rm(dataDir, { recursive: true, force: true }));
  await fs.copyFile(path.join(shared, "dev-issuer.jwk"), path.join(dataDir, "dev-issuer.jwk"));
  const configuration = {
    ...options.configuration,
    externalUrl: url,
    access: { operatorTokenFile: path.join(shared, "operator-token") },
    keys: {
      development: { directory: path.join(shared, "keys"), passphraseFile: path.join(shared, "key-passphrase") },
    },
  };
  return replicaOf(t, await certificateAuthority(t, { ...options, dataDir, databaseUrl, configuration }));
}
