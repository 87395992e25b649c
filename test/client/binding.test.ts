import { createHash, generateKeyPairSync } from "node:crypto";
import t from "tap";
import { fingerprintOf } from "../../src/attestation/formats/atc.ts";
import { accountFingerprint, bindingValue, spkiDigest } from "../../src/client/binding.ts";

t.test("S is the SHA-256 of the SubjectPublicKeyInfo", async (t) => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  t.ok(spkiDigest(spki).equals(createHash("sha256").update(spki).digest()));
});

t.test("B over label, key authorization and S, with a zero byte between", async (t) => {
  const spki = Buffer.alloc(32, 0xab);
  const preimage = Buffer.concat([Buffer.from("acme-workload-attest-01\0token.thumb\0"), spki]);
  t.equal(bindingValue("token", "thumb", spki), createHash("sha256").update(preimage).digest("base64url"));
  t.equal(
    bindingValue("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", spki)
      .length,
    43,
  );
  t.not(bindingValue("a", "b", spki), bindingValue("a", "b", Buffer.alloc(32)));
});

t.test("the fingerprint is what the server expects in an authority token", async (t) => {
  const thumbprint = createHash("sha256").update("a key").digest();
  const fingerprint = accountFingerprint(thumbprint.toString("base64url"));
  t.match(fingerprint, /^SHA256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  t.equal(fingerprint, fingerprintOf(thumbprint));
});
