/** Format x509-pop: possession of a certificate of another CA, every check of it. Certificates are made by the tests' own CA. */
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import t, { type Test } from "tap";
import { readForeignCertificate } from "../../../src/attestation/certificateChain.ts";
import {
  EvidenceRefused,
  type EvidenceRefusal,
  type VerificationContext,
  type VerifiedEvidence,
} from "../../../src/attestation/evidence.ts";
import { x509PopFormat, verifyX509Pop, type X509PopSettings } from "../../../src/attestation/formats/x509Pop.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyIdentifier,
  keyUsage,
  subjectAltName,
  type Extension,
} from "../../../src/x509/extensions.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import {
  foreignNow,
  foreignRoot,
  keysFor,
  notAfter,
  rawExtension,
  spkiOf,
  type CertificatePlan,
} from "../../support/foreignCa.ts";

const context: VerificationContext = {
  now: foreignNow,
  audience: "https://ca.example/wa",
  binding: "B".repeat(42) + "A",
  identifier: { type: "uri", value: "spiffe://example.org/node/a" },
  accountKey: Buffer.alloc(32),
};
const seconds = Math.floor(foreignNow.getTime() / 1000);
const base64url = (value: string | Buffer): string => Buffer.from(value).toString("base64url");

const root = foreignRoot("root", "ecdsa-sha256");
const issuing = root.authority("issuing");
const spiffeId = "spiffe://other.example/ns/shop/sa/cart";
const san = (names: { dns?: string[]; ip?: string[]; uri?: string[] }): Extension =>
  subjectAltName({ dns: [], ip: [], uri: [], ...names }, false);
const keys = keysFor("ecdsa-sha256");
const leafOf = (plan: Partial<CertificatePlan> = {}): Buffer =>
  issuing.certify({ subject: "node-7", keys, more: [san({ uri: [spiffeId] })], ...plan });
const leaf = leafOf();
const chain = [leaf, issuing.certificate];

interface Proof {
  readonly key?: KeyObject;
  readonly x5c?: readonly unknown[] | undefined;
  readonly header?: object;
  readonly payload?: object | string;
  readonly digest?: string | null;
  readonly padding?: object;
}

function proof({
  key = keys.privateKey,
  x5c = chain,
  header = {},
  payload = {},
  digest = "sha256",
  padding,
}: Proof = {}): string {
  const certificates = x5c.map((one) => (Buffer.isBuffer(one) ? one.toString("base64") : one));
  const head = { alg: "ES256", typ: "acme-wa-pop+jws", x5c: certificates, ...header };
  const good = { aud: context.audience, binding: context.binding, iat: seconds - 5, exp: seconds + 295 };
  const body = typeof payload === "string" ? payload : JSON.stringify({ ...good, ...payload });
  const input = `${base64url(JSON.stringify(head))}.${base64url(body)}`;
  const signature = sign(digest, Buffer.from(input), { key, dsaEncoding: "ieee-p1363", ...padding });
  return `${input}.${base64url(signature)}`;
}

const trustOf = (trustDomain: string | undefined, roots = [root.certificate]) => ({
  roots: { certificates: roots.map(readForeignCertificate), fingerprints: [] },
  trustDomain,
});
const svid = trustOf("other.example");
const node = trustOf(undefined);

interface Verifying {
  readonly trust?: ReturnType<typeof trustOf>;
  readonly kind?: X509PopSettings["kind"];
  readonly within?: Partial<VerificationContext>;
}
function verify(value: string, { trust = svid, kind = "spiffe", within = {} }: Verifying = {}): VerifiedEvidence {
  return verifyX509Pop({ format: "x509-pop", ref: "r", value }, { kind }, trust, { ...context, ...within });
}

function refuses(t: Test, code: EvidenceRefusal, value: string, message: string, how: Verifying = {}): void {
  try {
    verify(value, how);
    t.fail(`${message}: it was taken`);
  } catch (error) {
    t.ok(error instanceof EvidenceRefused, `${message}: refused`);
    t.equal((error as EvidenceRefused).code, code, `${message}: ${(error as Error).message}`);
  }
}

