import { createPublicKey } from "node:crypto";
import t from "tap";
import { DerError } from "../../src/x509/der.ts";
import {
  constructed,
  der,
  encodeDer,
  generalizedTime,
  octetString,
  sequence,
  smallInteger,
} from "../../src/x509/derWriter.ts";
import { encodeCertId } from "../../src/x509/ocspRequest.ts";
import {
  encodeResponseData,
  ocspErrorResponses,
  ocspErrors,
  readOcspResponse,
  readResponseData,
  type CertStatus,
  type OcspError,
  type ResponseData,
} from "../../src/x509/ocspResponse.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { algorithmIdentifier, verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { certIdOf, keyHash, opensslOcsp, opensslRequest, opensslVerdict, responseOf } from "../support/ocspExchange.ts";
import { issue } from "../support/platformCertificates.ts";

const ca = issue({ commonName: "ca" });
const leaf = issue({ commonName: "leaf", issuer: ca });
const now = new Date(Math.floor(Date.now() / 1000) * 1000);
const later = new Date(now.getTime() + 3_600_000);
const revokedAt = new Date("2026-11-01T10:11:12Z");

const dataOf = (status: CertStatus, over: Partial<ResponseData> = {}): ResponseData => ({
  responderId: { byKey: keyHash(ca.spki, "sha1") },
  producedAt: now,
  responses: [{ certId: certIdOf(ca, leaf.serialNumber), thisUpdate: now, nextUpdate: later, ...status }],
  nonce: undefined,
  ...over,
});
const verdict = (response: Buffer) => opensslVerdict({ root: ca.pem, issuer: ca.pem, certificate: leaf.pem }, response);

t.test("OpenSSL verifies what we write and reads every status of it", async (t) => {
  for (const [status, said] of [
    [{ status: "good" }, /leaf\.pem: good\n/],
    [{ status: "unknown" }, /leaf\.pem: unknown\n/],
    [
      { status: "revoked", revocationTime: revokedAt, reason: undefined },
      /leaf\.pem: revoked\n[^R]*Revocation Time: Nov {1,2}1 10:11:12 2026 GMT\n/,
    ],
    [
      { status: "revoked", revocationTime: revokedAt, reason: 1 },
      /leaf\.pem: revoked\n[^]*Reason: keyCompromise\n[^]*Revocation Time: Nov {1,2}1 10:11:12 2026 GMT\n/,
    ],
  ] as const) {
    for (const responderId of [{ byKey: keyHash(ca.spki, "sha1") }, { byName: ca.name }]) {
      const data = dataOf(status, { responderId });
      const response = responseOf(ca, data);
      const { stdout, stderr } = verdict(response);
      t.match(stderr, /Response verify OK/);
      t.match(stdout, said);
      const { error, basic } = readOcspResponse(response) as { error: undefined; basic: ResponseData };
      t.equal(error, undefined);
      t.match(basic, data, "and we read it back");
      t.same(readResponseData(encodeResponseData(data)), data);
    }
  }
  const other = issue({ commonName: "ca" });
  t.match(
    verdict(responseOf(other, dataOf({ status: "good" }))).stderr,
    /Response Verify Failure/,
    "another key's is refused",
  );
});

t.test("a nonce is carried, also the longest", async (t) => {
  for (const octets of [1, 32, 128]) {
    const nonce = Buffer.alloc(octets, 7);
    const response = responseOf(ca, dataOf({ status: "good" }, { nonce }));
    const { stdout } = opensslOcsp({ response }, ["-respin", "response", "-noverify", "-resp_text"], (ran) => ran);
    t.match(stdout, /OCSP Nonce/);
    t.match(readOcspResponse(response), { basic: { nonce } });
  }
});

t.test("the errors, as OpenSSL names them", async (t) => {
  const names: Record<OcspError, RegExp> = {
    malformedRequest: /malformedrequest \(1\)/,
    internalError: /internalerror \(2\)/,
    tryLater: /trylater \(3\)/,
    sigRequired: /sigrequired \(5\)/,
    unauthorized: /unauthorized \(6\)/,
  };
  for (const [name, said] of Object.entries(names)) {
    const response = ocspErrorResponses[name as OcspError];
    t.match(verdict(response).stdout, said);
    t.same(readOcspResponse(response), { error: name });
  }
});

/** OpenSSL's responder with an index of `openssl ca`. */
function theirs(entry: string, ...options: string[]): Buffer {
  const key = pemEncode("PRIVATE KEY", ca.key.export({ type: "pkcs8", format: "der" }));
  const request = opensslRequest(
    ca.pem,
    [leaf.pem],
    ...options.filter((option) => option === "-sha256" || option.endsWith("nonce")),
  );
  const made = ["-index", "index", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "key", "-reqin", "request"];
  return opensslOcsp(
    { "ca.pem": ca.pem, key, index: `${entry}\n`, request },
    [...made, "-respout", "response", ...options.filter((option) => option !== "-sha256" && !option.endsWith("nonce"))],
    (ran, file) => {
      if (ran.status !== 0) throw new Error(ran.stderr);
      return file("response");
    },
  );
}
const serial = leaf.serialNumber.toString("hex").toUpperCase();
const line = (state: string, revoked: string, number = serial): string =>
  `${state}\t490101000000Z\t${revoked}\t${number}\tunknown\t/CN=leaf`;

