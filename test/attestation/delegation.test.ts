import t from "tap";
import { createDelegationVerifier, verifyDelegation, type DelegationSource } from "../../src/attestation/delegation.ts";
import { base64url, compact, context, nowSeconds, refusal, testKey, testSource } from "./testIssuer.ts";

const key = testKey("idp");
const settings = { actorClaim: "/act/sub", subjectClaim: "sub", taskClaim: "txn", requireConfirmation: false };
const source: DelegationSource = { ...testSource([key], { ref: "idp" }), ...settings };
const good = {
  iss: source.issuer,
  aud: context.audience,
  iat: nowSeconds - 10,
  exp: nowSeconds + 290,
  sub: "jo@example.com",
  txn: "order-1932",
  act: { sub: context.identifier.value },
};
const verify = (claims: Record<string, unknown> = {}, from = source) =>
  verifyDelegation(compact(key, { ...good, ...claims }), from, context);

t.test("who acts, for whom, for which task, until when", async (t) => {
  const delegation = await verify();
  t.match(delegation, { source: "idp", subject: "jo@example.com", task: "order-1932" });
  t.same(delegation.expires, new Date((nowSeconds + 290) * 1000));
  t.equal(delegation.digest.length, 32);
  t.equal((await verify({ txn: undefined })).task, undefined);
});

t.test("claims where the source says they are", async (t) => {
  const elsewhere = { ...source, actorClaim: "/atc/tkvalue", subjectClaim: "user", taskClaim: "/task/id" };
  const claims = { act: undefined, atc: { tkvalue: context.identifier.value }, user: "u-7", task: { id: "t-1" } };
  t.match(await verify(claims, elsewhere), { subject: "u-7", task: "t-1" });
  t.match(await refusal(verify({}, elsewhere)), /^identityNotDerived/);
});

t.test("another workload's delegation", async (t) => {
  const others = [
    undefined,
    { sub: "spiffe://example.org/pay/other" },
    { sub: `${context.identifier.value}/` },
    { sub: [context.identifier.value] },
    { sub: context.identifier.value.toUpperCase() },
    {},
    [{ sub: context.identifier.value }],
  ];
  for (const act of others) t.match(await refusal(verify({ act })), /^identityNotDerived/, JSON.stringify(act));
});

t.test("for whom and for what are texts, or it is none", async (t) => {
  for (const sub of [undefined, "", 7, null, "x".repeat(1025), "\ud800"]) {
    t.match(await refusal(verify({ sub })), /^evidenceMalformed/, JSON.stringify(sub)?.slice(0, 30));
  }
  for (const txn of ["", 7, {}, "x".repeat(1025)]) t.match(await refusal(verify({ txn })), /^evidenceMalformed/);
});

t.test("confirmation: the account's key and no other", async (t) => {
  const jkt = context.accountKey.toString("base64url");
  const bound = { ...source, requireConfirmation: true };
  t.ok(await verify({ cnf: { jkt } }));
  t.ok(await verify({ cnf: { jkt } }, bound));
  t.match(await refusal(verify({}, bound)), /^bindingMissing/);
  t.match(await refusal(verify({ cnf: { jkt: base64url(Buffer.alloc(32)) } })), /^bindingMismatch/);
  for (const cnf of [{ jkt, "x5t#S256": "x" }, { "x5t#S256": "x" }, {}, "x", null, { jkt: 7 }]) {
    t.match(await refusal(verify({ cnf })), /^evidenceMalformed/, JSON.stringify(cnf));
  }
});

t.test("signature, issuer, audience, times: as for evidence", async (t) => {
  t.match(await refusal(verifyDelegation(compact(testKey("idp"), good), source, context)), /^evidenceInvalid/);
  t.match(await refusal(verify({ aud: "https://other.example" })), /^evidenceInvalid/);
  t.match(await refusal(verify({ aud: undefined })), /^evidenceInvalid/);
  t.match(await refusal(verify({ exp: nowSeconds - 60 })), /^evidenceExpired/);
  t.match(await refusal(verify({ exp: undefined })), /^evidenceInvalid/);
  t.match(await refusal(verify({ iat: undefined })), /^evidenceInvalid/);
});

t.test("the source is the one whose issuer the token names", async (t) => {
  const other = { ...source, ref: "broker", issuer: "https://broker.example" };
  const verifier = createDelegationVerifier([source, other]);
  t.equal((await verifier.verify(compact(key, good), context)).source, "idp");
  t.equal((await verifier.verify(compact(key, { ...good, iss: other.issuer }), context)).source, "broker");
  for (const iss of ["https://idp.example", undefined, 7]) {
    t.match(await refusal(verifier.verify(compact(key, { ...good, iss }), context)), /^sourceNotConfigured/);
  }
  t.match(await refusal(verifier.verify("a.b", context)), /^sourceNotConfigured/);
  t.throws(() => createDelegationVerifier([source, { ...other, issuer: source.issuer }]), /same issuer/);
});
