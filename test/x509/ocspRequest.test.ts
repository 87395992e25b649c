import { randomBytes } from "node:crypto";
import t from "tap";
import { DerError } from "../../src/x509/der.ts";
import {
  booleanTrue,
  constructed,
  der,
  encodeDer,
  octetString,
  sequence,
  smallInteger,
  objectIdentifier,
} from "../../src/x509/derWriter.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { encodeCertId, encodeOcspRequest, nonceExtension, readOcspRequest } from "../../src/x509/ocspRequest.ts";
import { certIdOf, opensslOcsp, opensslRequest } from "../support/ocspExchange.ts";
import { issue } from "../support/platformCertificates.ts";

const ca = issue({ commonName: "ca" });
const [one, two] = [issue({ commonName: "one", issuer: ca }), issue({ commonName: "two", issuer: ca })];

t.test("requests of OpenSSL's client, with SHA-1 and SHA-256, with and without a nonce", async (t) => {
  for (const hash of ["sha1", "sha256"] as const) {
    const request = readOcspRequest(opensslRequest(ca.pem, [one.pem], `-${hash}`, "-no_nonce"));
    t.same(request, { certIds: [certIdOf(ca, one.serialNumber, hash)], nonce: undefined }, hash);
    const noncing = readOcspRequest(opensslRequest(ca.pem, [one.pem], `-${hash}`, "-nonce"));
    t.same(noncing.certIds, request.certIds);
    t.equal(noncing.nonce?.length, 16);
  }
});

t.test("several certificates in one request, in their order", async (t) => {
  const { certIds } = readOcspRequest(opensslRequest(ca.pem, [two.pem, one.pem], "-no_nonce"));
  t.same(
    certIds,
    [two, one].map(({ serialNumber }) => certIdOf(ca, serialNumber)),
  );
});

t.test("a signed request is read; its signature says nothing that is asked for", async (t) => {
  const key = pemEncode("PRIVATE KEY", one.key.export({ type: "pkcs8", format: "der" }));
  const signed = opensslOcsp(
    { "issuer.pem": ca.pem, "leaf.pem": one.pem, key },
    ["-issuer", "issuer.pem", "-cert", "leaf.pem", "-signer", "leaf.pem", "-signkey", "key", "-reqout", "request"],
    (_, file) => file("request"),
  );
  const { certIds } = readOcspRequest(signed);
  t.same(certIds, [certIdOf(ca, one.serialNumber)]);
  t.ok(signed.length > 400, "it has signature and certificate");
});

t.test("a hash that is not known here is told from a malformed one", async (t) => {
  const [certId] = readOcspRequest(opensslRequest(ca.pem, [one.pem], "-sha512", "-no_nonce")).certIds;
  t.equal(certId?.hash, undefined);
  t.equal(certId?.issuerNameHash.length, 64);
});

t.test("what we write, OpenSSL reads, and so do we", async (t) => {
  for (const hash of ["sha1", "sha256"] as const) {
    const asked = { certIds: [certIdOf(ca, one.serialNumber, hash)], nonce: randomBytes(32) };
    const request = encodeOcspRequest(asked);
    t.same(readOcspRequest(request), asked);
    const shown = opensslOcsp({ request }, ["-reqin", "request", "-req_text"], ({ stdout }) => stdout);
    t.match(shown, new RegExp(`Serial Number: ${one.serialNumber.toString("hex")}`, "i"));
    t.match(shown, /OCSP Nonce/);
    const plain = encodeOcspRequest({ ...asked, nonce: undefined });
    t.same(plain, opensslRequest(ca.pem, [one.pem], `-${hash}`, "-no_nonce"), "octet by octet what OpenSSL sends");
  }
});

const certId = encodeCertId(certIdOf(ca, one.serialNumber));
const listed = sequence(sequence(certId));
const extension = (oid: string, critical: boolean, value: Buffer) =>
  sequence(objectIdentifier(oid), ...(critical ? [booleanTrue] : []), octetString(value));
