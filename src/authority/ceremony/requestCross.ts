/** A request for a CA of ours that has a certificate already: another PKI is to give it one more (cross-signing). */
import { readCaRequest } from "../../x509/csr.ts";
import { readBasicConstraints } from "../../x509/extensions.ts";
import { oids } from "../../x509/oid.ts";
import { nameText } from "../../x509/name.ts";
import { pemEncode } from "../../x509/pem.ts";
import { describeRequest } from "./describe.ts";
import { CeremonyStopped, type CeremonyGround, type Standing } from "./ground.ts";
import { signRequest } from "./requestIssuing.ts";
import { requestOfText } from "./signIssuing.ts";
import { signingCa } from "./signing.ts";
import type { RequestCross } from "./steps.ts";

export async function requestCross(step: RequestCross, ground: CeremonyGround): Promise<Standing> {
  const { certificateFile, requestFile } = step;
  const ca = await signingCa(certificateFile, ground);
  if (ca === undefined) return { is: "waiting", on: `the certificate ${certificateFile}` };
  const { certificate, key } = ca;
  const there = await ground.files.read(requestFile);
  if (there !== undefined) {
    const request = requestOfText(there, requestFile);
    if (request.spki.equals(certificate.spki) && request.subject.equals(certificate.subject))
      return { is: "done", lines: describeRequest(request) };
    throw new CeremonyStopped(`${requestFile}: has another request than one for ${certificateFile}; name another file`);
  }
  await ground.files.requireRoom(requestFile);
  const value = certificate.extensions.find(({ oid }) => oid === oids.basicConstraints)?.value;
  const pathLength = value === undefined ? undefined : readBasicConstraints(value, { lenient: true }).pathLenConstraint;
  const { subject } = certificate;
  return {
    is: "ready",
    plan: [
      `signs, with the key ${key.label}, a request for ${nameText(subject)}, the subject of ${certificateFile}`,
      `writes it to ${requestFile}`,
    ],
    async act() {
      const request = await signRequest(key, { subject, pathLength }, ground);
      await ground.files.write(requestFile, pemEncode("CERTIFICATE REQUEST", request));
      return describeRequest(readCaRequest(request));
    },
  };
}
