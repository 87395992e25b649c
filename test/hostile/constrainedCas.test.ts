/** A CA below a pinned root that the root let issue for something else, or for other names, and that certifies keys of machines. */
import { sign } from "node:crypto";
import t from "tap";
import { readForeignCertificate, type TrustedRoots, verifyChain } from "../../src/attestation/certificateChain.ts";
import { EvidenceRefused, type VerificationContext } from "../../src/attestation/evidence.ts";
import { verifyX509Pop } from "../../src/attestation/formats/x509Pop.ts";
import { encodeDer, objectIdentifier, primitive, constructed, sequence } from "../../src/x509/derWriter.ts";
import { type Extension, subjectAltName } from "../../src/x509/extensions.ts";
import { oids } from "../../src/x509/oid.ts";
import { foreignNow, foreignRoot, keysFor, rawExtension } from "../support/foreignCa.ts";

const attestation = "2.23.133.8.3";
const purposes = (...list: string[]): Extension =>
  rawExtension(oids.extendedKeyUsage, false, encodeDer(sequence(...list.map((oid) => objectIdentifier(oid)))));
/** "Names below web.example only", as enterprises have it that know that Apple once choked on the critical form. */
const names = (critical: boolean): Extension => {
  const subtree = sequence(primitive(2, Buffer.from("web.example")));
  return rawExtension(oids.nameConstraints, critical, encodeDer(sequence(constructed(0, subtree))));
};

const root = foreignRoot("Enterprise Root", "ecdsa-sha256");
const keys = keysFor("ecdsa-sha256");
const caWith = (...more: Extension[]) => root.authority("Web CA", { more });
const roots: TrustedRoots = { certificates: [readForeignCertificate(root.certificate)], fingerprints: [] };

function outcome(verify: () => unknown): string {
  try {
    verify();
    return "accepted";
  } catch (error) {
    if (error instanceof EvidenceRefused) return `${error.code}: ${error.message}`;
    throw error;
  }
}

t.test("a certificate of an attestation key by a CA for other purposes", async (t) => {
  const by = (...more: Extension[]): string => {
    const ca = caWith(...more);
    const leaf = ca.certify({ subject: "Attestation key", keys, more: [purposes(attestation)] });
    const rules = { now: foreignNow, leafPurpose: attestation };
    return outcome(() => verifyChain(leaf, [ca.certificate], roots, rules));
  };
  t.equal(by(), "accepted", "a CA that nothing is said of");
  t.equal(by(purposes(oids.serverAuth, attestation)), "accepted");
  t.equal(by(purposes(oids.anyExtendedKeyUsage)), "accepted");
  t.match(by(purposes(oids.serverAuth, oids.clientAuth)), /^evidenceInvalid: .*may not issue.* for this purpose/);
  t.match(by(rawExtension(oids.extendedKeyUsage, false, Buffer.from("3000", "hex"))), /^evidenceMalformed/);
});

t.test("what is said of a root's purposes is not looked at: it is pinned for this one", async (t) => {
  const odd = foreignRoot("Odd Root", "ecdsa-sha256", { more: [purposes(oids.serverAuth)] });
  const leaf = odd.certify({ subject: "Attestation key", keys, more: [purposes(attestation)] });
  const trusted = { certificates: [readForeignCertificate(odd.certificate)], fingerprints: [] };
  const rules = { now: foreignNow, leafPurpose: attestation };
  t.equal(
    outcome(() => verifyChain(leaf, [], trusted, rules)),
    "accepted",
  );
});

t.test(
  "a node's certificate by a CA for other names, whether that is critical or not, or for servers only",
  async (t) => {
    const by = (...more: Extension[]): string => {
      const ca = caWith(...more);
      const dns = subjectAltName({ dns: ["db.example"], ip: [], uri: [] }, false);
      const leaf = ca.certify({ subject: "db", keys, more: [dns, purposes(oids.clientAuth)] });
      const value = proof([leaf, ca.certificate]);
      const trust = { roots, trustDomain: undefined };
      return outcome(() =>
        verifyX509Pop({ format: "x509-pop", ref: "nodes", value }, { kind: "node" }, trust, context),
      );
    };
    t.equal(by(), "accepted");
    t.equal(by(purposes(oids.clientAuth)), "accepted");
    t.match(by(names(true)), /^evidenceInvalid: /);
    t.match(by(names(false)), /^evidenceInvalid: .*certain names/);
    t.match(by(purposes(oids.serverAuth)), /^evidenceInvalid: .*purpose/);
  },
);

const context: VerificationContext = {
  now: foreignNow,
  audience: "https://ca.example/wa",
  binding: `${"B".repeat(42)}A`,
  identifier: { type: "uri", value: "spiffe://example.org/db" },
  accountKey: Buffer.alloc(32),
};

function proof(chain: readonly Buffer[]): string {
  const seconds = Math.floor(foreignNow.getTime() / 1000);
  const x5c = chain.map((one) => one.toString("base64"));
  const head = { alg: "ES256", typ: "acme-wa-pop+jws", x5c };
  const claims = { aud: context.audience, binding: context.binding, iat: seconds, exp: seconds + 60 };
  const input = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  const signature = sign("sha256", Buffer.from(input), { key: keys.privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}
