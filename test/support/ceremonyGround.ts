/** Machines on which ceremonies are held: each with a folder, a SoftHSM token and a data directory of its own. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";

import { request } from "./attestingServer.ts";
import type { TestOwner } from "./certificateAuthority.ts";
import { mayfly, runMayfly, succeed, type Ended } from "./program.ts";
import { serverPlace, startServer, type ServerPlace, type ServerProcess } from "./serverProcess.ts";
import { softhsmToken, type SofthsmToken } from "./softhsm.ts";

export const ceremonyTrustDomain = "mayfly.test";

export interface Machine {
  readonly place: ServerPlace;
  readonly token: SofthsmToken;
  /** Where its ceremonies and their files are. */
  readonly folder: string;
  /** What its Mayfly must be told: the token, the trust domain. */
  readonly env: Readonly<Record<string, string>>;
  /** Writes the steps as a ceremony of this name, and holds it without questions. */
  hold(name: string, steps: readonly object[], more?: Readonly<Record<string, unknown>>): Promise<Ended>;
  /** Holds one that is written already. */
  again(name: string, parameters?: readonly string[]): Promise<Ended>;
  /** A file of its folder. */
  file(name: string): string;
  transcript(name: string): string;
}

/** A machine with a token of its own. */
export async function ceremonyMachine(t: TestOwner): Promise<Machine> {
  const token = softhsmToken(t);
  const env = {
    ...token.env,
    MAYFLY_PKCS11_MODULE: token.module,
    MAYFLY_PKCS11_TOKEN: token.token,
    MAYFLY_PKCS11_PIN_FILE: token.pinFile,
    MAYFLY_TRUST_DOMAIN: ceremonyTrustDomain,
  };
  const place = await serverPlace(t, env);
  const folder = join(place.dataDir, "ceremony");
  await mkdir(folder);
  const again = (name: string, parameters: readonly string[] = ["--yes"]): Promise<Ended> =>
    runMayfly(["ceremony", "--file", join(folder, `${name}.yaml`), ...parameters], { env: place.env });
  return {
    place,
    token,
    folder,
    env: place.env,
    async hold(name, steps, more = {}) {
      await writeFile(join(folder, `${name}.yaml`), stringify({ name, ...more, steps }));
      return await again(name);
    },
    again,
    file: (name) => join(folder, name),
    transcript: (name) => readFileSync(join(place.dataDir, "ceremonies", `${name}.txt`), "utf8"),
  };
}

/** The steps of a first hierarchy, each with the files that the next one looks for. */
export const firstSteps = {
  makeRoot: { step: "makeRoot", certificateFile: "root.pem" },
  requestIssuing: { step: "requestIssuing", requestFile: "issuing.csr" },
  signIssuing: {
    step: "signIssuing",
    requestFile: "issuing.csr",
    issuerCertificateFile: "root.pem",
    certificateFile: "issuing.pem",
  },
  importCertificate: { step: "importCertificate", certificateFile: "issuing.pem", rootFile: "root.pem" },
  activate: { step: "activate" },
} as const;

/** Starts a server on what a ceremony left, and has it issue a certificate. @throws {Error} where it does not */
export async function issueOne(t: TestOwner, machine: Machine): Promise<{ server: ServerProcess; chain: string }> {
  const server = await startServer(t, machine.place);
  const out = join(machine.place.dataDir, "agent");
  const evidence = `exec:'${process.execPath}' '${mayfly}' dev-token --subject agent-1`;
  const { status, stderr } = await request(server, `spiffe://${ceremonyTrustDomain}/dev/agent-1`, evidence, out);
  if (status !== 0) throw new Error(`the agent got no certificate: ${stderr}`);
  return { server, chain: join(out, "cert.pem") };
}

/** Carries a file, as on a stick. */
export const carry = (name: string, from: Machine, to: Machine, as = name): Promise<void> =>
  copyFile(from.file(name), to.file(as));

/** @throws {Error} with OpenSSL's reason, unless the first certificate of the file leads over `untrusted` to `root` */
export async function opensslChain(root: string, untrusted: readonly string[], file: string): Promise<string> {
  const between = untrusted.flatMap((one) => ["-untrusted", one]);
  return await succeed("openssl", ["verify", "-x509_strict", "-CAfile", root, ...between, file]);
}

/** Whether Node takes the first certificate of a file for one that the other issued. */
export function nodeVerifies(file: string, issuerFile: string): boolean {
  const [certificate, issuer] = [
    new X509Certificate(readFileSync(file)),
    new X509Certificate(readFileSync(issuerFile)),
  ];
  return certificate.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** SHA-256 of a file's certificate as OpenSSL prints it. */
export async function opensslFingerprint(file: string): Promise<string> {
  const printed = await succeed("openssl", ["x509", "-in", file, "-noout", "-fingerprint", "-sha256"]);
  return printed.split("=")[1]?.trim() ?? "";
}
