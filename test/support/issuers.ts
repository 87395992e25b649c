/** Keys in memory, and a CA hierarchy on them, for what is tested without token and database. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";

import type { SourceFacts } from "../../src/attestation/sources.ts";
import { establishHierarchy } from "../../src/authority/hierarchy.ts";
import type { Hierarchy } from "../../src/authority/issuer.ts";
import type { IssuerStore, StoredIssuer } from "../../src/authority/ports.ts";
import { readProfile, type Profile, type WrittenProfile } from "../../src/authority/profile.ts";
import type { KeyProvider, Signer } from "../../src/keys/signer.ts";

export interface MemoryKeys extends KeyProvider {
  readonly signers: Map<string, Signer>;
}

/** P-256 whatever is asked for. */
export function memoryKeys(): MemoryKeys {
  const signers = new Map<string, Signer>();
  return {
    signers,
    description: "keys in memory",
    development: true,
    async generate(label) {
      const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const signer = memorySigner(label, publicKey, privateKey);
      signers.set(label, signer);
      return signer;
    },
    find: async ({ label, spki }) =>
      [...signers.values()].find((signer) => (spki ? signer.spki.equals(spki) : signer.label === label)),
    close: async () => undefined,
  };
}

/** A signer of this key pair. */
export function memorySigner(label: string, publicKey: KeyObject, privateKey: KeyObject): Signer {
  return {
    label,
    algorithm: "ecdsa-p256-sha256",
    spki: publicKey.export({ type: "spki", format: "der" }),
    publicKey,
    sign: async (message) => sign("sha256", message, privateKey),
  };
}

/** Keeps issuers in an array; `exclusively` waits for whoever is inside. */
export function memoryIssuerStore(): IssuerStore & { readonly issuers: StoredIssuer[] } {
  const issuers: StoredIssuer[] = [];
  let last: Promise<unknown> = Promise.resolve();
  return {
    issuers,
    readIssuers: async () => [...issuers],
    async insertHierarchy(root, issuing) {
      if (issuers.length > 0) throw new Error("there is a hierarchy already");
      issuers.push(root, issuing);
    },
    exclusively(action) {
      const mine = last.then(action);
      last = mine.catch(() => undefined);
      return mine;
    },
  };
}

export const trustDomain = "mayfly.test";

/** A fresh root and issuing CA in memory. */
export async function memoryHierarchy(now: Date): Promise<Hierarchy> {
  const { hierarchy } = await establishHierarchy({
    keys: memoryKeys(),
    store: memoryIssuerStore(),
    trustDomain,
    keyLabel: "issuing",
    rootLifetimeDays: 3650,
    issuingLifetimeDays: 365,
    now,
  });
  return hierarchy;
}

const workload: WrittenProfile = {
  description: "SPIFFE X.509-SVID",
  identifiers: ["uri"],
  lifetimeDefaultSeconds: 900,
  lifetimeMinSeconds: 60,
  lifetimeMaxSeconds: 86_400,
  backdateSeconds: 60,
  keyKinds: ["ec-p256", "rsa"],
  extendedKeyUsage: ["serverAuth", "clientAuth"],
};

/** A SPIFFE profile, with changes. */
export function workloadProfile(changes: Partial<WrittenProfile> = {}): Profile {
  return readProfile("workload", { ...workload, ...changes });
}

/** A profile for DNS names and addresses, with changes. */
export function serverProfile(changes: Partial<WrittenProfile> = {}): Profile {
  return readProfile("server", {
    ...workload,
    identifiers: ["dns", "ip"],
    lifetimeDefaultSeconds: 86_400,
    extendedKeyUsage: ["serverAuth"],
    ...changes,
  });
}

/** What grants know of a source, with changes: claims are the issuer's affair, and its tenants are one. */
export function sourceFactsOf(changes: Partial<SourceFacts>): SourceFacts {
  const pinning = { mode: "alert" } as const;
  const levels = ["nonce", "key", "bearer"] as const;
  return {
    ref: "dev",
    format: "jwt",
    claimNames: undefined,
    tenantClaims: undefined,
    machineClaims: undefined,
    ofDevices: false,
    deviceClaims: [],
    levels,
    renews: false,
    pinning,
    leastPinning: pinning,
    ...changes,
  };
}

/** SHA-256. */
export const sha256 = (data: string | Buffer): Buffer => createHash("sha256").update(data).digest();
