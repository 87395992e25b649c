import { createHash } from "node:crypto";
import t from "tap";
import { tpmFormat, type TpmSettings } from "../../../src/attestation/formats/tpm.ts";
import { refusal } from "../testIssuer.ts";
import {
  attributes,
  describeKey,
  digestOf,
  quote,
  signed,
  softwareKey,
  u16,
  u32,
  type Attesting,
} from "../tpm/softwareTpm.ts";
import {
  ak,
  akCertificate,
  bank,
  base64url,
  certifiedAks,
  certifyOf,
  certifyOnly,
  chain,
  context,
  enrolled,
  enrolledAks,
  extraData,
  intermediate,
  keys,
  noTrust,
  otherRoot,
  pcr0,
  pcr7,
  quoteOf,
  root,
  sha256,
  tlsKey,
  valueOf,
  verify,
  verifyValue,
  x5c,
  type Value,
} from "../tpm/tpmEvidence.ts";
import { identity, keyCertificate, maker, purpose, rootsOf, type CertificateWishes } from "../tpm/tpmMaker.ts";

t.test("a quote by a certified attestation key", async (t) => {
  const value = valueOf({ x5c, quote: quoteOf() });
  const evidence = await verifyValue(value);
  t.same(evidence.claims, {
    akSha256: sha256(ak.publicKey),
    manufacturer: "id:54534554",
    model: "Model 7",
    firmware: "id:0102",
    resetCount: 11,
    restartCount: 3,
    pcr0: pcr0.toString("hex"),
    pcr7: pcr7.toString("hex"),
  });
  t.match(evidence, { format: "tpm", ref: "rack", bindingLevel: "nonce", instance: `ak:${sha256(ak.publicKey)}` });
  t.same(evidence.digest, createHash("sha256").update(value).digest());
  t.same(evidence.notAfterCap, new Date("2027-01-01T00:00:00Z"), "no certificate outlives that of the attestation key");
  t.equal(evidence.certificateKey, undefined);
  for (const name of Object.keys(evidence.claims)) t.ok(tpmFormat.claimNames?.includes(name), `${name} is announced`);
});

for (const [kind, key] of Object.entries(keys)) {
  t.test(`an attestation key of ${kind}`, async (t) => {
    const hash = kind === "P-384" ? "sha384" : "sha256";
    const members = { x5c: [akCertificate(key), intermediate.der].map(base64url), quote: quoteOf({ key, hash }) };
    t.equal((await verify(members)).claims["akSha256"], sha256(key.publicKey));
  });
}

t.test("an attestation key of which its certificate names the TPM in one relative name", async (t) => {
  const leaf = akCertificate(ak, { oneRelativeName: true });
  const evidence = await verify({ x5c: [leaf, intermediate.der].map(base64url), quote: quoteOf() });
  t.equal(evidence.claims["model"], "Model 7");
});

t.test("an enrolled attestation key yields its device, whichever way it was enrolled", async (t) => {
  const ways = {
    name: ak.name.toString("hex"),
    "name in upper case": ak.name.toString("hex").toUpperCase(),
    PEM: ak.publicKey.export({ type: "spki", format: "pem" }),
    JWK: ak.publicKey.export({ format: "jwk" }),
  };
  for (const [way, enrolledAs] of Object.entries(ways)) {
    const trust = enrolledAks(
      { name: "rack-8", ak: keys.rsa.name.toString("hex") },
      { name: "rack-7", ak: enrolledAs },
    );
    const evidence = await verify({ ak: base64url(ak.publicArea), quote: quoteOf() }, { trust });
    t.match(evidence, { claims: { deviceName: "rack-7" }, notAfterCap: undefined }, way);
    // With the others the sender says what else is in the public area, and could make the key any number of names.
    t.equal(evidence.claims["akName"], way.startsWith("name") ? ak.name.toString("hex") : undefined, way);
  }
});

