import t from "tap";
import { verifyK8s } from "../../../src/attestation/formats/k8s.ts";
import {
  boundAudience,
  compact,
  context,
  goodKubernetesClaims,
  kubernetesMembers,
  item,
  nowSeconds,
  refusal,
  testKey,
  testSource,
} from "../testIssuer.ts";

const key = testKey("cluster");
const source = testSource([key], { format: "k8s", issuer: "https://kubernetes.default.svc.cluster.local" });
const verify = (claims: Record<string, unknown>, header = {}) =>
  verifyK8s(item(compact(key, claims, { typ: undefined, ...header }), "k8s"), source, context);

/** Good claims with one member inside kubernetes.io replaced; undefined removes it. */
function kubernetesWith(members: Record<string, unknown>): Record<string, unknown> {
  return goodKubernetesClaims({ "kubernetes.io": { ...kubernetesMembers, ...members } });
}

t.test("a projected token yields flat claims", async (t) => {
  const evidence = await verify(goodKubernetesClaims());
  t.equal(evidence.bindingLevel, "bearer");
  t.same(evidence.claims, {
    namespace: "payments",
    serviceAccount: "checkout",
    serviceAccountUid: "9c1d2e3f-1111-4222-8333-444455556666",
    podName: "checkout-6d5f-x2x9p",
    podUid: "0d7e9a7c-52a5-4f0e-a3f9-6f8a1d2b3c04",
    nodeName: "node-1.example",
    nodeUid: "3b6b0f4e-6f1b-4f7c-8f6d-2a9d0c4c1e01",
  });
  t.equal(evidence.instance, "0d7e9a7c-52a5-4f0e-a3f9-6f8a1d2b3c04");
  t.same(evidence.notAfterCap, new Date((nowSeconds + 3007) * 1000), "the certificate ends with the token");
});

t.test("TokenRequest with a bound audience reaches level nonce", async (t) => {
  t.equal((await verify(goodKubernetesClaims({ aud: [boundAudience] }))).bindingLevel, "nonce");
});

t.test("a cluster that states no node", async (t) => {
  const { claims } = await verify(kubernetesWith({ node: undefined }));
  t.notOk(Object.hasOwn(claims, "nodeName") || Object.hasOwn(claims, "nodeUid"));
});

t.test("pod binding is mandatory", async (t) => {
  t.match(await refusal(verify(kubernetesWith({ pod: undefined }))), /^evidenceInvalid: .*not bound to a pod/);
  const bySecret = kubernetesWith({ pod: undefined, secret: { name: "s", uid: "0d7e9a7c" } });
  t.match(await refusal(verify(bySecret)), /^evidenceInvalid: .*not bound to a pod/);
  for (const pod of [null, [], "pod", {}, { name: "x" }, { uid: "x" }, { name: "x", uid: "" }, { name: "x", uid: 7 }]) {
    t.match(await refusal(verify(kubernetesWith({ pod }))), /^evidenceInvalid/, JSON.stringify(pod));
  }
});

t.test("subject and kubernetes.io claims agree", async (t) => {
  const subjects = [
    "system:serviceaccount:payments:other",
    "system:serviceaccount:other:checkout",
    "system:serviceaccount:payments:checkout:x",
    "system:serviceaccount:payments",
    "payments:checkout",
    "",
    undefined,
  ];
  for (const sub of subjects) {
    t.match(await refusal(verify(goodKubernetesClaims({ sub }))), /^evidenceInvalid: .*disagree/, String(sub));
  }
  const odd = [
    { namespace: "pay/ments" },
    { namespace: "Payments" },
    { namespace: "" },
    { namespace: undefined },
    { serviceaccount: undefined },
    { serviceaccount: { name: "checkout" } },
    { node: { name: "node\u0000", uid: "x" } },
    { node: null },
  ];
  for (const members of odd)
    t.match(await refusal(verify(kubernetesWith(members))), /^evidenceInvalid/, JSON.stringify(members));
  // "a:b" could otherwise shift the border between namespace and account.
  const shifted = { ...kubernetesWith({ namespace: "a:b" }), sub: "system:serviceaccount:a:b:checkout" };
  t.match(await refusal(verify(shifted)), /^evidenceInvalid/);
  for (const kubernetes of [undefined, null, [], "x"]) {
    t.match(await refusal(verify(goodKubernetesClaims({ "kubernetes.io": kubernetes }))), /^evidenceInvalid/);
  }
});

t.test("tokens for the API server and legacy tokens", async (t) => {
  for (const aud of ["https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local"]) {
    t.match(await refusal(verify(goodKubernetesClaims({ aud: [aud] }))), /^evidenceInvalid: .*audience/, aud);
    t.match(
      await refusal(verify(goodKubernetesClaims({ aud: [aud, context.audience] }))),
      /^evidenceInvalid: .*audience/,
    );
  }
  const legacy = {
    iss: "kubernetes/serviceaccount",
    sub: "system:serviceaccount:payments:checkout",
    "kubernetes.io/serviceaccount/namespace": "payments",
  };
  t.match(await refusal(verify(legacy)), /^evidenceInvalid: .*issuer/);
  t.match(await refusal(verify(goodKubernetesClaims({ aud: undefined }))), /^evidenceInvalid: .*audience/);
});

t.test("the rules of every token hold here too", async (t) => {
  t.match(await refusal(verify(goodKubernetesClaims({ exp: nowSeconds - 31 }))), /^evidenceExpired/);
  t.match(await refusal(verify(goodKubernetesClaims({ exp: undefined }))), /^evidenceInvalid: .*exp/);
  t.match(await refusal(verify(goodKubernetesClaims({ exp: String(nowSeconds + 60) }))), /^evidenceInvalid: .*exp/);
  t.match(await refusal(verify(goodKubernetesClaims({ nbf: nowSeconds + 60 }))), /^evidenceInvalid: .*not yet/);
  const yearLong = { iat: nowSeconds - 60, exp: nowSeconds + 31_536_000 };
  t.match(await refusal(verify(goodKubernetesClaims(yearLong))), /^evidenceInvalid: .*lifetime/);
  t.match(await refusal(verify(goodKubernetesClaims({ aud: `${context.audience}/x` }))), /^bindingMismatch/);
  t.match(await refusal(verify(goodKubernetesClaims(), { kid: "other" })), /^evidenceInvalid: No key/);
  t.match(await refusal(verify(goodKubernetesClaims(), { alg: "none" })), /^evidenceInvalid: .*algorithm/);
  t.match(await refusal(verify(goodKubernetesClaims(), { jku: "https://x.example" })), /^evidenceInvalid: .*jku/);
});

t.test("one flipped byte in each part", async (t) => {
  const parts = compact(key, goodKubernetesClaims(), { typ: undefined }).split(".");
  for (const [index, part] of parts.entries()) {
    const flipped = part.slice(0, 9) + (part[9] === "A" ? "B" : "A") + part.slice(10);
    const value = parts.with(index, flipped).join(".");
    t.match(
      await refusal(verifyK8s(item(value, "k8s"), source, context)),
      /^evidence(Invalid|Malformed)/,
      `part ${index}`,
    );
  }
});
