/** A token that GitHub Actions issued in January 2023, and what was made of it. */
import { createHmac, createPublicKey, X509Certificate } from "node:crypto";
import t from "tap";
import type { VerificationContext } from "../../../src/attestation/evidence.ts";
import { verifyJwt } from "../../../src/attestation/formats/jwt.ts";
import { staticKeys } from "../../../src/attestation/jwks.ts";
import { rulesOf, withPreset } from "../../../src/attestation/presetRules.ts";
import { configureTokenSource, type TokenSettings } from "../../../src/attestation/tokenSource.ts";
import { evidenceFile, evidenceSamples, withEvidence } from "../../support/sharedEvidence.ts";
import { base64url, compact, context, item, refusal, testKey } from "../testIssuer.ts";

const settings = { ref: "github", format: "jwt", preset: "github-actions" };

t.test("github-oidc", withEvidence, async (t) => {
  const sample = evidenceSamples().find(({ id }) => id === "github-oidc");
  const token = evidenceFile("github-oidc", "token.jwt").toString("latin1").trim();
  const jwks = JSON.parse(evidenceFile("github-oidc", "jwks.json").toString()) as { keys: Record<string, unknown>[] };
  const at: VerificationContext = {
    ...context,
    now: new Date(sample?.verifyAt ?? ""),
    audience: "https://github.com/nickolashkraus",
  };
  const verify = (
    value = token,
    change: Partial<VerificationContext> = {},
    more: Partial<TokenSettings> = {},
    keys = jwks,
  ) => {
    const source = configureTokenSource({ ...withPreset(settings), ...more }, staticKeys(keys));
    return verifyJwt(item(value, "jwt", "github"), source, { ...at, ...change }, rulesOf(settings));
  };
  const [header = "", payload = "", signature = ""] = token.split(".");
  const flip = (part: string, index: number): string => {
    const octets = Buffer.from(part, "base64url");
    octets[index] = (octets[index] ?? 0) ^ 1;
    return base64url(octets);
  };
  const shift = (text: string | undefined, seconds: number) => new Date(Date.parse(text ?? "") + seconds * 1000);

  t.test("valid at its instant", async (t) => {
    const evidence = await verify();
    t.strictSame(evidence.claims, sample?.expect?.["claims"]);
    t.match(evidence, { bindingLevel: "bearer", instance: "3989419862/1" });
  });

  t.test("tampered, or one bit flipped", async (t) => {
    const tampered = evidenceFile("github-oidc", "token-tampered.jwt").toString("latin1").trim();
    t.match(await refusal(verify(tampered)), /^evidence(Invalid: .*signature|Malformed)/);
    for (const index of [0, 40, 400]) {
      t.match(await refusal(verify(`${header}.${flip(payload, index)}.${signature}`)), /^evidenceInvalid: .*signature/);
    }
    t.match(await refusal(verify(`${header}.${payload}.${flip(signature, 7)}`)), /^evidenceInvalid: .*signature/);
    t.match(await refusal(verify(`${flip(header, 30)}.${payload}.${signature}`)), /^evidence/);
  });

  t.test("outside of its time", async (t) => {
    const exactly = { clockSkewSeconds: 0 };
    t.match(await refusal(verify(token, { now: shift(sample?.validUntil, 1) }, exactly)), /^evidenceExpired/);
    t.match(
      await refusal(verify(token, { now: shift(sample?.validFrom, -1) }, exactly)),
      /^evidenceInvalid: .*not yet/,
    );
    t.match(await refusal(verify(token, { now: new Date("2026-11-26T12:00:00Z") })), /^evidenceExpired/);
  });

  t.test("another key, an unknown kid, another audience, another issuer", async (t) => {
    const kid = jwks.keys[0]?.["kid"] as string;
    const other = testKey(kid, "RS256");
    t.match(await refusal(verify(token, {}, {}, { keys: [other.jwk] })), /^evidenceInvalid: .*signature/);
    t.match(
      await refusal(verify(token, {}, {}, { keys: [{ ...other.jwk, kid: "other" }] })),
      /^evidenceInvalid: No key/,
    );
    t.match(await refusal(verify(token, { audience: context.audience })), /^evidenceInvalid: .*audience/);
    t.match(await refusal(verify(token, {}, { issuer: "https://gitlab.com" })), /^evidenceInvalid: .*issuer/);
  });

  t.test("alg none, and HS256 with the public key", async (t) => {
    const head = (fields: object) => base64url(JSON.stringify({ typ: "JWT", kid: jwks.keys[0]?.["kid"], ...fields }));
    t.match(await refusal(verify(`${head({ alg: "none" })}.${payload}.`)), /^evidenceInvalid: .*algorithm/);
    const certificate = new X509Certificate(evidenceFile("github-oidc", "signing-cert.pem"));
    const pem = createPublicKey(certificate.toString()).export({ type: "spki", format: "pem" });
    const input = `${head({ alg: "HS256" })}.${payload}`;
    const forged = `${input}.${createHmac("sha256", pem).update(input).digest("base64url")}`;
    t.match(await refusal(verify(forged)), /^evidenceInvalid: .*algorithm/);
  });

  t.test("headers that bring keys, and text that is no token", async (t) => {
    const attacker = testKey(jwks.keys[0]?.["kid"] as string, "RS256");
    for (const name of ["jku", "x5u", "jwk"]) {
      const forged = compact(attacker, JSON.parse(Buffer.from(payload, "base64url").toString()) as object, {
        [name]: "x",
      });
      t.match(await refusal(verify(forged)), new RegExp(`^evidenceInvalid: .*${name}`));
    }
    const folded = token.replaceAll(/(.{60})/g, "$1\n");
    for (const value of [folded, ` ${token}`, `${token}\n`, token.slice(0, -1), `${token}A`, ""])
      t.match(await refusal(verify(value)), /^evidence(Malformed|Invalid)/);
  });
});
