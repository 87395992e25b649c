import { createServer, type TlsOptions, type TLSSocket } from "node:tls";
import t from "tap";
import { reverseName, tlsAlpn01 } from "../../../src/acme/challenges/tlsAlpn01.ts";
import type { ValidationOutcome } from "../../../src/acme/challenges/validation.ts";
import { der, encodeDer, sequence } from "../../../src/x509/derWriter.ts";
import { subjectAltName } from "../../../src/x509/extensions.ts";
import { acmeIdentifier, type CertificateWishes, selfSigned } from "../../support/challengeCertificate.ts";
import {
  addressesAre,
  closedPort,
  listen,
  tcpTarget,
  type Teardown,
  testOutbound,
  type OutboundWishes,
  plainly,
} from "../../support/validationTargets.ts";

const signal = new AbortController().signal;
const token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const keyAuthorization = `${token}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI`;
const right = acmeIdentifier(keyAuthorization);

/** Validates `target.example` (or an address) against a TLS server with these options; `acme-tls/1` unless they say otherwise. */
async function validateServer(
  t: Teardown,
  options: TlsOptions,
  { ip, onSecure = () => {} }: { ip?: string; onSecure?: (socket: TLSSocket) => void } = {},
): Promise<ValidationOutcome> {
  const server = createServer({ ALPNProtocols: ["acme-tls/1"], ...options }, onSecure);
  server.on("tlsClientError", () => {});
  return validateAt(t, await listen(t, server, ip ?? "127.0.0.1"), ip);
}

async function validateAt(
  t: Teardown,
  port: number,
  ip?: string,
  options: Partial<OutboundWishes> = {},
): Promise<ValidationOutcome> {
  const dns = await addressesAre(t, "127.0.0.1");
  const outbound = testOutbound({ dnsResolver: dns.address, tlsAlpn01Port: port, ...options });
  const identifier =
    ip === undefined ? ({ type: "dns", value: "target.example" } as const) : ({ type: "ip", value: ip } as const);
  return tlsAlpn01({ identifier, token, keyAuthorization, ...plainly }, outbound, signal);
}

const validateCertificate = (t: Teardown, wishes: CertificateWishes) => validateServer(t, selfSigned(wishes));

t.test(
  "R8737-1, R8737-3 the server name is the identifier, the one protocol is acme-tls/1, TLS 1.2 and 1.3 will do",
  async (t) => {
    const certificate = selfSigned({ dns: ["target.example"], extensions: [right] });
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      let seen: { servername: string; protocols: string[] } | undefined;
      const outcome = await validateServer(t, {
        ...certificate,
        ALPNProtocols: undefined,
        ALPNCallback: (hello) => {
          seen = hello;
          return "acme-tls/1";
        },
        minVersion: version,
        maxVersion: version,
      });
      t.same(outcome, { ok: true }, version);
      t.match(seen, { servername: "target.example", protocols: ["acme-tls/1"] });
      t.equal(seen?.protocols.length, 1);
    }
  },
);

t.test("R8737-4 names are compared without regard to case", async (t) => {
  t.same(await validateCertificate(t, { dns: ["TARGET.example"], extensions: [right] }), { ok: true });
});

t.test("R8738-3 an IP identifier: reverse-mapping name, one iPAddress", async (t) => {
  const names = {
    "127.0.0.1": "1.0.0.127.in-addr.arpa",
    "::1": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
  };
  for (const [ip, name] of Object.entries(names)) {
    let asked: string | undefined;
    const options: TlsOptions = {
      ...selfSigned({ ip: [ip], extensions: [right] }),
      SNICallback: (servername, done) => {
        asked = servername;
        done(null);
      },
    };
    t.same(await validateServer(t, options, { ip }), { ok: true });
    t.equal(asked, name);
  }
  const byName = selfSigned({ dns: ["127.0.0.1"], extensions: [right] });
  t.match(await validateServer(t, byName, { ip: "127.0.0.1" }), { ok: false, problem: "incorrectResponse" });
  const other = selfSigned({ ip: ["127.0.0.2"], extensions: [right] });
  t.match(await validateServer(t, other, { ip: "127.0.0.1" }), { ok: false, problem: "incorrectResponse" });
  t.equal(
    reverseName("2001:db8::567:89ab"),
    "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
    "RFC 8738 §6, RFC 3596 §2.5",
  );
});

t.test("R8737-4 what no CA may write is no fault of a self-signed certificate", async (t) => {
  const mayHave = { dns: ["target.example"], extensions: [right] };
  const times = sequence(...["00010101000000Z", "20500101000000Z"].map((text) => der(0x18, Buffer.from(text))));
  const strange = {
    "a serial number of 21 octets": { serialNumber: encodeDer(der(2, Buffer.from(`00${"ff".repeat(20)}`, "hex"))) },
    "a negative serial number": { serialNumber: encodeDer(der(2, Buffer.from([0xff]))) },
    "the year 1": { validity: encodeDer(times) },
  };
  for (const [what, wishes] of Object.entries(strange))
    t.same(await validateCertificate(t, { ...mayHave, ...wishes }), { ok: true }, what);
});

