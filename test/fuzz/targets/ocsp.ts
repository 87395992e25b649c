/** OCSP requests, as anybody sends them, and responses, as a client of ours would read them. */
import { createPublicKey } from "node:crypto";
import { DerError } from "../../../src/x509/der.ts";
import { encodeOcspRequest, readOcspRequest } from "../../../src/x509/ocspRequest.ts";
import {
  encodeResponseData,
  ocspErrorResponses,
  readOcspResponse,
  type CertStatus,
} from "../../../src/x509/ocspResponse.ts";
import { verifySignature } from "../../../src/x509/signatureAlgorithm.ts";
import { certIdOf, keyHash, opensslRequest, responseOf } from "../../support/ocspExchange.ts";
import { issue } from "../../support/platformCertificates.ts";
import { bendBytes } from "../mutate.ts";
import { bendDer } from "../mutateDer.ts";
import { holds, readOrRefuse, refusesTrailing, type Target } from "../target.ts";

const ca = issue({ commonName: "ca" });
const leaf = issue({ commonName: "leaf", issuer: ca });
const requests: readonly Buffer[] = [
  opensslRequest(ca.pem, [leaf.pem]),
  opensslRequest(ca.pem, [leaf.pem, ca.pem], "-sha256", "-no_nonce"),
  encodeOcspRequest({ certIds: [certIdOf(ca, leaf.serialNumber, "sha256")], nonce: Buffer.alloc(128, 1) }),
];

const request: Target = {
  name: "ocsp-request",
  about: "OCSP requests; what is read says the same when it is written again",
  cases: 10_000,
  slowMs: 200,
  make: (random) =>
    random.chance(0.3) ? bendBytes(random, random.pick(requests)) : bendDer(random, random.pick(requests)),
  check(input) {
    const read = readOrRefuse(() => readOcspRequest(input), DerError);
    if (read === undefined) return "refused";
    const { certIds, nonce } = read;
    refusesTrailing(readOcspRequest, input, DerError);
    holds(certIds.length > 0 && certIds.length <= 100, "a number of certificates that no request has");
    holds(nonce === undefined || (nonce.length >= 1 && nonce.length <= 128), "a nonce of another length");
    if (certIds.some(({ hash }) => hash === undefined)) return "accepted";
    const again = readOcspRequest(encodeOcspRequest(read));
    holds(JSON.stringify(again) === JSON.stringify(read), "written again it is something else");
    return "accepted";
  },
};

const at = new Date("2026-11-26T12:00:00Z");
const statuses: readonly CertStatus[] = [
  { status: "good" },
  { status: "unknown" },
  { status: "revoked", revocationTime: at, reason: 1 },
  { status: "revoked", revocationTime: at, reason: undefined },
];
const responses: readonly Buffer[] = statuses.map((status, index) =>
  responseOf(ca, {
    responderId: index % 2 === 0 ? { byName: ca.name } : { byKey: keyHash(ca.spki, "sha1") },
    producedAt: at,
    responses: [
      { ...status, certId: certIdOf(ca, leaf.serialNumber), thisUpdate: at, nextUpdate: index === 1 ? undefined : at },
    ],
    nonce: index === 2 ? Buffer.alloc(32, 2) : undefined,
  }),
);
const signed = responses.map((one) => {
  const { basic } = readOcspResponse(one) as { basic: { tbs: Buffer } };
  return basic.tbs;
});
const key = createPublicKey(ca.key);

const response: Target = {
  name: "ocsp-response",
  about:
    "OCSP responses; none verifies but over what was signed, and what is read says the same when it is written again",
  cases: 6_000,
  slowMs: 200,
  make(random) {
    const original = random.chance(0.1) ? random.pick(Object.values(ocspErrorResponses)) : random.pick(responses);
    return random.chance(0.3) ? bendBytes(random, original, 1) : bendDer(random, original, 1);
  },
  check(input) {
    const read = readOrRefuse(() => readOcspResponse(input), DerError);
    if (read === undefined) return "refused";
    refusesTrailing(readOcspResponse, input, DerError);
    if (read.error !== undefined) {
      holds(ocspErrorResponses[read.error].equals(input), "an error that is written in another way");
      return "accepted";
    }
    const { tbs, signature, ...said } = read.basic;
    const verifies = verifySignature("ecdsa-p256-sha256", key, tbs, signature);
    holds(!verifies || signed.some((one) => one.equals(tbs)), "a signature over what nobody signed");
    if (said.responses.some(({ certId }) => certId.hash === undefined)) return "accepted";
    readOrRefuse(() => encodeResponseData(said), RangeError); // A year that is not written, say.
    return "accepted";
  },
};

export const ocspTargets: readonly Target[] = [request, response];
