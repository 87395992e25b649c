/**
 * Profiles: what a certificate may be. Pure. A profile is frozen when it is read; its hash is pinned to an order when that is made
 * and stored with each certificate, so that two versions of one name never mix (Let's Encrypt, 2023-06-15).
 */
import { createHash } from "node:crypto";
import { type Static, Type } from "typebox";

import { keyPurposes } from "../x509/extensions.ts";
import { encodeOid } from "../x509/oid.ts";
import type { KeyReuse } from "./ports.ts";
import { keyUsesOf, type LeafKeyUsage, leafKeyUsages, usesOfPurpose } from "./keyUses.ts";

export const keyKinds = ["ec-p256", "ec-p384", "rsa", "ed25519"] as const;
export const identifierTypes = ["uri", "dns", "ip", "permanent-identifier"] as const;

/** Whether a certificate has a subject beside its names. */
const subjectRules = ["empty", "commonName"] as const;
/** How often a key may be certified. */
const keyReuseRules = ["any", "identity", "never"] as const satisfies KeyReuse[];

const oneOf = <const T extends readonly string[]>(values: T, description?: string) =>
  Type.Unsafe<T[number]>(Type.Enum([...values], description === undefined ? {} : { description }));

/** What a profile says where its file says nothing. */
const profileDefaults = {
  issuer: "default",
  subject: "empty" as (typeof subjectRules)[number],
  keyUsage: ["digitalSignature", "keyEncipherment"] as LeafKeyUsage[],
  certificatePolicies: [] as string[],
  revocation: { shortLivedMaxSeconds: 86_400, crl: true, ocsp: false },
  keyReuse: "any" as (typeof keyReuseRules)[number],
};

/** What a certificate says of where its revocation can be learnt. */
const revocationSchema = Type.Object(
  {
    shortLivedMaxSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 34_560_000,
        description: "A lifetime up to this gives noRevAvail (RFC 9608), and no pointers.",
      }),
    ),
    crl: Type.Optional(
      Type.Boolean({ description: "A longer lifetime gives cRLDistributionPoints (RFC 5280 §4.2.1.13)." }),
    ),
    ocsp: Type.Optional(
      Type.Boolean({ description: "A longer lifetime gives authorityInfoAccess with id-ad-ocsp (RFC 5280 §4.2.2.1)." }),
    ),
  },
  { additionalProperties: false },
);

/** As a file has it. What may be left out gets its default by `readProfile`. */
export const profileSchema = Type.Object(
  {
    description: Type.String({
      minLength: 1,
      maxLength: 200,
      description: "Shown to clients in the directory (meta.profiles).",
    }),
    identifiers: Type.Array(oneOf(identifierTypes), {
      minItems: 1,
      description:
        "Identifier types an order under this profile may hold. `uri` makes it a SPIFFE X.509-SVID profile: exactly one is then required. `permanent-identifier` is for devices.",
    }),
    lifetimeDefaultSeconds: Type.Integer({
      minimum: 60,
      maximum: 34_560_000,
      description: "Lifetime where the order names no notAfter.",
    }),
    lifetimeMinSeconds: Type.Integer({
      minimum: 60,
      maximum: 34_560_000,
      description: "Shortest lifetime an order may ask for.",
    }),
    lifetimeMaxSeconds: Type.Integer({
      minimum: 60,
      maximum: 34_560_000,
      description: "Longest lifetime an order may ask for.",
    }),
    backdateSeconds: Type.Integer({
      minimum: 0,
      maximum: 3600,
      description:
        "notBefore lies this far in the past, for peers whose clocks are behind; at most a tenth of the lifetime.",
    }),
    keyKinds: Type.Array(oneOf(keyKinds), { minItems: 1, description: "Kinds of certificate keys that are accepted." }),
    extendedKeyUsage: Type.Array(oneOf(keyPurposes), {
      uniqueItems: true,
      description: "RFC 5280 §4.2.1.12. A SPIFFE profile has both or none (X.509-SVID §4.4).",
    }),
    issuer: Type.Optional(
      Type.String({
        maxLength: 40,
        pattern: "^[a-z][a-z0-9-]{0,39}$",
        description: "Name of the line of issuing CAs that signs.",
      }),
    ),
    subject: Type.Optional(
      oneOf(subjectRules, "empty: no subject. commonName: the first DNS name that has up to 64 characters."),
    ),
    keyUsage: Type.Optional(
      Type.Array(oneOf(leafKeyUsages), {
        minItems: 1,
        uniqueItems: true,
        description: "RFC 5280 §4.2.1.3; each where the kind of the key can have it.",
      }),
    ),
    certificatePolicies: Type.Optional(
      Type.Array(Type.String({ maxLength: 200, pattern: "^[0-2](\\.(0|[1-9][0-9]*))+$" }), {
        maxItems: 5,
        uniqueItems: true,
        description: "OIDs for certificatePolicies (RFC 5280 §4.2.1.4). None: no such extension.",
      }),
    ),
    revocation: Type.Optional(revocationSchema),
    keyReuse: Type.Optional(
      oneOf(keyReuseRules, "any: no rule. identity: a key is certified for one identity only. never: once."),
    ),
  },
  { additionalProperties: false },
);