t.test("R8737-4 R8737-5 R8737-6 H-14 certificates that are not the challenge's", async (t) => {
  const dns = ["target.example"];
  const digest = right.value.subarray(2);
  const { oid } = right;
  const value = (bytes: Buffer) => [{ oid, critical: true, value: bytes }];
  const oneName = /does not have target\.example as its one subjectAltName/;
  const notOctets = /not an OCTET STRING of 32 bytes/;
  const cases: [what: string, wishes: CertificateWishes, detail: RegExp][] = [
    ["no subjectAltName", { extensions: [right] }, oneName],
    ["another name", { dns: ["other.example"], extensions: [right] }, oneName],
    ["a name below", { dns: ["www.target.example"], extensions: [right] }, oneName],
    ["a wildcard", { dns: ["*.example"], extensions: [right] }, oneName],
    ["two names", { dns: ["target.example", "other.example"], extensions: [right] }, oneName],
    ["the name twice", { dns: ["target.example", "target.example"], extensions: [right] }, oneName],
    ["an address besides", { dns, ip: ["127.0.0.1"], extensions: [right] }, oneName],
    ["a URI besides", { dns, uri: ["spiffe://target.example/x"], extensions: [right] }, oneName],
    ["an e-mail address besides", { extensions: [withMail(), right] }, oneName],
    ["the name as URI", { uri: ["target.example"], extensions: [right] }, oneName],
    ["no acmeIdentifier", { dns }, /has no acmeIdentifier/],
    ["the legacy OID", { dns, extensions: [{ ...right, oid: "1.3.6.1.5.5.7.1.30.1" }] }, /has no acmeIdentifier/],
    ["not critical", { dns, extensions: [{ ...right, critical: false }] }, /not critical/],
    ["a bare digest", { dns, extensions: value(digest) }, notOctets],
    ["31 bytes", { dns, extensions: value(Buffer.concat([Buffer.from([4, 31]), digest.subarray(1)])) }, notOctets],
    ["trailing bytes", { dns, extensions: value(Buffer.concat([right.value, Buffer.alloc(1)])) }, notOctets],
    ["a BIT STRING", { dns, extensions: value(Buffer.concat([Buffer.from([3, 32]), digest])) }, notOctets],
    ["nothing inside", { dns, extensions: value(Buffer.alloc(0)) }, notOctets],
    ["another issuer", { dns, extensions: [right], issuer: "a CA" }, /not self-signed/],
    ["another's signature", { dns, extensions: [right], foreignSignature: true }, /not self-signed/],
  ];
  for (const [what, wishes, detail] of cases) {
    const outcome = await validateCertificate(t, wishes);
    t.match(outcome, { ok: false, problem: "incorrectResponse", retryable: false, detail }, what);
  }
  const foreign = await validateCertificate(t, { dns, extensions: [acmeIdentifier(`${token}.another`)] });
  t.match(foreign, { ok: false, problem: "unauthorized", retryable: false, detail: /not of this key authorization/ });
});

/** A subjectAltName with the right dNSName and an rfc822Name. */
function withMail() {
  const { oid, critical, value } = subjectAltName({ dns: ["target.example"], ip: [], uri: [] }, false);
  const mail = Buffer.from([0x81, 3, ...Buffer.from("a@b")]);
  const names = Buffer.concat([value.subarray(2), mail]);
  return { oid, critical, value: Buffer.concat([Buffer.from([0x30, names.length]), names]) };
}

t.test("R8737-5 H-14 an extension that is there twice", async (t) => {
  const { key, cert } = selfSigned({ dns: ["target.example"], extensions: [right], twice: true });
  const outcome = await validateServer(t, { key, cert });
  t.match(outcome, { ok: false, problem: "incorrectResponse", retryable: false });
});

t.test("R8737-2, R8737-3 H-14 handshakes that fail or agree on something else", async (t) => {
  const certificate = selfSigned({ dns: ["target.example"], extensions: [right] });
  const notSelected = { ok: false, problem: "tls", detail: "the target did not select acme-tls/1", retryable: false };
  t.same(await validateServer(t, { ...certificate, ALPNProtocols: undefined }), notSelected, "no ALPN at all");
  const other = await validateServer(t, { ...certificate, ALPNProtocols: ["h2", "http/1.1"] });
  t.match(other, { ok: false, problem: "tls", retryable: false }, "another protocol");
  const old = { ...certificate, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" } as const;
  t.match(await validateServer(t, old), { ok: false, problem: "tls", retryable: false }, "TLS 1.1");
  const plain = await tcpTarget(t, (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
  t.match(await validateAt(t, plain), { ok: false, problem: "tls", retryable: false }, "no TLS at all");
});

t.test("H-12 H-14 targets that stall, break or refuse", async (t) => {
  const stalled = await tcpTarget(t, (socket) => socket.resume());
  t.same(await validateAt(t, stalled), {
    ok: false,
    problem: "connection",
    detail: "no complete answer within 600 ms",
    retryable: true,
  });
  const broken = { ok: false, problem: "connection", retryable: true };
  t.match(await validateAt(t, await tcpTarget(t, (socket) => socket.resetAndDestroy())), broken);
  t.match(await validateAt(t, await tcpTarget(t, (socket) => socket.once("data", () => socket.end()))), broken);
  t.match(await validateAt(t, await closedPort()), broken);
});

t.test("R8737-7 the connection is closed right after the handshake, whatever the target sends", async (t) => {
  const closed = Promise.withResolvers<number>();
  const onSecure = (socket: TLSSocket) => {
    let received = 0;
    socket.on("error", () => {});
    socket.on("data", (chunk) => (received += chunk.length));
    socket.once("close", () => closed.resolve(received));
    socket.write(Buffer.alloc(1_000_000));
  };
  const certificate = selfSigned({ dns: ["target.example"], extensions: [right] });
  t.same(await validateServer(t, certificate, { onSecure }), { ok: true });
  t.equal(await closed.promise, 0, "and we sent no application data");
});

t.test("R8738-6 the address policy holds here, too", async (t) => {
  const outcome = await validateAt(t, 443, "127.0.0.1", { allowPrivate: false });
  t.match(outcome, { ok: false, problem: "rejectedIdentifier", retryable: false });
});
