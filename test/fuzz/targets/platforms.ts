/** What platforms answer and state: TokenReviews of Kubernetes, claims of JWT-SVIDs, texts in templates. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EvidenceRefused, SourceUnavailable } from "../../../src/attestation/evidence.ts";
import { verifySpiffeJwt } from "../../../src/attestation/formats/spiffeJwt.ts";
import { openTokenReview, type ReviewToken } from "../../../src/attestation/tokenReview.ts";
import { claimTransforms, unescape } from "../../../src/authority/grantTransforms.ts";
import {
  boundAudience,
  compact,
  context,
  item,
  nowSeconds,
  testKey,
  testSource,
} from "../../attestation/testIssuer.ts";
import { bendJson, bendText, jsonText } from "../mutate.ts";
import { holds, type Target } from "../target.ts";

const goodReview = {
  apiVersion: "authentication.k8s.io/v1",
  kind: "TokenReview",
  status: {
    authenticated: true,
    user: {
      username: "system:serviceaccount:payments:checkout",
      uid: "9c1d2e3f-1111-4222-8333-444455556666",
      extra: {
        "authentication.kubernetes.io/pod-name": ["checkout-6d5f-x2x9p"],
        "authentication.kubernetes.io/pod-uid": ["0d7e9a7c-52a5-4f0e-a3f9-6f8a1d2b3c04"],
      },
    },
    audiences: ["https://ca.example/wa"],
  },
};

let answer: Buffer = Buffer.of();
let folder: string | undefined;
let review: ReviewToken | undefined;

/** Opened when it is first needed: it reads a credential from a file. */
function reviewer(): ReviewToken {
  folder ??= mkdtempSync(join(tmpdir(), "mayfly-fuzz-"));
  const tokenReviewTokenFile = join(folder, "token");
  if (review === undefined) writeFileSync(tokenReviewTokenFile, "token");
  const settings = { ref: "fuzz", tokenReviewUrl: "https://api.example", tokenReviewTokenFile };
  return (review ??= openTokenReview(settings, () => Promise.resolve({ status: 201, body: answer })));
}

const tokenReview: Target = {
  name: "token-review",
  about: "answers of an API server about a token",
  cases: 3_000,
  slowMs: 200,
  make: (random) => Buffer.from(jsonText(random, random.below(3) === 0 ? goodReview : bendJson(random, goodReview))),
  async check(input) {
    answer = input;
    const outcome: unknown = await reviewer()("token", ["https://ca.example/wa"]).catch((error: unknown) => error);
    if (outcome instanceof EvidenceRefused || outcome instanceof SourceUnavailable) return "refused";
    if (outcome instanceof Error) throw outcome;
    const { status } = JSON.parse(input.toString()) as typeof goodReview;
    holds(status.authenticated, "what the cluster does not vouch for was accepted");
    holds(typeof status.user.username === "string", "nobody was named");
    return "accepted";
  },
  close: () => {
    if (folder !== undefined) rmSync(folder, { recursive: true });
    [folder, review] = [undefined, undefined];
    return Promise.resolve();
  },
};

const key = testKey("key-1");
const source = testSource([key], { format: "spiffe-jwt" });
const goodSvid = {
  sub: "spiffe://partner.example/ns/pay/sa/checkout",
  aud: [boundAudience],
  exp: nowSeconds + 290,
  iat: nowSeconds - 10,
};

const svid: Target = {
  name: "jwt-svid",
  about: "claims of JWT-SVIDs, well signed",
  cases: 2_000,
  slowMs: 200,
  make(random) {
    const sub = random.below(2) === 0 ? bendText(random, goodSvid.sub) : goodSvid.sub;
    const claims = { ...goodSvid, sub };
    return Buffer.from(jsonText(random, random.below(3) === 0 ? claims : bendJson(random, claims)));
  },
  async check(input) {
    const token = item(compact(key, input.toString("utf8")), "spiffe-jwt");
    const outcome = await verifySpiffeJwt(token, source, "partner.example", context).catch((error: unknown) => {
      if (error instanceof EvidenceRefused) return undefined;
      throw error;
    });
    if (outcome === undefined) return "refused";
    const { spiffeId, trustDomain, pathLength } = outcome.claims;
    holds(trustDomain === "partner.example", "another trust domain");
    holds(typeof spiffeId === "string" && spiffeId.startsWith("spiffe://partner.example/"), "another SPIFFE ID");
    holds(typeof spiffeId === "string" && spiffeId.split("/").length - 3 === pathLength, "the path was miscounted");
    return "accepted";
  },
};

const texts = [
  "arn:aws:iam::123456789012:role/Data_Role",
  "octo-org/app@refs/heads/main",
  "a_5fb",
  "é_\u{1f600}",
  "..",
];

const escaped: Target = {
  name: "escaped",
  about: "claims that a template escapes",
  cases: 5_000,
  slowMs: 100,
  make: (random) => Buffer.from(bendText(random, random.pick(texts), random.below(3))),
  check(input) {
    const text = input.toString("utf8");
    const segment = text === "" ? undefined : claimTransforms.escaped.apply(text);
    // What was made of some text can be read back; what was not, cannot.
    holds(unescape(text) === undefined || claimTransforms.escaped.yields(text), "read back, and never made");
    if (segment === undefined) return "refused";
    holds(/^[A-Za-z0-9._-]{1,512}$/.test(segment) && segment !== "." && segment !== "..", "no segment");
    holds(unescape(segment) === text, "two texts became one");
    return "accepted";
  },
};

export const platformTargets: readonly Target[] = [tokenReview, svid, escaped];
