import t from "tap";
import type { VerifiedEvidence } from "../../src/attestation/evidence.ts";
import { createVerifier } from "../../src/attestation/verify.ts";
import {
  compact,
  context,
  goodClaims,
  goodKubernetesClaims,
  item,
  openTestSource,
  refusal,
  testKey,
  testSource,
} from "./testIssuer.ts";

const githubKey = testKey("key-1");
const clusterKey = testKey("key-1");
const issuer = "https://kubernetes.default.svc.cluster.local";
const github = openTestSource(testSource([githubKey], { ref: "github" }));
const east = openTestSource(testSource([clusterKey], { ref: "prod-east", format: "k8s", issuer }));
const west = openTestSource(testSource([testKey("key-1")], { ref: "prod-west", format: "k8s", issuer }));
const verifiedEvidence: VerifiedEvidence = {
  format: "jwt",
  ref: "github",
  claims: {},
  bindingLevel: "nonce",
  digest: Buffer.alloc(32),
  oneTimeId: Buffer.alloc(32),
  replayUntil: context.now,
};
const verifier = createVerifier([github, east, west]);

t.test("the source is the one that ref names", async (t) => {
  const token = compact(githubKey, goodClaims());
  const evidence = await verifier.verify(item(token, "jwt", "github"), context);
  t.match(evidence, { format: "jwt", ref: "github", bindingLevel: "nonce" });
  for (const ref of ["gitlab", "", "GitHub", "__proto__", "constructor"]) {
    t.match(await refusal(verifier.verify(item(token, "jwt", ref), context)), /^sourceNotConfigured/, ref);
  }
  t.match(await refusal(verifier.verify(item(token, "k8s", "github"), context)), /^formatNotAccepted/);
  t.match(await refusal(verifier.verify(item(token, "tpm", "github"), context)), /^formatNotAccepted/);
});

t.test("another source's token, where issuer and kid are the same", async (t) => {
  const token = compact(clusterKey, goodKubernetesClaims());
  t.match(await verifier.verify(item(token, "k8s", "prod-east"), context), { ref: "prod-east" });
  t.match(await refusal(verifier.verify(item(token, "k8s", "prod-west"), context)), /^evidenceInvalid: .*signature/);
});

t.test("what is configured", (t) => {
  t.same(verifier.formats(), ["jwt", "k8s"]);
  t.same([...verifier.sources.keys()], ["github", "prod-east", "prod-west"]);
  t.same(createVerifier([]).formats(), []);
  t.throws(() => createVerifier([github, github]), /same ref/);
  t.end();
});

t.test("an instance with a name that no database or log should hold is told by its hash", async (t) => {
  const named = (instance: string) =>
    createVerifier([{ ...github, verify: async () => ({ ...verifiedEvidence, instance }) }]).verify(
      item("x", "jwt", "github"),
      context,
    );
  t.equal((await named("i-0abc/def:7")).instance, "i-0abc/def:7");
  const ofAnother = (await named("a b")).instance ?? "";
  const odd = ["", "a b", "nul\0", "\ud800", "x".repeat(257), "ä", ofAnother];
  const hashed = await Promise.all(odd.map(named));
  for (const { instance } of hashed) t.match(instance, /^sha256:[0-9a-f]{64}$/);
  t.equal(new Set(hashed.map(({ instance }) => instance)).size, hashed.length);
});

t.test("no source, no evidence", async (t) => {
  t.match(await refusal(createVerifier([]).verify(item("x"), context)), /^sourceNotConfigured/);
});
