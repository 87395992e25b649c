/** Structures of the TPM: attestations, public areas, signatures. */
import { nameOf, publicKeyOf, readPublicArea } from "../../../src/attestation/tpm/publicArea.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { readTpmEvidence } from "../../../src/attestation/tpm/evidence.ts";
import { readAttest, type Attest } from "../../../src/attestation/tpm/attest.ts";
import { TpmStructureError } from "../../../src/attestation/tpm/reader.ts";
import { readTpmSignature, verifyTpmSignature } from "../../../src/attestation/tpm/signature.ts";
import { readAttestationObject } from "../../../src/attestation/webauthn/attestationObject.ts";
import { readTpmStatement, requireTpmStatementSignature } from "../../../src/attestation/webauthn/tpmStatement.ts";
import { KeyRefused } from "../../../src/x509/publicKey.ts";
import { certify, quote, signed, softwareKey, u16 } from "../../attestation/tpm/softwareTpm.ts";
import { maker } from "../../attestation/tpm/tpmMaker.ts";
import { tpmAttestation } from "../../support/tpmAttestations.ts";
import { bendBytes, bendJson, bendText, jsonText, type Json } from "../mutate.ts";
import type { Random } from "../random.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const keys = [softwareKey("rsa"), softwareKey("P-256"), softwareKey("P-384")];
const [rsa, p256] = keys;
if (rsa === undefined || p256 === undefined) throw new Error("no keys");
const extraData = Buffer.alloc(32, 0xb5);
const banks = [
  { hash: "sha256", registers: { 0: Buffer.alloc(32), 23: Buffer.alloc(32, 1) } },
  { hash: "sha384", registers: { 7: Buffer.alloc(48, 2) } },
] as const;
const attestations: readonly Buffer[] = [
  quote({ extraData, banks }).attest,
  quote({ extraData, banks: banks.slice(0, 1), safe: 0 }).attest,
  certify({ extraData, name: rsa.name }),
];
const bent = (random: Random, originals: readonly Buffer[]): Buffer => {
  const original = random.pick(originals);
  return random.chance(0.1) ? original : bendBytes(random, original, random.chance(0.6) ? 1 : 3);
};

/** Bytes that the fields of an attestation take, by its own account. */
function lengthOf(attest: Attest): number {
  const head = 4 + 2 + 2 + attest.qualifiedSigner.length + 2 + attest.extraData.length + 8 + 4 + 4 + 1 + 8;
  return attest.type === "certify" ? head + 4 + attest.name.length + attest.qualifiedName.length : head;
}

const attest: Target = {
  name: "tpm-attest",
  about: "TPMS_ATTEST of quote and certify; its fields together are as long as it is",
  cases: 20_000,
  slowMs: 100,
  make: (random) => bent(random, attestations),
  check(input) {
    const read = readOrRefuse(() => readAttest(input), TpmStructureError);
    if (read === undefined) return "refused";
    if (read.type === "certify") {
      holds(lengthOf(read) === input.length, "bytes are unaccounted for");
      return "accepted";
    }
    const rest = input.length - lengthOf(read) - 4 - 2 - read.digest.length;
    holds(rest >= 6 * read.selections.length && rest <= 7 * read.selections.length, "bytes are unaccounted for");
    holds(
      read.selections.every(({ registers }) => registers.every((register) => register < 32)),
      "a register over 31",
    );
    return "accepted";
  },
};

const publicArea: Target = {
  name: "tpm-public",
  about: "TPMT_PUBLIC; OpenSSL imports the key, and every byte counts in the name",
  cases: 4_000,
  slowMs: 500,
  make: (random) =>
    bent(
      random,
      keys.map((key) => key.publicArea),
    ),
  check(input) {
    const area = readOrRefuse(() => readPublicArea(input), TpmStructureError);
    if (area === undefined) return "refused";
    holds(area.bytes.equals(input), "its bytes are others");
    const same = keys.some((key) => key.publicArea.equals(input));
    holds(same === keys.some(({ name }) => name.equals(nameOf(area))), "two public areas have one name");
    const imported = readOrRefuse(() => publicKeyOf(area), KeyRefused);
    if (imported === undefined) return "refused";
    holds(imported.spki.length > 0, "there is no key");
    return "accepted";
  },
};