t.test("a good proof of an SVID, and of a node's certificate", async (t) => {
  const verified = verify(proof());
  t.match(verified, {
    format: "x509-pop",
    ref: "r",
    bindingLevel: "nonce",
    claims: {
      spiffeId,
      trustDomain: "other.example",
      pathLength: 4,
      path1: "ns",
      path2: "shop",
      path3: "sa",
      path4: "cart",
      subjectCommonName: "node-7",
      uri1: spiffeId,
      serial: "00",
    },
    expires: new Date((seconds + 295) * 1000),
    replayUntil: new Date((seconds + 325) * 1000),
    notAfterCap: notAfter,
    instance: /^spki:[0-9a-f]{64}$/,
  });
  t.equal(verified.renews, undefined);
  for (const claim of Object.keys(verified.claims)) t.ok(x509PopFormat.claimNames?.includes(claim), claim);
  const names = san({ dns: ["a.example", "b.example"], ip: ["10.0.0.1"], uri: ["urn:node:7", "urn:node:8"] });
  const ofNode = verify(proof({ x5c: [leafOf({ more: [names] }), issuing.certificate] }), {
    trust: node,
    kind: "node",
  });
  t.match(ofNode.claims, {
    dns1: "a.example",
    dns2: "b.example",
    ip1: "10.0.0.1",
    uri1: "urn:node:7",
    uri2: "urn:node:8",
  });
  t.notOk("spiffeId" in ofNode.claims, "a URI of a node's certificate is a URI");
  t.notOk("path1" in ofNode.claims);
  const own = verify(proof(), { kind: "own" });
  t.match(own, { renews: { serial: Buffer.from([0]), fingerprint: { length: 32 } } });
  t.equal(own.instance, undefined);
  t.equal(own.notAfterCap, undefined, "a renewal goes on after the certificate");
});

t.test("each kind of key signs by its own algorithms, and by no other", async (t) => {
  const rsa = keysFor("rsa-sha256");
  const cases = [
    ["ES256", keysFor("ecdsa-sha256"), { digest: "sha256" }],
    ["ES384", keysFor("ecdsa-sha384"), { digest: "sha384" }],
    ["ES512", generateKeyPairSync("ec", { namedCurve: "P-521" }), { digest: "sha512" }],
    ["EdDSA", keysFor("ed25519"), { digest: null }],
    ["RS256", rsa, { digest: "sha256" }],
    ["PS256", rsa, { digest: "sha256", padding: { padding: 6, saltLength: 32 } }],
  ] as const;
  for (const [alg, pair, how] of cases) {
    const x5c = [leafOf({ keys: pair }), issuing.certificate];
    t.equal(verify(proof({ key: pair.privateKey, x5c, header: { alg }, ...how })).bindingLevel, "nonce", alg);
    for (const other of ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256", "RS512", "HS256", "none", "es256", ""]) {
      const fits = other === alg || (pair === rsa && ["RS256", "PS256"].includes(other));
      if (!fits)
        refuses(
          t,
          "evidenceInvalid",
          proof({ key: pair.privateKey, x5c, header: { alg: other }, ...how }),
          `${alg} as ${other}`,
        );
    }
  }
});

t.test("one flipped bit in every octet of the proof and of its certificates is refused", async (t) => {
  const good = proof();
  const [header = "", payload = "", signature = ""] = good.split(".");
  let taken = 0;
  const attempt = (value: string): void => {
    try {
      verify(value);
      taken += 1;
    } catch (error) {
      if (!(error instanceof EvidenceRefused)) throw error;
    }
  };
  for (const [place, part] of [header, payload, signature].entries()) {
    const octets = Buffer.from(part, "base64url");
    for (let at = 0; at < octets.length; at += place === 0 ? 3 : 1) {
      const flipped = Buffer.from(octets);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      attempt([header, payload, signature].map((text, i) => (i === place ? base64url(flipped) : text)).join("."));
    }
  }
  for (const [place, der] of chain.entries()) {
    for (let at = 0; at < der.length; at += 2) {
      const flipped = Buffer.from(der);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      // Signed anew, so that only the chain can tell.
      attempt(proof({ x5c: chain.map((one, i) => (i === place ? flipped : one)) }));
    }
  }
  t.equal(taken, 0);
});

