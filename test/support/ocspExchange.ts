/** OCSP as OpenSSL speaks it: requests of its client, responses of its responder, and its judgement of ours. */
import { createHash, sign } from "node:crypto";
import { spawn, spawnSync } from "node:child_process";
import { text } from "node:stream/consumers";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { membersOf, octetAlignedBitsOf, readDer, tags } from "../../src/x509/der.ts";
import { type CertId, type CertIdHash } from "../../src/x509/ocspRequest.ts";
import { assembleOcspResponse, encodeResponseData, type ResponseData } from "../../src/x509/ocspResponse.ts";
import type { Issued } from "./platformCertificates.ts";

/** Hash of the content of a key's BIT STRING, worked out here and not by what is tested. */
export function keyHash(spki: Buffer, hash: CertIdHash): Buffer {
  const [, key] = membersOf(readDer(spki), tags.sequence, "key");
  return createHash(hash).update(octetAlignedBitsOf(key, "key")).digest();
}

/** What OpenSSL asks with about a certificate of this issuer. */
export const certIdOf = (issuer: Issued, serialNumber: Buffer, hash: CertIdHash = "sha1"): CertId => ({
  hash,
  issuerNameHash: createHash(hash).update(issuer.name).digest(),
  issuerKeyHash: keyHash(issuer.spki, hash),
  serialNumber,
});

/** A response of this issuer, signed by its P-256 key. */
export function responseOf(issuer: Issued, data: ResponseData): Buffer {
  const tbs = encodeResponseData(data);
  return assembleOcspResponse(tbs, "ecdsa-p256-sha256", sign("sha256", tbs, issuer.key));
}

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `openssl ocsp` in a directory of its own with these files. `read` takes what it wrote. */
export function opensslOcsp<T>(
  files: Readonly<Record<string, string | Buffer>>,
  args: readonly string[],
  read: (ran: Ran, file: (name: string) => Buffer) => T,
): T {
  const directory = mkdtempSync(join(tmpdir(), "ocsp-"));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content, { mode: 0o600 });
    const { status, stdout, stderr } = spawnSync("openssl", ["ocsp", ...args], { cwd: directory, encoding: "utf8" });
    return read({ status, stdout, stderr }, (name) => readFileSync(join(directory, name)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The same against a server in this very process, which must not wait for it. */
export async function opensslClient(files: Readonly<Record<string, string>>, args: readonly string[]): Promise<Ran> {
  const directory = mkdtempSync(join(tmpdir(), "ocsp-"));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content, { mode: 0o600 });
    const child = spawn("openssl", ["ocsp", ...args], { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
    const ended = Promise.withResolvers<number | null>();
    child.once("close", ended.resolve);
    child.once("error", ended.reject);
    const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended.promise]);
    return { status, stdout, stderr };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A request of OpenSSL's client about these certificates. */
export function opensslRequest(issuer: string, certificates: readonly string[], ...options: string[]): Buffer {
  const files = Object.fromEntries(certificates.map((pem, index) => [`${index}.pem`, pem]));
  const asked = certificates.flatMap((_, index) => ["-cert", `${index}.pem`]);
  return opensslOcsp(
    { ...files, "issuer.pem": issuer },
    [...options, "-issuer", "issuer.pem", ...asked, "-reqout", "request"],
    (ran, file) => {
      if (ran.status !== 0) throw new Error(ran.stderr);
      return file("request");
    },
  );
}

/** What OpenSSL's client says of a response to a question about one certificate, trusting `root`. */
export function opensslVerdict(
  { root, issuer, certificate }: { root: string; issuer: string; certificate: string },
  response: Buffer,
  ...options: string[]
): Ran {
  return opensslOcsp(
    { root, "issuer.pem": issuer, "leaf.pem": certificate, response },
    [...options, "-CAfile", "root", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-no_nonce", "-respin", "response"],
    (ran) => ran,
  );
}