t.test("what is not enrolled is refused", async (t) => {
  const members = { ak: base64url(ak.publicArea), quote: quoteOf() };
  const others = enrolledAks({ name: "rack-8", ak: keys.rsa.name.toString("hex") });
  t.equal(await refusal(verify(members, { trust: others })), "evidenceInvalid: The attestation key is not enrolled");
  t.match(await refusal(verify(members, { trust: enrolledAks() })), /not enrolled/, "where nobody is");
  const bare = { quote: quoteOf() };
  t.equal(await refusal(verify(bare, { trust: enrolled })), "evidenceMalformed: The value has no attestation key");
  t.match(await refusal(verify(members, { trust: certifiedAks })), /neither a certificate nor a credential/);
  t.match(await refusal(verify({ ...members, x5c }, { trust: enrolled })), /takes no certificates/);
});

t.test("the name that is enrolled covers the attributes: the same key with others is not enrolled", async (t) => {
  const described = describeKey(ak, attributes.ak | 0x400);
  const members = { ak: base64url(described.publicArea), quote: quoteOf() };
  t.match(await refusal(verify(members, { trust: enrolled })), /not enrolled/);
});

t.test("an attestation key that is none is refused, enrolled or not", async (t) => {
  const cases: [string, number][] = [
    ["fixedTPM", attributes.ak & ~0x2],
    ["fixedParent", attributes.ak & ~0x10],
    ["sensitiveDataOrigin", attributes.ak & ~0x20],
    ["restricted", attributes.ak & ~0x1_0000],
    ["sign", attributes.ak & ~0x4_0000],
  ];
  for (const [attribute, bits] of cases) {
    const key = describeKey(ak, bits);
    const trust = enrolledAks({ name: "rack-7", ak: ak.publicKey.export({ format: "jwk" }) });
    const members = { ak: base64url(key.publicArea), quote: quoteOf() };
    t.equal(await refusal(verify(members, { trust })), `evidenceInvalid: The attestation key is not ${attribute}`);
  }
  const both = { ak: base64url(describeKey(ak, attributes.ak | 0x2_0000).publicArea), quote: quoteOf() };
  t.match(await refusal(verify(both, { trust: enrolled })), /for decryption, too/);
});

t.test("a certified key is the only one that can be certified", async (t) => {
  const evidence = await verify({ x5c, certify: certifyOf() }, { settings: certifyOnly });
  const { crv, kty, x, y } = tlsKey.publicKey.export({ format: "jwk" });
  const expected = createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
  t.equal(evidence.certificateKey, expected);
  t.notOk(Object.keys(evidence.claims).some((name) => name.startsWith("pcr")));
});

t.test("quote and certify together are by one attestation key", async (t) => {
  const settings: Partial<TpmSettings> = { statements: ["quote", "certify"] };
  const evidence = await verify({ x5c, quote: quoteOf(), certify: certifyOf() }, { settings });
  t.match(evidence, { certificateKey: /^[\w-]{43}$/, claims: { pcr7: pcr7.toString("hex") } });
  const mixed = { x5c, quote: quoteOf(), certify: certifyOf({ key: keys.rsa }) };
  t.match(await refusal(verify(mixed, { settings })), /^evidenceInvalid: .*has not signed/);
  const other = { x5c, quote: quoteOf(), certify: certifyOf({ extraData: Buffer.alloc(32) }) };
  t.match(await refusal(verify(other, { settings })), /^bindingMismatch/, "both are bound");
});

t.test("evidence has the statements that the source asks for, and no others", async (t) => {
  const [quoted, certified] = [quoteOf(), certifyOf()];
  t.equal(await refusal(verify({ x5c, certify: certified })), "evidenceInvalid: The value has no quote");
  t.equal(
    await refusal(verify({ x5c, quote: quoted, certify: certified })),
    "evidenceInvalid: The source does not ask for a certify",
  );
  t.match(await refusal(verify({ x5c, quote: quoted }, { settings: certifyOnly })), /does not ask for a quote/);
  t.match(await refusal(verify({ x5c }, {})), /has no quote/);
});