t.test("the chain: trusted, in order, within its time, with nothing beside it", async (t) => {
  const stranger = foreignRoot("root", "ecdsa-sha256");
  refuses(t, "evidenceInvalid", proof(), "wrong root of the same name", {
    trust: trustOf("other.example", [stranger.certificate]),
  });
  const strange = stranger.authority("issuing").certify({ subject: "node-7", keys, more: [san({ uri: [spiffeId] })] });
  refuses(t, "evidenceInvalid", proof({ x5c: [strange, issuing.certificate] }), "another CA's leaf");
  const selfSigned = foreignRoot("self", "ecdsa-sha256", { keys, cA: false, more: [san({ uri: [spiffeId] })] });
  refuses(t, "evidenceInvalid", proof({ x5c: [selfSigned.certificate] }), "a certificate of its own");
  refuses(t, "evidenceInvalid", proof({ x5c: [leaf] }), "the intermediate left out");
  refuses(t, "evidenceInvalid", proof({ x5c: chain.toReversed() }), "wrong order");
  refuses(t, "evidenceInvalid", proof({ x5c: [leaf, leaf, issuing.certificate] }), "the leaf twice");
  refuses(
    t,
    "evidenceInvalid",
    proof({ x5c: [leaf, root.authority("other").certificate, issuing.certificate] }),
    "one more in between",
  );
  refuses(t, "evidenceInvalid", proof({ x5c: [...chain, stranger.certificate] }), "one more at the end");
  t.ok(verify(proof({ x5c: [...chain, root.certificate] })), "the trusted root itself may come along");

  const days = (n: number): Date => new Date(foreignNow.getTime() + n * 86_400_000);
  refuses(t, "evidenceExpired", proof({ x5c: [leafOf({ notAfter: days(-1) }), issuing.certificate] }), "expired leaf");
  refuses(
    t,
    "evidenceExpired",
    proof({ x5c: [leafOf({ notBefore: days(1) }), issuing.certificate] }),
    "leaf not yet valid",
  );
  const old = root.authority("old", { notAfter: days(-1) });
  const below = old.certify({ subject: "node-7", keys, more: [san({ uri: [spiffeId] })] });
  refuses(t, "evidenceExpired", proof({ x5c: [below, old.certificate] }), "expired intermediate");
});

t.test("the leaf: no CA, for signatures, of a client", async (t) => {
  const make = (...extensions: Extension[]): readonly unknown[] => [
    leafOf({
      more: [],
      extensions: [
        authorityKeyIdentifier(keyIdentifier(spkiOf(issuing.keys.publicKey))),
        san({ uri: [spiffeId] }),
        ...extensions,
      ],
    }),
    issuing.certificate,
  ];
  const noCa = basicConstraints({ cA: false });
  refuses(
    t,
    "evidenceInvalid",
    proof({ x5c: make(basicConstraints({ cA: true }), keyUsage(["digitalSignature"])) }),
    "a CA",
  );
  refuses(t, "evidenceInvalid", proof({ x5c: make(noCa, keyUsage(["keyEncipherment"])) }), "no digitalSignature");
  refuses(t, "evidenceInvalid", proof({ x5c: make(noCa) }), "no KeyUsage");
  for (const usage of ["keyCertSign", "cRLSign"] as const)
    refuses(t, "evidenceInvalid", proof({ x5c: make(noCa, keyUsage(["digitalSignature", usage])) }), usage);
  refuses(
    t,
    "evidenceInvalid",
    proof({ x5c: make(noCa, keyUsage(["digitalSignature"]), extendedKeyUsage(["serverAuth"])) }),
    "of a server",
  );
  t.ok(
    verify(proof({ x5c: make(noCa, keyUsage(["digitalSignature"]), extendedKeyUsage(["serverAuth", "clientAuth"])) })),
  );
  const empty = rawExtension("2.5.29.37", false, Buffer.from("3000", "hex"));
  refuses(
    t,
    "evidenceMalformed",
    proof({ x5c: make(noCa, keyUsage(["digitalSignature"]), empty) }),
    "CVE-2026-40097 an empty list of purposes",
  );
  const unknown = rawExtension("1.2.3.4", true, Buffer.from("0500", "hex"));
  refuses(
    t,
    "evidenceInvalid",
    proof({ x5c: make(noCa, keyUsage(["digitalSignature"]), unknown) }),
    "a critical extension that is not known",
  );
});

