import t from "tap";
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

t.test("no source, no evidence", async (t) => {
  t.match(await refusal(createVerifier([]).verify(item("x"), context)), /^sourceNotConfigured/);
});