t.test("wrong binding", async (t) => {
  const cases: [string, Partial<Attesting>, RegExp][] = [
    ["another B", { extraData: Buffer.alloc(32, 1) }, /^bindingMismatch/],
    ["one bit of it", { extraData: Buffer.concat([extraData.subarray(1), Buffer.of(0xb4)]) }, /^bindingMismatch/],
    ["B and a byte more", { extraData: Buffer.concat([extraData, Buffer.of(0)]) }, /^bindingMismatch/],
    ["a part of B", { extraData: extraData.subarray(1) }, /^bindingMismatch/],
    ["B as text", { extraData: Buffer.from(base64url(extraData)) }, /^bindingMismatch/],
    ["none", { extraData: Buffer.of() }, /^bindingMissing/],
  ];
  for (const [what, attesting, expected] of cases) {
    t.match(await refusal(verify({ x5c, quote: quoteOf(attesting) })), expected, `quote: ${what}`);
    const certified = { x5c, certify: certifyOf(attesting) };
    t.match(await refusal(verify(certified, { settings: certifyOnly })), expected, `certify: ${what}`);
  }
  const unbound = { context: { binding: undefined } };
  t.match(await refusal(verify({ x5c, quote: quoteOf() }, unbound)), /^bindingMissing/, "no key is committed to");
});

t.test("no byte of what was signed can be changed, and none of the signature", async (t) => {
  const [quoted, certified] = [quoteOf(), certifyOf()];
  for (const [statement, original] of [
    ["quote", quoted],
    ["certify", certified],
  ] as const) {
    const settings: Partial<TpmSettings> = { statements: [statement] };
    for (const member of ["attest", "signature"]) {
      const bytes = Buffer.from(String((original as Value)[member]), "base64url");
      const accepted: number[] = [];
      for (let at = 0; at < bytes.length; at += 1) {
        const bent = Buffer.from(bytes);
        bent[at] = (bent[at] ?? 0) ^ (1 << (at % 8));
        const members = { x5c, [statement]: { ...original, [member]: base64url(bent) } };
        const outcome = await refusal(verify(members, { settings })).catch(() => "accepted");
        if (!/^(evidenceInvalid|evidenceMalformed): /.test(outcome)) accepted.push(at);
      }
      t.same(accepted, [], `${statement}.${member}: one bit in each of ${bytes.length} bytes`);
    }
  }
});

t.test("no byte of a public area can be changed", async (t) => {
  const area = tlsKey.publicArea;
  const accepted: number[] = [];
  for (let at = 0; at < area.length; at += 1) {
    const bent = Buffer.from(area);
    bent[at] = (bent[at] ?? 0) ^ (1 << (at % 8));
    const members = { x5c, certify: { ...certifyOf(), object: base64url(bent) } };
    const outcome = await refusal(verify(members, { settings: certifyOnly })).catch(() => "accepted");
    if (!/^(evidenceInvalid|evidenceMalformed): /.test(outcome)) accepted.push(at);
  }
  t.same(accepted, []);
});

t.test("structures that are cut short, longer or empty are malformed", async (t) => {
  const quoted = quoteOf();
  for (const member of ["attest", "signature", "pcrs"]) {
    const bytes = Buffer.from(String(quoted[member]), "base64url");
    const wrong = [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)]), Buffer.of()];
    for (const other of wrong) {
      const members = { x5c, quote: { ...quoted, [member]: base64url(other) } };
      t.match(await refusal(verify(members)), /^evidenceMalformed/, `${member} of ${other.length} bytes`);
    }
    const { [member]: _, ...without } = quoted;
    t.match(await refusal(verify({ x5c, quote: without })), /^evidenceMalformed/, `no ${member}`);
  }
});

