import { KeyObject, X509Certificate } from "node:crypto";
import t from "tap";
import { chainVerifier, type Expected } from "../../src/client/verifyChain.ts";
import { makeCa, makeLeaf, p256Keys, pemOf } from "../support/acmeFakeCa.ts";

const spiffeId = "spiffe://mayfly.test/a";
const uri = { type: "url", value: spiffeId } as const;
const root = await makeCa("Root");
const issuing = await makeCa("Issuing", root);
const keys = await p256Keys();
const privateKey = KeyObject.from(keys.privateKey);
const rootCertificate = new X509Certificate(root.certificate.toString("pem"));
const expected: Expected = { privateKey, spiffeId, dns: [], ip: [], now: new Date() };
const content = { publicKey: keys.publicKey, names: [uri], issuer: issuing };

const verifyChain = (pem: string, roots: X509Certificate[], wanted: Expected) => chainVerifier(roots)(pem, wanted);
const check =
  (pem: string, { roots = [rootCertificate], ...others }: Partial<Expected> & { roots?: X509Certificate[] } = {}) =>
  () =>
    verifyChain(pem, roots, { ...expected, now: new Date(), ...others });

t.test("a good chain, with the root in it or not, directly under the root or not", async (t) => {
  const leaf = await makeLeaf(content);
  for (const pem of [
    pemOf(leaf, issuing.certificate),
    pemOf(leaf, issuing.certificate, root.certificate),
    `a comment\n${pemOf(leaf)}\n\n${pemOf(issuing.certificate).replaceAll("\n", "\r\n")}`,
  ]) {
    const { chain, leaf: found } = verifyChain(pem, [rootCertificate], expected);
    t.equal(chain.length, 2, "never with the root");
    t.equal(found.serialNumber.toLowerCase(), leaf.serialNumber);
  }
  const direct = await makeLeaf({ ...content, issuer: root });
  t.equal(verifyChain(pemOf(direct), [rootCertificate], expected).chain.length, 1);
});

t.test("during a change of roots, either leads the chain home", async (t) => {
  const other = new X509Certificate((await makeCa("Other")).certificate.toString("pem"));
  const pem = pemOf(await makeLeaf(content), issuing.certificate);
  t.equal(verifyChain(pem, [other, rootCertificate], expected).chain.length, 2);
});

t.test("names", async (t) => {
  const dns = { type: "dns", value: "a.example" } as const;
  const ip = { type: "ip", value: "192.0.2.7" } as const;
  const good = pemOf(await makeLeaf({ ...content, names: [uri, dns, ip] }), issuing.certificate);
  t.ok(verifyChain(good, [rootCertificate], { ...expected, dns: ["a.example"], ip: ["192.0.2.7"] }));
  for (const [names, asked, message] of [
    [[{ type: "url", value: `${spiffeId}b` }], {}, /does not name spiffe:\/\/mayfly.test\/a as its only URI/],
    [[uri, { type: "url", value: "spiffe://mayfly.test/b" }], {}, /as its only URI/],
    [[dns], {}, /as its only URI/],
    [[{ type: "dns", value: `x, URI:${spiffeId}` }], {}, /unusual characters/],
    [[uri], { dns: ["a.example"] }, /does not name a\.example/],
    [[uri, { type: "dns", value: "*.example" }], { dns: ["a.example"] }, /does not name a\.example/],
    [[uri, dns], { ip: ["192.0.2.7"] }, /does not name 192\.0\.2\.7/],
  ] as const) {
    const pem = pemOf(await makeLeaf({ ...content, names }), issuing.certificate);
    t.throws(() => verifyChain(pem, [rootCertificate], { ...expected, ...asked }), { code: "chain", message });
  }
});

t.test("times, of each certificate on the way", async (t) => {
  const minute = 60_000;
  const early = await makeLeaf({ ...content, notBefore: new Date(Date.now() + minute) });
  const late = await makeLeaf({
    ...content,
    notBefore: new Date(Date.now() - 2 * minute),
    notAfter: new Date(Date.now() - minute),
  });
  t.throws(check(pemOf(early, issuing.certificate)), { message: /is not valid before .*clock right\?$/ });
  t.throws(check(pemOf(late, issuing.certificate)), { message: /^the certificate expired at 20/ });

  const old = await makeCa("Old", root, { notAfter: new Date(Date.now() - minute) });
  t.throws(check(pemOf(await makeLeaf({ ...content, issuer: old }), old.certificate)), {
    message: /^"CN=Old" expired at/,
  });

  const longLived = pemOf(await makeLeaf({ ...content, issuer: root, notAfter: new Date(Date.now() + 300 * minute) }));
  t.throws(check(longLived, { now: new Date(Date.now() + 200 * minute) }), { message: /^"CN=Root" expired at/ });
});

t.test("signatures, and who may give them", async (t) => {
  const leaf = await makeLeaf(content);
  const namesake = await makeCa("Issuing", root);
  const noCa = await makeCa("No CA", root, { ca: false });
  const otherRoot = new X509Certificate((await makeCa("Root")).certificate.toString("pem"));
  t.throws(check(pemOf(leaf)), { message: /does not lead to the given root/ });
  t.throws(check(pemOf(leaf, namesake.certificate)), { message: /is not signed by the certificate that follows it/ });
  t.throws(check(pemOf(leaf, issuing.certificate), { roots: [otherRoot] }), {
    message: /does not lead to the given root/,
  });
  t.throws(check(pemOf(await makeLeaf({ ...content, issuer: noCa }), noCa.certificate)), {
    message: /is not signed by/,
  });
  t.throws(check(pemOf(await makeLeaf({ ...content, ca: true }), issuing.certificate)), {
    message: /is a CA certificate/,
  });

  const other = await p256Keys();
  const foreign = await makeLeaf({ ...content, publicKey: other.publicKey });
  t.throws(check(pemOf(foreign, issuing.certificate)), { message: /is for another key/ });
});

t.test("what is no chain at all", async (t) => {
  const leaf = pemOf(await makeLeaf(content));
  t.throws(check(""), { message: /holds no PEM certificate/ });
  t.throws(check(leaf.replace(/\n[A-Za-z0-9+/]/, "\nZ")), { message: /a certificate that cannot be read/ });
  t.throws(check(leaf.repeat(11)), { message: /11 certificates, more than 10/ });
  t.throws(check(leaf.repeat(201)), { message: /more than 200 certificates/ });
});

t.test("a verifier that has seen an intermediate still looks at everything else", async (t) => {
  const verify = chainVerifier([rootCertificate]);
  const good = pemOf(await makeLeaf(content), issuing.certificate);
  t.ok(verify(good, expected));
  t.ok(verify(good, expected));
  t.throws(() => verify(good, { ...expected, now: new Date(Date.now() + 120 * 60_000) }), { message: /expired/ });
  const namesake = await makeCa("Issuing", root);
  const forged = pemOf(await makeLeaf({ ...content, issuer: namesake }), issuing.certificate);
  t.throws(() => verify(forged, expected), { message: /is not signed by the certificate that follows it/ });
});
