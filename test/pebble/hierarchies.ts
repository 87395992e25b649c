/** The chains that the management interface shows: the server's own, and as many further roots above its issuing CA as were asked for. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pemEncode } from "../../src/x509/pem.ts";
import { otherCa, subjectOf } from "../support/crossSigned.ts";
import type { TestAuthority } from "../support/certificateAuthority.ts";

/** PEM of one chain: root and intermediate, each with its private key. */
export interface PebbleChain {
  readonly root: string;
  readonly rootKey: string;
  readonly intermediate: string;
  readonly intermediateKey: string;
}

const pem = (certificate: Buffer): string => pemEncode("CERTIFICATE", certificate);
const keyPem = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString();

/** The authority's own chain. */
export async function ownChain({ authority, configuration, dataDir }: TestAuthority): Promise<PebbleChain> {
  const passphrase = (await readFile(join(dataDir, "key-passphrase"), "utf8")).trim();
  const keyOf = async (label: string): Promise<string> =>
    keyPem(createPrivateKey({ key: await readFile(join(dataDir, "keys", `${label}.pem`)), passphrase }));
  const { label } = configuration.keys;
  return {
    root: authority.issuers.rootPem(),
    rootKey: await keyOf(`${label}-root`),
    intermediate: pem(authority.issuers.active("default").certificate),
    intermediateKey: await keyOf(label),
  };
}

/** Further roots that certify the same issuing CA, each in a file for `hierarchy.alternateChainFiles`. */
export async function alternateChains(
  authority: TestAuthority,
  own: PebbleChain,
  count: number,
): Promise<{ chains: PebbleChain[]; files: string[] }> {
  const issuing = subjectOf(authority.authority.issuers.active("default").certificate);
  const chains: PebbleChain[] = [];
  const files: string[] = [];
  for (let number = 1; number <= count; number++) {
    const other = await otherCa(`Pebble Root CA ${number}`);
    const intermediate = pem(await other.certify(issuing));
    const file = join(authority.dataDir, `alternate-${number}.pem`);
    await writeFile(file, intermediate);
    files.push(file);
    const rootKey = keyPem(other.privateKey);
    chains.push({ root: pem(other.certificate), rootKey, intermediate, intermediateKey: own.intermediateKey });
  }
  return { chains, files };
}
