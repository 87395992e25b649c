/** A new root: its key in this machine's token, its certificate signed by itself. Nothing is written into a database. */
import { pemEncode } from "../../x509/pem.ts";
import { describeCertificate, describeConstraints } from "./describe.ts";
import { CeremonyStopped, type CeremonyGround, type Standing } from "./ground.ts";
import {
  ceremonyKey,
  certificateInFile,
  constraintsOf,
  shortName,
  signCa,
  subjectName,
  validityFor,
} from "./signing.ts";
import type { MakeRoot } from "./steps.ts";

/**
 * Room for one CA between root and issuing CA: another root that is certified by this one, so that who trusts this one can follow to that.
 */
const pathLengthDefault = 2;
const lifetimeDaysDefault = 3650;

export async function makeRoot(step: MakeRoot, ground: CeremonyGround): Promise<Standing> {
  const {
    keyKind = "ec-p384",
    lifetimeDays = lifetimeDaysDefault,
    pathLength = pathLengthDefault,
    certificateFile,
  } = step;
  const label = step.keyLabel ?? `${ground.keyLabel}-root`;
  const name = step.subject ?? {
    organization: "Mayfly",
    commonName: shortName(`Mayfly Root CA ${ground.trustDomain}`),
  };
  const subject = subjectName(name);
  const nameConstraints = constraintsOf(step.nameConstraints);
  const key = await ceremonyKey(label, keyKind, ground);

  const there = await certificateInFile(certificateFile, ground);
  if (there !== undefined) {
    if (key.found?.spki.equals(there.spki) === true && there.subject.equals(subject))
      return { is: "done", lines: describeCertificate(there.der) };
    throw new CeremonyStopped(`${certificateFile}: has another certificate than that of this root; name another file`);
  }
  await ground.files.requireRoom(certificateFile);
  const { notBefore, notAfter } = validityFor(lifetimeDays, ground.now());
  return {
    is: "ready",
    plan: [
      key.plan,
      `signs a root certificate for ${Object.values(name).join(", ")} of spiffe://${ground.trustDomain}, valid for ${lifetimeDays} days, until ${notAfter.toISOString()}, path length ${pathLength}`,
      ...describeConstraints(nameConstraints),
      `writes it to ${certificateFile}`,
    ],
    async act() {
      const signer = await key.take();
      const { spki, algorithm } = signer;
      const issuer = { subject, spki, algorithm, certificate: undefined };
      const { trustDomain } = ground;
      const template = { issuer, subject, spki, notBefore, notAfter, pathLength, trustDomain, nameConstraints };
      const der = await signCa(template, signer, ground);
      await ground.files.write(certificateFile, pemEncode("CERTIFICATE", der));
      return describeCertificate(der);
    },
  };
}
