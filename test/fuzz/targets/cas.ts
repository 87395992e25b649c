/** What comes in for CAs of ours, and from CAs of others: requests, certificates with their chains, name constraints. */
import { sign, X509Certificate } from "node:crypto";

import {
  type AwaitedCertificate,
  CertificateInRefused,
  readCertificateIn,
} from "../../../src/authority/certificateIn.ts";
import { prepareCaRequest } from "../../../src/authority/caRequest.ts";
import { assembleCertificate, readCertificate } from "../../../src/x509/certificate.ts";
import { assembleCertificationRequest } from "../../../src/x509/certificationRequestInfo.ts";
import { CsrError, readCaRequest } from "../../../src/x509/csr.ts";
import { DerError } from "../../../src/x509/der.ts";
import { encodeName, nameText } from "../../../src/x509/name.ts";
import { nameConstraints, readNameConstraints } from "../../../src/x509/nameConstraints.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { foreignNow, foreignRoot, keysFor, spkiOf } from "../../support/foreignCa.ts";
import {
  basicConstraints,
  keyUsage,
  subjectKeyIdentifier,
  subjectAltName,
  authorityKeyIdentifier,
  keyIdentifier,
} from "../../../src/x509/extensions.ts";
import { bendDer } from "../mutateDer.ts";
import { holds, readOrRefuse, refusesTrailing, type Target } from "../target.ts";

const own = keysFor("ecdsa-sha256");
const spki = spkiOf(own.publicKey);
const subject = encodeName({ organization: "Mayfly", commonName: "Issuing" });
const constraints = { uri: ["mayfly.test"], dns: ["a.test"], ip: ["10.0.0.0/8", "2001:db8::/32"] };
const { tbs: info } = prepareCaRequest({
  subject,
  spki,
  algorithm: "ecdsa-p256-sha256",
  pathLength: 0,
  trustDomain: "mayfly.test",
  nameConstraints: constraints,
});

const caRequest: Target = {
  name: "ca-request",
  about: "requests of CAs, signed after they were bent",
  cases: 3_000,
  slowMs: 300,
  make(random) {
    const bent = bendDer(random, info);
    return assembleCertificationRequest(bent, "ecdsa-p256-sha256", sign("sha256", bent, own.privateKey));
  },
  check(input) {
    const request = readOrRefuse(() => readCaRequest(input), CsrError);
    if (request === undefined) return "refused";
    refusesTrailing(readCaRequest, input, CsrError);
    const text = readOrRefuse(() => nameText(request.subject), DerError);
    holds(text === undefined || !/\p{Cc}/u.test(text), "a name for people has a control character");
    return "accepted";
  },
};

const root = foreignRoot("Elsewhere", "ecdsa-sha256", { serialNumber: Buffer.from([1]) });
const answer = readCertificate(
  root.certify({
    subject: "Issuing",
    keys: own,
    serialNumber: Buffer.from([2]),
    extensions: [
      authorityKeyIdentifier(keyIdentifier(spkiOf(root.keys.publicKey))),
      subjectKeyIdentifier(spki),
      basicConstraints({ cA: true, pathLenConstraint: 0 }),
      keyUsage(["keyCertSign", "cRLSign"]),
      subjectAltName({ dns: [], ip: [], uri: ["spiffe://mayfly.test"] }, false),
      nameConstraints(constraints),
    ],
  }),
);
const awaited: AwaitedCertificate = {
  spki,
  subject: answer.subject,
  pathLength: 0,
  trustDomain: "mayfly.test",
  anySubject: true,
};
const rootPem = pemEncode("CERTIFICATE", root.certificate);

const certificateIn: Target = {
  name: "certificate-in",
  about: "certificates for a CA of ours, signed by their issuer after they were bent; OpenSSL is the witness",
  cases: 2_000,
  slowMs: 300,
  make(random) {
    const tbs = random.chance(0.1) ? answer.tbs : bendDer(random, answer.tbs);
    return assembleCertificate(tbs, "ecdsa-p256-sha256", sign("sha256", tbs, root.keys.privateKey));
  },
  check(input) {
    const taken = readOrRefuse(
      () => readCertificateIn(pemEncode("CERTIFICATE", input), rootPem, awaited, foreignNow),
      CertificateInRefused,
    );
    if (taken === undefined) return "refused";
    const seen = new X509Certificate(input);
    holds(seen.ca, "OpenSSL takes it for no CA");
    holds(seen.publicKey.export({ type: "spki", format: "der" }).equals(spki), "OpenSSL reads another key");
    holds(seen.checkIssued(new X509Certificate(root.certificate)), "OpenSSL takes it for another's");
    return "accepted";
  },
};

const permitted = nameConstraints(constraints).value;

const nameConstraintsTarget: Target = {
  name: "name-constraints",
  about: "name constraints",
  cases: 6_000,
  slowMs: 200,
  make: (random) => (random.chance(0.1) ? permitted : bendDer(random, permitted)),
  check(input) {
    const read = readOrRefuse(() => readNameConstraints(input), DerError);
    if (read === undefined) return "refused";
    refusesTrailing(readNameConstraints, input, DerError);
    const again = readNameConstraints(nameConstraints(read).value);
    holds(JSON.stringify(again) === JSON.stringify(read), "written again they are others");
    return "accepted";
  },
};

export const caTargets: readonly Target[] = [caRequest, certificateIn, nameConstraintsTarget];