t.test("one kind of statement is not taken for the other", async (t) => {
  const [quoted, certified] = [quoteOf(), certifyOf()];
  const asCertify = { x5c, certify: { ...quoted, pcrs: undefined, object: certified.object } };
  t.match(await refusal(verify(asCertify, { settings: certifyOnly })), /^evidenceMalformed: .*is not a certify/);
  const asQuote = { x5c, quote: { ...certified, object: undefined, pcrs: quoted["pcrs"] } };
  t.match(await refusal(verify(asQuote)), /^evidenceMalformed: .*is not a quote/);
});

t.test("a signed statement that no TPM makes is refused", async (t) => {
  const cases: [string, Partial<Attesting>][] = [
    ["another magic", { magic: 0xff544346 }],
    ["a session audit", { type: 0x8016 }],
    ["the type of a certify", { type: 0x8017 }],
    ["a time", { type: 0x8019 }],
  ];
  for (const [what, attesting] of cases) {
    t.match(await refusal(verify({ x5c, quote: quoteOf(attesting) })), /^evidenceMalformed/, what);
  }
});

t.test("a value of another shape is malformed", async (t) => {
  const good = { x5c, quote: quoteOf() };
  const values: [string, string][] = [
    ["no base64url", "***"],
    ["nothing", ""],
    ["no JSON", valueOf("{")],
    ["a list", valueOf("[]")],
    ["padding", `${valueOf("{ }")}=`],
    ["a member that is not known", valueOf({ ...good, X5C: x5c })],
    ["a member of a statement that is not known", valueOf({ x5c, quote: { ...quoteOf(), pcr: "AA" } })],
    ["a member twice", valueOf(`{"x5c":[],"x5c":${JSON.stringify(x5c)}}`)],
    ["a quote that is a text", valueOf({ ...good, quote: "AA" })],
    ["a quote that is null", valueOf({ ...good, quote: null })],
    ["no certificate in x5c", valueOf({ ...good, x5c: [] })],
    ["x5c that is a text", valueOf({ ...good, x5c: x5c[0] })],
    ["six certificates", valueOf({ ...good, x5c: Array.from({ length: 6 }, () => x5c[0]) })],
    ["a certificate of 9000 bytes", valueOf({ ...good, x5c: [base64url(Buffer.alloc(9000, 0x30))] })],
    ["an attest of 3000 bytes", valueOf({ x5c, quote: { ...quoteOf(), attest: base64url(Buffer.alloc(3000)) } })],
    ["numbers", valueOf({ ...good, ak: 7 })],
    ["a deep nesting", valueOf(`{"quote":${"[".repeat(100)}${"]".repeat(100)}}`)],
    ["65 KiB", "A".repeat(65_537)],
  ];
  for (const [what, value] of values) t.match(await refusal(verifyValue(value)), /^evidenceMalformed/, what);
});

t.test("a chain of another maker, or none, is refused", async (t) => {
  const members = { x5c, quote: quoteOf() };
  const wrong = { trust: { ...noTrust, akRoots: rootsOf(otherRoot) } };
  t.match(await refusal(verify(members, wrong)), /^evidenceInvalid/, "a root of the same name");
  const cases: [string, Buffer[], RegExp][] = [
    ["the wrong order", chain.toReversed(), /^evidenceInvalid/],
    ["no intermediate", chain.slice(0, 1), /^evidenceInvalid/],
    [
      "another's intermediate",
      [akCertificate(), maker("Intermediate of the tests", otherRoot).der],
      /^evidenceInvalid/,
    ],
    [
      "a key that made itself",
      [
        keyCertificate({ ...intermediate, key: ak.privateKey }, ak.publicKey, { purposes: [purpose.ak] }),
        intermediate.der,
      ],
      /^evidenceInvalid/,
    ],
    ["the root alone", [root.der], /^evidenceInvalid/],
    ["a certificate that is none", [Buffer.from("3003020100", "hex"), intermediate.der], /^evidenceMalformed/],
  ];
  for (const [what, certificates, expected] of cases) {
    t.match(await refusal(verify({ ...members, x5c: certificates.map(base64url) })), expected, what);
  }
});

