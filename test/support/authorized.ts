/** Authorized values for what comes after the decision, made by the decision itself. */
import { generateKeyPairSync } from "node:crypto";

import { authorizeOrder, type Authorized, type Proof } from "../../src/authority/authorize.ts";
import { parseGrantedIdentity } from "../../src/authority/grantedIdentity.ts";
import type { Profile } from "../../src/authority/profile.ts";
import { keyOf, type PublicKey } from "../../src/x509/publicKey.ts";
import { serverProfile, workloadProfile } from "./issuers.ts";

export const agentOne = "spiffe://mayfly.test/agent/one";

/** A fresh P-256 key. */
export const p256 = (): PublicKey => keyOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);

/** A SPIFFE ID that evidence proved. */
export function authorizedWorkload(profile: Profile = workloadProfile(), spiffeId = agentOne): Authorized {
  const proof: Proof = {
    identifier: { type: "uri", value: spiffeId },
    proved: { by: "attestation", record: { grant: "dev", grantVersion: "v1" } },
  };
  const identity = parseGrantedIdentity("uri", "spiffe://mayfly.test/agent/{sub}");
  const dev = { name: "dev", version: "v1", origin: "configuration", profile: profile.name, identity } as const;
  const grants = new Map([["dev", dev]]);
  return authorizeOrder({ id: "order", accountId: "account", validity: {} }, [proof], profile, grants);
}

/** DNS names and an address that challenges proved. */
export function authorizedServer(profile: Profile = serverProfile()): Authorized {
  const at = "2026-01-01T00:00:00Z";
  const names = [
    { type: "dns", value: "b.test" },
    { type: "dns", value: "a.test" },
    { type: "ip", value: "192.0.2.1" },
  ] as const;
  const proofs = names.map((identifier): Proof => ({
    identifier,
    proved: { by: "challenge", challenge: "http-01", at },
  }));
  return authorizeOrder({ id: "order", accountId: "account", validity: {} }, proofs, profile, new Map());
}