const message = attestations[0] ?? Buffer.of();
const signatures: readonly Buffer[] = [
  signed(rsa, message),
  signed(rsa, message, { pss: "digest" }),
  signed(p256, message),
];

const signature: Target = {
  name: "tpm-signature",
  about: "TPMT_SIGNATURE, and its verification with keys of every kind",
  cases: 4_000,
  slowMs: 200,
  make: (random) => bent(random, signatures),
  check(input) {
    const read = readOrRefuse(() => readTpmSignature(input), TpmStructureError);
    if (read === undefined) return "refused";
    const bytes = read.scheme === "ecdsa" ? 4 + read.r.length + read.s.length : 2 + read.signature.length;
    holds(4 + bytes === input.length, "bytes are unaccounted for");
    const good = keys.filter(({ publicKey }) => verifyTpmSignature(read, publicKey, message));
    // Leading zeros of r and s are not part of their numbers: those are the same signature.
    const same = signatures.some((one) => one.equals(input)) || input.subarray(0, 2).equals(u16(0x0018));
    holds(good.length <= 1 && (good.length === 0 || same), "a bent signature verifies");
    return "accepted";
  },
};

const base64url = (bytes: Buffer): string => bytes.toString("base64url");
const quoted = quote({ extraData, banks });
const certified = certify({ extraData, name: rsa.name });
const values: readonly { readonly [member: string]: Json }[] = [
  {
    ak: base64url(p256.publicArea),
    quote: {
      attest: base64url(quoted.attest),
      signature: base64url(signed(p256, quoted.attest)),
      pcrs: base64url(quoted.pcrs),
    },
  },
  {
    x5c: ["MAA", "MAA"],
    certify: {
      attest: base64url(certified),
      signature: base64url(signed(rsa, certified)),
      object: base64url(rsa.publicArea),
    },
  },
];

const value: Target = {
  name: "tpm-evidence",
  about: "values of evidence of format tpm: JSON around structures",
  cases: 6_000,
  slowMs: 200,
  make(random) {
    const original = random.pick(values);
    if (random.chance(0.2)) return Buffer.from(bendText(random, base64url(Buffer.from(JSON.stringify(original)))));
    const text = jsonText(random, random.chance(0.8) ? bendJson(random, original) : original);
    return Buffer.from(base64url(Buffer.from(text)));
  },
  check(input) {
    const read = readOrRefuse(() => readTpmEvidence(input.toString("utf8")), EvidenceRefused);
    if (read === undefined) return "refused";
    const { pcrs = [], attest: quoteAttest } = read.quote ?? {};
    const selected = quoteAttest?.selections.flatMap(({ registers }) => registers).length ?? 0;
    holds(pcrs.length === selected, "there are other values than those that were selected");
    holds(read.x5c.length <= 5, "there are more certificates than are read");
    return "accepted";
  },
};

const tpms = maker("Fuzz");
const statements = [{}, { bare: true }, { ak: rsa }, { ak: rsa, bare: true }].map((wishes) =>
  Buffer.from(tpmAttestation(tpms, "token.thumbprint", "PC-1", wishes), "base64url"),
);

const statement: Target = {
  name: "tpm-statement",
  about: "attestation objects of TPMs; signatures of both forms by keys of both kinds",
  cases: 6_000,
  slowMs: 200,
  make: (random) => bent(random, statements),
  check(input) {
    const read = readOrRefuse(
      () => readTpmStatement(readAttestationObject(input.toString("base64url")).statement),
      EvidenceRefused,
    );
    if (read === undefined) return "refused";
    holds(read.x5c.length <= 6, "more certificates than there may be");
    for (const { publicKey } of keys)
      readOrRefuse(() => {
        requireTpmStatementSignature(read, publicKey);
        return true;
      }, EvidenceRefused);
    return "accepted";
  },
};

export const tpmTargets: readonly Target[] = [attest, publicArea, signature, value, statement];
