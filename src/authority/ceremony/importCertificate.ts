/** The certificate that an issuer waits for comes in, with the CAs above it, after everything about it was looked at. */
import { certifiable, certifyIssuer } from "../certifyIssuer.ts";
import { CertificateInRefused } from "../certificateIn.ts";
import { defaultIssuerName } from "../issuer.ts";
import { describeCertificate } from "./describe.ts";
import { CeremonyStopped, type CeremonyGround, type Standing } from "./ground.ts";
import type { ImportCertificate } from "./steps.ts";

export async function importCertificate(step: ImportCertificate, ground: CeremonyGround): Promise<Standing> {
  const { line = defaultIssuerName, certificateFile, rootFile, anySubject = false } = step;
  const pem = await ground.files.read(certificateFile);
  if (pem === undefined) return { is: "waiting", on: `the certificate ${certificateFile}` };
  const rootPem = rootFile === undefined ? undefined : await ground.files.read(rootFile);
  if (rootFile !== undefined && rootPem === undefined)
    return { is: "waiting", on: `the root's certificate ${rootFile}` };

  const store = await ground.store();
  const certifying = { store, keys: await ground.keys(), trustDomain: ground.trustDomain, now: ground.now };
  const found = await certifiable({ name: line }, { pem, rootPem, anySubject }, certifying).catch((error: unknown) => {
    if (error instanceof CertificateInRefused)
      throw new CeremonyStopped(`${certificateFile}: is not taken:\n${error.message}`, { cause: error });
    throw error;
  });
  const { certificate, root, intermediates, warnings, checks } = found.arrived;
  const lines = describeCertificate(certificate.der);
  if (found.done) return { is: "done", lines };
  return {
    is: "ready",
    exclusive: true,
    plan: [
      `the certificate of issuer ${found.issuer.generation} of the line ${line}:`,
      ...lines.map((text) => `  ${text}`),
      ...intermediates.flatMap(({ der }) => ["a CA above it:", ...describeCertificate(der).map((text) => `  ${text}`)]),
      "the root:",
      ...describeCertificate(root.der).map((text) => `  ${text}`),
      ...checks.map((check) => `checked       ${check}`),
      ...warnings.map((warning) => `WARNING       ${warning}`),
      "brings it, and what is above it, into the database",
    ],
    async act() {
      if (!(await certifyIssuer(found, certifying, ground.actor)))
        throw new CeremonyStopped(`issuer ${found.issuer.generation} of the line ${line} does not wait any more`);
      return lines;
    },
  };
}
