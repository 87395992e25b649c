/** Keys in memory, and a CA hierarchy on them, for what is tested without token and database. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";

import type { SourceFacts } from "../../src/attestation/sources.ts";
import { establishHierarchy } from "../../src/authority/hierarchy.ts";
import { defaultIssuerName, type Issuer, type Issuers } from "../../src/authority/issuer.ts";
import { openIssuers } from "../../src/authority/issuers.ts";
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
    async insertIssuers(added, first) {
      if (first === true && issuers.length > 0) throw new Error("there is a hierarchy already");
      const createdAt = new Date();
      for (const one of added) {
        const reached = (...states: StoredIssuer["state"][]) => (states.includes(one.state) ? createdAt : null);
        const publishedAt = reached("published", "active", "retiring");
        issuers.push({
          ...one,
          createdAt,
          publishedAt,
          activatedAt: reached("active"),
          retiringAt: null,
          retiredAt: null,
          revokedAt: null,
        });
      }
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
export interface MemoryHierarchy {
  readonly issuers: Issuers;
  readonly issuing: Issuer;
  /** The issuing CA's. */
  readonly signer: Signer;
  readonly rootCertificate: Buffer;
  readonly keys: MemoryKeys;
  readonly store: ReturnType<typeof memoryIssuerStore>;
}

export async function memoryHierarchy(now: Date): Promise<MemoryHierarchy> {
  const [keys, store] = [memoryKeys(), memoryIssuerStore()];
  const options = { keys, store, trustDomain, publicUrl: "https://ca.test" };
  const lifetimes = { rootLifetimeDays: 3650, issuingLifetimeDays: 365 };
  await establishHierarchy({ ...options, keyLabel: "issuing", keyKind: "ec-p256", ...lifetimes, crlShards: 16, now });
  const issuers = await openIssuers({ ...options, now: () => now });
  const signer = keys.signers.get("issuing");
  const [root] = issuers.roots();
  if (signer === undefined || root === undefined) throw new Error("the hierarchy is incomplete");
  const rootCertificate = root.certificate;
  return { issuers, issuing: issuers.active(defaultIssuerName), signer, rootCertificate, keys, store };
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
