/**
 * The certificate for a request, signed with a root's key in this machine's token: what a machine without network does. Of the request,
 * the key and the subject are taken; what the CA may do is this ceremony's to say.
 */
import type { Certificate } from "../../x509/certificate.ts";
import { CsrError, readCaRequest, type CaRequest } from "../../x509/csr.ts";
import { readSubjectAltName } from "../../x509/extensions.ts";
import { nameText } from "../../x509/name.ts";
import { oids } from "../../x509/oid.ts";
import { pemDecode, pemEncode, PemError } from "../../x509/pem.ts";
import { rootIdOf, rootListUrl } from "../listUrl.ts";
import { describeCertificate, describeConstraints, describeRequest } from "./describe.ts";
import { CeremonyStopped, type CeremonyGround, type Standing } from "./ground.ts";
import { certificateInFile, constraintsOf, signCa, signingCa, subjectName, validityFor } from "./signing.ts";
import type { SignIssuing } from "./steps.ts";

const lifetimeDaysDefault = 1825;

/** How the step stands, and how it is done. */
export async function signIssuing(step: SignIssuing, ground: CeremonyGround): Promise<Standing> {
  const {
    requestFile,
    issuerCertificateFile,
    certificateFile,
    lifetimeDays = lifetimeDaysDefault,
    pathLength = 0,
  } = step;
  const text = await ground.files.read(requestFile);
  if (text === undefined) return { is: "waiting", on: `the request ${requestFile}` };
  const request = requestOfText(text, requestFile);
  const ca = await signingCa(issuerCertificateFile, ground);
  if (ca === undefined) return { is: "waiting", on: `the certificate of the CA that signs, ${issuerCertificateFile}` };
  const subject = step.subject === undefined ? request.subject : subjectName(step.subject);

  const there = await certificateInFile(certificateFile, ground);
  if (there !== undefined) {
    if (there.spki.equals(request.spki) && there.issuer.equals(ca.certificate.subject))
      return { is: "done", lines: describeCertificate(there.der) };
    throw new CeremonyStopped(
      `${certificateFile}: has another certificate than one for this request; name another file`,
    );
  }
  requireTrustDomain(request, ground.trustDomain);
  await ground.files.requireRoom(certificateFile);
  const crlUrl = step.rootPublishesLists === true ? await listUrlOf(ca.certificate, step, ground) : undefined;
  const nameConstraints = constraintsOf(step.nameConstraints);
  const validity = validityFor(lifetimeDays, ground.now(), ca.certificate);
  return {
    is: "ready",
    plan: [
      "the request:",
      ...describeRequest(request).map((line) => `  ${line}`),
      `signs a CA certificate for ${nameText(subject)} of spiffe://${ground.trustDomain} with the key ${ca.key.label} of ${nameText(ca.certificate.subject)}, valid for ${lifetimeDays} days, until ${validity.notAfter.toISOString()}, path length ${pathLength}`,
      ...describeConstraints(nameConstraints),
      ...(crlUrl === undefined ? [] : [`names ${crlUrl}, where this authority publishes what the root revokes`]),
      `writes it to ${certificateFile}`,
    ],
    async act() {
      const { key } = ca;
      const issuer = { ...ca.issuer, crlUrl };
      const { spki } = request;
      const { trustDomain } = ground;
      const template = { issuer, subject, spki, ...validity, pathLength, trustDomain, nameConstraints };
      const der = await signCa(template, key, ground);
      await ground.files.write(certificateFile, pemEncode("CERTIFICATE", der));
      return describeCertificate(der);
    },
  };
}

/** Where the list will be of a root that stays in this authority. @throws {CeremonyStopped} where it will make none */
async function listUrlOf(root: Certificate, step: SignIssuing, ground: CeremonyGround): Promise<string> {
  const at = `rootPublishesLists: true: ${step.issuerCertificateFile}`;
  if (!root.subject.equals(root.issuer))
    throw new CeremonyStopped(
      `${at} is no root: expected a root of this authority, which are those that have lists here`,
    );
  const known = (await (await ground.store()).readIssuers()).find(
    ({ kind, certificate }) => kind === "root" && certificate?.equals(root.der) === true,
  );
  if (known?.keyLabel === null)
    throw new CeremonyStopped(`${at} is, to the database, a root whose key is elsewhere: no list is made of it here`);
  return rootListUrl(ground.publicUrl, known?.id ?? rootIdOf(root.der));
}

/** The one request of a file. @throws {CeremonyStopped} */
export function requestOfText(text: string, file: string): CaRequest {
  try {
    const [der, ...more] = pemDecode(text, "CERTIFICATE REQUEST");
    if (der === undefined || more.length > 0) throw new CeremonyStopped(`${file}: expected one request`);
    return readCaRequest(der);
  } catch (error) {
    if (error instanceof PemError || error instanceof CsrError)
      throw new CeremonyStopped(`${file}: expected a PEM certification request (${error.message})`, { cause: error });
    throw error;
  }
}

/** X.509-SVID §3.2: who asks for another trust domain than the one that is signed for is at the wrong machine. */
function requireTrustDomain({ extensions }: CaRequest, trustDomain: string): void {
  const value = extensions.find(({ oid }) => oid === oids.subjectAltName)?.value;
  const asked = value === undefined ? [] : readSubjectAltName(value).uri;
  if (asked.every((uri) => uri === `spiffe://${trustDomain}`)) return;
  throw new CeremonyStopped(
    `the request is for ${asked.join(", ")}, and this machine's trust domain is spiffe://${trustDomain}`,
  );
}
