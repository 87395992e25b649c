/**
 * Every algorithm signs a chain, in a token and in key files, and the witnesses verify it: Node, the `openssl` command and
 * @peculiar/x509. Debian's openssl 3.0 knows no ML-DSA, and @peculiar/x509 none of its keys: those chains have Node, and WebCrypto with what
 * @peculiar/x509 reads as the signed part.
 */
// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import { createPublicKey, generateKeyPairSync, webcrypto, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as witness from "@peculiar/x509";
import t, { type Test } from "tap";
import {
  algorithmOfKind,
  chosenAlgorithm,
  isPostQuantum,
  isSignatureAlgorithm,
  keyKinds,
  signatureAlgorithmOf,
} from "../../src/keys/keyAlgorithms.ts";
import { openDevelopmentKeys } from "../../src/keys/developmentKeys.ts";
import { openPkcs11 } from "../../src/keys/pkcs11.ts";
import type { KeyKind, KeyProvider, Signer } from "../../src/keys/signer.ts";
import { assembleCertificate, encodeTbsCertificate, readCertificate } from "../../src/x509/certificate.ts";
import * as x from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { algorithmIdentifier, verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { softhsmToken } from "../support/softhsm.ts";
import { openssl, withFiles } from "../x509/openssl.ts";

witness.cryptoProvider.set(webcrypto);

const notBefore = new Date("2026-11-24T12:00:00Z");
const notAfter = new Date("2026-11-24T12:15:00Z");
const leafKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
const leafSpki = leafKey.export({ type: "spki", format: "der" });
const rootName = encodeName({ commonName: "Root" });
const issuingName = encodeName({ commonName: "Issuing" });

const development: Provider = {
  name: "key files",
  lacks: () => false,
  async open(t) {
    const root = mkdtempSync(join(tmpdir(), "mayfly-keys-"));
    t.teardown(() => rmSync(root, { recursive: true }));
    return openDevelopmentKeys({ directory: join(root, "keys"), passphraseFile: join(root, "passphrase") });
  },
};
const softhsm: Provider = {
  name: "SoftHSM2",
  lacks: isPostQuantum,
  async open(t) {
    const { module, token, pinFile } = softhsmToken(t);
    return openPkcs11({ module, token, pinFile, sessions: 2, queueLimit: 10, timeoutMs: 10_000 });
  },
};

interface Provider {
  readonly name: string;
  readonly lacks: (kind: KeyKind) => boolean;
  readonly open: (t: Test) => Promise<KeyProvider>;
}

async function certificate(
  signer: Signer,
  [issuer, subject]: readonly [Buffer, Buffer],
  spki: Buffer,
  pathLenConstraint?: number,
): Promise<Buffer> {
  const ofLeaf = [
    x.basicConstraints({ cA: false }),
    x.keyUsage(["digitalSignature"]),
    x.extendedKeyUsage(["serverAuth"]),
    x.subjectAltName({ dns: ["a.example"], ip: [], uri: [] }, true),
  ];
  const ofCa = [x.basicConstraints({ cA: true, pathLenConstraint }), x.keyUsage(["keyCertSign", "cRLSign"])];
  const tbs = encodeTbsCertificate({
    serialNumber: Buffer.from([1 + (pathLenConstraint ?? 2)]),
    signatureAlgorithm: signer.algorithm,
    issuer,
    notBefore,
    notAfter,
    subject,
    spki,
    extensions: [
      x.authorityKeyIdentifier(x.keyIdentifier(signer.spki)),
      x.subjectKeyIdentifier(spki),
      ...(pathLenConstraint === undefined ? ofLeaf : ofCa),
    ],
  });
  return assembleCertificate(tbs, signer.algorithm, await signer.sign(tbs));
}

/** Root, issuing CA and leaf, both CAs with keys of this kind. */
async function chainOf(keys: KeyProvider, kind: KeyKind): Promise<[Buffer, Buffer, Buffer]> {
  const root = await keys.generate("root", kind);
  const issuing = await keys.generate("issuing", kind);
  return [
    await certificate(root, [rootName, rootName], root.spki, 1),
    await certificate(root, [rootName, issuingName], issuing.spki, 0),
    await certificate(issuing, [issuingName, encodeName({})], leafSpki),
  ];
}

/** By WebCrypto, with the signed part and the signature as @peculiar/x509 reads them. */
async function verifiesByWitness(der: Buffer, above: Buffer, kind: KeyKind): Promise<boolean> {
  const seen = new witness.X509Certificate(der);
  if (!isPostQuantum(kind)) {
    return seen.verify({ publicKey: new witness.X509Certificate(above).publicKey, signatureOnly: true });
  }
  const spki = new witness.X509Certificate(above).publicKey.rawData;
  const key = await webcrypto.subtle.importKey("spki", spki, kind.toUpperCase(), false, ["verify"]);
  const tbs = readCertificate(der).tbs;
  return webcrypto.subtle.verify({ name: kind.toUpperCase() }, key, seen.signature, tbs);
}

for (const { name, lacks, open } of [development, softhsm]) {
  for (const kind of keyKinds.filter((one) => !lacks(one))) {
    t.test(
      `${kind} in ${name}: a chain that Node, OpenSSL and @peculiar/x509 verify, and nothing that is bent`,
      async (t) => {
        const keys = await open(t);
        t.teardown(() => keys.close());
        const chain = await chainOf(keys, kind);
        const [root, issuing] = chain;
        for (const [der, above] of [
          [root, root],
          [issuing, root],
          [chain[2], issuing],
        ] as const) {
          const { spki } = readCertificate(above);
          const publicKey = createPublicKey({ key: spki, type: "spki", format: "der" });
          const read = readCertificate(der);
          t.equal(read.signatureAlgorithm, algorithmOfKind[kind]);
          t.ok(read.signatureIdentifier.equals(algorithmIdentifier(algorithmOfKind[kind])));
          t.ok(verifySignature(algorithmOfKind[kind], publicKey, read.tbs, read.signature), "ours");
          const seen = new X509Certificate(der);
          t.ok(seen.verify(publicKey) && seen.checkIssued(new X509Certificate(above)), "Node");
          t.ok(await verifiesByWitness(der, above, kind), "@peculiar/x509");
          const bent = Buffer.from(der);
          bent[bent.length - 1] = (bent.at(-1) ?? 0) ^ 1;
          t.notOk(new X509Certificate(bent).verify(publicKey), "Node takes no other signature");
          t.notOk(await verifiesByWitness(bent, above, kind));
          t.notOk(verifySignature(algorithmOfKind[kind], publicKey, read.tbs, readCertificate(bent).signature));
          t.ok(der.length < 8192, `${der.length} octets are below every limit of ours`);
        }
        if (isPostQuantum(kind)) return;
        const pems = chain.map((der) => pemEncode("CERTIFICATE", der));
        const at = String(notBefore.getTime() / 1000 + 60);
        const verified = withFiles(pems, (rootFile = "", issuingFile = "", leafFile = "") =>
          openssl(
            [
              ["verify", "-x509_strict", "-attime", at],
              ["-CAfile", rootFile, "-untrusted", issuingFile, leafFile],
            ].flat(),
          ),
        );
        t.match(verified.toString(), /: OK\n$/, "OpenSSL");
      },
    );
  }
}

t.test("an RSA key signs with the padding that is asked for; without, with PKCS #1 v1.5", async (t) => {
  for (const { open } of [development, softhsm]) {
    const keys = await open(t);
    const { spki, publicKey, label } = await keys.generate("rsa", "rsa-3072-pss");
    const message = Buffer.from("to be signed");
    for (const wanted of [{ spki }, { label }]) {
      const v15 = await keys.find(wanted);
      const pss = await keys.find({ ...wanted, algorithm: "rsa-pss-sha256" });
      t.equal(v15?.algorithm, "rsa-pkcs1-sha256");
      t.equal(pss?.algorithm, "rsa-pss-sha256");
      const signature = (await pss?.sign(message)) ?? Buffer.alloc(0);
      t.ok(verifySignature("rsa-pss-sha256", publicKey, message, signature));
      t.notOk(verifySignature("rsa-pkcs1-sha256", publicKey, message, signature));
      await t.rejects(
        keys.find({ ...wanted, algorithm: "ed25519" }),
        /signs with rsa-pkcs1-sha256, and not with ed25519/,
      );
    }
    await keys.close();
  }
});

t.test("a key has one algorithm; those that may not issue have none", async (t) => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
  t.equal(signatureAlgorithmOf(publicKey), undefined);
  t.throws(
    () => chosenAlgorithm(publicKey, undefined, "the key"),
    /the key is of a kind or size that may not issue: ec/,
  );
  t.throws(() => chosenAlgorithm(leafKey, "rsa-pss-sha256", "the key"), /signs with ecdsa-p256-sha256, and not with/);
  t.equal(signatureAlgorithmOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey), undefined);
  t.equal(signatureAlgorithmOf(generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey), undefined);
  for (const kind of keyKinds) t.ok(isSignatureAlgorithm(algorithmOfKind[kind]));
  for (const text of ["", "rsa", "toString", "ML-DSA-65"]) t.notOk(isSignatureAlgorithm(text), text);
  t.same([...keyKinds].sort(), Object.keys(algorithmOfKind).sort(), "the list has every kind");
});