t.test("responses of OpenSSL's responder", async (t) => {
  for (const hash of ["sha1", "sha256"] as const) {
    const options = hash === "sha1" ? [] : ["-sha256"];
    const response = readOcspResponse(theirs(line("V", ""), "-ndays", "1", "-no_nonce", ...options));
    if (response.error !== undefined) throw new Error(response.error);
    const { basic } = response;
    t.match(basic, { responderId: { byName: ca.name }, nonce: undefined });
    const [single, ...more] = basic.responses;
    t.same(more, []);
    t.match(single, { status: "good", certId: certIdOf(ca, leaf.serialNumber, hash) });
    t.equal((single?.nextUpdate?.getTime() ?? 0) - (single?.thisUpdate.getTime() ?? 0), 86_400_000);
    t.same(
      basic.certificates.map((one) => readCertificate(one).serial),
      [readCertificate(ca.der).serial],
    );
    t.ok(basic.signatureIdentifier.equals(algorithmIdentifier("ecdsa-p256-sha256")));
    t.ok(
      verifySignature("ecdsa-p256-sha256", createPublicKey(ca.key), basic.tbs, basic.signature),
      "its signature is good",
    );
  }
  const bare = readOcspResponse(theirs(line("V", ""), "-no_nonce", "-resp_no_certs", "-resp_key_id"));
  t.match(bare, { basic: { certificates: [], responderId: { byKey: keyHash(ca.spki, "sha1") } } });
  t.match(readOcspResponse(theirs(line("V", ""), "-nonce")), { basic: { nonce: Buffer } });
  t.match(readOcspResponse(theirs(line("R", "261101101112Z"))), {
    basic: { responses: [{ status: "revoked", revocationTime: revokedAt, reason: undefined }] },
  });
  t.match(readOcspResponse(theirs(line("R", "261101101112Z,keyCompromise"))), {
    basic: { responses: [{ status: "revoked", revocationTime: revokedAt, reason: 1, nextUpdate: undefined }] },
  });
  t.match(readOcspResponse(theirs(line("V", "", "0F"))), { basic: { responses: [{ status: "unknown" }] } });
});

t.test("what cannot be said is not written", async (t) => {
  const fraction = new Date(now.getTime() + 1);
  t.throws(() => encodeResponseData(dataOf({ status: "good" }, { producedAt: fraction })), RangeError);
  for (const reason of [-1, 7, 11, 1.5])
    t.throws(() => encodeResponseData(dataOf({ status: "revoked", revocationTime: revokedAt, reason })), RangeError);
  t.throws(
    () => encodeResponseData(dataOf({ status: "good" }, { responderId: { byName: Buffer.from("0400", "hex") } })),
    DerError,
  );
  const certId = { ...certIdOf(ca, leaf.serialNumber), hash: undefined };
  const [single] = dataOf({ status: "good" }).responses;
  t.throws(
    () => encodeResponseData(dataOf({ status: "good" }, { responses: single ? [{ ...single, certId }] : [] })),
    RangeError,
  );
});

t.test("what is no response is refused with an error of the reader's own", async (t) => {
  const good = responseOf(ca, dataOf({ status: "good" }));
  const responder = constructed(2, octetString(keyHash(ca.spki, "sha1")));
  const certId = encodeCertId(certIdOf(ca, leaf.serialNumber));
  const at = generalizedTime(now);
  const data = (...members: Parameters<typeof sequence>) => encodeDer(sequence(...members));
  const saying = (status: Parameters<typeof sequence>[0], ...more: Parameters<typeof sequence>) =>
    data(responder, at, sequence(sequence(certId, status, at, ...more)));
  const isGood = der(0x80);
  t.doesNotThrow(() => readResponseData(saying(isGood)));
  for (const [what, octets] of [
    ["empty", Buffer.alloc(0)],
    ["a request", opensslRequest(ca.pem, [leaf.pem])],
    ["longer", Buffer.concat([good, Buffer.alloc(1)])],
    ["cut short", good.subarray(0, -1)],
    ["a status that is not known", Buffer.from("30030a0104", "hex")],
    ["success without anything", Buffer.from("30030a0100", "hex")],
    [
      "an error with something",
      encodeDer(sequence(der(10, Buffer.of(ocspErrors.tryLater)), constructed(0, sequence()))),
    ],
  ] as const)
    t.throws(() => readOcspResponse(octets), DerError, what);
  for (const [what, octets] of [
    ["no certificate", data(responder, at, sequence())],
    ["version 2", data(constructed(0, smallInteger(1)), responder, at, sequence(sequence(certId, isGood, at)))],
    [
      "a hash of 19 octets",
      data(constructed(2, octetString(Buffer.alloc(19))), at, sequence(sequence(certId, isGood, at))),
    ],
    ["a status with content", saying(der(0x80, Buffer.of(0)))],
    ["another status", saying(der(0x83))],
    ["a reason that is none", saying(constructed(1, at, constructed(0, der(10, Buffer.of(7)))))],
    ["two times of a revocation", saying(constructed(1, at, at))],
    ["two nextUpdates", saying(isGood, constructed(0, at, at))],
    ["members too many", saying(isGood, constructed(0, at), constructed(1, sequence(sequence())), at)],
    ["a UTCTime", data(responder, der(0x17, Buffer.from("261101000000Z")), sequence(sequence(certId, isGood, at)))],
  ] as const)
    t.throws(() => readResponseData(octets), DerError, what);
});
