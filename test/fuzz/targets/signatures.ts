/** What signs requests and evidence: JWS, JWK, compact JWTs. `jose` and OpenSSL are the witnesses. */
import { createPublicKey } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import * as jose from "jose";
import { algorithms, keyFits, parseJws, verifyJws } from "../../../src/acme/jws.ts";
import { readJwk } from "../../../src/acme/jwk.ts";
import { verifyCompactJws } from "../../../src/attestation/compactJws.ts";
import { EvidenceRefused } from "../../../src/attestation/evidence.ts";
import { fingerprintOf, namedIssuer } from "../../../src/attestation/formats/atc.ts";
import { createVerifier } from "../../../src/attestation/verify.ts";
import { Problem } from "../../../src/problem/problem.ts";
import {
  base64url as encoded,
  compact,
  context,
  goodAtcClaims,
  goodClaims,
  testKey,
  openTestSource,
  testSource,
} from "../../attestation/testIssuer.ts";
import { clientKey, signature, type ClientKey } from "../../support/acmeDriver.ts";
import { base64urlText, bendJson, bendText, jsonText, type Json } from "../mutate.ts";
import type { Random } from "../random.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const clients: readonly ClientKey[] = algorithms.map((alg) => clientKey(alg));
const publicKeyOf = new Map(clients.map((one) => [one, createPublicKey(one.privateKey)]));

/** A request by one of the clients, bent before it is signed, after, or both. */
function request(random: Random): Buffer {
  const client = random.pick(clients);
  const good: Json = {
    alg: client.alg,
    nonce: encoded(random.bytes(16)),
    url: "https://ca.example/acme/new-order",
    ...(random.chance(0.5) ? { jwk: { ...client.jwk } } : { kid: "https://ca.example/acme/account/x" }),
  };
  const header = random.chance(0.5) ? good : bendJson(random, good, 1);
  const headerText = base64urlText(random, jsonText(random, header));
  const payloadText = random.chance(0.2) ? "" : base64urlText(random, jsonText(random, { identifiers: [] }));
  const right = signature(client, `${headerText}.${payloadText}`);
  const jws: Json = { protected: headerText, payload: payloadText, signature: base64urlText(random, right) };
  const bent = random.chance(0.7) ? jws : bendJson(random, jws, 1);
  return Buffer.from(random.chance(0.9) ? JSON.stringify(bent) : jsonText(random, bent));
}

const jws: Target = {
  name: "jws",
  about: "signed requests; jose verifies what is verified here, and nothing that is not",
  cases: 600,
  slowMs: 300,
  make: request,
  async check(input) {
    const read = readOrRefuse(() => parseJws(input), Problem);
    if (read === undefined) return "refused";
    const text = JSON.parse(input.toString("utf8")) as { protected: string; payload: string; signature: string };
    holds(isDeepStrictEqual(read.header, jose.decodeProtectedHeader(text)), "jose reads another header");
    holds(read.payload.toString("base64url") === text.payload, "the payload has another text");
    for (const [client, key] of publicKeyOf) {
      if (!keyFits(read, { kind: readJwk({ ...client.jwk }).kind })) continue;
      const ours = verifyJws(read, key);
      const theirs = await jose.flattenedVerify(text, key).then(
        () => true,
        () => false,
      );
      holds(ours === theirs, `verified: here ${ours}, by jose ${theirs}`);
    }
    return "accepted";
  },
};

const jwk: Target = {
  name: "jwk",
  about: "account keys; jose for thumbprints, OpenSSL for the key",
  cases: 3_000,
  slowMs: 500,
  make(random) {
    const good = { ...random.pick(clients).jwk };
    return Buffer.from(JSON.stringify(random.chance(0.1) ? good : bendJson(random, good, 1)));
  },
  async check(input) {
    const value = JSON.parse(input.toString("utf8")) as { [member: string]: Json };
    if (typeof value !== "object" || value === null || Array.isArray(value)) return "refused";
    const read = readOrRefuse(() => readJwk(value), Problem);
    if (read === undefined) return "refused";
    holds(!["d", "p", "q", "dp", "dq", "qi", "k"].some((name) => name in value), "it holds a private key");
    const thumbprint = await jose.calculateJwkThumbprint(read.jwk);
    holds(read.thumbprint.toString("base64url") === thumbprint, "jose has another thumbprint");
    const { kty, crv, x, y, n, e } = read.key.export({ format: "jwk" });
    const canonical = Object.fromEntries(
      Object.entries({ kty, crv, x, y, n, e }).filter(([, member]) => member !== undefined),
    );
    holds(isDeepStrictEqual(canonical, { ...read.jwk }), "OpenSSL writes it in another way: one key, two thumbprints");
    return "accepted";
  },
};

