import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { fingerprintOf, readPemCertificates } from "../../../src/attestation/certificateChain.ts";
import { EvidenceRefused, type EvidenceItem, type VerificationContext } from "../../../src/attestation/evidence.ts";
import {
  awsNitroFormat,
  awsNitroRootSha256,
  type NitroSettings,
  type NitroTrust,
  verifyNitro,
  verifyNitroDocument,
} from "../../../src/attestation/formats/awsNitro.ts";
import { checkSource } from "../../../src/attestation/registry.ts";
import { openSource, sourceFacts } from "../../../src/attestation/sources.ts";
import { createLru } from "../../../src/cache/lru.ts";
import { parseGrants } from "../../../src/authority/grants.ts";
import { pemEncode } from "../../../src/x509/pem.ts";
import { encodeCbor, RawCbor, type Writable } from "../../support/cborWriter.ts";
import { flippedBits } from "../../support/flipped.ts";
import { foreignNow, foreignRoot, keysFor } from "../../support/foreignCa.ts";
import { instanceId, moduleId, nitroPlatform, pcrOf, type DocumentChanges } from "../../support/nitroEnclave.ts";
import { evidenceFile, type EvidenceSample, evidenceSamples, withEvidence } from "../../support/sharedEvidence.ts";

const platform = nitroPlatform();
const settings: NitroSettings = { ref: "enclaves", format: "aws-nitro", clockSkewSeconds: 0 };
const trust: NitroTrust = {
  roots: { certificates: [], fingerprints: [fingerprintOf(platform.root.certificate)] },
  verified: createLru(64),
};
const binding = randomBytes(32);
const context: VerificationContext = {
  now: foreignNow,
  audience: "https://ca.example/wa",
  binding: binding.toString("base64url"),
  identifier: { type: "uri", value: "spiffe://example.org/enclave/checkout" },
  accountKey: Buffer.alloc(32),
};

const itemOf = (octets: Buffer): EvidenceItem => ({
  format: "aws-nitro",
  ref: "enclaves",
  value: octets.toString("base64url"),
});
const document = (changes: DocumentChanges = {}): Buffer => platform.document({ nonce: binding, ...changes });

/** "evidenceInvalid: The …", or "accepted". */
function verdict(
  octets: Buffer,
  changes: Partial<VerificationContext> = {},
  own: Partial<NitroSettings> = {},
  anchors = trust,
): string {
  return judged(() => verifyNitro(itemOf(octets), { ...settings, ...own }, anchors, { ...context, ...changes }));
}
function judged(verify: () => unknown): string {
  try {
    verify();
    return "accepted";
  } catch (error) {
    if (error instanceof EvidenceRefused) return `${error.code}: ${error.message}`;
    throw error;
  }
}

t.test("a document whose nonce is the binding value yields measurements and the enclave", async (t) => {
  const publicKey = Buffer.from("a key");
  const octets = document({ members: { public_key: publicKey, user_data: Buffer.alloc(0) } });
  const verified = verifyNitro(itemOf(octets), settings, trust, context);
  t.strictSame(verified.claims, {
    ...Object.fromEntries([0, 1, 2, 3, 4, 8].map((index) => [`pcr${index}`, pcrOf(index).toString("hex")])),
    moduleId,
    instanceId,
    publicKeySha256: createHash("sha256").update(publicKey).digest("hex"),
    userDataSha256: createHash("sha256").update("").digest("hex"),
  });
  t.equal(verified.bindingLevel, "nonce");
  t.equal(verified.instance, moduleId);
  t.equal(verified.notAfterCap, undefined);
  t.strictSame(verified.expires, new Date(foreignNow.getTime() + 10_800_000), "its certificate's end");
  t.strictSame(verified.replayUntil, new Date(foreignNow.getTime() + 299_000), "as long as it is accepted");
  t.strictSame(verified.digest, createHash("sha256").update(octets.toString("base64url")).digest());
  for (const name of Object.keys(verified.claims))
    t.ok(awsNitroFormat.claimNames?.includes(name), `${name} is a claim of the format`);
});

