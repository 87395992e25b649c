/** The benchmark's evidence is good evidence, and there is some of every format that the server has. */
import t from "tap";
import { measured } from "../../bench/formats.ts";
import { evidenceFormats } from "../../src/attestation/registry.ts";

t.test("each piece verifies, twice", async (t) => {
  for (const [name, make] of Object.entries(measured)) {
    const verify = make();
    await verify();
    t.match(await verify(), { bindingLevel: String, digest: Buffer }, name);
  }
});

t.test("every format is there, or is named here", async (t) => {
  /** Verified by a format that is measured, or by an exchange that a loop cannot repeat. */
  const others = ["x509-pop", "apple", "android-key", "packed", "tpm-device"];
  const there = Object.keys(measured).map((name) => name.split(" ")[0]);
  t.same(
    evidenceFormats.filter((name) => !there.includes(name) && !others.includes(name)),
    [],
  );
});