t.test("SPIRE 1.14.2 x509pop: key sizes, numbers and lengths are looked at before any signature", async (t) => {
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const weak = [leafOf({ keys: small }), issuing.certificate];
  refuses(
    t,
    "evidenceInvalid",
    proof({ key: small.privateKey, x5c: weak, header: { alg: "RS256" } }),
    "RSA of 1024 bits",
  );
  // A modulus of 16384 bits: nobody has its key, and nobody needs it to keep a server busy.
  const modulus = Buffer.concat([Buffer.from([0, 0xc5]), Buffer.alloc(2046, 0x5a), Buffer.from([0xff])]);
  const integer = (content: Buffer): Buffer => Buffer.concat([Buffer.from([0x02, 0x82]), length(content), content]);
  const length = (content: Buffer): Buffer => Buffer.from([content.length >> 8, content.length & 0xff]);
  const wrapped = (tag: number, content: Buffer): Buffer =>
    Buffer.concat([Buffer.from([tag, 0x82]), length(content), content]);
  const rsaKey = wrapped(0x30, Buffer.concat([integer(modulus), Buffer.from("0203010001", "hex")]));
  const algorithm = Buffer.from("300d06092a864886f70d0101010500", "hex");
  const spki = wrapped(0x30, Buffer.concat([algorithm, wrapped(0x03, Buffer.concat([Buffer.from([0]), rsaKey]))]));
  const huge = proof({ x5c: [leafOf({ spki }), issuing.certificate], header: { alg: "RS256" } });
  const began = process.hrtime.bigint();
  for (let i = 0; i < 20; i++) refuses(t, "evidenceInvalid", huge, "RSA of 16384 bits");
  t.ok(Number(process.hrtime.bigint() - began) / 20 < 20_000_000, "in less than 20 ms each");

  const five = Array.from({ length: 4 }, (_, i) => root.authority(`ca-${i}`).certificate);
  refuses(t, "evidenceMalformed", proof({ x5c: [leaf, ...five, issuing.certificate] }), "five intermediates");
  refuses(t, "evidenceMalformed", proof({ x5c: [] }), "no certificate");
  refuses(t, "evidenceMalformed", proof({ x5c: [Buffer.alloc(20_000), issuing.certificate] }), "a large certificate");
  refuses(t, "evidenceMalformed", `${"A".repeat(65_536)}.A.A`, "a large proof");
  const before = process.memoryUsage().heapUsed;
  refuses(t, "evidenceMalformed", ".".repeat(5_000_000), "CVE-2025-66506 millions of dots");
  t.ok(process.memoryUsage().heapUsed - before < 50_000_000);
});

t.test("X509-SVID §5.2: exactly one URI, of the source's trust domain, with a path", async (t) => {
  const withUris = (...uri: string[]): string =>
    proof({ x5c: [leafOf({ more: [san({ uri })] }), issuing.certificate] });
  refuses(t, "evidenceInvalid", withUris(spiffeId, "spiffe://other.example/b"), "two SPIFFE IDs");
  refuses(t, "evidenceInvalid", withUris(spiffeId, "https://other.example"), "a URI of another scheme beside it");
  refuses(t, "evidenceInvalid", withUris("spiffe://other.example"), "no path");
  refuses(t, "evidenceInvalid", withUris("spiffe://other.example/"), "the root path");
  refuses(t, "evidenceInvalid", withUris("https://other.example/a"), "no SPIFFE ID");
  refuses(t, "evidenceInvalid", withUris("spiffe://another.example/a"), "a foreign trust domain of the same CA");
  refuses(t, "evidenceInvalid", withUris("spiffe://other.example.evil.example/a"), "one that only begins like it");
  refuses(t, "evidenceInvalid", withUris("spiffe://OTHER.example/a"), "upper case");
  refuses(t, "evidenceInvalid", withUris("spiffe://other.example/a/../b"), "a path that climbs");
  refuses(
    t,
    "evidenceInvalid",
    proof({ x5c: [leafOf({ more: [san({ dns: ["a.example"] })] }), issuing.certificate] }),
    "no URI",
  );
});

