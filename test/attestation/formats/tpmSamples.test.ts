/** The real samples of `../shared/evidence/tpm`, each with the value that it is bound to as the binding value. */
import { createHash, createPublicKey } from "node:crypto";
import t from "tap";
import { verifyTpm, type TpmSettings } from "../../../src/attestation/formats/tpm.ts";
import { readForeignCertificate, readPemCertificates } from "../../../src/attestation/certificateChain.ts";
import type { VerifiedEvidence } from "../../../src/attestation/evidence.ts";
import { readAttest } from "../../../src/attestation/tpm/attest.ts";
import type { AttestationKeyTrust } from "../../../src/attestation/tpm/attestationKey.ts";
import { parseEnrolledKeys } from "../../../src/attestation/tpm/enrolledKeys.ts";
import { nameOf, readPublicArea } from "../../../src/attestation/tpm/publicArea.ts";
import { evidenceFile, evidenceSamples, withEvidence, type EvidenceSample } from "../../support/sharedEvidence.ts";
import { context, refusal } from "../testIssuer.ts";
import { alg, attributes, describeKey, tpm2b, u16 } from "../tpm/softwareTpm.ts";
import { noTrust, valueOf } from "../tpm/tpmEvidence.ts";

const samples = (format: RegExp): EvidenceSample[] => evidenceSamples().filter((sample) => format.test(sample.format));
const bytesOf = (text: unknown): Buffer => Buffer.from(String(text), "base64url");
const base64url = (bytes: Buffer): string => bytes.toString("base64url");
const statementOf = ({ files }: EvidenceSample): Record<string, unknown> =>
  JSON.parse(evidenceFile(files["statement"] ?? "").toString("utf8")) as Record<string, unknown>;
const expected = (sample: EvidenceSample, member: string): string => String(sample.expect?.[member]);

const listed = (sample: EvidenceSample, member: string): string[] => (sample.expect?.[member] ?? []) as string[];

/** The samples have the bare signature and say its algorithm beside it. */
const rsassa = (hash: number, signature: Buffer): string =>
  base64url(Buffer.concat([u16(alg.rsassa), u16(hash), tpm2b(signature)]));

interface Shown {
  readonly members: Record<string, unknown>;
  readonly trust: AttestationKeyTrust;
  readonly settings: Partial<TpmSettings>;
}

function certifyShown(sample: EvidenceSample): Shown {
  const { x5c, certInfo, pubArea, sig, hash } = statementOf(sample);
  const certificates = (x5c as string[]).map(bytesOf);
  const anchor = certificates.at(-1) ?? Buffer.of();
  const signature = rsassa(hash === "sha1" ? alg.sha1 : alg.sha256, bytesOf(sig));
  const rootFile = sample.files["root"];
  const roots =
    rootFile === undefined
      ? [readForeignCertificate(anchor)]
      : readPemCertificates(evidenceFile(rootFile).toString("utf8"));
  return {
    members: { x5c: certificates.map(base64url), certify: { attest: certInfo, signature, object: pubArea } },
    trust: { ...noTrust, akRoots: { certificates: roots, fingerprints: [] } },
    settings: { statements: ["certify"], allowSha1: true, allowDecrypt: true },
  };
}

/** The attestation keys of Azure's machines are vouched for by the hardware report beside them; here they are enrolled. */
function quoteShown(sample: EvidenceSample): Shown {
  const { message, signature, pcrs, ak, akSpki } = statementOf(sample);
  const publicKey =
    akSpki === undefined
      ? createPublicKey({ key: ak as Record<string, string>, format: "jwk" })
      : createPublicKey({ key: bytesOf(akSpki), format: "der", type: "spki" });
  const { publicArea } = describeKey({ publicKey, privateKey: publicKey }, attributes.ak);
  const devices = [{ name: "sample", ak: publicKey.export({ format: "jwk" }) }];
  const known = parseEnrolledKeys(Buffer.from(JSON.stringify({ devices })), "enrolled.json");
  const quote = {
    attest: message,
    signature: rsassa(alg.sha256, bytesOf(signature)),
    pcrs: base64url(Buffer.concat((pcrs as string[]).map(bytesOf))),
  };
  return {
    members: { ak: base64url(publicArea), quote },
    trust: { ...noTrust, enrolled: () => Promise.resolve(known) },
    settings: { pcrSelection: Array.from({ length: 24 }, (_, n) => n) },
  };
}