t.test("replay: the id is that of what is signed, with the tag or without, under any signature", async (t) => {
  const idOf = (octets: Buffer, ref = "enclaves") =>
    verifyNitro({ ...itemOf(octets), ref }, settings, trust, context).oneTimeId.toString("hex");
  const plain = idOf(document());
  t.equal(idOf(document()), plain, "signed once more");
  t.equal(idOf(document({ tagged: true })), plain, "tagged");
  t.not(idOf(document(), "other"), plain, "another source");
  t.not(idOf(document({ members: { timestamp: foreignNow.getTime() - 2000 } })), plain, "another document");
});

t.test("CBOR tag 18 is accepted, because it changes nothing that is signed", async (t) => {
  t.equal(verdict(document({ tagged: true })), "accepted");
});

t.test("binding: a document of another challenge, account or key is refused", async (t) => {
  t.equal(
    verdict(document({ nonce: randomBytes(32) })),
    "bindingMismatch: The document's nonce is not the binding value of this challenge",
  );
  t.match(verdict(document({ nonce: Buffer.concat([binding, Buffer.of(0)]) })), /^bindingMismatch/, "longer");
  t.match(verdict(document({ nonce: binding.subarray(0, 31) })), /^bindingMismatch/, "shorter");
  t.match(verdict(document({ nonce: Buffer.from(binding.toString("base64url")) })), /^bindingMismatch/, "its text");
  t.match(verdict(document({ members: { nonce: null } })), /^bindingMissing: The document has no nonce/);
  t.match(verdict(document({ members: { nonce: undefined } })), /^bindingMissing/);
  t.match(verdict(document({ members: { nonce: Buffer.alloc(0) } })), /^bindingMissing/, "an empty nonce is none");
  t.match(
    verdict(document({ members: { nonce: null, user_data: binding } })),
    /^bindingMissing/,
    "the nonce is the channel, not user_data",
  );
  t.match(verdict(document(), { binding: undefined }), /^bindingMissing/, "no key was committed");
});

t.test("debug mode is refused whatever the source allows", async (t) => {
  const zero = Buffer.alloc(48);
  const message = "measurementMismatch: The enclave runs in debug mode, or has no measurement";
  t.equal(
    verdict(document({ pcrs: { 0: zero, 1: zero, 2: zero, 8: zero } })),
    message,
    "PCR3 and PCR4 are set in debug mode too",
  );
  t.equal(verdict(document({ pcrs: { 0: zero } })), message);
  t.equal(verdict(document({ pcrs: { 0: undefined } })), message, "absent");
  t.equal(verdict(document({ pcrs: { 0: Buffer.alloc(32) } })), message, "of another length");
});

t.test("PCR policy: every PCR that is named must have one of its values", async (t) => {
  const allowed = (index: number, ...values: Buffer[]) => ({
    index,
    values: values.map((value) => value.toString("hex")),
  });
  const under = (...pcrs: ReturnType<typeof allowed>[]): string => verdict(document(), {}, { pcrs });
  t.equal(under(allowed(0, pcrOf(0))), "accepted");
  t.equal(under(allowed(0, pcrOf(7), pcrOf(0)), allowed(8, pcrOf(8))), "accepted");
  const refused = "measurementMismatch: A measurement of the enclave is not one that the source takes";
  t.equal(under(allowed(0, pcrOf(1))), refused);
  t.equal(under(allowed(0, pcrOf(0)), allowed(8, pcrOf(1))), refused);
  t.equal(under(allowed(20, pcrOf(20))), refused, "absent");
  t.equal(under(allowed(5, pcrOf(5))), refused, "not set");
  t.equal(under(allowed(0, pcrOf(0).subarray(0, 32))), refused, "a part of it");
});

