import { randomUUID } from "node:crypto";
import t from "tap";
import { lintCaRequest, prepareCaRequest, requestOf } from "../../src/authority/caRequest.ts";
import { certifiable, certifyIssuer, type CertifyingGround } from "../../src/authority/certifyIssuer.ts";
import { chainOf } from "../../src/authority/chain.ts";
import { issuingKey } from "../../src/authority/issuingKey.ts";
import { createIssuerCertificates } from "../../src/store/issuerCertificates.ts";
import { createIssuerStore } from "../../src/store/issuers.ts";
import { encodeName } from "../../src/x509/name.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { otherCa } from "../support/crossSigned.ts";
import { migratedDatabase, query } from "../support/database.ts";
import { memoryKeys, sha256 } from "../support/issuers.ts";

const db = await migratedDatabase(t);
const store = { ...createIssuerStore(db), ...createIssuerCertificates(db) };
const keys = memoryKeys();
const ground: CertifyingGround = { store, keys, trustDomain: "mayfly.test", now: () => new Date() };
const elsewhere = await otherCa("Elsewhere Root");
const middle = await otherCa("Elsewhere Middle");
const middleCertificate = await elsewhere.certify(middle);

/** An issuer that waits, as a ceremony or the rotation prepares it. */
async function waiting(generation: number) {
  const signer = await keys.generate(`issuing-${generation}`, "ec-p256");
  const key = issuingKey(signer);
  const subject = encodeName({ commonName: `Issuing ${generation}` });
  const { spki, algorithm } = key;
  const linted = lintCaRequest(
    prepareCaRequest({ subject, spki, algorithm, pathLength: 0, trustDomain: "mayfly.test" }),
  );
  const request = requestOf(linted, await key.sign(linted));
  const id = randomUUID();
  const row = { id, kind: "issuing", name: "default", generation, state: "prepared", parentId: null } as const;
  const rest = { keyLabel: key.label, signatureAlgorithm: algorithm, crlShards: 16, spkiSha256: sha256(spki) };
  await store.insertIssuers([{ ...row, ...rest, certificate: null, request, notAfter: null }]);
  return { id, of: { subject, spki } };
}

const pem = (...ders: Buffer[]): string => ders.map((der) => pemEncode("CERTIFICATE", der)).join("");
const arrival = (...ders: Buffer[]) => ({
  pem: pem(...ders),
  rootPem: pem(elsewhere.certificate),
  anySubject: false,
});
const stateOf = async (id: string) => (await store.readIssuers()).find((one) => one.id === id);

t.test("a certificate comes in, with the CAs above it, once", async (t) => {
  const { id, of } = await waiting(1);
  const der = await middle.certify(of, { pathLenConstraint: 0 });
  await t.rejects(certifiable({ name: "other" }, arrival(der, middleCertificate), ground), {
    message: "no issuer of the line other waits for a certificate",
  });
  const found = await certifiable({ name: "default" }, arrival(der, middleCertificate), ground);
  t.same([found.issuer.id, found.done], [id, false]);
  t.match(found.arrived.warnings, [/no SVID/]);
  const won = await Promise.all([1, 2].map(() => certifyIssuer(found, ground, "ceremony")));
  t.equal(won.filter(Boolean).length, 1, "of two that bring it in, one writes");
  const rows = await store.readIssuers();
  const seen = rows.map(({ kind, state, keyLabel, generation }) => `${kind} ${generation} ${state} ${keyLabel}`);
  t.same(new Set(seen), new Set(["intermediate 1 active null", "issuing 1 prepared issuing-1", "root 1 active null"]));
  const [issuing, above] = [await stateOf(id), rows.find(({ kind }) => kind === "intermediate")];
  t.same([issuing?.certificate, issuing?.parentId], [der, above?.id]);
  t.equal(above?.parentId, rows.find(({ kind }) => kind === "root")?.id);
  t.equal(
    (await certifiable({ name: "default" }, arrival(der, middleCertificate), ground)).done,
    true,
    "and is known again",
  );
  const audit = await query(db, "select event, actor, subject from audit_entry where event = 'issuer.certified'");
  t.same(audit, [{ event: "issuer.certified", actor: "ceremony", subject: `issuer:${id}` }]);
  t.equal((await query(db, "select from outbox where topic = 'issuer.certified'")).length, 1);
});

t.test("the next one uses the CAs that are there; another root is published beside the active one", async (t) => {
  const second = await waiting(2);
  const found = await certifiable(
    { name: "default" },
    arrival(await middle.certify(second.of), middleCertificate),
    ground,
  );
  t.equal(await certifyIssuer(found, ground, "ceremony"), true);
  t.equal((await store.readIssuers()).length, 4);

  const third = await waiting(3);
  const newRoot = await otherCa("New Root");
  const answer = {
    pem: pem(await newRoot.certify(third.of), newRoot.certificate),
    rootPem: undefined,
    anySubject: false,
  };
  t.equal(await certifyIssuer(await certifiable({ name: "default" }, answer, ground), ground, "ceremony"), true);
  const roots = (await store.readIssuers()).filter(({ kind }) => kind === "root");
  t.same(
    roots.map(({ state, generation }) => [state, generation]),
    [
      ["active", 1],
      ["published", 2],
    ],
  );
});

t.test("a certificate for a key that nobody waits for, or that is not here, is refused", async (t) => {
  const { of } = await waiting(4);
  const stranger = await otherCa("Stranger");
  await t.rejects(
    certifiable({ name: "default" }, arrival(await middle.certify(stranger), middleCertificate), ground),
    {
      name: "CertificateInRefused",
      message:
        /^the certificate is for the key [0-9a-f]{64} \(SHA-256\), and the line default waits for one for [0-9a-f]{64}$/,
    },
  );
  const elsewhereKeys = { ...ground, keys: memoryKeys() };
  await t.rejects(
    certifiable({ name: "default" }, arrival(await middle.certify(of), middleCertificate), elsewhereKeys),
    {
      message: "the key of the certificate was not found in keys in memory",
    },
  );
});

t.test("alternate chains are kept, each once", async (t) => {
  const certificates = [await middle.certify(elsewhere), middleCertificate];
  const chain = { id: chainOf(certificates).id, certificates };
  t.same([await store.insertChain(chain, "ceremony"), await store.insertChain(chain, "ceremony")], [true, false]);
  t.same(await store.readChains(), [chain]);
  const audit = await query(db, "select subject from audit_entry where event = 'chain.offered'");
  t.same(audit, [{ subject: `chain:${chain.id}` }]);
});