interface Changes {
  readonly now?: Date;
  readonly binding?: Buffer;
  readonly settings?: Partial<TpmSettings>;
  readonly trust?: Partial<AttestationKeyTrust>;
}
const verify = (
  sample: EvidenceSample,
  { members, trust, settings }: Shown,
  changes: Changes = {},
): Promise<VerifiedEvidence> =>
  verifyTpm(
    { format: "tpm", ref: "sample", value: valueOf(members) },
    { ref: "sample", format: "tpm", ...settings, ...changes.settings },
    { ...trust, ...changes.trust },
    {
      ...context,
      now: changes.now ?? new Date(sample.verifyAt ?? 0),
      binding: base64url(changes.binding ?? Buffer.from(expected(sample, "extraData"), "hex")),
    },
  );

const withStatement = (shown: Shown, kind: "quote" | "certify", members: Record<string, unknown>): Shown => ({
  ...shown,
  members: { ...shown.members, [kind]: { ...(shown.members[kind] as object), ...members } },
});

/** One bit of each byte of a structure; returns where that went unnoticed. */
async function unnoticed(sample: EvidenceSample, shown: Shown, kind: "quote" | "certify", member: string) {
  const bytes = bytesOf((shown.members[kind] as Record<string, unknown>)[member]);
  const found: number[] = [];
  for (let at = 0; at < bytes.length; at += 1) {
    const bent = Buffer.from(bytes);
    bent[at] = (bent[at] ?? 0) ^ (1 << (at % 8));
    const outcome = await refusal(verify(sample, withStatement(shown, kind, { [member]: base64url(bent) }))).catch(
      () => "accepted",
    );
    if (!/^evidence(Invalid|Malformed): /.test(outcome)) found.push(at);
  }
  return found;
}

for (const sample of samples(/^tpm-certify$/).filter(({ result }) => result === "accept")) {
  t.test(`${sample.id}: a certified key`, withEvidence, async (t) => {
    const shown = certifyShown(sample);
    const evidence = await verify(sample, shown);
    t.match(evidence, { bindingLevel: "nonce", certificateKey: /^[\w-]{43}$/ });
    const [leaf = Buffer.of()] = (statementOf(sample)["x5c"] as string[]).map(bytesOf);
    t.equal(createHash("sha256").update(leaf).digest("hex"), expected(sample, "aikSha256"));
    const area = readPublicArea(bytesOf(statementOf(sample)["pubArea"]));
    t.equal(nameOf(area).toString("hex"), expected(sample, "name"));
    t.same([...area.attributes].sort(), listed(sample, "objectAttributes").toSorted());
    t.equal(
      area.key.type === "rsa" ? `RSA-${area.key.bits}` : `ECC ${area.key.curve}`,
      expected(sample, "attestedKey"),
    );
    const attest = readAttest(bytesOf(statementOf(sample)["certInfo"]));
    t.equal(attest.firmwareVersion.toString(16), expected(sample, "firmwareVersion").replace(/^0+(?=.)/, ""));
    t.equal(Number(attest.safe), sample.expect?.["clockSafe"]);
  });

  t.test(`${sample.id}: everything that is wrong with it is noticed`, withEvidence, async (t) => {
    const shown = certifyShown(sample);
    t.same(await unnoticed(sample, shown, "certify", "attest"), [], "one bit of the attestation");
    t.same(await unnoticed(sample, shown, "certify", "signature"), [], "one bit of the signature");
    t.same(await unnoticed(sample, shown, "certify", "object"), [], "one bit of the public area");
    const wrongRoot = readPemCertificates(evidenceFile("sev-snp/ca-milan-ask-ark.pem").toString("utf8"));
    const akRoots = { certificates: wrongRoot, fingerprints: [] };
    t.match(await refusal(verify(sample, shown, { trust: { akRoots } })), /^evidenceInvalid/, "wrong root");
    t.match(await refusal(verify(sample, shown, { binding: Buffer.alloc(32) })), /^bindingMismatch/, "wrong binding");
    for (const [instant, seconds] of [
      [sample.validFrom, -1],
      [sample.validUntil, 2],
    ] as const) {
      const now = new Date(Date.parse(instant ?? "") + seconds * 1000);
      t.match(await refusal(verify(sample, shown, { now })), /^evidenceExpired/, now.toISOString());
    }
    const { x5c } = shown.members as { x5c: string[] };
    const reversed = { ...shown, members: { ...shown.members, x5c: x5c.toReversed() } };
    t.match(await refusal(verify(sample, reversed)), /^evidence(Invalid|Malformed)/, "x5c in the wrong order");
    const alone = { ...shown, members: { ...shown.members, x5c: x5c.slice(0, 1) } };
    if (sample.files["root"] !== undefined)
      t.match(await refusal(verify(sample, alone)), /^evidenceInvalid/, "a leaf alone");
    const sha1 = expected(sample, "signature").includes("SHA-1");
    if (sha1) t.match(await refusal(verify(sample, shown, { settings: { allowSha1: false } })), /SHA-1/);
    else t.ok(await verify(sample, shown, { settings: { allowSha1: false } }), "SHA-256 needs no permission");
  });
}

