/** OpenSSL as the independent judge of a chain. */
import { createHash, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { succeed } from "./program.ts";

/** @throws {Error} with OpenSSL's reason, unless the first certificate of `chainFile` leads through the others to the root */
export async function opensslVerify(
  rootFile: string,
  chainFile: string,
  purpose: "sslserver" | "sslclient" = "sslserver",
): Promise<void> {
  // x509_strict makes OpenSSL check what RFC 5280 demands of every certificate, not only what it needs itself.
  await succeed("openssl", [
    "verify",
    "-x509_strict",
    "-purpose",
    purpose,
    "-CAfile",
    rootFile,
    "-untrusted",
    chainFile,
    chainFile,
  ]);
}

/** What tests compare: the first certificate of a PEM file. */
export async function leafIn(
  file: string,
): Promise<{ readonly serial: string; readonly fingerprint: string; readonly certificate: X509Certificate }> {
  const certificate = new X509Certificate(await readFile(file, "utf8"));
  const fingerprint = createHash("sha256").update(certificate.raw).digest("hex");
  return { serial: certificate.serialNumber.toLowerCase(), fingerprint, certificate };
}