/** A profile as a file has it. */
export type WrittenProfile = Static<typeof profileSchema>;

type Defaults = typeof profileDefaults;
/** The same, complete. */
export type ProfileConfiguration = Omit<WrittenProfile, keyof Defaults> & Readonly<Defaults>;

export interface Profile extends Readonly<ProfileConfiguration> {
  readonly name: string;
  /** SHA-256 over the profile's canonical JSON. */
  readonly hash: Buffer;
}

/**
 * Freezes one configured profile.
 * @throws {Error} naming key, value and what was expected
 */
export function readProfile(name: string, written: WrittenProfile): Profile {
  const configuration: ProfileConfiguration = structuredClone({
    ...profileDefaults,
    ...written,
    revocation: { ...profileDefaults.revocation, ...written.revocation },
  });
  const at = `profiles.${name}`;
  requireOrder(at, configuration);
  requireUses(at, configuration);
  if (configuration.subject === "commonName" && !configuration.identifiers.includes("dns"))
    throw new Error(`${at}.subject: commonName: a profile whose common name is a DNS name needs dns identifiers`);
  for (const policy of configuration.certificatePolicies) requireOid(`${at}.certificatePolicies`, policy);
  for (const value of Object.values(configuration)) Object.freeze(value);
  const hash = createHash("sha256")
    .update(canonicalJson({ ...configuration, name }))
    .digest();
  return Object.freeze({ ...configuration, name, hash });
}

/** What was hashed: name and configuration in JSON, with the keys of every object in their order. */
export function profileJson(profile: Profile): string {
  return canonicalJson({ ...profile, hash: undefined });
}

function requireOid(at: string, text: string): void {
  try {
    encodeOid(text);
  } catch (error) {
    throw new Error(`${at}: ${text}: expected an object identifier in dotted form`, { cause: error });
  }
}

function requireOrder(at: string, configuration: ProfileConfiguration): void {
  const { lifetimeMinSeconds: least, lifetimeDefaultSeconds: normal, lifetimeMaxSeconds: most } = configuration;
  if (least > normal)
    throw new Error(`${at}.lifetimeMinSeconds: ${least} is more than lifetimeDefaultSeconds (${normal})`);
  if (normal > most)
    throw new Error(`${at}.lifetimeDefaultSeconds: ${normal} is more than lifetimeMaxSeconds (${most})`);
}

/** What keys are for, and for whom: a certificate that nothing may be done with is none. */
function requireUses(at: string, { identifiers, keyKinds: kinds, keyUsage, extendedKeyUsage }: ProfileConfiguration) {
  const isBoth = extendedKeyUsage.includes("serverAuth") && extendedKeyUsage.includes("clientAuth");
  if (identifiers.includes("uri") && extendedKeyUsage.length > 0 && !isBoth) {
    throw new Error(
      `${at}.extendedKeyUsage: [${extendedKeyUsage.join()}]: a profile with uri identifiers needs both serverAuth and clientAuth, or none (X.509-SVID §4.4)`,
    );
  }
  if (identifiers.includes("uri") && !keyUsage.includes("digitalSignature")) {
    throw new Error(
      `${at}.keyUsage: [${keyUsage.join()}]: a profile with uri identifiers needs digitalSignature (X.509-SVID §4.3)`,
    );
  }
  for (const kind of kinds) {
    const uses = keyUsesOf(keyUsage, kind);
    if (uses.length === 0)
      throw new Error(`${at}.keyUsage: [${keyUsage.join()}]: a key of kind ${kind} can have none of these uses`);
    const purpose = extendedKeyUsage.find((one) => !usesOfPurpose[one].some((use) => uses.includes(use)));
    if (purpose !== undefined) {
      throw new Error(
        `${at}.extendedKeyUsage: ${purpose}: a key of kind ${kind} has no use for it by keyUsage (RFC 5280 §4.2.1.12)`,
      );
    }
  }
}