t.test("the public area of another sample has another name", withEvidence, async (t) => {
  const [one, two] = samples(/^tpm-certify$/).filter(({ result }) => result === "accept");
  if (one === undefined || two === undefined) return t.fail("there are no two samples");
  const shown = withStatement(certifyShown(one), "certify", { object: statementOf(two)["pubArea"] });
  t.match(await refusal(verify(one, shown)), /^evidenceInvalid: .*not the one that was certified/);
});

for (const sample of samples(/^tpm-certify$/).filter(({ result }) => result === "reject")) {
  t.test(`${sample.id}: refused`, withEvidence, async (t) => {
    t.match(await refusal(verify(sample, certifyShown(sample))), /^evidence(Malformed|Invalid): .*chain/);
  });
}

const quotes = samples(/^tpm-quote/);
for (const sample of quotes) {
  t.test(`${sample.id}: a quote`, withEvidence, async (t) => {
    const shown = quoteShown(sample);
    const { claims, bindingLevel } = await verify(sample, shown);
    t.equal(bindingLevel, "nonce");
    t.match(claims, { deviceName: "sample", pcrDigest: expected(sample, "pcrDigest") });
    t.equal(Object.keys(claims).filter((name) => /^pcr\d+$/.test(name)).length, 24);
  });

  t.test(`${sample.id}: everything that is wrong with it is noticed`, withEvidence, async (t) => {
    const shown = quoteShown(sample);
    for (const member of ["attest", "signature", "pcrs"]) {
      t.same(await unnoticed(sample, shown, "quote", member), [], `one bit of ${member}`);
    }
    t.match(await refusal(verify(sample, shown, { binding: Buffer.alloc(32) })), /^bindingMismatch/, "wrong binding");
    const other = quotes.find(({ id }) => id !== sample.id);
    if (other === undefined) return t.fail("there is no other quote");
    const foreign = quoteShown(other);
    const mixed = { ...shown, trust: foreign.trust, members: { ...shown.members, ak: foreign.members["ak"] } };
    t.match(await refusal(verify(sample, mixed)), /^evidenceInvalid: .*has not signed/, "the key of another sample");
    t.match(await refusal(verify(sample, { ...shown, trust: foreign.trust })), /not enrolled/);
    const settings: Partial<TpmSettings> = { pcrs: [{ index: 0, values: ["00".repeat(31) + "01"] }] };
    t.match(await refusal(verify(sample, shown, { settings })), /^measurementMismatch/, "a register of another value");
  });
}
