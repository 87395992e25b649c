/**
 * The listener's own TLS certificate: issued like every other one, so it is in the inventory too, kept in files, and made again when a
 * third of its life is left or its names have changed.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate, type KeyObject } from "node:crypto";
import { promises as fs } from "node:fs";
import { isIP } from "node:net";
import path from "node:path";

import type { ListenerTls } from "./server.ts";

export interface ListenerNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
}

export interface ListenerCertificateOptions {
  /** Folder for `listener-key.pem` and `listener.pem`. */
  readonly directory: string;
  readonly names: ListenerNames;
  /** DER of the issuing CA; a certificate of another one is replaced. */
  readonly issuerCertificate: Buffer;
  /** Issues for these names and key; resolves to the PEM chain, leaf first. */
  readonly issue: (publicKey: KeyObject) => Promise<string>;
  /** Told where key and certificate could not be written: they serve all the same, and the next start makes others. */
  readonly onUnkept: (error: unknown) => void;
  readonly now: Date;
}

/** Host of the external URL, and the names of this machine under which people try it. */
export function listenerNames(externalUrl: string): ListenerNames {
  const host = new URL(externalUrl).hostname.replace(/^\[|\]$/g, "");
  const names = { dns: new Set(["localhost"]), ip: new Set(["127.0.0.1", "::1"]) };
  (isIP(host) === 0 ? names.dns : names.ip).add(host);
  return { dns: [...names.dns].sort(), ip: [...names.ip].sort() };
}

/** Reads the files, or makes key and certificate anew. */
export async function ensureListenerCertificate(
  options: ListenerCertificateOptions,
): Promise<ListenerTls & { renewed: boolean }> {
  const keyFile = path.join(options.directory, "listener-key.pem");
  const certificateFile = path.join(options.directory, "listener.pem");
  const kept = await readKept(keyFile, certificateFile, options);
  if (kept !== undefined) return { ...kept, renewed: false };

  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  const certificate = await options.issue(publicKey);
  try {
    await replaceFile(keyFile, key);
    await replaceFile(certificateFile, certificate);
  } catch (error) {
    options.onUnkept(error); // Whoever threw here would be asked again, and have one certificate after the other issued.
  }
  return { key, certificate, renewed: true };
}

async function readKept(
  keyFile: string,
  certificateFile: string,
  options: ListenerCertificateOptions,
): Promise<ListenerTls | undefined> {
  try {
    const [key, certificate] = await Promise.all([fs.readFile(keyFile, "utf8"), fs.readFile(certificateFile, "utf8")]);
    return isGood(new X509Certificate(certificate), createPublicKey(createPrivateKey(key)), options)
      ? { key, certificate }
      : undefined;
  } catch {
    return undefined; // Missing, half-written or of another pair: made again.
  }
}

function isGood(
  leaf: X509Certificate,
  publicKey: KeyObject,
  { names, issuerCertificate, now }: ListenerCertificateOptions,
): boolean {
  const [from, to] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
  const fresh = now.getTime() >= from && now.getTime() < to - (to - from) / 3;
  const ours = leaf.verify(new X509Certificate(issuerCertificate).publicKey) && leaf.publicKey.equals(publicKey);
  const named =
    names.dns.every((name) => leaf.checkHost(name) !== undefined) &&
    names.ip.every((ip) => leaf.checkIP(ip) !== undefined);
  return fresh && ours && named;
}

async function replaceFile(file: string, content: string): Promise<void> {
  const temporary = `${file}.${process.pid}.new`;
  await fs.writeFile(temporary, content, { mode: 0o600 });
  await fs.rename(temporary, file);
}