t.test("age: not older than allowed, not from the future, and never after its certificate", async (t) => {
  const signedAt = (ms: number, own: Partial<NitroSettings> = {}): string =>
    verdict(document({ members: { timestamp: foreignNow.getTime() - ms } }), {}, own);
  t.equal(signedAt(300_000), "accepted");
  t.equal(signedAt(300_001), "evidenceExpired: The document was signed too long ago");
  t.equal(signedAt(60_001, { maxAgeSeconds: 60 }), "evidenceExpired: The document was signed too long ago");
  t.equal(signedAt(-1), "evidenceExpired: The document was signed in the future");
  t.equal(signedAt(-30_000, { clockSkewSeconds: 30 }), "accepted");
  t.match(signedAt(-30_001, { clockSkewSeconds: 30 }), /^evidenceExpired/);
  const end = new Date(foreignNow.getTime() + 10_800_000);
  const late = document({ members: { timestamp: end.getTime() } });
  t.equal(verdict(late, { now: end }), "accepted");
  t.equal(
    verdict(late, { now: new Date(end.getTime() + 1000) }),
    "evidenceExpired: A certificate of the chain has expired",
  );
  const start = new Date("2026-01-01T00:00:00Z");
  const early = document({ members: { timestamp: start.getTime() } });
  t.equal(verdict(early, { now: start }), "accepted");
  t.equal(verdict(early, { now: new Date(start.getTime() - 1000) }, { clockSkewSeconds: 1 }), "accepted");
  t.match(verdict(early, { now: new Date(start.getTime() - 1000) }), /^evidenceExpired: .*not valid yet/);
});

t.test("every bit counts: one flipped anywhere in the message, and it is refused", async (t) => {
  const octets = document({ members: { public_key: Buffer.from("key"), user_data: Buffer.from("data") } });
  let tried = 0;
  for (const { at, flipped } of flippedBits(octets)) {
    tried += 1;
    if (verdict(flipped) === "accepted") t.fail(`byte ${at}`);
  }
  t.equal(tried, octets.length);
});

t.test("cut short anywhere, extended, or empty it is malformed", async (t) => {
  const octets = document();
  for (let length = 0; length < octets.length; length += length < 32 || length > octets.length - 120 ? 1 : 37) {
    if (!verdict(octets.subarray(0, length)).startsWith("evidenceMalformed")) t.fail(`${length} bytes`);
  }
  t.match(verdict(Buffer.concat([octets, Buffer.of(0)])), /^evidenceMalformed/);
  t.match(verdict(Buffer.alloc(16_384, 0x81)), /^evidenceMalformed: .*deep/);
  t.match(verdict(Buffer.alloc(16_385)), /^evidenceMalformed: The evidence has more than 16384 bytes/);
  const odd = { ...itemOf(octets), value: `${octets.toString("base64url")}=` };
  t.match(
    judged(() => verifyNitro(odd, settings, trust, context)),
    /^evidenceMalformed: The evidence is not base64url/,
  );
});

t.test("headers: ES384 in the protected one, and nothing in the other", async (t) => {
  const message = "evidenceInvalid: The document is not signed with ES384, or has other headers";
  const headers: readonly Writable[] = [
    new Map([[1, -7]]),
    new Map([[1, -36]]),
    new Map([
      [1, -35],
      [3, 0],
    ]),
    new Map([[1, "ES384"]]),
    new Map(),
    new RawCbor("a201382201382 2".replaceAll(" ", "")),
    new RawCbor("bf013822ff"),
    new RawCbor("a101390022"),
  ];
  for (const protectedHeader of headers) t.equal(verdict(document({ protectedHeader })), message);
  t.equal(
    verdict(document({ unprotectedHeader: new Map([[4, Buffer.from("kid")]]) })),
    message,
    "what is not signed is not wanted",
  );
});