/** JSON with the keys of every object in their order, so that what says the same has the same hash. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** A client's wish for a validity; undefined where it named nothing. */
export interface RequestedValidity {
  readonly notBefore?: Date | undefined;
  readonly notAfter?: Date | undefined;
  /** From evidence or issuer: shortens silently where the client named no notAfter, refuses otherwise (workload-attest-01, rule 6). */
  readonly notAfterCap?: Date | undefined;
  /** From a grant: longest lifetime where it is less than the profile's. */
  readonly lifetimeMaxSeconds?: number | undefined;
}

/** The validity asked for lies outside the profile; refused, never clamped. `message` is fit for the client. */
export class ValidityRefused extends Error {
  override readonly name = "ValidityRefused";
}

/** How far ahead notBefore may lie. */
export const notBeforeAheadMaxSeconds = 3600;

/** Seconds that a validity lasts: both ends belong to it (RFC 5280 §4.1.2.5). */
export const lifetimeSecondsOf = ({ notBefore, notAfter }: { notBefore: Date; notAfter: Date }): number =>
  (notAfter.getTime() - notBefore.getTime()) / 1000 + 1;

const wholeSecond = (milliseconds: number): number => Math.floor(milliseconds / 1000);

/**
 * The validity of a certificate issued at `now`: whole seconds, notAfter inclusive (RFC 5280 §4.1.2.5), so that
 * `notAfter − notBefore + 1 s` is the lifetime the profile speaks of.
 * @throws {ValidityRefused}
 */
export function validityOf(profile: Profile, now: Date, wish: RequestedValidity): { notBefore: Date; notAfter: Date } {
  const at = wholeSecond(now.getTime());
  const cap = wish.notAfterCap && wholeSecond(wish.notAfterCap.getTime());
  const most = Math.min(profile.lifetimeMaxSeconds, wish.lifetimeMaxSeconds ?? Infinity);
  const usual = Math.min(profile.lifetimeDefaultSeconds, most);
  const backdate = Math.min(profile.backdateSeconds, Math.floor(usual / 10));
  const start = wish.notBefore ? wholeSecond(wish.notBefore.getTime()) : undefined;
  if (start !== undefined && (start < at - profile.backdateSeconds || start > at + notBeforeAheadMaxSeconds)) {
    throw new ValidityRefused(`notBefore must lie between ${profile.backdateSeconds} seconds ago and an hour from now`);
  }

  const asked = wish.notAfter && wholeSecond(wish.notAfter.getTime());
  if (asked !== undefined && cap !== undefined && asked > cap) {
    throw new ValidityRefused("notAfter lies beyond what the evidence and the issuer allow");
  }
  // The allowance for slow clocks gives way where it would make the asked lifetime too long.
  const from = start ?? (asked === undefined ? at - backdate : Math.min(at, Math.max(at - backdate, asked + 1 - most)));
  const end = asked ?? Math.min(from + usual - 1, cap ?? Infinity);

  const lifetime = end - from + 1;
  if (lifetime > most) {
    const limit = most < profile.lifetimeMaxSeconds ? "the grant" : `profile ${profile.name}`;
    throw new ValidityRefused(`a lifetime of ${lifetime} s is more than ${limit} allows (${most} s)`);
  }
  if (lifetime < profile.lifetimeMinSeconds || end <= at) {
    const why = asked === undefined ? "the evidence or the issuer ends too soon: " : "";
    throw new ValidityRefused(
      `${why}a lifetime of ${end - at} s is less than profile ${profile.name} allows (${profile.lifetimeMinSeconds} s)`,
    );
  }
  return { notBefore: new Date(from * 1000), notAfter: new Date(end * 1000) };
}