const nonceOf = (octets: number) => constructed(2, sequence(nonceExtension(Buffer.alloc(octets, 1))));
const request = (...members: Parameters<typeof sequence>): Buffer => encodeDer(sequence(sequence(...members)));

t.test(
  "the longest and the shortest nonce, a requestor's name, unknown extensions that are not critical",
  async (t) => {
    t.equal(readOcspRequest(request(listed, nonceOf(1))).nonce?.length, 1);
    t.equal(readOcspRequest(request(listed, nonceOf(128))).nonce?.length, 128);
    const name = constructed(1, constructed(4, ca.name));
    t.equal(readOcspRequest(request(name, listed)).certIds.length, 1);
    const unknown = sequence(extension("1.3.6.1.5.5.7.48.1.4", false, Buffer.from("3000", "hex")));
    t.equal(readOcspRequest(request(listed, constructed(2, unknown))).nonce, undefined);
    t.equal(readOcspRequest(request(sequence(sequence(certId, constructed(0, unknown))))).certIds.length, 1);
    const bare = sequence(
      sequence(objectIdentifier("1.3.14.3.2.26")),
      octetString(Buffer.alloc(20)),
      octetString(Buffer.alloc(20)),
      smallInteger(1),
    );
    t.equal(readOcspRequest(request(sequence(sequence(bare)))).certIds[0]?.hash, "sha1", "parameters may be absent");
  },
);

t.test("what is no request is refused with an error of the reader's own", async (t) => {
  const good = request(listed);
  const critical = sequence(extension("1.3.6.1.5.5.7.48.1.4", true, Buffer.from("3000", "hex")));
  const unwrapped = sequence(extension("1.3.6.1.5.5.7.48.1.2", false, Buffer.alloc(16, 1)));
  const shortHash = sequence(
    sequence(objectIdentifier("1.3.14.3.2.26"), der(5)),
    octetString(Buffer.alloc(19)),
    octetString(Buffer.alloc(20)),
    smallInteger(1),
  );
  const parameters = sequence(
    sequence(objectIdentifier("1.3.14.3.2.26"), smallInteger(1)),
    octetString(Buffer.alloc(20)),
    octetString(Buffer.alloc(20)),
    smallInteger(1),
  );
  for (const [what, octets] of [
    ["empty", Buffer.alloc(0)],
    ["a certificate", one.der],
    ["longer", Buffer.concat([good, Buffer.alloc(1)])],
    ["cut short", good.subarray(0, -1)],
    ["no certificate", request(sequence())],
    ["101 certificates", request(sequence(...Array.from({ length: 101 }, () => sequence(certId))))],
    ["version 1, named", request(constructed(0, smallInteger(0)), listed)],
    ["version 2", request(constructed(0, smallInteger(1)), listed)],
    ["an empty nonce", request(listed, nonceOf(0))],
    ["a nonce of 129 octets", request(listed, nonceOf(129))],
    ["a nonce that is not wrapped", request(listed, constructed(2, unwrapped))],
    ["a critical extension", request(listed, constructed(2, critical))],
    ["a critical extension of one request", request(sequence(sequence(certId, constructed(0, critical))))],
    ["no extensions", request(listed, constructed(2, sequence()))],
    [
      "a nonce twice",
      request(listed, constructed(2, sequence(nonceExtension(Buffer.alloc(8)), nonceExtension(Buffer.alloc(8))))),
    ],
    ["members after the extensions", request(listed, nonceOf(8), nonceOf(8))],
    ["a hash of another length", request(sequence(sequence(shortHash)))],
    ["parameters of the hash", request(sequence(sequence(parameters)))],
    ["a signature that is none", encodeDer(sequence(sequence(listed), constructed(0, sequence())))],
    ["a third member", encodeDer(sequence(sequence(listed), constructed(0, sequence()), sequence()))],
  ] as const) {
    t.throws(() => readOcspRequest(octets), DerError, what);
  }
});