t.test("an attestation key's certificate is for that, names the TPM, and is no CA's", async (t) => {
  const cases: [string, CertificateWishes, RegExp][] = [
    ["no purpose", { purposes: [] }, /not for this purpose/],
    ["an endorsement key's", { purposes: [purpose.ek] }, /not for this purpose/],
    ["serverAuth", { purposes: ["1.3.6.1.5.5.7.3.1"] }, /not for this purpose/],
    ["anyExtendedKeyUsage", { purposes: ["2.5.29.37.0"] }, /not for this purpose/],
    ["a CA", { ca: true }, /is a CA's/],
    ["no name of the TPM", { identity: [] }, /does not name its TPM/],
    ["no model", { identity: identity.filter(([oid]) => oid !== "2.23.133.2.2") }, /does not name its TPM/],
    ["two manufacturers", { identity: [...identity, ["2.23.133.2.1", "id:00000000"]] }, /the same of its TPM twice/],
    ["an empty model", { identity: [["2.23.133.2.2", ""]] }, /printable ASCII/],
    ["a long model", { identity: [["2.23.133.2.2", "m".repeat(129)]] }, /printable ASCII/],
    ["a line break", { identity: [["2.23.133.2.2", "a\nb"]] }, /printable ASCII/],
  ];
  for (const [what, wishes, expected] of cases) {
    const members = { x5c: [akCertificate(ak, wishes), intermediate.der].map(base64url), quote: quoteOf() };
    const outcome = await refusal(verify(members));
    t.match(outcome, /^evidenceInvalid/, what);
    t.match(outcome, expected, what);
  }
});

t.test(
  "CVE-2026-40097 a certificate whose list of purposes is empty is malformed, and nothing else happens",
  async (t) => {
    const members = {
      x5c: [akCertificate(ak, { purposes: [], emptyPurposes: true }), intermediate.der].map(base64url),
      quote: quoteOf(),
    };
    const outcome = await refusal(verify(members));
    t.match(outcome, /^evidenceMalformed: .*extension/);
  },
);

t.test("an expired chain, and one that is not valid yet", async (t) => {
  const members = { x5c, quote: quoteOf() };
  for (const instant of ["2025-12-31T23:59:59Z", "2027-01-01T00:00:01Z"]) {
    t.match(await refusal(verify(members, { context: { now: new Date(instant) } })), /^evidenceExpired/, instant);
  }
  await verify(members, { context: { now: new Date("2026-01-01T00:00:00Z") } });
  await verify(members, { context: { now: new Date("2027-01-01T00:00:00Z") } });
});

t.test("a certificate of another key than the attestation key, and evidence by another key", async (t) => {
  const members = { ak: base64url(keys.rsa.publicArea), x5c, quote: quoteOf() };
  t.match(await refusal(verify(members)), /^evidenceInvalid: .*another key/);
  const signedByOther = { x5c, quote: quoteOf({ key: softwareKey("P-256") }) };
  t.match(await refusal(verify(signedByOther)), /^evidenceInvalid: .*has not signed/);
  const named = await verify({ ak: base64url(ak.publicArea), x5c, quote: quoteOf() });
  t.notOk("akName" in named.claims, "what its CA did not certify");
  t.equal(
    named.instance,
    (await verify({ x5c, quote: quoteOf() })).instance,
    "the sender does not choose the instance",
  );
});

t.test("SHA-1 is refused in signatures and names unless the source takes it", async (t) => {
  const members = { x5c, quote: quoteOf({ hash: "sha1" }) };
  t.match(await refusal(verify(members)), /^evidenceInvalid: .*SHA-1/);
  t.equal((await verify(members, { settings: { allowSha1: true } })).bindingLevel, "nonce");
  const old = softwareKey("P-256", attributes.tls, { nameHash: "sha1" });
  const certified = { x5c, certify: certifyOf({ object: old }) };
  t.match(await refusal(verify(certified, { settings: certifyOnly })), /^evidenceInvalid: .*SHA-1/);
  t.ok(await verify(certified, { settings: { ...certifyOnly, allowSha1: true } }));
  const sha1Bank = { x5c, quote: quoteOf({ banks: [{ hash: "sha1", registers: { 0: Buffer.alloc(20) } }] }) };
  t.match(
    await refusal(verify(sha1Bank, { settings: { allowSha1: true } })),
    /^measurementMismatch: .*sha256 bank/,
    "the SHA-1 bank never",
  );
});

t.test("PCR policy", async (t) => {
  const members = { x5c, quote: quoteOf() };
  const [value0, value7] = [pcr0.toString("hex"), pcr7.toString("hex")];
  const other = "00".repeat(32);
  const digest = digestOf("sha256", Buffer.concat([pcr0, pcr7])).toString("hex");
  const good: Partial<TpmSettings>[] = [
    { pcrs: [{ index: 7, values: [value7] }] },
    {
      pcrs: [
        { index: 7, values: [other, value7] },
        { index: 0, values: [value0] },
      ],
    },
    { pcrSelection: [7, 0], pcrDigests: [other, digest] },
    { pcrSelection: [0, 7] },
  ];
  for (const settings of good) t.ok(await verify(members, { settings }), JSON.stringify(settings));
  const bad: [Partial<TpmSettings>, RegExp][] = [
    [{ pcrs: [{ index: 7, values: [other] }] }, /has a value that is not allowed/],
    [{ pcrs: [{ index: 7, values: [value0] }] }, /has a value that is not allowed/],
    [
      {
        pcrs: [
          { index: 7, values: [value7] },
          { index: 4, values: [other] },
        ],
      },
      /does not select/,
    ],
    [{ pcrSelection: [0, 7], pcrDigests: [other] }, /digest that is not allowed/],
    [{ pcrSelection: [0], pcrDigests: [digest] }, /does not select/],
    [{ pcrSelection: [0, 8], pcrDigests: [digest] }, /does not select/],
    [{ pcrBank: "sha384" }, /sha384 bank/],
  ];
  for (const [settings, expected] of bad) {
    const outcome = await refusal(verify(members, { settings }));
    t.match(outcome, /^measurementMismatch/, JSON.stringify(settings));
    t.match(outcome, expected);
  }
});

t.test("a digest over other registers with the same values is not the policy's", async (t) => {
  const digest = digestOf("sha256", Buffer.concat([pcr0, pcr7])).toString("hex");
  const settings = { pcrSelection: [0, 7], pcrDigests: [digest] };
  // Register 16 is for debugging, 23 for applications: anybody may set both.
  const lookalike = quoteOf({ banks: [{ hash: "sha256", registers: { 16: pcr0, 23: pcr7 } }] });
  t.match(await refusal(verify({ x5c, quote: lookalike }, { settings })), /^measurementMismatch: .*does not select/);
  const { claims } = await verify({ x5c, quote: lookalike });
  t.notOk(Object.hasOwn(claims, "pcrDigest"), "and no grant sees it where the source says nothing of registers");
  t.equal((await verify({ x5c, quote: quoteOf() }, { settings })).claims["pcrDigest"], digest);
});

t.test("PCR values other than those that were quoted", async (t) => {
  const quoted = quoteOf();
  for (const [what, pcrs] of [
    ["one bit", Buffer.concat([pcr0, pcr7.subarray(1), Buffer.of(0xa6)])],
    ["another order", Buffer.concat([pcr7, pcr0])],
  ] as const) {
    const members = { x5c, quote: { ...quoted, pcrs: base64url(pcrs) } };
    t.match(await refusal(verify(members)), /^evidenceInvalid: .*not those that were quoted/, what);
  }
  const forged = quoteOf({ digest: Buffer.alloc(32) });
  t.match(await refusal(verify({ x5c, quote: forged })), /^evidenceInvalid: .*not those that were quoted/);
  const twoBanks = quoteOf({ banks: [bank, { hash: "sha384", registers: { 7: Buffer.alloc(48) } }] });
  t.match(await refusal(verify({ x5c, quote: twoBanks })), /^measurementMismatch: .*bank alone/);
});

t.test("the SHA-384 bank", async (t) => {
  const value = Buffer.alloc(48, 0x38);
  const members = { x5c, quote: quoteOf({ banks: [{ hash: "sha384", registers: { 7: value } }] }) };
  const settings: Partial<TpmSettings> = {
    pcrBank: "sha384",
    pcrs: [{ index: 7, values: [value.toString("hex")] }],
  };
  t.equal((await verify(members, { settings })).claims["pcr7"], value.toString("hex"));
});

t.test("a clock that the TPM does not vouch for, where the source minds", async (t) => {
  const members = { x5c, quote: quoteOf({ safe: 0 }) };
  t.ok(await verify(members));
  t.match(await refusal(verify(members, { settings: { requireSafeClock: true } })), /^measurementMismatch: .*clock/);
});

t.test("a certified key that could be elsewhere or is of no use is refused", async (t) => {
  const cases: [string, number, RegExp][] = [
    ["fixedTPM", attributes.tls & ~0x2, /is not fixedTPM/],
    ["fixedParent", attributes.tls & ~0x10, /is not fixedParent/],
    ["sensitiveDataOrigin", attributes.tls & ~0x20, /is not sensitiveDataOrigin/],
    ["sign", attributes.tls & ~0x4_0000, /is not sign/],
    ["restricted", attributes.tls | 0x1_0000, /is restricted/],
    ["decrypt", attributes.tls | 0x2_0000, /for decryption/],
  ];
  for (const [what, bits, expected] of cases) {
    const members = { x5c, certify: certifyOf({ object: describeKey(tlsKey, bits) }) };
    const outcome = await refusal(verify(members, { settings: certifyOnly }));
    t.match(outcome, /^evidenceInvalid/, what);
    t.match(outcome, expected, what);
  }
  const both = { x5c, certify: certifyOf({ object: describeKey(tlsKey, attributes.tls | 0x2_0000) }) };
  t.ok(await verify(both, { settings: { ...certifyOnly, allowDecrypt: true } }));
});

t.test("a public area of another key than the certified one", async (t) => {
  const other = softwareKey("P-256", attributes.tls);
  const members = { x5c, certify: { ...certifyOf(), object: base64url(other.publicArea) } };
  t.match(
    await refusal(verify(members, { settings: certifyOnly })),
    /^evidenceInvalid: .*not the one that was certified/,
  );
  const renamed = {
    x5c,
    certify: certifyOf({ name: Buffer.concat([u16(0x000c), tlsKey.name.subarray(2), Buffer.alloc(16)]) }),
  };
  t.match(await refusal(verify(renamed, { settings: certifyOnly })), /not the one that was certified/);
  const handle = { x5c, certify: certifyOf({ name: u32(0x4000_0007) }) };
  t.match(await refusal(verify(handle, { settings: certifyOnly })), /^evidenceMalformed/);
});

t.test("evidence is used once, however often its signature is made anew", async (t) => {
  const { attest, pcrs } = quote({ extraData, banks: [bank] });
  const members = () => ({
    x5c,
    quote: { attest: base64url(attest), signature: base64url(signed(ak, attest)), pcrs: base64url(pcrs) },
  });
  const [one, two] = [await verify(members()), await verify(members())];
  t.notSame(one.digest, two.digest, "the values differ");
  t.same(one.oneTimeId, two.oneTimeId);
  t.ok(one.replayUntil.getTime() >= context.now.getTime() + 300_000, "longer than any challenge lasts");
  t.notSame(one.oneTimeId, (await verify(members(), { ref: "other" })).oneTimeId);
  t.notSame(one.oneTimeId, (await verify({ x5c, quote: quoteOf({ resetCount: 12 }) })).oneTimeId);
});