t.test("what is signed: for this server, this challenge, now", async (t) => {
  const cases: [EvidenceRefusal, string, object | string][] = [
    ["bindingMismatch", "another binding", { binding: "A".repeat(43) }],
    ["bindingMismatch", "an empty binding", { binding: "" }],
    ["bindingMissing", "no binding", { binding: undefined }],
    ["evidenceMalformed", "a binding that is a list", { binding: [context.binding] }],
    ["evidenceInvalid", "another audience", { aud: "https://other.example/wa" }],
    ["evidenceInvalid", "an audience that begins like ours", { aud: `${context.audience}/${context.binding}` }],
    ["evidenceMalformed", "a list of audiences", { aud: [context.audience] }],
    ["evidenceMalformed", "no audience", { aud: undefined }],
    ["evidenceExpired", "expired", { iat: seconds - 331, exp: seconds - 31 }],
    ["evidenceExpired", "from the future", { iat: seconds + 31, exp: seconds + 331 }],
    ["evidenceInvalid", "longer than five minutes", { iat: seconds, exp: seconds + 301 }],
    ["evidenceInvalid", "of no duration", { iat: seconds, exp: seconds }],
    ["evidenceInvalid", "backwards", { iat: seconds + 20, exp: seconds + 10 }],
    ["evidenceMalformed", "without an end", { exp: undefined }],
    ["evidenceMalformed", "without a beginning", { iat: undefined }],
    ["evidenceMalformed", "an end that is text", { exp: String(seconds + 10) }],
    ["evidenceMalformed", "an end that is a fraction", { exp: seconds + 10.5 }],
    ["evidenceMalformed", "no object", "[]"],
    ["evidenceMalformed", "a member twice", `{"aud":"a","aud":"b"}`],
    ["evidenceMalformed", "1e400", `{"aud":"a","binding":"b","iat":1,"exp":1e400}`],
    ["evidenceMalformed", "nested deep", `{"aud":${"[".repeat(40)}${"]".repeat(40)}}`],
  ];
  for (const [code, message, payload] of cases) refuses(t, code, proof({ payload }), message);
  t.ok(verify(proof({ payload: { iat: seconds + 29, exp: seconds + 60, sub: "ignored" } })), "clocks may differ");
  refuses(t, "bindingMissing", proof(), "a challenge without a committed key", { within: { binding: undefined } });
  refuses(t, "evidenceInvalid", proof({ key: keysFor("ecdsa-sha256").privateKey }), "another key");
});

t.test("the header: an explicit type, and nothing that brings keys along", async (t) => {
  for (const typ of ["JWT", "acme-wa-pop+JWS", "application/acme-wa-pop+jws", undefined, 1])
    refuses(t, "evidenceInvalid", proof({ header: { typ } }), `typ ${String(typ)}`);
  for (const name of ["crit", "b64", "jwk", "jku", "x5u", "kid", "x5t", "zip", "__proto__x"])
    refuses(t, "evidenceInvalid", proof({ header: { [name]: "x" } }), name);
  refuses(t, "evidenceInvalid", proof({ header: { alg: 1 } }), "alg that is a number");
  refuses(t, "evidenceMalformed", proof({ header: { x5c: "x" } }), "x5c that is text");
  for (const entry of [1, "", "not base64", base64url(leaf), `${leaf.toString("base64")}\n`, null])
    refuses(
      t,
      "evidenceMalformed",
      proof({ x5c: [entry, issuing.certificate] }),
      `x5c with ${String(entry).slice(0, 12)}`,
    );
  const trailing = Buffer.concat([leaf, Buffer.from([0])]);
  refuses(t, "evidenceMalformed", proof({ x5c: [trailing, issuing.certificate] }), "an octet behind the certificate");
  const [header = "", payload = "", signature = ""] = proof().split(".");
  for (const value of [
    "",
    ".",
    "..",
    "a.b",
    `${header}.${payload}`,
    `${header}.${payload}.`,
    `${header}.${payload}.${signature}.`,
    `${header}=.${payload}.${signature}`,
    `${header}.${payload}.${signature}\n`,
    ` ${header}.${payload}.${signature}`,
  ])
    refuses(t, "evidenceMalformed", value, `not a compact JWS: ${value.length} characters`);
});

