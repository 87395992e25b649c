/**
 * A token issuer for tests that signs whatever it is given, well-formed or not.
 */
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { EvidenceRefused, type EvidenceItem, type VerificationContext } from "../../src/attestation/evidence.ts";
import { staticKeys } from "../../src/attestation/jwks.ts";
import { verifyAtc } from "../../src/attestation/formats/atc.ts";
import { verifyJwt } from "../../src/attestation/formats/jwt.ts";
import { verifyK8s } from "../../src/attestation/formats/k8s.ts";
import { sourceFacts, type Source } from "../../src/attestation/sources.ts";
import { configureTokenSource, type TokenSettings, type TokenSource } from "../../src/attestation/tokenSource.ts";

export const now = new Date("2026-11-24T12:00:00.500Z");
export const nowSeconds = Math.floor(now.getTime() / 1000);
export const context: VerificationContext = {
  now,
  audience: "https://ca.example/wa",
  binding: "B".repeat(42) + "A",
  identifier: { type: "uri", value: "spiffe://example.org/pay/checkout" },
  accountKey: Buffer.from("563ecfae83ca4d15b029ff1b71d3bab91981f8509bdf4ad43972e2b1f0b938e3", "hex"),
};
export const boundAudience = `${context.audience}/${context.binding}`;

export const base64url = (value: string | Buffer): string => Buffer.from(value).toString("base64url");

export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly jwk: Record<string, unknown>;
}

export function testKey(kid: string, alg: "ES256" | "ES384" | "EdDSA" | "RS256" | "PS256" = "ES256"): TestKey {
  const { publicKey, privateKey } = generatePair(alg);
  return { kid, alg, privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, use: "sig" } };
}

function generatePair(alg: string): { publicKey: KeyObject; privateKey: KeyObject } {
  if (alg === "EdDSA") return generateKeyPairSync("ed25519");
  if (alg === "RS256" || alg === "PS256") return generateKeyPairSync("rsa", { modulusLength: 2048 });
  return generateKeyPairSync("ec", { namedCurve: alg === "ES384" ? "P-384" : "P-256" });
}

/** A compact JWS over exactly this header and payload; strings are taken as they are, so that they need not be JSON. */
export function compact(key: TestKey, payload: object | string, header: object | string = {}): string {
  const fullHeader = typeof header === "string" ? header : { alg: key.alg, kid: key.kid, typ: "JWT", ...header };
  const input = `${base64url(textOf(fullHeader))}.${base64url(textOf(payload))}`;
  return `${input}.${base64url(signature(key, Buffer.from(input)))}`;
}

function textOf(value: object | string): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function signature({ alg, privateKey }: TestKey, input: Buffer): Buffer {
  if (alg === "EdDSA") return sign(null, input, privateKey);
  const digest = alg === "ES384" ? "sha384" : "sha256";
  if (alg === "PS256") return sign(digest, input, { key: privateKey, padding: 6, saltLength: 32 });
  return sign(digest, input, { key: privateKey, dsaEncoding: "ieee-p1363" });
}

/** A source whose keys are at hand. */
export function testSource(keys: readonly TestKey[], settings: Partial<TokenSettings> = {}): TokenSource {
  const whole = { ref: "test", format: "jwt", issuer: "https://issuer.example", ...settings };
  return configureTokenSource(whole, staticKeys({ keys: keys.map(({ jwk }) => jwk) }), maxAgeSecondsOf[whole.format]);
}

const maxAgeSecondsOf: Readonly<Record<string, number>> = { k8s: 86_400 };
const verifiers = { jwt: verifyJwt, k8s: verifyK8s, atc: verifyAtc };

/** The same as a verifier knows it. */
export function openTestSource(source: TokenSource): Source {
  const verify = verifiers[source.format as keyof typeof verifiers];
  return {
    ...sourceFacts({ ...source, ref: source.ref, format: source.format }),
    issuer: source.issuer,
    tokenAuthorityUrl: undefined,
    verify: (evidence, within) => verify(evidence, source, within),
  };
}

/** Claims of a good token, five minutes long. */
export function goodClaims(claims: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    iss: "https://issuer.example",
    sub: "agent-7",
    aud: boundAudience,
    iat: nowSeconds - 10,
    exp: nowSeconds + 290,
    jti: "a8f1",
    ...claims,
  };
}

/** What a cluster states of pod, node and account. */
export const kubernetesMembers = {
  namespace: "payments",
  node: { name: "node-1.example", uid: "3b6b0f4e-6f1b-4f7c-8f6d-2a9d0c4c1e01" },
  pod: { name: "checkout-6d5f-x2x9p", uid: "0d7e9a7c-52a5-4f0e-a3f9-6f8a1d2b3c04" },
  serviceaccount: { name: "checkout", uid: "9c1d2e3f-1111-4222-8333-444455556666" },
  warnafter: nowSeconds + 2400,
};

/** The claims of a good projected service-account token, an hour long. */
export function goodKubernetesClaims(claims: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    iss: "https://kubernetes.default.svc.cluster.local",
    aud: [context.audience],
    iat: nowSeconds - 600,
    nbf: nowSeconds - 600,
    exp: nowSeconds + 3007,
    jti: "5f0c5e7e-3a0e-4d8a-9b63-0b7b0e7e0a11",
    sub: "system:serviceaccount:payments:checkout",
    "kubernetes.io": kubernetesMembers,
    ...claims,
  };
}

/** What an authority says of the identifier and account key of `context`. */
export const goodAtc = {
  tktype: "uri",
  tkvalue: context.identifier.value,
  fingerprint: "SHA256 56:3E:CF:AE:83:CA:4D:15:B0:29:FF:1B:71:D3:BA:B9:19:81:F8:50:9B:DF:4A:D4:39:72:E2:B1:F0:B9:38:E3",
};

/** The claims of a good authority token (RFC 9447 §4), five minutes long; without an audience, as the RFC's are. */
export function goodAtcClaims(
  claims: Record<string, unknown> = {},
  atc: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    iss: "https://authority.example",
    iat: nowSeconds - 10,
    exp: nowSeconds + 290,
    jti: "id6098364921",
    atc: { ...goodAtc, ...atc },
    ...claims,
  };
}

export function item(value: string, format = "jwt", ref = "test"): EvidenceItem {
  return { format, ref, value };
}

/** The refusal of a verification, as "code: message"; anything else that happens is a failure of the test. */
export async function refusal(verification: Promise<unknown>): Promise<string> {
  const outcome = await verification.then(
    () => "it was accepted",
    (error: unknown) => error,
  );
  if (outcome instanceof EvidenceRefused) return `${outcome.code}: ${outcome.message}`;
  throw outcome instanceof Error ? outcome : new Error(String(outcome));
}