t.test("signed by another key, or an old enclave's certificate put in", async (t) => {
  t.match(verdict(document({ signedBy: keysFor("ecdsa-sha384") })), /^evidenceInvalid: The document's signature/);
  const others = platform.certify({ subject: "enclave.aws", keys: keysFor("ecdsa-sha384") });
  t.match(verdict(document({ members: { certificate: others } })), /^evidenceInvalid: The document's signature/);
  const p256 = keysFor("ecdsa-sha256");
  const weaker = document({ members: { certificate: platform.certify({ keys: p256 }) }, signedBy: p256 });
  t.match(verdict(weaker), /^evidenceInvalid: The document's signature/, "ES384 is on P-384");
});

t.test("chain: any other root, order or number of certificates is refused", async (t) => {
  const anchored = (fingerprint: string): NitroTrust => ({ roots: { certificates: [], fingerprints: [fingerprint] } });
  t.match(
    verdict(document(), {}, {}, anchored(awsNitroRootSha256)),
    /^evidenceInvalid: .*does not end in a root/,
    "the tests' root is not AWS's",
  );
  const impostor = foreignRoot("aws.nitro-enclaves", "ecdsa-sha384");
  const [root = Buffer.of(), region = Buffer.of(), zone = Buffer.of(), machine = Buffer.of()] = platform.cabundle;
  const bundles: readonly (readonly [string, readonly Buffer[]])[] = [
    ["swapped", [root, zone, region, machine]],
    ["leaf to root", [machine, zone, region, root]],
    ["one missing", [root, region, machine]],
    ["without the root", [region, zone, machine]],
    ["only the root", [root]],
    ["another root", [impostor.certificate, region, zone, machine]],
    ["an extra one", [root, region, zone, machine, impostor.certificate]],
    ["an extra one above", [impostor.certificate, root, region, zone, machine]],
  ];
  for (const [name, cabundle] of bundles)
    t.match(verdict(document({ members: { cabundle } })), /^evidenceInvalid/, name);
  t.match(
    verdict(document({ members: { cabundle: [root, region, zone, machine, machine, machine] } })),
    /^evidenceMalformed: .*intermediates/,
  );
  t.match(verdict(document({ members: { certificate: machine } })), /^evidenceInvalid/, "a CA signs no document");
  const sealing = platform.certify({ extensions: [] });
  t.match(verdict(document({ members: { certificate: sealing } })), /^evidenceInvalid: .*digitalSignature/);
});

t.test("members: each within its form and limits", async (t) => {
  const wrong: readonly (readonly [string, Writable | undefined])[] = [
    ["module_id", undefined],
    ["module_id", 1],
    ["module_id", ""],
    ["module_id", "i-0\n"],
    ["module_id", "x".repeat(257)],
    ["digest", "SHA256"],
    ["digest", undefined],
    ["timestamp", undefined],
    ["timestamp", 0],
    ["timestamp", -1],
    ["timestamp", "2026"],
    ["timestamp", Number.MAX_SAFE_INTEGER],
    ["pcrs", undefined],
    ["pcrs", new Map()],
    ["pcrs", [pcrOf(0)]],
    ["pcrs", new Map([[32, pcrOf(0)]])],
    ["pcrs", new Map([[-1, pcrOf(0)]])],
    ["pcrs", new Map([["0", pcrOf(0)]])],
    ["pcrs", new Map([[0, Buffer.alloc(47, 1)]])],
    ["pcrs", new Map([[0, Buffer.alloc(0)]])],
    ["pcrs", new Map([[0, "x"]])],
    ["certificate", undefined],
    ["certificate", Buffer.alloc(0)],
    ["certificate", Buffer.alloc(1025)],
    ["certificate", null],
    ["cabundle", undefined],
    ["cabundle", []],
    ["cabundle", [Buffer.alloc(0)]],
    ["cabundle", [Buffer.alloc(1025)]],
    ["cabundle", Buffer.alloc(3)],
    ["public_key", Buffer.alloc(0)],
    ["public_key", Buffer.alloc(1025)],
    ["public_key", "text"],
    ["user_data", Buffer.alloc(513)],
    ["user_data", 7],
    ["nonce", Buffer.alloc(513)],
    ["nonce", "text"],
  ];
  for (const [name, value] of wrong) {
    t.match(
      verdict(document({ members: { [name]: value } })),
      /^evidenceMalformed: The attestation document /,
      `${name}: ${typeof value}`,
    );
  }
  t.match(verdict(document({ payload: Buffer.alloc(0) })), /^evidenceMalformed/);
  t.match(verdict(document({ payload: encodeCbor([]) })), /^evidenceMalformed: The attestation document is no map/);
  const twice = Buffer.concat([
    Buffer.of(0xa2),
    encodeCbor("nonce"),
    encodeCbor(1),
    encodeCbor("nonce"),
    encodeCbor(2),
  ]);
  t.match(verdict(document({ payload: twice })), /^evidenceMalformed: The CBOR has a map key twice/);
  t.equal(
    verdict(document({ members: { later_member: [1, 2] } })),
    "accepted",
    "what AWS may add is signed, and ignored",
  );
});

t.test("messages quote nothing of the evidence", async (t) => {
  const named = document({ members: { module_id: "secret thing" } });
  t.notMatch(verdict(named), /secret/);
  const otherwise = [{ index: 0, values: [pcrOf(5).toString("hex")] }];
  t.notMatch(verdict(document(), {}, { pcrs: otherwise }), /[0-9a-f]{16}/, "nor of the policy");
});

t.test("settings: what cannot work or must not is refused at start", async (t) => {
  const value = pcrOf(0).toString("hex");
  const refused: readonly (readonly [Partial<NitroSettings>, RegExp])[] = [
    [{ rootSha256: awsNitroRootSha256, rootsFile: "/etc/root.pem" }, /rootsFile: .*only one of/],
    [
      {
        pcrs: [
          { index: 0, values: [value] },
          { index: 0, values: [value] },
        ],
      },
      /pcrs\[1\].index: 0: expected each index once/,
    ],
    [{ pcrs: [{ index: 0, values: ["0".repeat(96)] }] }, /pcrs\[0\].values: .*expected no zeros/],
  ];
  for (const [changes, message] of refused) t.throws(() => checkSource({ ...settings, ...changes }), message);
  t.doesNotThrow(() => checkSource({ ...settings, pcrs: [{ index: 0, values: [value] }] } as NitroSettings));
});

t.test("without a PCR policy a grant must name a PCR that tells whose enclave it is", async (t) => {
  const grants = (own: Partial<NitroSettings>, conditions: { claim: string; equals: string }[]) =>
    parseGrants(
      [
        {
          name: "checkout",
          spiffeId: "spiffe://example.org/enclave/{instanceId}",
          source: "enclaves",
          minBinding: "nonce",
          profile: "workload",
          conditions,
        },
      ],
      {
        trustDomain: "example.org",
        sources: new Map([["enclaves", sourceFacts({ ...settings, ...own })]]),
        profiles: new Map([["workload", { identifiers: ["uri"], lifetimeMinSeconds: 60, lifetimeMaxSeconds: 3600 }]]),
      },
    );
  const value = pcrOf(0).toString("hex");
  t.throws(
    () => grants({}, []),
    /expected equals, oneOf or prefix of what tells yours from everybody.s: one of pcr0, pcr2, pcr3, pcr4, pcr8/,
  );
  t.throws(
    () => grants({}, [{ claim: "pcr1", equals: value }]),
    /what tells yours/,
    "everybody has the kernel of PCR1",
  );
  t.throws(() => grants({ pcrs: [{ index: 1, values: [value] }] }, []), /what tells yours/);
  t.doesNotThrow(() => grants({}, [{ claim: "pcr8", equals: value }]));
  t.doesNotThrow(() => grants({ pcrs: [{ index: 0, values: [value] }] }, []));
});

t.test("a source is opened with AWS's root unless a fingerprint or a file says otherwise", async (t) => {
  const surroundings = { fetchBody: async () => Buffer.of(), now: () => foreignNow, trustDomain: "example.org" };
  const dir = t.testdir({});
  const rootsFile = join(dir, "root.pem");
  writeFileSync(rootsFile, pemEncode("CERTIFICATE", platform.root.certificate));
  const verify = (own: Partial<NitroSettings>) =>
    openSource({ ...settings, ...own }, surroundings).verify(itemOf(document()), context);
  await t.rejects(verify({}), { code: "evidenceInvalid" });
  t.match(await verify({ rootSha256: fingerprintOf(platform.root.certificate) }), { instance: moduleId });
  t.match(await verify({ rootsFile }), { instance: moduleId });
  t.throws(
    () => openSource({ ...settings, rootsFile: join(dir, "none.pem") } as NitroSettings, surroundings),
    /ENOENT/,
  );
});

/** Real documents. Their nonces are none of ours, so the document is verified with its own nonce as the expected one. */
const samples = evidenceSamples().filter(({ format }) => format === "nitro");
const awsTrust = (): NitroTrust => ({
  roots: { certificates: [], fingerprints: [awsNitroRootSha256] },
  verified: createLru(64),
});
const hexOf = (value: unknown): Buffer => Buffer.from(typeof value === "string" ? value : "", "hex");

function realVerdict(
  sample: EvidenceSample,
  octets: Buffer,
  now = new Date(sample.verifyAt ?? ""),
  own: Partial<NitroSettings> = {},
  anchors = awsTrust(),
): string {
  return judged(() =>
    verifyNitroDocument(
      octets,
      hexOf(sample.expect?.["nonce"]),
      { ...settings, maxAgeSeconds: 86_400, ...own },
      anchors,
      now,
    ),
  );
}

t.test("real documents: accepted at their instant, or refused for what they are", withEvidence, async (t) => {
  t.equal(samples.length, 7);
  const anchor = readPemCertificates(evidenceFile("nitro", "root.pem").toString("latin1"))[0];
  t.equal(anchor && fingerprintOf(anchor.der), awsNitroRootSha256, "the root that is built in");
  const verdicts = samples.map((sample) => [
    sample.id,
    realVerdict(sample, evidenceFile(sample.files["document"] ?? "")).replace(/:.*/, ""),
  ]);
  t.strictSame(Object.fromEntries(verdicts), {
    "nitro-prod-2022-nonce": "accepted",
    "nitro-debug-2023-spki": "measurementMismatch",
    "nitro-debug-2022": "measurementMismatch",
    "nitro-prod-2021": "bindingMissing",
    "nitro-prod-2021-publickey": "bindingMissing",
    "nitro-prod-2023-userdata": "bindingMissing",
    "nitro-debug-2024-full": "measurementMismatch",
  });
});

for (const sample of samples.filter(({ result }) => result === "accept")) {
  t.test(`real document ${sample.id}: window, root, bits and measurements`, async (t) => {
    const octets = evidenceFile(sample.files["document"] ?? "");
    const good = sample.expect?.["nonce"] === null ? "bindingMissing" : "accepted";
    const at = (iso: string | undefined, ms: number): Date => new Date(new Date(iso ?? "").getTime() + ms);
    const within = (now: Date): string => realVerdict(sample, octets, now, { clockSkewSeconds: 60 }).replace(/:.*/, "");
    t.equal(within(at(sample.validUntil, 0)), good, "until its certificate ends");
    t.equal(within(at(sample.validUntil, 1000)), "evidenceExpired");
    t.match(realVerdict(sample, octets, at(sample.validFrom, -1000)), /^evidenceExpired/);
    t.match(
      realVerdict(sample, octets, at(sample.verifyAt, 60_001), { maxAgeSeconds: 60 }),
      /^evidenceExpired: The document was signed too long ago/,
    );
    t.match(
      realVerdict(sample, octets, undefined, {}, trust),
      /^evidenceInvalid: .*does not end in a root/,
      "another root",
    );

    const pcr0 = String((sample.expect?.["pcrsNonZero"] as Record<string, string> | undefined)?.["0"]);
    t.equal(realVerdict(sample, octets, undefined, { pcrs: [{ index: 0, values: [pcr0] }] }).replace(/:.*/, ""), good);
    t.match(
      realVerdict(sample, octets, undefined, { pcrs: [{ index: 0, values: [pcrOf(0).toString("hex")] }] }),
      /^measurementMismatch/,
    );

    t.match(realVerdict(sample, octets.subarray(0, -1)), /^evidenceMalformed/);
    t.match(realVerdict(sample, Buffer.concat([octets, Buffer.of(0)])), /^evidenceMalformed/);
    t.match(
      judged(() =>
        verifyNitroDocument(
          octets,
          binding,
          { ...settings, maxAgeSeconds: 86_400 },
          awsTrust(),
          new Date(sample.verifyAt ?? ""),
        ),
      ),
      /^binding/,
      "our binding value is not in it",
    );

    const kept = awsTrust();
    const signature = octets.length - 96;
    const everywhere = [
      ...flippedBits(octets, { end: signature, stride: 5 }),
      ...flippedBits(octets, { start: signature }),
    ];
    for (const { at: place, flipped } of everywhere) {
      const refused = realVerdict(sample, flipped, undefined, {}, kept);
      if (!/^evidence(Invalid|Malformed|Expired)/.test(refused)) t.fail(`byte ${place}: ${refused}`);
    }
    t.ok(everywhere.length > 900);
  });
}