const issuers = (["ES256", "ES384", "EdDSA", "RS256", "PS256"] as const).map((alg, index) =>
  testKey(`key-${index}`, alg),
);
const source = testSource(issuers);
const authority = testSource(issuers, { ref: "authority", format: "atc" });
const verifier = createVerifier([source, authority].map(openTestSource));

function token(random: Random): Buffer {
  const key = random.pick(issuers);
  const claims = goodClaims() as { [member: string]: Json };
  const payload = jsonText(random, random.chance(0.4) ? claims : bendJson(random, claims, 1));
  const good: Json = { alg: key.alg, kid: key.kid, typ: "JWT" };
  const header = jsonText(random, random.chance(0.7) ? good : bendJson(random, good, 1));
  const text = compact(key, payload, header);
  return Buffer.from(random.chance(0.8) ? text : bendText(random, text));
}

const evidence: Target = {
  name: "evidence",
  about: "JWTs as evidence, signed after they were bent; jose is the witness",
  cases: 900,
  slowMs: 300,
  make: token,
  async check(input) {
    const value = input.toString("utf8");
    const verified = await verifier
      .verify({ format: "jwt", ref: "test", value }, context)
      .catch((error: unknown) => (error instanceof EvidenceRefused ? undefined : Promise.reject(error as Error)));
    if (verified === undefined) return "refused";
    const { kid } = jose.decodeProtectedHeader(value);
    const keys = issuers.filter((issuer) => kid === undefined || issuer.kid === kid);
    const accepted = await Promise.all(
      keys.map(({ privateKey }) =>
        jose
          .jwtVerify(value, createPublicKey(privateKey), {
            currentDate: context.now,
            clockTolerance: 30,
            issuer: "https://issuer.example",
          })
          .catch(() => undefined),
      ),
    );
    const found = accepted.find((one) => one !== undefined);
    holds(found !== undefined, "jose does not accept it");
    holds(isDeepStrictEqual({ ...verified.claims }, { ...found?.payload }), "jose reads other claims");
    holds(
      verified.bindingLevel === "nonce" || verified.bindingLevel === "bearer",
      "a level that a token does not reach",
    );
    return "accepted";
  },
};

const atc: Target = {
  name: "atc",
  about: "authority tokens (RFC 9447), signed after they were bent",
  cases: 900,
  slowMs: 300,
  make(random) {
    const key = random.pick(issuers);
    const claims = { ...goodAtcClaims({ iss: "https://issuer.example" }), cnf: { jkt: "A".repeat(43) } } as {
      [member: string]: Json;
    };
    const payload = jsonText(random, random.chance(0.3) ? claims : bendJson(random, claims, 1));
    return Buffer.from(compact(key, payload, jsonText(random, { alg: key.alg, kid: key.kid, typ: "JWT" })));
  },
  async check(input) {
    const value = input.toString("utf8");
    const named = namedIssuer(value);
    const verified = await verifier
      .verify({ format: "atc", ref: "authority", value }, context)
      .catch((error: unknown) => (error instanceof EvidenceRefused ? undefined : Promise.reject(error as Error)));
    if (verified === undefined) return "refused";
    holds(named === "https://issuer.example", "it names another authority");
    const { atc: claim, jti } = jose.decodeJwt<{
      atc: { tktype: string; tkvalue: string; fingerprint: string; ca?: boolean };
    }>(value);
    holds(claim.tktype === "uri" && claim.tkvalue === context.identifier.value, "it vouches for something else");
    holds(claim.fingerprint === fingerprintOf(context.accountKey), "it is another account's");
    holds(claim.ca !== true && typeof jti === "string" && jti !== "", "a CA's, or one that can be used twice");
    holds(verified.bindingLevel === "key", "another level");
    return "accepted";
  },
};

const compactJws: Target = {
  name: "compact-jws",
  about: "the frame of a token: three parts, strict in each",
  cases: 1_200,
  slowMs: 300,
  make(random) {
    const text = token(random).toString("utf8");
    return Buffer.from(random.chance(0.5) ? text : bendText(random, text, 3));
  },
  async check(input) {
    const value = input.toString("utf8");
    const verified = await verifyCompactJws(value, source).catch((error: unknown) =>
      error instanceof EvidenceRefused ? undefined : Promise.reject(error as Error),
    );
    if (verified === undefined) return "refused";
    const parts = value.split(".");
    holds(parts.length === 3, "it has not three parts");
    holds(
      parts.every((part) => Buffer.from(part, "base64url").toString("base64url") === part),
      "a part has another text",
    );
    return "accepted";
  },
};

export const signatureTargets: readonly Target[] = [jws, jwk, evidence, atc, compactJws];