t.test("one proof is one proof, however its signature is written", async (t) => {
  const value = proof();
  const [header, payload] = value.split(".");
  const again = sign("sha256", Buffer.from(`${header}.${payload}`), {
    key: keys.privateKey,
    dsaEncoding: "ieee-p1363",
  });
  const other = verify(`${header}.${payload}.${base64url(again)}`);
  t.same(other.oneTimeId, verify(value).oneTimeId, "another signature over the same is the same proof");
  t.notSame(other.oneTimeId, verify(proof({ payload: { exp: seconds + 294 } })).oneTimeId);
});

t.test("settings", async (t) => {
  const folder = t.testdir({ "roots.pem": pemEncode("CERTIFICATE", root.certificate), "empty.pem": "" });
  const settings = { ref: "r", format: "x509-pop" };
  const bundle = `${folder}/roots.pem`;
  const check = (more: object) => x509PopFormat.check?.({ ...settings, ...more } as X509PopSettings, "sources.r");
  t.doesNotThrow(() => check({ kind: "node", trustBundleFile: bundle }));
  t.doesNotThrow(() => check({ kind: "spiffe", trustBundleFile: bundle, trustDomain: "other.example" }));
  t.doesNotThrow(() => check({ kind: "own" }));
  for (const bad of [
    { kind: "node" },
    { kind: "node", trustBundleFile: bundle, trustDomain: "other.example" },
    { kind: "spiffe", trustBundleFile: bundle },
    { kind: "spiffe", trustBundleFile: bundle, trustDomain: "Other.example" },
    { kind: "own", trustBundleFile: bundle },
    { kind: "own", trustDomain: "other.example" },
  ])
    t.throws(() => check(bad), /^sources\.r\.trust(BundleFile|Domain): .*expected/, JSON.stringify(bad));
  const fetchBody = () => Promise.reject(new Error("nothing is fetched"));
  const surroundings = {
    fetchBody,
    now: () => foreignNow,
    trustDomain: "other.example",
    ownAuthorities: () => [root.certificate],
  };
  const open = (more: object, of: object = {}) =>
    x509PopFormat.open({ ...settings, ...more } as X509PopSettings, { ...surroundings, ...of });
  const item = { format: "x509-pop", ref: "r", value: proof() };
  t.match(await open({ kind: "node", trustBundleFile: bundle }).verify(item, context), { claims: { uri1: spiffeId } });
  const foreign = { kind: "spiffe", trustBundleFile: bundle, trustDomain: "other.example" };
  t.match(await open(foreign, { trustDomain: "example.org" }).verify(item, context), { claims: { spiffeId } });
  t.throws(() => open(foreign), /source r: trustDomain: "other\.example": expected another/, "past the lineages");
  t.match(await open({ kind: "own" }).verify(item, context), { claims: { spiffeId }, renews: {} });
  t.throws(() => open({ kind: "node", trustBundleFile: `${folder}/empty.pem` }), /^trustBundleFile: .*empty\.pem/);
  t.throws(() => open({ kind: "node", trustBundleFile: `${folder}/none.pem` }), /^trustBundleFile: .*ENOENT/);
  t.equal(x509PopFormat.renews?.({ ...settings, kind: "own" }), true);
  t.equal(x509PopFormat.renews?.({ ...settings, kind: "node" }), false);
});
